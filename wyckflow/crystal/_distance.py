"""Atoms that are too close, in any cell."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def shortest_distance_below(
    limit: float, lattice: NDArray[np.float64], coordinates: NDArray[np.float64]
) -> float | None:
    """Return the shortest distance of two atoms in A if it is below a limit.

    An atom and its own image count, too.

    Parameters
    ----------
    limit
        In A.
    lattice
        Cell vectors in rows, in A.
    coordinates
        Fractional coordinates, one row per atom.
    """
    # A vector shorter than the limit has fractional components below the limit over
    # the height of the cell in that direction. In a cell higher than twice the limit
    # this leaves one image per pair; a flatter one is reduced first.
    is_flat = min(_heights(lattice)) <= 2 * limit
    if is_flat:
        lattice, coordinates = _reduce(lattice, coordinates)
    first, second = _pairs(len(coordinates))
    differences = coordinates[first] - coordinates[second]
    differences -= np.rint(differences)
    vectors = differences @ lattice
    if is_flat:
        images = _images(lattice, limit)
        near = (vectors[:, None] + images[None]).reshape(-1, 3)
        vectors = np.concatenate([vectors, images, near])
    if not len(vectors):
        return None
    shortest = math.sqrt(np.square(vectors).sum(axis=1).min())
    return shortest if shortest < limit else None


@lru_cache(maxsize=128)
def _pairs(n_atoms: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.triu_indices(n_atoms, 1)


def _heights(lattice: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the distances between opposite faces of a cell."""
    volume = cell_volume(lattice)
    a, b, c = lattice.tolist()
    return (
        volume / math.hypot(*_cross(b, c)),
        volume / math.hypot(*_cross(c, a)),
        volume / math.hypot(*_cross(a, b)),
    )


def _cross(first: list[float], second: list[float]) -> tuple[float, float, float]:
    (ax, ay, az), (bx, by, bz) = first, second
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


def _images(lattice: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """List the lattice vectors that can bring two atoms closer than the limit."""
    steps = [
        np.arange(-reach, reach + 1)
        for reach in (int(limit / height + 0.5) for height in _heights(lattice))
    ]
    shifts = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors: NDArray[np.float64] = shifts[shifts.any(axis=1)] @ lattice
    return vectors


def _reduce(
    lattice: NDArray[np.float64], coordinates: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Describe the same atoms in a compact cell."""
    from pymatgen.core.lattice import Lattice

    compact = Lattice(lattice).get_lll_reduced_lattice().matrix
    return compact, coordinates @ lattice @ np.linalg.inv(compact)


def cell_volume(lattice: NDArray[np.float64]) -> float:
    """Return the volume of a cell in A^3.

    Parameters
    ----------
    lattice
        Cell vectors in rows, in A.
    """
    (ax, ay, az), b, c = lattice.tolist()
    x, y, z = _cross(b, c)
    return abs(float(ax * x + ay * y + az * z))
