"""Known phases from the entries of the Materials Project, as a reference set."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from wyckflow.errors import ReferenceDataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pymatgen.entries.computed_entries import ComputedEntry

    from wyckflow.thermo.reference import ReferenceSet


def is_entry_file(source: str) -> bool:
    """Return whether a reference is named that is a file of entries.

    Parameters
    ----------
    source
        Name, version or path.
    """
    return source.endswith((".json", ".json.gz"))


def load_mp_entries(path: Path) -> ReferenceSet:
    """Correct entries as a crystal of ours is corrected, and make them a set.

    Parameters
    ----------
    path
        JSON list of pymatgen's entries, as ``monty.serialization.dumpfn`` writes what
        ``MPRester.get_entries_in_chemsys`` returned for GGA and GGA+U.

    Raises
    ------
    ReferenceDataError
        If it cannot be read, or no entry of it can be corrected.
    """
    return make_reference(_read(path), path.name, provenance={"file": path.name})


def make_reference(
    entries: Iterable[ComputedEntry], name: str, *, provenance: Mapping[str, str]
) -> ReferenceSet:
    """Correct entries of the Materials Project, and make them a set.

    Corrections that they carry are replaced by the same ones. What the scheme refuses,
    such as a run with another U, is left out and counted in the provenance.

    Parameters
    ----------
    entries
        With the parameters of their runs.
    name
        Of the set.
    provenance
        Where they come from, by heading.

    Raises
    ------
    ReferenceDataError
        If none can be corrected.
    """
    from wyckflow.schemas.dft import RunMark
    from wyckflow.thermo.entry import EnergyKind, ReferenceEntry
    from wyckflow.thermo.reference import ReferenceSet
    from wyckflow.vasp.hull import SCALE, correct_energy

    known, refused = [], Counter[str]()
    for place, entry in enumerate(entries):
        corrected = correct_energy(entry, mark=RunMark.AS_PUBLISHED)
        if corrected.energy_per_atom is None:
            refused[corrected.refusal.split(":", maxsplit=1)[0]] += 1
            continue
        known.append(
            ReferenceEntry(
                composition=corrected.composition,
                energy_per_atom=corrected.energy_per_atom,
                id=str(entry.entry_id or f"entry-{place}"),
                source="Materials Project",
            )
        )
    if not known:
        raise ReferenceDataError(
            f"None of the {refused.total()} entries in {name} can be corrected "
            f"({dict(refused)}); give GGA and GGA+U entries with their parameters."
        )
    left_out = ", ".join(f"{n}: {why}" for why, n in refused.items()) or "none"
    return ReferenceSet.from_entries(
        name,
        known,
        scale=SCALE,
        kind=EnergyKind.TOTAL,
        provenance={**provenance, "left out": left_out},
    )


def _read(path: Path) -> list[Any]:
    """Read the entries of a file."""
    from monty.io import zopen
    from pymatgen.entries.computed_entries import ComputedEntry

    try:
        with zopen(path, "rt", encoding="utf-8") as stream:
            stored = json.loads(str(stream.read()))
        # A structure says nothing here that its entry does not.
        return [ComputedEntry.from_dict(item) for item in stored]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReferenceDataError(
            f"{path} is no list of pymatgen's entries "
            f"({type(error).__name__}: {error}); write one with "
            "monty.serialization.dumpfn."
        ) from error
