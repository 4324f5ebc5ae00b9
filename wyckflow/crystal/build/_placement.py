"""Orbits put into many cells at once, each clear of those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal._geometry import image_shifts, load_orbit_table
from wyckflow.crystal.tables import CrystalSystem

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from wyckflow.crystal._geometry import OrbitTable
    from wyckflow.crystal.gene import WyckoffGene

    Floats = NDArray[np.float64]

# The clearance that a cell aims at, over the sum of the radii, is drawn below this.
_LARGEST_AIM: Final = 0.95

# Distances, images counted, that may be computed at once for one orbit.
_MAX_DISTANCES: Final = 3_000_000

# Nearest images after wrapping to the cell: one in a rectangular cell, the hexagon of
# the basal plane, the oblique plane, and all neighbours.
_HEXAGONAL_SHIFTS: Final = (
    *((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    *((0.0, -1.0, 0.0), (1.0, 1.0, 0.0), (-1.0, -1.0, 0.0)),
)


@dataclass(frozen=True, eq=False, slots=True)
class Draws:
    """Cells with all orbits placed.

    Attributes
    ----------
    lattices
        Rows are the cell vectors in A, shape (cells, 3, 3).
    parameters
        Free coordinates, shape (cells, orbits, 3).
    """

    lattices: Floats
    parameters: Floats

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.lattices)

    def take(self, which: NDArray[np.int64]) -> Draws:
        """Return some of the cells, in this order."""
        return Draws(self.lattices[which], self.parameters[which])

    def join(self, other: Draws) -> Draws:
        """Return these cells and others."""
        return Draws(
            np.concatenate([self.lattices, other.lattices]),
            np.concatenate([self.parameters, other.parameters]),
        )


class Placement:
    """Puts the orbits of one gene into many cells at once.

    Parameters
    ----------
    gene
        What to place.
    radii
        Of every site's element, in A.
    min_ratio
        Shortest distance allowed, over the sum of the radii.
    """

    def __init__(self, gene: WyckoffGene, radii: Floats, min_ratio: float) -> None:
        self.gene, self.radii, self.min_ratio = gene, radii, min_ratio
        letters = tuple(site.letter for site in gene.sites)
        self.table: OrbitTable = load_orbit_table(gene.space_group_number, letters)
        self.shifts = _shifts_of(gene.crystal_system)
        self.order = self._order()

    def _order(self) -> NDArray[np.int64]:
        """Put fixed orbits first, then those with least freedom that need most room."""
        freedom = self.table.is_free.sum(axis=1)
        room = self.table.multiplicities * self.radii**3
        return np.lexsort((-room, freedom))

    def max_cells(self, n_candidates: int) -> int:
        """Return how many cells a round may fill without using too much memory."""
        n_atoms = len(self.table.site_indices)
        return max(1, _MAX_DISTANCES // (n_candidates * n_atoms * len(self.shifts)))

    def fill(
        self,
        lattices: Floats,
        n_candidates: int,
        rng: Generator,
        should_stop: Callable[[], bool],
    ) -> Draws | None:
        """Place all orbits, one after another.

        Parameters
        ----------
        lattices
            Rows are the cell vectors in A, shape (cells, 3, 3).
        n_candidates
            Tries per orbit and cell: the first one that is as clear as the cell aims
            at is taken, or else the clearest.
        rng
            Source of randomness.
        should_stop
            Asked before every orbit.

        Returns
        -------
        Draws | None
            The cells where all orbits found room; None if told to stop.
        """
        table = self.table
        parameters = np.zeros((len(lattices), len(self.order), 3))
        highest = max(self.min_ratio, _LARGEST_AIM)
        aims = rng.uniform(self.min_ratio, highest, len(lattices))
        alive = np.flatnonzero(
            _shortest_vectors(lattices) >= self.min_ratio * 2 * self.radii.max()
        )
        for step, site in enumerate(self.order):
            if should_stop():
                return None
            if not len(alive):
                break
            n_tries = n_candidates if table.is_free[site].any() else 1
            candidates = rng.random((len(alive), n_tries, 3)) * table.is_free[site]
            placed = self.order[:step]
            ratios = self._clearances(
                site, placed, candidates, parameters[alive], lattices[alive]
            )
            reached = ratios >= aims[alive, None]
            choice = np.where(
                reached.any(axis=1), reached.argmax(axis=1), ratios.argmax(axis=1)
            )
            rows = np.arange(len(alive))
            parameters[alive, site] = candidates[rows, choice]
            alive = alive[ratios[rows, choice] >= self.min_ratio]
        return Draws(lattices, parameters).take(alive)

    def _clearances(
        self,
        site: np.int64,
        placed: NDArray[np.int64],
        candidates: Floats,
        parameters: Floats,
        lattices: Floats,
    ) -> Floats:
        """Return the smallest distance ratio of every candidate orbit."""
        table, radii = self.table, self.radii
        mine = np.flatnonzero(table.site_indices == site)
        rotations, shifts = table.rotations[mine], table.translations[mine]
        members = np.einsum("mij,kcj->kcmi", rotations, candidates) + shifts
        own = members[:, :, :1]
        differences = [members[:, :, 1:] - own]
        sums = [np.full(len(mine) - 1, 2 * radii[site])]
        others = np.flatnonzero(np.isin(table.site_indices, placed))
        if len(others) <= len(mine) * len(placed):  # one of mine to all of theirs
            moved = table.expand(parameters)[:, others]
            differences.append(moved[:, None] - own)
            sums.append(radii[site] + radii[table.site_indices[others]])
        else:  # or all of mine to one of theirs: the same distances
            moved = table.expand(parameters)[:, table.first_atoms[placed]]
            pairs = members[:, :, :, None] - moved[:, None, None]
            differences.append(pairs.reshape(*pairs.shape[:2], -1, 3))
            sums.append(np.tile(radii[site] + radii[placed], len(mine)))
        squares = nearest_squares(np.concatenate(differences, 2), lattices, self.shifts)
        ratios = squares / np.concatenate(sums) ** 2
        smallest: Floats = np.sqrt(ratios.min(axis=2, initial=np.inf))
        return smallest


def _shifts_of(system: CrystalSystem) -> Floats:
    """Return the images to look at after wrapping a difference into the cell."""
    if system is CrystalSystem.TRICLINIC:
        return image_shifts()
    if system is CrystalSystem.MONOCLINIC:
        return image_shifts((1, 0, 1))
    if system in (CrystalSystem.TRIGONAL, CrystalSystem.HEXAGONAL):
        return np.array(_HEXAGONAL_SHIFTS)
    return np.zeros((1, 3))


def nearest_squares(differences: Floats, lattices: Floats, shifts: Floats) -> Floats:
    """Return squared distances to the nearest image.

    Parameters
    ----------
    differences
        Fractional differences, shape (cells, a, b, 3); wrapped into the cell first.
    lattices
        Rows are the cell vectors in A, shape (cells, 3, 3).
    shifts
        Lattice vectors to add, the origin among them.
    """
    shape = differences.shape[:-1]
    wrapped = (differences - np.rint(differences)).reshape(len(lattices), -1, 3)
    vectors = wrapped @ lattices
    squares: Floats = np.einsum("kji,kji->kj", vectors, vectors)
    if len(shifts) > 1:
        images = shifts @ lattices
        lengths = np.einsum("ksi,ksi->ks", images, images)
        gains = 2 * vectors @ images.transpose(0, 2, 1) + lengths[:, None]
        squares = squares + gains.min(axis=2)
    return np.maximum(squares, 0).reshape(shape)


def _shortest_vectors(lattices: Floats) -> Floats:
    """Return the shortest of the near lattice vectors of each cell, in A."""
    vectors = image_shifts()[1:] @ lattices
    shortest: Floats = np.sqrt((vectors**2).sum(axis=2).min(axis=1))
    return shortest
