"""Imaginary modes: the cell in which one repeats, and the crystal moved along it."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.relax.phonon.supercell import reduce_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wyckflow.schemas.phonon import SoftMode

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_LARGEST_DENOMINATOR: Final = 64


def find_fitting_matrix(q: Floats, lattice: Floats) -> Integers:
    """Return the smallest supercell in which a wave vector repeats itself.

    Among equally large ones it is the most compact.

    Parameters
    ----------
    q
        Fractional, of small denominators.
    lattice
        Rows are the primitive vectors, in A.

    Returns
    -------
    Integers
        Rows are its vectors as sums of primitive ones; right-handed.
    """
    parts = [Fraction(float(x)).limit_denominator(_LARGEST_DENOMINATOR) for x in q]
    size = math.lcm(*(part.denominator for part in parts))
    numerators = np.array([int(part * size) for part in parts])
    best: Integers = np.eye(3, dtype=np.int64) * size
    shortest = math.inf
    for matrix in _iter_hermite_forms(size):
        if ((matrix @ numerators) % size).any():
            continue
        vectors = reduce_vectors(matrix @ lattice)
        longest = float(np.linalg.norm(vectors, axis=1).max())
        if longest < shortest - 1e-6:
            shortest = longest
            best = np.rint(vectors @ np.linalg.inv(lattice)).astype(np.int64)
    return best if np.linalg.det(best) > 0 else -best


def modulate_crystal(
    mode: SoftMode, amplitude: float, *, phase: float = 0.0
) -> tuple[Floats, Floats, Integers]:
    """Displace a crystal along a mode, in the smallest cell in which it repeats.

    Parameters
    ----------
    mode
        Of a document's ``soft_modes``.
    amplitude
        Root mean square displacement of the atoms, in A.
    phase
        Of the wave, in radians. For wave vectors on the border of the zone and at its
        centre only 0 is of use.

    Returns
    -------
    tuple
        Vectors of the cell in rows (A), fractional coordinates, atomic numbers.
    """
    cell = mode.cell
    matrix = mode.supercell_matrix
    shifts = _list_lattice_points(matrix)
    places = cell.coordinates[:, None] + shifts
    waves = np.exp(2j * np.pi * (places @ mode.q) + 1j * phase)
    weights = mode.eigenvector / np.sqrt(cell.masses)[:, None]
    moves = np.real(waves[:, :, None] * weights[:, None, :]).reshape(-1, 3)
    spread = np.sqrt(np.square(moves).sum(axis=1).mean())
    vectors = matrix @ cell.lattice
    positions = places.reshape(-1, 3) @ cell.lattice
    moved = positions + moves * (amplitude / max(float(spread), 1e-12))
    numbers = np.repeat(cell.numbers, len(shifts))
    return vectors, moved @ np.linalg.inv(vectors), numbers


def _list_lattice_points(matrix: Integers) -> Integers:
    """Return the primitive lattice points in one supercell."""
    size = round(abs(float(np.linalg.det(matrix))))
    corners = np.array(list(product((0, 1), repeat=3))) @ matrix
    low, high = corners.min(axis=0), corners.max(axis=0)
    box = product(*(range(a, b + 1) for a, b in zip(low, high, strict=True)))
    points = np.array(list(box))
    inside = np.floor(points @ np.linalg.inv(matrix) + 1e-9)
    chosen: Integers = points[~inside.any(axis=1)]
    if len(chosen) != size:
        raise RuntimeError(f"{len(chosen)} lattice points in a cell of {size}.")
    return chosen


def _iter_hermite_forms(size: int) -> Iterator[Integers]:
    """Yield every sublattice of an index once."""
    for a in (n for n in range(1, size + 1) if size % n == 0):
        rest = size // a
        for b in (n for n in range(1, rest + 1) if rest % n == 0):
            c = rest // b
            for i, j, k in product(range(b), range(c), range(c)):
                yield np.array([[a, i, j], [0, b, k], [0, 0, c]])
