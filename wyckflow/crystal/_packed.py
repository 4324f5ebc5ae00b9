"""The packaged file of the 230 space groups: what is in it, written and read.

An operator is a 3 x 4 block of small integers: a rotation, and a translation in 24ths.
The blocks of all groups lie one after another; ``n_...`` arrays say how many belong to
each group. What follows from them (orbits, multiplicities, enumerations) is not stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FILE_NAME: Final = "space_groups.npz"


@dataclass(frozen=True, eq=False, slots=True)
class PackedGroup:
    """What the file holds about one space group.

    Attributes
    ----------
    hall_number
        spglib's number of the setting.
    symbol
        Short Hermann-Mauguin symbol.
    operations
        All operations (n, 3, 4), identity first.
    representatives
        First point of every Wyckoff position (p, 3, 4), from letter ``a`` on.
    site_symmetries
        Oriented site-symmetry symbol of every position.
    normalizer
        Operators of the affine normalizer (k, 3, 4), identity first.
    permutations
        Position ``i`` is carried to ``permutations[k, i]`` by operator ``k``.
    n_euclidean
        The first so many operators are those of the Euclidean normalizer.
    """

    hall_number: int
    symbol: str
    operations: NDArray[np.int8]
    representatives: NDArray[np.int8]
    site_symmetries: tuple[str, ...]
    normalizer: NDArray[np.int8]
    permutations: NDArray[np.uint8]
    n_euclidean: int


def pack_groups(groups: Sequence[PackedGroup]) -> dict[str, NDArray[Any]]:
    """Lay the groups out as the arrays of the file."""
    symbols = [symbol for group in groups for symbol in group.site_symmetries]
    known_symbols, symbol_indices = np.unique(symbols, return_inverse=True)
    return {
        "hall_number": np.array([group.hall_number for group in groups], np.int16),
        "symbol": np.array([group.symbol for group in groups]).astype(np.bytes_),
        "n_operations": _counts([group.operations for group in groups]),
        "n_positions": _counts([group.representatives for group in groups]),
        "n_normalizer": _counts([group.normalizer for group in groups]),
        "n_euclidean": np.array([group.n_euclidean for group in groups], np.int16),
        "operations": np.concatenate([group.operations for group in groups]),
        "representatives": np.concatenate([group.representatives for group in groups]),
        "normalizer": np.concatenate([group.normalizer for group in groups]),
        "permutations": np.concatenate(
            [group.permutations.ravel() for group in groups]
        ),
        "site_symmetry_symbol": known_symbols.astype(np.bytes_),
        "site_symmetry": symbol_indices.astype(np.uint8),
    }


def unpack_groups(arrays: dict[str, NDArray[Any]]) -> tuple[PackedGroup, ...]:
    """Cut the arrays of the file into groups, number 1 first."""
    n_letters = arrays["n_positions"].astype(np.int64)
    operations = _cut(arrays["operations"], arrays["n_operations"])
    representatives = _cut(arrays["representatives"], n_letters)
    normalizers = _cut(arrays["normalizer"], arrays["n_normalizer"])
    permutations = _cut(arrays["permutations"], arrays["n_normalizer"] * n_letters)
    symbols = arrays["site_symmetry_symbol"].astype(np.str_)[arrays["site_symmetry"]]
    site_symmetries = _cut(symbols, n_letters)
    return tuple(
        PackedGroup(
            hall_number=int(arrays["hall_number"][index]),
            symbol=arrays["symbol"][index].decode(),
            operations=operations[index],
            representatives=representatives[index],
            site_symmetries=tuple(site_symmetries[index].tolist()),
            normalizer=normalizers[index],
            permutations=permutations[index].reshape(-1, n_letters[index]),
            n_euclidean=int(arrays["n_euclidean"][index]),
        )
        for index in range(len(n_letters))
    )


def write_groups(path: Path, groups: Sequence[PackedGroup]) -> None:
    """Write the file; the same groups give the same arrays."""
    np.savez_compressed(path, allow_pickle=False, **pack_groups(groups))


@lru_cache(maxsize=1)
def read_groups() -> tuple[PackedGroup, ...]:
    """Read the packaged file once."""
    path = files("wyckflow.crystal").joinpath("data", FILE_NAME)
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return unpack_groups({name: archive[name] for name in archive.files})


def _counts(arrays: list[NDArray[Any]]) -> NDArray[np.int16]:
    return np.array([len(array) for array in arrays], np.int16)


def _cut(array: NDArray[Any], counts: NDArray[Any]) -> list[NDArray[Any]]:
    return np.split(array, np.cumsum(counts, dtype=np.int64)[:-1])
