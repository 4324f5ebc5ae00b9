"""A guess of how stiff a structure is, from its pairs of atoms alone.

Every pair is taken for a spring, the stiffer the shorter it is for its two elements.
Where a relaxation ends does not follow from it; the search only needs fewer steps when
it knows that a bond of oxygen and hydrogen is fifty times as stiff as the contact of
two molecules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wyckflow.relax.quotient.graph import measure_edges
from wyckflow.relax.variables import N_STRAINS

if TYPE_CHECKING:
    from torch import Tensor

    from wyckflow.relax.quotient.cells import Cells
    from wyckflow.relax.quotient.topology import Topology
    from wyckflow.relax.variables import Variables

FLOOR: Final = 3.0
"""What every variable has beside the springs, in eV/A^2."""

_SPRING: Final = 43.7
"""Of a pair at its reference distance, in eV/A^2: 0.45 Hartree/Bohr^2."""

_LAST_OF_PERIODS: Final = (2, 10)
"""Atomic numbers that end the first and the second period; the rest is one class."""

_DECAYS: Final = ((1.0, 0.3949, 0.3949), (0.3949, 0.28, 0.28), (0.3949, 0.28, 0.28))
_REFERENCES: Final = ((1.35, 2.1, 2.53), (2.1, 2.87, 3.4), (2.53, 3.4, 3.4))
"""Distances in Bohr, by the classes of both ends, as in Lindh et al., Chem. Phys. Lett.
241, 423 (1995). A fit of the scale to CHGNet's second derivatives gave 41 for 43.7."""

_MOST_GAIN: Final = 3.0
"""By how much a pair that is too short may be stiffer than at its reference."""

_TURNING: Final = 0.03
"""Resistance of a spring to being turned, over that to being stretched."""

_WEAKEST: Final = 1e-3
"""In eV/A^2: what is weaker is left out."""

_BOHR: Final = 0.529177


@dataclass(frozen=True, eq=False, slots=True)
class _Pairs:
    """Classes of pairs: a vector in A, how many, and rows of orbits and of an atom."""

    vectors: Tensor
    counts: Tensor
    centers: Tensor
    others: Tensor
    atoms: Tensor

    def select(self, rows: Tensor) -> _Pairs:
        return _Pairs(
            self.vectors[rows],
            self.counts[rows],
            self.centers[rows],
            self.others[rows],
            self.atoms[rows],
        )


def guess_hessians(
    variables: Variables, topology: Topology, parameters: Tensor, lattices: Tensor
) -> Tensor:
    """Return positive definite guesses of the second derivatives, in eV/A^2.

    Parameters
    ----------
    variables, topology, parameters, lattices
        The structures, their classes of pairs, the free coordinates of their orbits
        and their cell vectors in A.

    Returns
    -------
    Tensor
        In the variables, shape (structures, width, width).
    """
    import torch

    cells, width = variables.cells, variables.width
    pairs = _list_pairs(cells, topology, parameters, lattices)
    springs = pairs.counts * _spring_constants(cells, pairs)
    near = (springs > _WEAKEST).nonzero()[:, 0]
    pairs, springs = pairs.select(near), springs[near]
    slopes = _differentiate(variables, pairs, lattices)
    directions = torch.nn.functional.normalize(pairs.vectors, dim=1)
    along = torch.einsum("pi,pij->pj", directions, slopes)
    blocks = _TURNING * slopes.mT @ slopes
    blocks = blocks + (1 - _TURNING) * along[:, :, None] * along[:, None, :]
    blocks = blocks * springs[:, None, None]

    owner = cells.orbits.owner[pairs.centers]
    strains = torch.arange(N_STRAINS, device=owner.device)
    columns = torch.cat(
        [
            strains.expand(len(owner), N_STRAINS),
            variables.columns_of(pairs.centers, width),
            variables.columns_of(pairs.others, width),
        ],
        1,
    )
    n_columns = width + 1  # the last takes what is not free
    places = (owner[:, None] * n_columns + columns)[:, :, None] * n_columns
    places = places + columns[:, None, :]
    total = lattices.new_zeros(len(variables) * n_columns**2)
    total = total.index_add(0, places.view(-1), blocks.reshape(-1))
    hessians = total.view(-1, n_columns, n_columns)[:, :width, :width]
    return hessians + FLOOR * torch.eye(width, dtype=total.dtype, device=total.device)


def _list_pairs(
    cells: Cells, topology: Topology, parameters: Tensor, lattices: Tensor
) -> _Pairs:
    """Return one pair of each class, and how many there are in a cell."""
    n_structures = len(cells)
    bonds, edges, neighbors = topology.bonds, topology.edges, topology.neighbors
    rows = edges.starts(n_structures)[bonds.owner] + bonds.edges
    orbit_starts = cells.orbits.starts(n_structures)
    atoms = cells.atoms.starts(n_structures)[bonds.owner] + edges.atoms[rows]
    vectors = measure_edges(cells, topology, parameters, lattices)[rows]
    looking = orbit_starts[neighbors.owner] + neighbors.centers
    seen = neighbors.weights * cells.orbits.multiplicities[looking]
    of_bonds = bonds.starts(n_structures)[neighbors.owner] + neighbors.bonds
    halves = 0.5 * seen.to(vectors.dtype)  # a pair is seen from both of its ends
    return _Pairs(
        vectors=vectors,
        counts=vectors.new_zeros(len(bonds)).index_add(0, of_bonds, halves),
        centers=orbit_starts[bonds.owner] + edges.centers[rows],
        others=cells.orbits_of_atoms[atoms],
        atoms=atoms,
    )


def _spring_constants(cells: Cells, pairs: _Pairs) -> Tensor:
    """Return the stiffness of pairs by their length and the periods of their ends."""
    lengths = pairs.vectors.norm(dim=1) / _BOHR
    periods = [(cells.orbits.elements >= last).long() for last in _LAST_OF_PERIODS]
    classes = periods[0] + periods[1]
    ends = classes[pairs.centers], classes[pairs.others]
    decays, references = (
        lengths.new_tensor(table)[ends] for table in (_DECAYS, _REFERENCES)
    )
    gains = (decays * (references**2 - lengths**2)).exp()
    return _SPRING * gains.clamp(max=_MOST_GAIN)


def _differentiate(variables: Variables, pairs: _Pairs, lattices: Tensor) -> Tensor:
    """Return derivatives of vectors in the strains and in both ends' coordinates."""
    import torch

    cells, owner = variables.cells, variables.cells.orbits.owner[pairs.centers]
    cell_vectors = lattices[owner]
    fractional = torch.linalg.solve(cell_vectors.mT, pairs.vectors[:, :, None])
    unstrained = (variables.lattices[owner].mT @ fractional)[:, :, 0]
    in_strain = torch.einsum("pi,pkij->pjk", unstrained, variables.strains[owner])
    in_strain = in_strain / variables.strain_scales[owner][:, None, None]
    of_ends = [
        sign
        * cell_vectors.mT
        @ (cells.atoms.rotations[atoms] @ variables.orbits.paths[orbits])
        for sign, atoms, orbits in (
            (-1.0, cells.first_atoms[pairs.centers], pairs.centers),
            (1.0, pairs.atoms, pairs.others),
        )
    ]
    return torch.cat([in_strain, *of_ends], 2)
