"""Every trial of every gene of a job as columns in a few bytes, and back.

A gene has up to 20 trials of 300 bytes each: as documents, those of a shard would take
several megabytes, and nobody reads more than those of one gene.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.errors import DocumentError
from wyckflow.schemas.blob import pack_arrays, unpack_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

TEXTS: Final = ("outcome", "reason", "engine")
WHOLE_NUMBERS: Final = (
    *("trial", "seed", "stage", "n_steps", "n_evaluations"),
    "space_group_number_after",
)
NUMBERS: Final = ("energy_per_atom", "max_force", "max_stress_gpa", "volume_per_atom")

_NOTHING: Final = -1
"""Stands for null in columns of whole numbers, none of which is negative."""

_COUNTS: Final = "trials_of_gene"


def pack_trials(trials: Sequence[Sequence[Mapping[str, Any]]]) -> bytes:
    """Return the trials of genes as the bytes of a ``packed`` field.

    Parameters
    ----------
    trials
        For each gene its trials, by field.
    """
    rows = [trial for of_gene in trials for trial in of_gene]

    def column(name: str, instead: Any) -> list[Any]:
        return [instead if row[name] is None else row[name] for row in rows]

    arrays: dict[str, NDArray[Any]] = {
        _COUNTS: np.array([len(of_gene) for of_gene in trials], np.int32)
    }
    for name in TEXTS:
        texts, places = np.unique(
            np.array([str(text) for text in column(name, "")], np.str_),
            return_inverse=True,
        )
        arrays |= {f"{name} texts": texts, name: places.astype(np.int32)}
    for name in WHOLE_NUMBERS:
        arrays[name] = np.array(column(name, _NOTHING), np.int64)
    for name in NUMBERS:
        arrays[name] = np.array(column(name, np.nan), np.float64)
    return pack_arrays(arrays)


def unpack_trials(packed: bytes) -> list[list[dict[str, Any]]]:
    """Return the trials of :func:`pack_trials`, by gene and by field.

    Parameters
    ----------
    packed
        The bytes of the ``packed`` field.

    Raises
    ------
    DocumentError
        If they are no such bytes.
    """
    arrays = unpack_arrays(packed)
    wanted = {_COUNTS, *TEXTS, *WHOLE_NUMBERS, *NUMBERS}
    if missing := sorted(wanted - arrays.keys()):
        raise DocumentError(
            f"A table of trials lacks {', '.join(missing)}; it has "
            f"{', '.join(sorted(arrays))}. Take the field 'packed' of the "
            "'trials' of a RelaxationBatchDoc."
        )
    columns: dict[str, list[Any]] = {}
    for name in TEXTS:
        columns[name] = arrays[f"{name} texts"][arrays[name]].tolist()
    for name in WHOLE_NUMBERS:
        columns[name] = [None if n == _NOTHING else n for n in arrays[name].tolist()]
    for name in NUMBERS:
        numbers = arrays[name].tolist()
        columns[name] = [None if np.isnan(number) else number for number in numbers]
    values = zip(*columns.values(), strict=True)
    rows = [dict(zip(columns, row, strict=True)) for row in values]
    ends = np.cumsum(arrays[_COUNTS]).tolist()
    starts = [0, *ends]
    return [rows[start:end] for start, end in zip(starts, ends, strict=False)]
