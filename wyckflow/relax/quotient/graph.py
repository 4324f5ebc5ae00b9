"""What the network sees of a batch at one geometry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wyckflow.relax.quotient.ragged import smallest

if TYPE_CHECKING:
    from torch import Tensor

    from wyckflow.relax.quotient.cells import Cells
    from wyckflow.relax.quotient.topology import Topology


@dataclass(frozen=True, eq=False)
class Graph:
    """What the network sees of a batch at one geometry; indices are rows.

    Attributes
    ----------
    lengths
        Of the bonds within the cut-off, in A.
    neighbor_centers, neighbor_others, neighbor_bonds, neighbor_weights
        Orbits at both ends, bond and number of each class of neighbours.
    short_bonds
        Bonds that can be sides of angles.
    angle_centers, first_bonds, second_bonds, angle_weights, cosines
        Orbit, sides (among the short bonds), number and cosine of each class of angles.
    is_long_beside_angles
        Bonds that are no side of an angle, in structures that have angles; 0 or 1.
    contact_ratios, n_isolated
        Shortest distance of each structure over the sum of the covalent radii, and how
        many of its orbits have no neighbour.
    """

    lengths: Tensor
    neighbor_centers: Tensor
    neighbor_others: Tensor
    neighbor_bonds: Tensor
    neighbor_weights: Tensor
    short_bonds: Tensor
    angle_centers: Tensor
    first_bonds: Tensor
    second_bonds: Tensor
    angle_weights: Tensor
    cosines: Tensor
    is_long_beside_angles: Tensor
    contact_ratios: Tensor
    n_isolated: Tensor


def look(
    cells: Cells,
    topology: Topology,
    parameters: Tensor,
    lattices: Tensor,
    *,
    edge_cutoff: float,
    angle_cutoff: float,
) -> Graph:
    """Measure a geometry and leave out what is beyond the cut-offs.

    Parameters
    ----------
    cells, topology, parameters, lattices
        The structures, their classes (complete within the cut-offs), the free
        coordinates of their orbits and their cell vectors in A.
    edge_cutoff, angle_cutoff
        Distances in A.
    """
    n_structures = len(cells)
    orbit_starts = cells.orbits.starts(n_structures)
    vectors = measure_edges(cells, topology, parameters, lattices)
    bonds, neighbors, angles = topology.bonds, topology.neighbors, topology.angles
    edge_starts = topology.edges.starts(n_structures)
    bond_starts = bonds.starts(n_structures)
    lengths = vectors.index_select(0, edge_starts[bonds.owner] + bonds.edges).norm(
        dim=1
    )

    is_seen = lengths.detach() < edge_cutoff
    is_short = lengths.detach() < angle_cutoff
    seen = is_seen.nonzero()[:, 0]
    places = is_seen.cumsum(0) - 1

    neighbor_bonds = bond_starts[neighbors.owner] + neighbors.bonds
    near = is_seen[neighbor_bonds].nonzero()[:, 0]
    neighbor_orbits = orbit_starts[neighbors.owner[near]]
    neighbor_centers = neighbor_orbits + neighbors.centers[near]

    firsts = bond_starts[angles.owner] + angles.first_bonds
    seconds = bond_starts[angles.owner] + angles.second_bonds
    kept = (is_short[firsts] & is_short[seconds]).nonzero()[:, 0]
    firsts, seconds, owners = firsts[kept], seconds[kept], angles.owner[kept]
    first_vectors = vectors.index_select(
        0, edge_starts[owners] + angles.first_edges[kept]
    )
    second_vectors = vectors.index_select(
        0, edge_starts[owners] + angles.second_edges[kept]
    )
    norms = lengths.index_select(0, firsts) * lengths.index_select(0, seconds)
    has_angles = is_seen.new_zeros(n_structures).index_fill(0, owners, value=True)
    short_places = is_short.cumsum(0) - 1

    return Graph(
        lengths=lengths.index_select(0, seen),
        neighbor_centers=neighbor_centers,
        neighbor_others=neighbor_orbits + neighbors.others[near],
        neighbor_bonds=places[neighbor_bonds[near]],
        neighbor_weights=neighbors.weights[near],
        short_bonds=places[is_short],
        angle_centers=orbit_starts[owners] + angles.centers[kept],
        first_bonds=short_places[firsts],
        second_bonds=short_places[seconds],
        angle_weights=angles.weights[kept],
        cosines=(first_vectors * second_vectors).sum(1) / norms,
        is_long_beside_angles=(has_angles[bonds.owner] & ~is_short)[seen],
        contact_ratios=_contact_ratios(cells, topology, lengths.detach()),
        n_isolated=_count_isolated(cells, neighbor_centers),
    )


def measure_edges(
    cells: Cells, topology: Topology, parameters: Tensor, lattices: Tensor
) -> Tensor:
    """Return the Cartesian vectors of all edges in A.

    Parameters
    ----------
    cells, topology, parameters, lattices
        As in :func:`look`.
    """
    import torch

    edges = topology.edges
    points = cells.place_atoms(parameters)
    atoms = cells.atoms.starts(len(cells))[edges.owner] + edges.atoms
    orbits = cells.orbits.starts(len(cells))[edges.owner] + edges.centers
    fractional = (
        points.index_select(0, atoms)
        - points.index_select(0, cells.first_atoms[orbits])
        + edges.images
    )
    of_edges = lattices.index_select(0, edges.owner)
    return torch.bmm(fractional[:, None, :], of_edges)[:, 0, :]


def _contact_ratios(cells: Cells, topology: Topology, lengths: Tensor) -> Tensor:
    """Return the shortest distance of each structure over the sum of the radii."""
    n_structures = len(cells)
    bonds, edges = topology.bonds, topology.edges
    rows = edges.starts(n_structures)[bonds.owner] + bonds.edges
    centers = cells.orbits.starts(n_structures)[bonds.owner] + edges.centers[rows]
    atoms = cells.atoms.starts(n_structures)[bonds.owner] + edges.atoms[rows]
    radii = cells.orbits.radii
    sums = radii[centers] + radii[cells.orbits_of_atoms[atoms]]
    return smallest(lengths / sums, bonds.owner, n_structures, default=math.inf)


def _count_isolated(cells: Cells, neighbor_centers: Tensor) -> Tensor:
    """Return how many orbits of each structure have no neighbour."""
    import torch

    is_alone = torch.ones_like(cells.orbits.owner).index_fill(0, neighbor_centers, 0)
    n_isolated: Tensor = torch.zeros_like(is_alone[: len(cells)]).index_add(
        0, cells.orbits.owner, is_alone
    )
    return n_isolated
