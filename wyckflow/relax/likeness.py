"""Whether two structures of one gene are on the way to the same minimum.

Sites of equal letters may be exchanged and the origin moved without a change of the
crystal, so numbers of two descriptions are not compared. Distances are: what an atom of
each orbit sees around it, element by element.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.crystal.reduced import ReducedStructure

    Floats = NDArray[np.float64]

N_NEIGHBORS: Final = 8
"""Nearest distances to each element that are compared."""

_REACH: Final = 1.6
"""Radius that is searched, over that of a sphere with `N_NEIGHBORS` of the rarest
element in it."""

_ITSELF: Final = 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class Fingerprint:
    """What the atoms of a structure see.

    Attributes
    ----------
    length
        Edge of a cube of the volume per atom, in A.
    distances
        For each orbit and element, the shortest distances over ``length``, ascending;
        orbits of an element stand in an order that depends on their distances alone.
    """

    length: float
    distances: Floats

    def difference(self, other: Fingerprint) -> float:
        """Return the largest relative difference, of a distance or of the length.

        Parameters
        ----------
        other
            Of a structure of the same gene.
        """
        of_length = abs(self.length - other.length) / min(self.length, other.length)
        change = np.abs(self.distances - other.distances)
        shorter = np.minimum(self.distances, other.distances)
        return max(of_length, float((change / shorter).max()))


def take_fingerprint(structure: ReducedStructure) -> Fingerprint:
    """Measure what an atom of each orbit sees.

    Parameters
    ----------
    structure
        Any structure without atoms on top of each other.
    """
    coordinates, numbers = structure.expand()
    _, counts = np.unique(numbers, return_counts=True)
    first_atoms = np.cumsum([0, *structure.gene.multiplicities[:-1]])
    radius = _REACH * (
        3 * N_NEIGHBORS * structure.volume / (4 * np.pi * counts.min())
    ) ** (1 / 3)
    while True:  # a layer may need a wider look
        rows = _look_around(structure, coordinates, numbers, first_atoms, radius)
        if rows is not None:
            break
        radius *= 1.5
    length = (structure.volume / structure.n_atoms) ** (1 / 3)
    rows = rows / length
    keys = (*rows.mean(axis=2).T, numbers[first_atoms])
    order = np.lexsort(keys)  # by element first, then by what is seen
    return Fingerprint(length, rows[order])


def _look_around(
    structure: ReducedStructure,
    coordinates: Floats,
    numbers: NDArray[np.int64],
    first_atoms: NDArray[np.int64],
    radius: float,
) -> Floats | None:
    """Return the shortest distances within a radius, or none if there are too few."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    lattice = np.array(structure.lattice)
    points = np.ascontiguousarray(coordinates @ lattice)
    centers, others, _, distances = find_points_in_spheres(
        points,
        np.ascontiguousarray(points[first_atoms]),
        r=float(radius),
        pbc=np.ones(3, dtype=np.int64),
        lattice=lattice,
        tol=_ITSELF,
    )
    keep = distances > _ITSELF
    centers, others, distances = centers[keep], numbers[others[keep]], distances[keep]
    elements = np.unique(numbers)
    rows = np.empty((len(first_atoms), len(elements), N_NEIGHBORS))
    for orbit in range(len(first_atoms)):
        for place, element in enumerate(elements):
            seen = np.sort(distances[(centers == orbit) & (others == element)])
            if len(seen) < N_NEIGHBORS:
                return None
            rows[orbit, place] = seen[:N_NEIGHBORS]
    return rows
