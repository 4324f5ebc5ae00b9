"""The neighbour search: edges around one atom per orbit, sorted into classes.

Only "is it near enough?" looks at distances. Which edges are equal by symmetry is
integer arithmetic: an edge is carried around by all operations that leave its centre in
place, and the smallest of the integers that name its images names the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wyckflow.relax.quotient.actions import TableIndex
from wyckflow.relax.quotient.ragged import Rows, smallest, spread
from wyckflow.relax.quotient.topology import Angles, Bonds, Edges, Neighbors, Topology

if TYPE_CHECKING:
    from torch import Tensor

    from wyckflow.relax.quotient.actions import Star
    from wyckflow.relax.quotient.cells import Cells


def find_topology(
    cells: Cells,
    parameters: Tensor,
    lattices: Tensor,
    *,
    edge_cutoff: float,
    angle_cutoff: float,
) -> Topology:
    """Find all classes of edges and angles within two distances.

    Parameters
    ----------
    cells
        The structures.
    parameters
        Free coordinates, one row per orbit.
    lattices
        Rows are the cell vectors in A, shape (structures, 3, 3).
    edge_cutoff
        Longest edge in A.
    angle_cutoff
        Longest side of an angle in A.
    """
    index = TableIndex.of(cells)
    found = _find_edges(cells, index, parameters, lattices, edge_cutoff)
    star = index.carry(found.centers, found.atoms, found.shifts)
    classes = _find_classes(index, found, star)
    angles = _find_angles(found, star, classes, angle_cutoff)
    return _collect(cells, index, found, classes, angles)


@dataclass(frozen=True, eq=False)
class _Found:
    """All edges within the cut-off, as rows of orbits and atoms within a structure."""

    centers: Tensor
    atoms: Tensor
    shifts: Tensor
    lengths: Tensor


@dataclass(frozen=True, eq=False)
class _Classes:
    """Classes of edges and of bonds.

    Attributes
    ----------
    of_edges
        The class of each edge.
    edges, sizes
        One edge of each class, and how many there are.
    bonds, is_reversible
        The bond of each class, and whether it is the class of its reversed edges too.
    bond_edges
        One edge of each bond.
    """

    of_edges: Tensor
    edges: Tensor
    sizes: Tensor
    bonds: Tensor
    is_reversible: Tensor
    bond_edges: Tensor


@dataclass(frozen=True, eq=False)
class _AngleClasses:
    """One pair of edges of every class of angles, and how many there are."""

    first_edges: Tensor
    second_edges: Tensor
    weights: Tensor


def _find_edges(
    cells: Cells, index: TableIndex, parameters: Tensor, lattices: Tensor, cutoff: float
) -> _Found:
    """Find all images of all atoms near the first atom of every orbit."""
    import torch

    points = cells.place_atoms(parameters)
    owner = cells.orbits.owner
    centers, atoms = spread(index.n_atoms[owner])
    structures = owner[centers]
    rows = index.atom_starts[structures] + atoms
    apart = points[rows] - points[cells.first_atoms][centers]
    # A lattice vector n is near enough only between these planes.
    reach = cutoff * torch.linalg.inv(lattices).norm(dim=1)[structures]
    low = torch.ceil(-reach - apart).long()
    counts = torch.floor(reach - apart).long() - low + 1
    pairs, number = spread(counts.clamp(min=0).prod(1))
    shifts = _unravel(number, counts.index_select(0, pairs)) + low.index_select(
        0, pairs
    )
    vectors = torch.einsum(
        "pi,pij->pj",
        apart.index_select(0, pairs) + shifts,
        lattices.index_select(0, structures[pairs]),
    )
    squares = vectors.square().sum(1)
    is_itself = (atoms == cells.orbits.first_atoms[centers])[pairs] & ~shifts.any(1)
    near = ((squares < cutoff**2) & ~is_itself).nonzero()[:, 0]
    pairs = pairs[near]
    return _Found(centers[pairs], atoms[pairs], shifts[near], squares[near].sqrt())


def _unravel(numbers: Tensor, counts: Tensor) -> Tensor:
    """Return the three indices of a place in a block of some shape."""
    import torch

    rest = numbers.div(counts[:, 2], rounding_mode="floor")
    first = rest.div(counts[:, 1], rounding_mode="floor")
    return torch.stack(
        [first, rest - first * counts[:, 1], numbers - rest * counts[:, 2]], 1
    )


def _find_classes(index: TableIndex, found: _Found, star: Star) -> _Classes:
    """Sort edges into classes, and the classes into bonds."""
    import torch

    names, of_edges, sizes = star.canonical_names().unique(
        return_inverse=True, return_counts=True
    )
    numbers = torch.arange(len(of_edges), device=of_edges.device)
    edges = smallest(numbers, of_edges, len(names), default=len(of_edges))
    reverse_names = _turn_round(index, found, edges).canonical_names()
    bond_names, bonds = torch.minimum(names, reverse_names).unique(return_inverse=True)
    classes = torch.arange(len(names), device=names.device)
    of_bonds = smallest(classes, bonds, len(bond_names), default=len(names))
    return _Classes(
        of_edges=of_edges,
        edges=edges,
        sizes=sizes,
        bonds=bonds,
        is_reversible=names == reverse_names,
        bond_edges=edges[of_bonds],
    )


def _turn_round(index: TableIndex, found: _Found, edges: Tensor) -> Star:
    """Look at edges from their other end, moved to the first atom of its orbit."""
    centers, atoms, shifts = (
        found.centers[edges],
        found.atoms[edges],
        found.shifts[edges],
    )
    structures = index.orbit_structures[centers]
    reverse = index.reverse_starts[centers] + atoms
    back = index.back_starts[structures] + atoms
    turned = (index.back_rotations[back] * shifts[:, None, :]).sum(-1)
    return index.carry(
        index.orbit_starts[structures]
        + index.atom_orbits[index.atom_starts[structures] + atoms],
        index.reverse_atoms[reverse],
        index.reverse_shifts[reverse] - turned,
    )


def _find_angles(
    found: _Found, star: Star, classes: _Classes, cutoff: float
) -> _AngleClasses:
    """Sort pairs of short edges at one atom into classes.

    For one edge of every class, the second edges are divided by the operations that
    leave the first one in place.
    """
    import torch

    is_near = found.lengths < cutoff
    near = is_near.nonzero()[:, 0]
    images = _images_among(near, star)
    class_numbers = is_near[classes.edges].nonzero()[:, 0]
    firsts = classes.edges[class_numbers]

    # Pairs of a first and any other near edge at its centre.
    n_orbits = int(found.centers.max()) + 1 if len(near) else 0
    at_center = found.centers[near].bincount(minlength=n_orbits)
    near_starts = at_center.cumsum(0) - at_center
    centers = found.centers[firsts]
    pair_firsts, number = spread(at_center[centers])
    pair_seconds = near_starts[centers][pair_firsts] + number

    # All of them under every operation that fixes the first.
    fixing, n_fixing = _fixing_operations(firsts, star)
    fixing_starts = n_fixing.cumsum(0) - n_fixing
    pairs, number = spread(n_fixing[pair_firsts])
    operations = fixing[fixing_starts[pair_firsts][pairs] + number]
    rows = star.starts[near][pair_seconds[pairs]] + operations
    carried = smallest(images[rows], pairs, len(pair_firsts), default=len(near))

    is_other = near[pair_seconds] != firsts[pair_firsts]
    codes = (pair_firsts * max(len(near), 1) + carried)[is_other]
    codes, counts = codes.unique(return_counts=True)
    which = codes.div(max(len(near), 1), rounding_mode="floor")
    seconds = near[codes - which * max(len(near), 1)]
    factors = 1 + classes.is_reversible[class_numbers[which]].long()
    weights = (counts * factors).to(torch.float64)
    return _AngleClasses(firsts[which], seconds, weights)


def _images_among(near: Tensor, star: Star) -> Tensor:
    """Return for each row of a star which of the near edges it is.

    Parameters
    ----------
    near
        Some edges.
    star
        The images of all edges.

    Returns
    -------
    Tensor
        Places in ``near``; beyond its end for what is not among them.
    """
    import torch

    own_names, order = star.names[star.starts[near]].sort()
    result = torch.full_like(star.names, len(near))
    is_near = torch.zeros_like(star.starts, dtype=torch.bool)
    is_near[near] = True
    rows = is_near[star.edges].nonzero()[:, 0]
    names = star.names[rows]
    places = torch.searchsorted(own_names, names).clamp(max=max(len(near) - 1, 0))
    result[rows] = torch.where(own_names[places] == names, order[places], len(near))
    return result


def _fixing_operations(edges: Tensor, star: Star) -> tuple[Tensor, Tensor]:
    """Return the operations that leave each of some edges in place, and how many."""
    which, operations = spread(star.sizes[edges])
    names = star.names[star.starts[edges][which] + operations]
    is_fixed = names == star.names[star.starts[edges]][which]
    return operations[is_fixed], which[is_fixed].bincount(minlength=len(edges))


def _collect(
    cells: Cells,
    index: TableIndex,
    found: _Found,
    classes: _Classes,
    angles: _AngleClasses,
) -> Topology:
    """Count edges and bonds within each structure, without the edges not needed."""
    import torch

    used, places = torch.cat(
        [classes.bond_edges, angles.first_edges, angles.second_edges]
    ).unique(return_inverse=True)
    n_bonds, n_angles = len(classes.bond_edges), len(angles.first_edges)
    bond_edges, first_edges, second_edges = places.split([n_bonds, n_angles, n_angles])
    bonds_of_edges = classes.bonds[classes.of_edges]

    def owner(edges: Tensor) -> Tensor:
        return cells.orbits.owner[found.centers[edges]]

    def orbit(edges: Tensor) -> Tensor:
        return found.centers[edges] - index.orbit_starts[owner(edges)]

    edges = Edges(
        owner(used), orbit(used), found.atoms[used], found.shifts[used].double()
    )
    edge_starts = edges.starts(len(cells))
    bond_owner = owner(classes.bond_edges)
    bond_starts = Rows(bond_owner).starts(len(cells))
    bonds = Bonds(bond_owner, bond_edges - edge_starts[bond_owner])
    owners = owner(classes.edges)
    atom_rows = index.atom_starts[owners] + found.atoms[classes.edges]
    neighbors = Neighbors(
        owner=owners,
        centers=orbit(classes.edges),
        others=index.atom_orbits[atom_rows],
        bonds=classes.bonds - bond_starts[owners],
        weights=classes.sizes.double(),
    )
    owners = owner(angles.first_edges)
    return Topology(
        edges=edges,
        bonds=bonds,
        neighbors=neighbors,
        angles=Angles(
            owner=owners,
            centers=orbit(angles.first_edges),
            first_edges=first_edges - edge_starts[owners],
            second_edges=second_edges - edge_starts[owners],
            first_bonds=bonds_of_edges[angles.first_edges] - bond_starts[owners],
            second_bonds=bonds_of_edges[angles.second_edges] - bond_starts[owners],
            weights=angles.weights,
        ),
    )
