"""How normalizer operators act on the points that stand for orbits, as one table.

A crystal is kept as one point per orbit, on the first point of its Wyckoff position. An
operator of the normalizer carries such a point onto a position of another letter, but
not always onto the first point of that one. Some operation of the space group takes it
there, and which one depends on the operator and the letter only. So the two together
are one integer map per operator and letter, found here once and exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.tables import (
    N_SPACE_GROUPS,
    TRANSLATION_DENOMINATOR,
    WYCKOFF_LETTERS,
    NormalizerKind,
    load_space_group,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.crystal.tables import SpaceGroup

N_LETTERS: Final = len(WYCKOFF_LETTERS)
_N_ROWS: Final = N_SPACE_GROUPS + 1


@dataclass(frozen=True, eq=False, slots=True)
class Maps:
    """Affine maps of fractional coordinates, some for each key.

    Attributes
    ----------
    rotations
        (maps, 3, 3).
    translations
        In fractions of the cell (maps, 3).
    starts, counts
        Where the maps of each key begin, and how many they are.
    """

    rotations: NDArray[np.float64]
    translations: NDArray[np.float64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]

    def apply(
        self, chosen: NDArray[np.int64], points: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Carry each point by one map.

        Parameters
        ----------
        chosen
            Which map (m,).
        points
            Fractional coordinates (m, 3).
        """
        moved = np.einsum("mij,mj->mi", self.rotations[chosen], points)
        carried: NDArray[np.float64] = moved + self.translations[chosen]
        return carried


@dataclass(frozen=True, eq=False, slots=True)
class MoveTables:
    """What the operators of all normalizers do.

    Attributes
    ----------
    counts
        Operators of each space group (231,).
    starts
        Where those of each group begin in the tables below (231,).
    rotations
        Linear parts of the operators (operators, 3, 3).
    letters
        Where each letter goes (operators, 27).
    maps
        What each does to the point of an orbit; the key is ``27 * operator + letter``.
    """

    counts: NDArray[np.int64]
    starts: NDArray[np.int64]
    rotations: NDArray[np.float64]
    letters: NDArray[np.int64]
    maps: Maps


@lru_cache(maxsize=1)
def load_moves() -> MoveTables:
    """Return the table of all groups: changes of origin, orientation and axis names.

    The axes are renamed in orthorhombic groups only, where any of them may come first.
    """
    counts = np.zeros(_N_ROWS, np.int64)
    rotations, letters, maps = [], [], []
    for number in range(1, _N_ROWS):
        group = load_space_group(number)
        normalizer = group.normalizer(NormalizerKind.AUGMENTATION)
        counts[number] = len(normalizer)
        rotations.append(normalizer.rotations)
        images = np.tile(np.arange(N_LETTERS), (len(normalizer), 1))
        images[:, : len(group.positions)] = normalizer.permutations
        letters.append(images)
        maps.append(_move_maps(group))
    joined = np.concatenate(maps)
    n = np.ones(len(joined), np.int64)
    return MoveTables(
        counts=counts,
        starts=np.cumsum(counts) - counts,
        rotations=np.concatenate(rotations).astype(np.float64),
        letters=np.concatenate(letters),
        maps=_as_maps(joined, n),
    )


@lru_cache(maxsize=1)
def load_stabilisers() -> Maps:
    """Return what takes the first point of each position to others of its kind.

    An orbit may have several points that satisfy the first point of its position, such
    as ``(x, 0, 0)`` and ``(-x, 0, 0)``: these maps lead from one to all of them, the
    identity first. The key is ``27 * space-group number + letter``.
    """
    counts = np.zeros((_N_ROWS, N_LETTERS), np.int64)
    maps = []
    for number in range(1, _N_ROWS):
        group = load_space_group(number)
        operations = _as_operators(group.rotations, group.translations)
        for place, first in enumerate(_first_points(group)):
            images = operations @ first
            kept = operations[_is_fixed(first, images), :3]
            _, places = np.unique(
                _wrapped(kept @ first).reshape(-1, 12), axis=0, return_index=True
            )
            maps.append(kept[np.sort(places)])
            counts[number, place] = len(places)
    return _as_maps(np.concatenate(maps), counts.ravel())


def _move_maps(group: SpaceGroup) -> NDArray[np.int64]:
    """Return one map per operator and letter (operators * 27, 3, 4)."""
    normalizer = group.normalizer(NormalizerKind.AUGMENTATION)
    operations = _as_operators(group.rotations, group.translations)
    operators = _as_operators(normalizer.rotations, normalizer.translations)
    firsts = _first_points(group)
    result = np.zeros((len(operators), N_LETTERS, 3, 4), np.int64)
    together = operations[:, None] @ operators  # operations, operators, 4, 4
    for place, first in enumerate(firsts):
        targets = firsts[normalizer.permutations[:, place]]
        fits = _is_fixed(targets, together @ first)
        result[:, place] = together[fits.argmax(axis=0), np.arange(len(operators)), :3]
    return _wrapped(result).reshape(-1, 3, 4)


def _first_points(group: SpaceGroup) -> NDArray[np.int64]:
    """Return the first point of every position as an operator (letters, 4, 4)."""
    return _as_operators(
        np.array([position.rotations[0] for position in group.positions]),
        np.array([position.translations[0] for position in group.positions]),
    )


def _as_operators(
    rotations: NDArray[np.int64], translations: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Put rotations and translations into 4 x 4 blocks, which multiply."""
    blocks = np.zeros((len(rotations), 4, 4), np.int64)
    blocks[:, :3, :3] = rotations
    blocks[:, :3, 3] = translations
    blocks[:, 3, 3] = 1
    return blocks


def _is_fixed(first: NDArray[np.int64], images: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which images satisfy a first point, which is a projection onto itself."""
    difference = first @ images - images
    is_linear = (difference[..., :3, :3] == 0).all(axis=(-2, -1))
    shift = difference[..., :3, 3] % TRANSLATION_DENOMINATOR
    fixed: NDArray[np.bool_] = is_linear & (shift == 0).all(axis=-1)
    return fixed


def _wrapped(maps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leave whole translations out."""
    maps = maps.copy()
    maps[..., 3] %= TRANSLATION_DENOMINATOR
    return maps


def _as_maps(maps: NDArray[np.int64], counts: NDArray[np.int64]) -> Maps:
    return Maps(
        rotations=maps[..., :3].astype(np.float64),
        translations=maps[..., 3] / TRANSLATION_DENOMINATOR,
        starts=np.cumsum(counts) - counts,
        counts=counts,
    )
