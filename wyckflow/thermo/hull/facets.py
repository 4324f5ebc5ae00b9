"""The lower facets of the hull of one chemical system.

A facet is kept as the plane through its vertices, written as the energies that the
plane has at the pure elements: the chemical potentials. Every plane kept lies below
all points, so that the largest value of any of them at a composition can never be
above the hull; where that facet also contains the composition, it is the hull.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SUPPORT_TOLERANCE: Final = 1e-10
"""How far below a plane a point may lie by rounding, eV/atom."""

_FLAT: Final = 1e-13
"""A simplex with a smaller determinant has no plane of its own."""

_MOST_TRIES: Final = {2: 300, 3: 300}
_MOST_TRIES_ELSEWHERE: Final = 15
_BATCH: Final = 50_000


@dataclass(frozen=True, eq=False)
class Points:
    """What a hull is made of: the elements first, then compounds below them.

    Attributes
    ----------
    fractions
        Atomic fractions, one row per point.
    energies
        Formation energies, eV/atom; zero for the elements.
    entries
        Number of each point's entry.
    """

    fractions: NDArray[np.float64]
    energies: NDArray[np.float64]
    entries: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Facets:
    """Lower facets, each a simplex of as many vertices as there are elements.

    Attributes
    ----------
    potentials
        Energy of each facet's plane at each element, eV/atom.
    inverses
        Matrix by which atomic fractions become shares of a facet's vertices.
    entries
        Number of the entry at each vertex.
    """

    potentials: NDArray[np.float64]
    inverses: NDArray[np.float64]
    entries: NDArray[np.int64]


def find_facets(systems: Sequence[Points]) -> list[Facets]:
    """Return the lower facets of several chemical systems with as many elements.

    Small ones are solved together by trying every simplex, large ones by Qhull.

    Parameters
    ----------
    systems
        Each with the same number of elements.
    """
    found: dict[int, Facets] = {}
    by_size: dict[int, list[int]] = {}
    for place, points in enumerate(systems):
        by_size.setdefault(len(points.energies), []).append(place)
    for size, places in by_size.items():
        width = systems[places[0]].fractions.shape[1]
        n_tries = comb(size, width)
        if n_tries > _MOST_TRIES.get(width, _MOST_TRIES_ELSEWHERE):
            found |= {place: _search(systems[place]) for place in places}
            continue
        step = max(1, _BATCH // n_tries)
        for start in range(0, len(places), step):
            chosen = places[start : start + step]
            tried = _try_all([systems[place] for place in chosen])
            found |= dict(zip(chosen, tried, strict=True))
    return [found[place] for place in range(len(systems))]


def _try_all(systems: Sequence[Points]) -> list[Facets]:
    """Return the facets of systems of one size, by trying every simplex."""
    fractions = np.array([item.fractions for item in systems])
    energies = np.array([item.energies for item in systems])
    size, width = fractions.shape[1:]
    simplices = _all_simplices(size, width)
    inverses, is_solid = _invert(fractions[:, simplices])
    potentials = (inverses @ energies[:, simplices, None])[..., 0]
    slack = energies[:, None] - potentials @ fractions.transpose(0, 2, 1)
    keep = is_solid & (slack >= -SUPPORT_TOLERANCE).all(axis=2)
    owners, chosen = np.nonzero(keep)
    ends = np.searchsorted(owners, np.arange(len(systems) + 1)).tolist()
    potentials, inverses = potentials[keep], inverses[keep]
    vertices = simplices[chosen]
    return [
        Facets(
            potentials[start:end],
            inverses[start:end],
            points.entries[vertices[start:end]],
        )
        for points, start, end in zip(systems, ends[:-1], ends[1:], strict=True)
    ]


def _search(points: Points) -> Facets:
    """Return the facets of one system by Qhull."""
    from scipy.spatial import ConvexHull, QhullError

    size, width = points.fractions.shape
    # One point far above closes the hull, so that all lower facets are simplices of
    # entries; energies of the order of one keep the geometry well conditioned.
    heights = points.energies / np.abs(points.energies).max()
    base = np.column_stack([points.fractions[:, :-1], heights])
    top = np.append(np.full(width - 1, 1.0 / width), 2.0)
    try:
        hull = ConvexHull(np.vstack([base, top]))
        simplices = np.asarray(hull.simplices)
        simplices = simplices[(simplices < size).all(axis=1)]
    except QhullError:  # too flat for it; what is left out is found by the solver
        simplices = np.arange(width)[None]
    inverses, is_solid = _invert(points.fractions[simplices])
    potentials = (inverses @ points.energies[simplices, None])[..., 0]
    slack = points.energies - potentials @ points.fractions.T
    keep = is_solid & (slack >= -SUPPORT_TOLERANCE).all(axis=1)
    return Facets(potentials[keep], inverses[keep], points.entries[simplices[keep]])


@lru_cache(maxsize=256)
def _all_simplices(size: int, width: int) -> NDArray[np.int64]:
    """Return every choice of vertices."""
    return np.array(list(combinations(range(size), width)))


def _invert(
    matrices: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the inverses of many small matrices, and which of them exist."""
    if matrices.shape[-1] == 3:  # noqa: PLR2004 - crossed rows beat LAPACK here
        adjugates = _crossed_rows(matrices)
        determinants = (matrices[..., 0, :] * adjugates[..., 0]).sum(axis=-1)
        is_solid = np.abs(determinants) > _FLAT
        safe = np.where(is_solid, determinants, 1.0)
        return adjugates / safe[..., None, None], is_solid
    determinants = np.linalg.det(matrices)
    is_solid = np.abs(determinants) > _FLAT
    unit = np.eye(matrices.shape[-1])
    return np.linalg.inv(np.where(is_solid[..., None, None], matrices, unit)), is_solid


def _crossed_rows(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the adjugates of 3 x 3 matrices."""
    first, second, third = (matrices[..., row, :] for row in range(3))
    return np.stack(
        [_cross(second, third), _cross(third, first), _cross(first, second)], axis=-1
    )


def _cross(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return vector products; numpy's own is several times slower on small ones."""
    x, y, z = one[..., 0], one[..., 1], one[..., 2]
    u, v, w = other[..., 0], other[..., 1], other[..., 2]
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=-1)
