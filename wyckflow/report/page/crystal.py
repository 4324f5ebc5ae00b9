"""A structure as numbers for the viewer, as a table of positions, and as a file."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import yaml

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import WyckflowError
from wyckflow.report.page.markup import Html, table
from wyckflow.report.page.words import number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wyckflow.schemas.candidate import CandidateDoc

MARK: Final = "@operations@"
"""Stands in a CIF for what a page holds once per space group."""

_OPERATIONS: Final = re.compile(
    r"_space_group_symop_operation_xyz\n(.*?)\nloop_", re.DOTALL
)
_SYMPREC: Final = 0.01
_DIGITS: Final = 5
_UNKNOWN_COLOUR: Final = (190, 190, 190)
_UNKNOWN_RADIUS: Final = 1.4


def viewer_json(structure: dict[str, Any], formula: str) -> str:
    """Return what the viewer draws: cell vectors in A, fractional coordinates.

    Parameters
    ----------
    structure
        As a candidate holds it.
    formula
        Of the crystal.
    """
    symbols: list[str] = []
    atoms: list[float] = []
    for site in structure["sites"]:
        symbol = site["species"][0]["element"]
        if symbol not in symbols:
            symbols.append(symbol)
        atoms.append(symbols.index(symbol))
        atoms += [round(float(value) % 1.0, _DIGITS) % 1.0 for value in site["abc"]]
    cell = [
        [round(float(value), _DIGITS) for value in row]
        for row in structure["lattice"]["matrix"]
    ]
    content = {"formula": formula, "cell": cell, "symbols": symbols, "atoms": atoms}
    return json.dumps(content, separators=(",", ":"))


def element_table(symbols: Iterable[str]) -> str:
    """Return colour (as in Jmol), covalent radius in A, and whether it is a metal.

    As JSON. Between two metals the viewer draws no bond where there are others.

    Parameters
    ----------
    symbols
        Of all elements of a page.
    """
    from pymatgen.analysis.local_env import CovalentRadius
    from pymatgen.core.periodic_table import Element

    colours, radii = _colours(), CovalentRadius.radius
    return json.dumps(
        {
            symbol: [
                "#{:02x}{:02x}{:02x}".format(*colours.get(symbol, _UNKNOWN_COLOUR)),
                radii.get(symbol, _UNKNOWN_RADIUS),
                int(Element(symbol).is_metal),
            ]
            for symbol in sorted(set(symbols))
        },
        separators=(",", ":"),
    )


@cache
def _colours() -> dict[str, tuple[int, int, int]]:
    """Return the colours by which chemists know the elements."""
    text = files("pymatgen.core").joinpath("ElementColorSchemes.yaml").read_text()
    scheme: dict[str, tuple[int, int, int]] = yaml.safe_load(text)["Jmol"]
    return scheme


def reduce_candidate(candidate: CandidateDoc) -> ReducedStructure | None:
    """Return the relaxed structure with its symmetry, if it has the gene's own.

    Parameters
    ----------
    candidate
        With or without a structure.
    """
    from pymatgen.core import Structure

    if candidate.structure is None:
        return None
    try:
        return ReducedStructure.from_structure(
            Structure.from_dict(candidate.structure), symprec=_SYMPREC
        )
    except WyckflowError:
        return None


def cif_of(candidate: CandidateDoc, reduced: ReducedStructure | None) -> str:
    """Return the relaxed structure as CIF, without symmetry where it has none.

    Parameters
    ----------
    candidate
        With a structure.
    reduced
        The same with its symmetry.
    """
    from pymatgen.core import Structure

    from wyckflow.crystal.write import write_cif

    name = f"{candidate.formula_pretty}_{candidate.gene_id}"
    if reduced is not None:
        return write_cif(reduced, name)
    structure = Structure.from_dict(candidate.structure or {})
    return str(structure.to(fmt="cif"))


def take_operations(cif: str) -> tuple[str, str]:
    """Return a CIF with a mark instead of its operations, and these.

    The operations of a cubic group take more room than all else, and many candidates
    have the same: a page holds them once.

    Parameters
    ----------
    cif
        Of :func:`cif_of`.
    """
    found = _OPERATIONS.search(cif)
    if found is None:
        return cif, ""
    start, end = found.span(1)
    return f"{cif[:start]}{MARK}{cif[end:]}", found[1]


def wyckoff_table(gene_text: str, reduced: ReducedStructure | None) -> Html:
    """Return the occupied positions of a gene, with relaxed coordinates.

    The relaxed crystal may be described from another origin, with other letters; then
    these are shown. Without coordinates it has another gene, or there is none.

    Parameters
    ----------
    gene_text
        Of the candidate.
    reduced
        The relaxed structure.
    """
    gene = WyckoffGene.from_text(gene_text)
    heads = ["element", "position", "site symmetry", "free"]
    places: list[list[float]] | None = None
    if reduced is not None and reduced.gene.gene_id == gene.gene_id:
        gene, places = reduced.gene, _coordinates(reduced)
        heads += ["x", "y", "z"]
    rows = []
    for place, (site, position) in enumerate(
        zip(gene.sites, gene.positions, strict=True)
    ):
        row: list[object] = [
            site.element,
            position.label,
            position.site_symmetry,
            position.degrees_of_freedom,
        ]
        if places is not None:
            row += [number(value, 4) for value in places[place]]
        rows.append(row)
    return table(heads, rows, numbers=range(3, 7), caption="occupied positions")


def _coordinates(reduced: ReducedStructure) -> list[list[float]]:
    """Return the first point of each orbit, fractional."""
    found = []
    for position, row in zip(reduced.gene.positions, reduced.parameters, strict=True):
        point = position.rotations[0] @ row + position.translations[0] / 24
        found.append([float(value) for value in np.round(point % 1.0, 6) % 1.0])
    return found
