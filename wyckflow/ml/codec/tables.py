"""The Wyckoff positions of all space groups as arrays, indexed by group and letter.

Every table has one row per space-group number (row 0 stands for no group) and one
column per letter: 0 for ``a`` to 25 for ``z``, then 26 for ``A``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.tables import (
    N_SPACE_GROUPS,
    WYCKOFF_LETTERS,
    CrystalSystem,
    NormalizerKind,
    load_space_group,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_LETTERS: Final = len(WYCKOFF_LETTERS)
_N_ROWS: Final = N_SPACE_GROUPS + 1
_CENTRINGS: Final = "PABCIRF"


@dataclass(frozen=True, eq=False, slots=True)
class PositionTables:
    """What is known of every letter of every space group.

    Attributes
    ----------
    exists
        Whether the group has the letter (231, 27).
    multiplicity
        Points per orbit in the conventional cell, 0 where there is no such letter.
    degrees_of_freedom
        Free coordinates, 0 to 3.
    site_symmetry
        Index of the oriented symbol in ``site_symmetry_symbols``; 0 is none.
    enumeration
        Place among the positions of the group with the same symbol.
    site_symmetry_symbols
        The symbols, sorted, behind an empty one.
    group_features
        Numbers about each group itself (231, columns): crystal system, centring,
        logarithm of the number of operations, inversion, mirror images, and others.
    """

    exists: NDArray[np.bool_]
    multiplicity: NDArray[np.int16]
    degrees_of_freedom: NDArray[np.int8]
    site_symmetry: NDArray[np.int16]
    enumeration: NDArray[np.int8]
    site_symmetry_symbols: tuple[str, ...]
    group_features: NDArray[np.float32]


@lru_cache(maxsize=1)
def load_position_tables() -> PositionTables:
    """Build the tables of all groups, once."""
    groups = [load_space_group(number) for number in range(1, _N_ROWS)]
    symbols = sorted({p.site_symmetry for group in groups for p in group.positions})
    index_of = {symbol: index for index, symbol in enumerate(["", *symbols])}
    shape = (_N_ROWS, N_LETTERS)
    exists = np.zeros(shape, np.bool_)
    multiplicity = np.zeros(shape, np.int16)
    degrees_of_freedom = np.zeros(shape, np.int8)
    site_symmetry = np.zeros(shape, np.int16)
    enumeration = np.zeros(shape, np.int8)
    for group in groups:
        row = group.number, slice(len(group.positions))
        exists[row] = True
        multiplicity[row] = [p.multiplicity for p in group.positions]
        degrees_of_freedom[row] = [p.degrees_of_freedom for p in group.positions]
        site_symmetry[row] = [index_of[p.site_symmetry] for p in group.positions]
        enumeration[row] = [p.enumeration for p in group.positions]
    return PositionTables(
        exists=_frozen(exists),
        multiplicity=_frozen(multiplicity),
        degrees_of_freedom=_frozen(degrees_of_freedom),
        site_symmetry=_frozen(site_symmetry),
        enumeration=_frozen(enumeration),
        site_symmetry_symbols=tuple(index_of),
        group_features=_frozen(_group_features()),
    )


@lru_cache(maxsize=3)
def load_permutations(
    kind: NormalizerKind,
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the equivalent descriptions of every space group.

    Parameters
    ----------
    kind
        Which changes of description to allow.

    Returns
    -------
    tuple
        How many there are by group (231,), and the image of each letter in each
        description (231, most descriptions of a group, 27), padded with identities.
    """
    rows = [
        load_space_group(number).normalizer(kind).distinct_permutations
        for number in range(1, _N_ROWS)
    ]
    counts = np.array([1, *(len(row) for row in rows)])
    images = np.empty((_N_ROWS, counts.max(), N_LETTERS), np.uint8)
    images[:] = np.arange(N_LETTERS)
    for number, row in enumerate(rows, 1):
        images[number, : len(row), : row.shape[1]] = row
    return _frozen(counts), _frozen(images)


def _group_features() -> NDArray[np.float32]:
    """Describe the groups themselves."""
    systems = list(CrystalSystem)
    table = np.zeros((_N_ROWS, len(systems) + len(_CENTRINGS) + 6), np.float32)
    for number in range(1, _N_ROWS):
        group = load_space_group(number)
        determinants = np.linalg.det(group.rotations)
        has_inversion = (group.rotations == -np.eye(3)).all(axis=(1, 2)).any()
        fixed = [p for p in group.positions if not p.degrees_of_freedom]
        table[number] = [
            *(group.crystal_system is system for system in systems),
            *(group.symbol.startswith(centring) for centring in _CENTRINGS),
            np.log(len(group.rotations)) / 4,
            np.log(min(p.multiplicity for p in group.positions)) / 4,
            has_inversion,
            (determinants < 0).any(),
            len(fixed) / 8,
            group.lattice_degrees_of_freedom / 6,
        ]
    return table


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Protect a shared array against being written to."""
    array.flags.writeable = False
    return array
