"""Candidates as rows of a table, and their structures as files."""

from __future__ import annotations

import csv
import json
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_origin

from wyckflow.errors import ExportError
from wyckflow.schemas.candidate import CandidateDoc

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pymatgen.core import Structure

NOT_FLAT: Final = frozenset({"structure", "provenance", "verdicts", "outcomes"})
"""Fields that have no place in a row."""

COLUMNS: Final = tuple(
    name for name in CandidateDoc.model_fields if name not in NOT_FLAT
)
_SYMPREC: Final = 0.01
_NUMBERS: Final = (bool, int, float)


def flat_row(candidate: CandidateDoc) -> dict[str, Any]:
    """Return a candidate as one row: numbers, and text for all else.

    Parameters
    ----------
    candidate
        Which.
    """
    row = candidate.model_dump(mode="json", exclude=set(NOT_FLAT))
    return {name: _flat(value) for name, value in row.items()}


def write_csv(found: Iterable[CandidateDoc], stream: io.TextIOBase) -> int:
    """Write candidates as CSV, and return how many.

    Parameters
    ----------
    found
        Candidates; they are taken one by one.
    stream
        Where to.
    """
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    n_written = 0
    for item in found:
        writer.writerow(flat_row(item))
        n_written += 1
    return n_written


def column_types() -> dict[str, type]:
    """Return the type of each column: bool, int, float, or str for all else."""
    return {
        name: _type_of(CandidateDoc.model_fields[name].annotation) for name in COLUMNS
    }


def has_parquet() -> bool:
    """Return whether this installation can write Parquet."""
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None


class ParquetTable:
    """A Parquet file that grows batch by batch, with the columns of the CSV.

    The types of the columns follow from the fields, not from the values, so that files
    of several campaigns can be read as one table.

    Parameters
    ----------
    path
        File to write.

    Raises
    ------
    ExportError
        If pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as error:
            raise ExportError(
                "A Parquet file needs pyarrow, which is not installed: 'pip install "
                "wyckflow[parquet]', or leave --parquet away; candidates.csv has the "
                "same columns."
            ) from error
        kinds = {
            bool: pa.bool_(),
            int: pa.int64(),
            float: pa.float64(),
            str: pa.string(),
        }
        self._arrow = pa
        self._schema = pa.schema(
            [(name, kinds[kind]) for name, kind in column_types().items()]
        )
        self._writer = parquet.ParquetWriter(path, self._schema)

    def add(self, found: Sequence[CandidateDoc]) -> None:
        """Write some candidates.

        Parameters
        ----------
        found
            At most some thousand at once.
        """
        rows = [flat_row(item) for item in found]
        table = self._arrow.Table.from_pylist(rows, schema=self._schema)
        self._writer.write_table(table)

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def structure_stem(candidate: CandidateDoc) -> str:
    """Return the name of a candidate's structure file, without its ending.

    Parameters
    ----------
    candidate
        Which.
    """
    return f"{candidate.formula_pretty}_{candidate.gene_id}"


def format_cif(structure: Structure, name: str) -> str:
    """Return a CIF with the symmetry that the structure has at 0.01 A.

    Parameters
    ----------
    structure
        Any ordered structure.
    name
        Of the data block.
    """
    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.crystal.write import write_cif

    return write_cif(ReducedStructure.from_structure(structure, symprec=_SYMPREC), name)


def _flat(value: Any) -> Any:
    """Return a value that fits into one cell."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return json.dumps(value) if isinstance(value, list | dict) else value


def _type_of(annotation: Any) -> type:
    """Return the one kind of number that a field may hold, or text."""
    if get_origin(annotation) is Annotated:
        return _type_of(get_args(annotation)[0])
    parts = [part for part in get_args(annotation) if part is not NoneType]
    if len(parts) == 1 and NoneType in get_args(annotation):
        return _type_of(parts[0])
    return annotation if annotation in _NUMBERS else str
