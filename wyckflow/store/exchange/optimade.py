"""Candidates as structure entries of OPTIMADE, for databases that speak it.

One JSON object per line: a header, a description of the entries, then the entries, as
OPTIMADE's own tools read them. Properties that OPTIMADE does not define begin with
``_wyckflow_``, as its specification (1.2) asks.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Any, Final

from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.store.candidates.files import NOT_FLAT, column_types

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

API_VERSION: Final = "1.2.0"
PREFIX: Final = "_wyckflow_"

_OWN: Final = NOT_FLAT | {"elements", "n_elements", "nsites", "updated_at"}
"""Fields that OPTIMADE has words for, or no place."""

_KINDS: Final = {bool: "boolean", int: "integer", float: "float", str: "string"}
_NESTED: Final = {"decomposition": "list", "hull_completeness": "dictionary"}
_LISTS: Final = ("magnetic_moments_mu_b", "job_uuids")
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def head_lines() -> Iterator[dict[str, Any]]:
    """Yield what stands before the entries: the version, and our own properties."""
    yield {"x-optimade": {"meta": {"api_version": API_VERSION}}}
    yield {"type": "info", "id": "structures", "properties": _describe_properties()}


def structure_entry(candidate: CandidateDoc) -> dict[str, Any] | None:
    """Return a candidate as an entry; None if it has no structure.

    Parameters
    ----------
    candidate
        Which.
    """
    if candidate.structure is None:
        return None
    sites = candidate.structure["sites"]
    at_sites = [site["species"][0]["element"] for site in sites]
    counts = {name: at_sites.count(name) for name in sorted(set(at_sites))}
    fields = candidate.model_dump(mode="json", exclude=set(_OWN))
    return {
        "id": candidate.gene_id,
        "type": "structures",
        "attributes": {
            "immutable_id": f"{candidate.campaign}:{candidate.gene_id}",
            "last_modified": f"{candidate.updated_at:%Y-%m-%dT%H:%M:%SZ}",
            **_describe_composition(counts),
            "dimension_types": [1, 1, 1],
            "nperiodic_dimensions": 3,
            "lattice_vectors": candidate.structure["lattice"]["matrix"],
            "nsites": len(sites),
            "cartesian_site_positions": [site["xyz"] for site in sites],
            "species": [
                {"name": name, "chemical_symbols": [name], "concentration": [1.0]}
                for name in counts
            ],
            "species_at_sites": at_sites,
            "structure_features": [],
            **{f"{PREFIX}{name}": value for name, value in fields.items()},
        },
    }


def _describe_composition(counts: Mapping[str, int]) -> dict[str, Any]:
    """Return elements and formulas of a cell, as OPTIMADE writes them.

    Parameters
    ----------
    counts
        Atoms by symbol, in the order of the alphabet.
    """
    n_atoms = sum(counts.values())
    divisor = gcd(*counts.values())
    reduced = {name: count // divisor for name, count in counts.items()}
    by_size = sorted(reduced.values(), reverse=True)
    anonymous = dict(zip(_LETTERS, by_size, strict=False))
    return {
        "elements": list(counts),
        "nelements": len(counts),
        "elements_ratios": [count / n_atoms for count in counts.values()],
        "chemical_formula_descriptive": _write_formula(counts),
        "chemical_formula_reduced": _write_formula(reduced),
        "chemical_formula_anonymous": _write_formula(anonymous),
    }


def _write_formula(counts: Mapping[str, int]) -> str:
    """Return symbols with their counts, without ones."""
    return "".join(
        name if count == 1 else f"{name}{count}" for name, count in counts.items()
    )


def _describe_properties() -> dict[str, Any]:
    """Return type and meaning of the properties that are not OPTIMADE's."""
    kinds = column_types()
    return {
        f"{PREFIX}{name}": {
            "description": CandidateDoc.model_fields[name].description,
            "type": _kind_of(name, kinds[name]),
        }
        for name in kinds
        if name not in _OWN
    }


def _kind_of(name: str, kind: type) -> str:
    """Return the type of a property in OPTIMADE's words."""
    if name in _LISTS:
        return "list"
    return _NESTED.get(name, _KINDS[kind])
