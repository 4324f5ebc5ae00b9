"""Reference sets from tables of numbers: formula, energy, id."""

from __future__ import annotations

import csv
import gzip
from typing import TYPE_CHECKING, Final

from wyckflow.errors import ReferenceDataError
from wyckflow.thermo.entry import EnergyKind, EnergyOrigin, ReferenceEntry
from wyckflow.thermo.reference import ReferenceSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_FORMULAS: Final = ("formula", "formula_pretty", "pretty_formula", "composition")
_IDS: Final = ("id", "entry_id", "material_id", "gene_id")
_ENERGIES: Final = {
    EnergyKind.TOTAL: ("energy_per_atom",),
    EnergyKind.FORMATION: ("formation_energy_per_atom",),
}


def read_reference_table(
    path: Path, *, scale: str, kind: EnergyKind | str, name: str | None = None
) -> ReferenceSet:
    """Read a CSV file, also a compressed one, as a reference set.

    It needs a formula (``formula``), an id (``id`` or ``material_id``) and an energy
    (``energy_per_atom`` or ``formation_energy_per_atom``) in every row; ``source``,
    ``date`` and ``origin`` are taken along.

    Parameters
    ----------
    path
        The file.
    scale
        Scale of the energies.
    kind
        Whether to read total or formation energies.
    name
        Of the set; that of the file if not given.

    Raises
    ------
    ReferenceDataError
        If a column is missing, or a row cannot be read.
    """
    chosen = EnergyKind(kind)
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            header = reader.fieldnames or []
            columns = {
                "formula": _find(header, _FORMULAS, path),
                "energy": _find(header, _ENERGIES[chosen], path),
                "id": _find(header, _IDS, path),
            }
            entries = list(_read_rows(reader, columns, path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReferenceDataError(
            f"{path} cannot be read as a CSV table ({error}); give a file of "
            "'wyckflow hull export', or a table with a header."
        ) from error
    provenance = {"table": path.name}
    return ReferenceSet.from_entries(
        name or path.name.split(".")[0],
        entries,
        scale=scale,
        kind=chosen,
        provenance=provenance,
    )


def parse_formula(text: str) -> dict[str, float]:
    """Return the atoms of a formula such as ``Ca3(PO4)2``.

    Parameters
    ----------
    text
        The formula.

    Raises
    ------
    ReferenceDataError
        If it is none.
    """
    from pymatgen.core import Composition

    try:
        counts = Composition(text, strict=True).get_el_amt_dict()
    except (ValueError, KeyError) as error:
        raise ReferenceDataError(
            f"{text!r} is no chemical formula ({error}); write it such as 'SrTiO3'."
        ) from error
    if not counts:
        raise ReferenceDataError("An empty formula came; write it such as 'SrTiO3'.")
    return dict(counts)


def _read_rows(
    rows: Iterator[dict[str, str]], columns: Mapping[str, str], path: Path
) -> Iterator[ReferenceEntry]:
    """Yield the entry of each row, and name the row of which there is none."""
    for number, row in enumerate(rows, 2):
        try:
            yield ReferenceEntry(
                composition=parse_formula(row[columns["formula"]]),
                energy_per_atom=float(row[columns["energy"]]),
                id=row[columns["id"]],
                source=row.get("source") or path.name.split(".")[0],
                date=row.get("date") or "",
                origin=EnergyOrigin(row.get("origin") or EnergyOrigin.RELAXED),
            )
        except ValueError as error:
            raise ReferenceDataError(f"Line {number} of {path}: {error}") from error


def _find(header: Sequence[str], names: Sequence[str], path: Path) -> str:
    """Return the first of some columns that a table has."""
    for name in names:
        if name in header:
            return name
    raise ReferenceDataError(
        f"{path} has no column {' or '.join(map(repr, names))}; it has "
        f"{', '.join(map(repr, header)) or 'none'}. Rename one."
    )
