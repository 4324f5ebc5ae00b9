"""The smallest supercell that keeps atoms apart from their images.

It has the crystal's point group, so that forces on one cell serve for all, and is
preferably even: then every point on the border of the Brillouin zone with components
0 and 1/2, where lattices like to give way, fits it exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wyckflow.relax.phonon.crystal_cell import CrystalCell

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_SHAPES: Final = (
    np.eye(3, dtype=np.int64),
    np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]),  # face-centred
    np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]),  # body-centred
    np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 1]]),  # a square on its corner
    np.array([[2, 1, 0], [-1, 1, 0], [0, 0, 1]]),  # a hexagon on its corner
)
"""Lattices that multiples of a cell are drawn from, as rows of that cell."""

_EVEN_IS_WORTH: Final = 2
"""An even supercell may have this many times the atoms of another."""

_TOLERANCE: Final = 1e-6
_REACH: Final = 2


@dataclass(frozen=True, eq=False, slots=True)
class Supercell:
    """A multiple of the primitive cell.

    Attributes
    ----------
    matrix
        Rows are its vectors as sums of primitive ones.
    n_cells
        Primitive cells in it.
    shortest_distance
        Between an atom and its nearest image, in A.
    is_even
        Whether all wave vectors of components 0 and 1/2 fit.
    """

    matrix: Integers
    n_cells: int
    shortest_distance: float
    is_even: bool


def choose_supercell(
    cell: CrystalCell, *, min_length: float, max_atoms: int
) -> Supercell | None:
    """Return the best supercell, or None if all are too large.

    Parameters
    ----------
    cell
        The primitive cell.
    min_length
        Shortest distance that is allowed between images, in A.
    max_atoms
        Most atoms that are allowed.
    """
    max_cells = max_atoms // cell.n_atoms
    found: dict[tuple[int, ...], Supercell] = {}
    for matrix in _iter_matrices(cell, min_length, max_cells):
        key = tuple(matrix.ravel().tolist())
        if key not in found and has_point_group(matrix, cell.rotations):
            found[key] = _measure(cell, matrix)
    good = [one for one in found.values() if one.shortest_distance >= min_length]
    return min(good, key=_cost, default=None)


def has_point_group(matrix: Integers, rotations: Integers) -> bool:
    """Return whether rotations carry the lattice of a supercell onto itself.

    Parameters
    ----------
    matrix
        Rows are its vectors as sums of primitive ones.
    rotations
        Acting on fractional coordinates of the primitive cell.
    """
    turned = np.einsum("gij,kj->gki", rotations, matrix)
    inside = turned @ np.linalg.inv(matrix)
    return bool((abs(inside - np.rint(inside)) < _TOLERANCE).all())


def find_shortest_distance(lattice: Floats) -> float:
    """Return the length of the shortest lattice vector.

    Parameters
    ----------
    lattice
        Rows are the vectors, in A.
    """
    reduced = reduce_vectors(lattice)
    steps = np.array(list(product(range(-_REACH, _REACH + 1), repeat=3)))
    lengths = np.linalg.norm(steps[steps.any(axis=1)] @ reduced, axis=1)
    return float(lengths.min())


def reduce_vectors(lattice: Floats) -> Floats:
    """Make the vectors of a lattice short by taking them off each other.

    Parameters
    ----------
    lattice
        Rows are the vectors, in A.
    """
    rows = np.array(lattice, dtype=np.float64)
    while True:
        rows = rows[np.argsort(np.linalg.norm(rows, axis=1))]
        for longer, shorter in ((1, 0), (2, 0), (2, 1)):
            ratio = rows[longer] @ rows[shorter] / (rows[shorter] @ rows[shorter])
            if round(float(ratio)):
                rows[longer] -= round(float(ratio)) * rows[shorter]
                break
        else:
            return rows


def _iter_matrices(
    cell: CrystalCell, min_length: float, max_cells: int
) -> Iterator[Integers]:
    """Yield multiples of the primitive and of the conventional cell that could do."""
    for basis in (np.eye(3, dtype=np.int64), cell.conventional):
        for shape in _SHAPES:
            rows = shape @ basis
            size = abs(round(float(np.linalg.det(rows))))
            # A vector shorter than the limit is repeated; twice more to become even.
            lengths = np.linalg.norm(rows @ cell.lattice, axis=1)
            most = [max(math.ceil(2 * min_length / one), 1) + 1 for one in lengths]
            for numbers in product(*(range(1, n + 1) for n in most)):
                if size * math.prod(numbers) > max_cells:
                    continue
                if any(
                    number * length < min_length - _TOLERANCE
                    for number, length in zip(numbers, lengths, strict=True)
                ):
                    continue
                matrix = np.array(numbers)[:, None] * rows
                yield matrix if np.linalg.det(matrix) > 0 else -matrix


def _measure(cell: CrystalCell, matrix: Integers) -> Supercell:
    """Look at a supercell."""
    return Supercell(
        matrix=matrix,
        n_cells=round(float(np.linalg.det(matrix))),
        shortest_distance=find_shortest_distance(matrix @ cell.lattice),
        is_even=not (matrix % 2).any(),
    )


def _cost(supercell: Supercell) -> tuple[float, float]:
    """Rank supercells: few atoms, then far images."""
    factor = 1 if supercell.is_even else _EVEN_IS_WORTH
    return supercell.n_cells * factor, -supercell.shortest_distance
