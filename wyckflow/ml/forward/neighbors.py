"""The neighbours of every orbit of a crystal, with each kind of neighbour once.

Atoms of an orbit look alike from everywhere in the crystal, so that one of them stands
for all. Around it, the atoms of one orbit at one distance are alike, too: they are one
edge, with a weight that says how many they are. Nothing is lost for a network that
reads elements and distances only, and a crystal of high symmetry has few edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal._geometry import cell_from_metric, symmetric_metric
from wyckflow.errors import ModelError
from wyckflow.ml.forward.atoms import expand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.ml.forward.crystals import Crystals

    Floats = NDArray[np.float64]

SHELL_WIDTH: Final = 0.01
"""Neighbours less than this apart in distance, in A, are taken at the same distance."""

_FIRST_REACH: Final = 5.0
"""Where neighbours are looked for first, in A, since it is mostly far enough."""

_MARGIN: Final = 0.1
_ITSELF: Final = 1e-3


@dataclass(frozen=True, eq=False, slots=True)
class NeighborGraphs:
    """The graphs of ``n`` crystals, ``m`` orbits and ``e`` edges in all.

    Orbits and edges stand crystal after crystal.

    Attributes
    ----------
    node_offsets, edge_offsets
        Where those of each crystal begin, and where the last ones end (n + 1,).
    atomic_numbers
        Of every orbit (m,).
    shares
        Share of the atoms of its crystal in every orbit (m,).
    centers, others
        The orbits at both ends of every edge, counted within the crystal (e,).
    distances
        In A (e,).
    weights
        Atoms that the edge stands for; a shell that would exceed the number of
        neighbours counts for what was left (e,).
    """

    node_offsets: NDArray[np.int64]
    edge_offsets: NDArray[np.int64]
    atomic_numbers: NDArray[np.int64]
    shares: NDArray[np.float32]
    centers: NDArray[np.int64]
    others: NDArray[np.int64]
    distances: NDArray[np.float32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of crystals."""
        return len(self.node_offsets) - 1


@dataclass(frozen=True, eq=False, slots=True)
class _Edges:
    """The edges of one crystal."""

    centers: NDArray[np.int64]
    others: NDArray[np.int64]
    distances: Floats
    weights: Floats


def find_graphs(
    crystals: Crystals, *, n_neighbors: int, cutoff: float
) -> NeighborGraphs:
    """Look for the nearest neighbours of one atom of every orbit.

    Parameters
    ----------
    crystals
        With cells.
    n_neighbors
        How many; atoms at the distance of the last one share its place, so that the
        order of atoms decides nothing.
    cutoff
        Distance in A beyond which nothing is a neighbour.

    Raises
    ------
    ModelError
        If they are genes alone.
    """
    if crystals.lattices is None:
        raise ModelError(
            f"{len(crystals)} genes without cells came, and neighbours need cell and "
            "coordinates; give structures, or use a model that reads genes."
        )
    atoms = expand(crystals)
    is_first = np.diff(atoms.site_indices, prepend=-1) != 0
    edges = []
    for row, lattice in enumerate(crystals.lattices):
        own = slice(*atoms.offsets[row : row + 2])
        metric = symmetric_metric(
            int(crystals.space_group_numbers[row]), lattice @ lattice.T
        )
        cell = cell_from_metric(metric)
        points = atoms.coordinates[own] @ cell
        sites = atoms.site_indices[own] - crystals.offsets[row]
        found = _find_edges(
            points,
            sites,
            is_first[own],
            cell,
            n_neighbors=n_neighbors,
            cutoff=cutoff,
        )
        edges.append(found)
    multiplicities = crystals.multiplicities
    n_atoms = np.diff(atoms.offsets)[crystals.crystal_indices]
    return NeighborGraphs(
        node_offsets=crystals.offsets,
        edge_offsets=np.cumsum([0, *(len(item.centers) for item in edges)]),
        atomic_numbers=crystals.atomic_numbers,
        shares=(multiplicities / n_atoms).astype(np.float32),
        centers=_join([item.centers for item in edges]).astype(np.int64),
        others=_join([item.others for item in edges]).astype(np.int64),
        distances=_join([item.distances for item in edges]).astype(np.float32),
        weights=_join([item.weights for item in edges]).astype(np.float32),
    )


def _join(parts: list[NDArray[np.float64]] | list[NDArray[np.int64]]) -> Floats:
    return np.concatenate(parts) if parts else np.zeros(0)


def _find_edges(
    points: Floats,
    sites: NDArray[np.int64],
    is_first: NDArray[np.bool_],
    cell: Floats,
    *,
    n_neighbors: int,
    cutoff: float,
) -> _Edges:
    """Look around the first atom of every orbit, at first not too far."""
    for reach in sorted({min(_FIRST_REACH, cutoff), cutoff}):
        centers, atoms, distances = _look(points, points[is_first], cell, reach)
        sure = np.bincount(
            centers[distances < reach - _MARGIN], minlength=int(is_first.sum())
        )
        if (sure >= n_neighbors).all():
            break
    return _classify(centers, sites[atoms], distances, n_neighbors=n_neighbors)


def _look(
    points: Floats, around: Floats, cell: Floats, reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return centres, atoms around them and distances, sorted by these."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    centers, atoms, _, distances = find_points_in_spheres(
        points, around, r=reach, pbc=np.ones(3, np.int64), lattice=cell, tol=1e-8
    )
    kept = np.flatnonzero(distances > _ITSELF)
    order = kept[np.lexsort((distances[kept], centers[kept]))]
    return centers[order], atoms[order], distances[order]


def _classify(
    centers: NDArray[np.int64],
    others: NDArray[np.int64],
    distances: Floats,
    *,
    n_neighbors: int,
) -> _Edges:
    """Join atoms of one orbit at one distance; keep the nearest ones."""
    if not len(centers):
        nothing = np.zeros(0, np.int64)
        return _Edges(nothing, nothing, np.zeros(0), np.zeros(0))
    is_new_center = np.diff(centers, prepend=-1) != 0
    begins = is_new_center | (np.diff(distances, prepend=0) > SHELL_WIDTH)
    shells = np.cumsum(begins) - 1
    sizes = np.bincount(shells)
    before = np.cumsum(sizes) - sizes
    first_of_center = np.maximum.accumulate(
        np.where(is_new_center[begins], np.arange(len(sizes)), 0)
    )
    left = n_neighbors - (before - before[first_of_center])
    shares = np.clip(left / sizes, 0, 1)
    n_orbits = int(others.max()) + 1
    classes, first, inverse, counts = np.unique(
        shells * n_orbits + others,
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    weights = counts * shares[classes // n_orbits]
    mean = np.bincount(inverse, distances) / counts
    kept = np.flatnonzero(weights > 0)
    return _Edges(centers[first[kept]], others[first[kept]], mean[kept], weights[kept])
