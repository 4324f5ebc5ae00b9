"""The columns of the sources of an import: properties as arrays, checked by range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.cell import RefusalReason
from wyckflow.crystal.dataset.column import (
    MATERIAL_ID,
    PROPERTY_BY_NAME,
    STRUCTURE,
    ColumnMap,
    check_chosen_columns,
    implausible,
    map_columns,
    read_number,
)
from wyckflow.crystal.dataset.metadata import RefusedRow
from wyckflow.errors import DatasetError, nearest_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from wyckflow.crystal.dataset.source import Source

# A column of which more than this share cannot be is in another unit.
_MOST_IMPLAUSIBLE: Final = 0.1


@dataclass(frozen=True, eq=False, slots=True)
class SourceColumns:
    """What a source says of its structures.

    Attributes
    ----------
    map
        Which columns are read as what.
    properties
        A number per record, not-a-number where there is none.
    texts
        A text per record.
    refused
        Records with a property that cannot be.
    """

    map: ColumnMap
    properties: dict[str, NDArray[np.float64]]
    texts: dict[str, list[str]]
    refused: list[RefusedRow]


def read_columns(
    sources: Sequence[Source], chosen: Mapping[str, str], kept: Sequence[str]
) -> list[SourceColumns]:
    """Read everything but the structures.

    Parameters
    ----------
    sources
        Any files.
    chosen
        Columns named by hand, theirs by ours.
    kept
        Further columns to take.

    Raises
    ------
    DatasetError
        If a column is missing, ambiguous, or in another unit.
    """
    known = dict.fromkeys(name for source in sources for name in source.columns)
    check_chosen_columns(chosen, kept, known)
    maps = []
    for source in sources:
        columns = map_columns(
            source.columns, source=source.name, chosen=chosen, kept=kept
        )
        if STRUCTURE not in columns.columns:
            raise DatasetError(
                f"{source.name} has no column of structures, 'cif' or 'structure', "
                f"among {', '.join(map(repr, source.columns))}; name it with --column "
                f"structure=NAME.{nearest_name(STRUCTURE, source.columns)}"
            )
        maps.append(columns)
    cells = [_read_cells(*pair) for pair in zip(sources, maps, strict=True)]
    textual = {
        ours
        for columns in cells
        for ours, values in columns.items()
        if ours not in PROPERTY_BY_NAME and _is_textual(ours, values)
    }
    return [
        _convert(index, source, columns, values, textual)
        for index, (source, columns, values) in enumerate(
            zip(sources, maps, cells, strict=True)
        )
    ]


def _read_cells(source: Source, columns: ColumnMap) -> dict[str, list[Any]]:
    """Collect the cells of all columns but the structures."""
    wanted = {o: theirs for o, theirs in columns.columns.items() if o != STRUCTURE}
    cells: dict[str, list[Any]] = {ours: [] for ours in (MATERIAL_ID, *wanted)}
    for record in source.records():
        for ours, theirs in wanted.items():
            cells[ours].append(record.values.get(theirs))
        if MATERIAL_ID not in wanted:
            cells[MATERIAL_ID].append(record.label)
    return cells


def _is_textual(ours: str, values: list[Any]) -> bool:
    return ours == MATERIAL_ID or any(read_number(value) is None for value in values)


def _convert(
    index: int,
    source: Source,
    columns: ColumnMap,
    cells: dict[str, list[Any]],
    textual: set[str],
) -> SourceColumns:
    """Turn cells into numbers and texts, and refuse what cannot be."""
    properties, texts = {}, {}
    faults: dict[int, str] = {}
    for ours, values in cells.items():
        if ours in textual:
            texts[ours] = ["" if v is None else str(v) for v in values]
            continue
        numbers = [read_number(value) for value in values]
        of_column = _find_faults(ours, values, numbers)
        _check_unit(source, columns.columns[ours], ours, numbers, of_column)
        faults |= of_column
        properties[ours] = np.array([math.nan if n is None else n for n in numbers])
    refused = [
        RefusedRow(
            source=index,
            record=place + 1,
            label=texts[MATERIAL_ID][place],
            reason=RefusalReason.IMPLAUSIBLE_PROPERTY,
            message=message,
        )
        for place, message in sorted(faults.items())
    ]
    return SourceColumns(columns, properties, texts, refused)


def _find_faults(
    ours: str, values: list[Any], numbers: list[float | None]
) -> dict[int, str]:
    """Say what is wrong with the values that cannot be."""
    faults = {}
    for place, (value, number) in enumerate(zip(values, numbers, strict=True)):
        if number is None:
            faults[place] = f"{ours} is no number but {str(value)[:40]!r}"
        elif message := implausible(ours, number):
            faults[place] = message
    return faults


def _check_unit(
    source: Source,
    theirs: str,
    ours: str,
    numbers: list[float | None],
    faults: dict[int, str],
) -> None:
    """Refuse a column whose values are those of another unit."""
    n_given = sum(number is None or not math.isnan(number) for number in numbers)
    if len(faults) <= _MOST_IMPLAUSIBLE * n_given:
        return
    column = PROPERTY_BY_NAME[ours]
    raise DatasetError(
        f"Column {theirs!r} of {source.name} cannot be {ours} in {column.unit}: in "
        f"{len(faults)} of {n_given} rows with a value it is impossible (the first: "
        f"{faults[min(faults)]}). Perhaps it is {column.hint}; convert it, or leave it "
        f"out with --column {ours}= ."
    )
