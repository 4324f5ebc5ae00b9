"""Forces on all atoms of displaced supercells, many cells at once.

A displaced cell has hardly any symmetry, so each atom is an orbit of its own in space
group 1. Its neighbours are those of the cell before, and are looked for only once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import SYMBOLS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.relax.guards import find_geometry_problem
from wyckflow.relax.quotient.cells import Cells
from wyckflow.relax.quotient.search import find_topology
from wyckflow.relax.quotient.topology import Topology
from wyckflow.relax.variables import EV_PER_A3_IN_GPA, find_forces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.relax.guards import Problem
    from wyckflow.relax.network import QuotientNetwork

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

EDGES_AT_ONCE_CPU: Final = 20_000
"""Directed neighbours of a batch, about 0.5 GB in float64; more are not faster."""

EDGES_AT_ONCE_GPU: Final = 500_000

_SKIN: Final = 0.05
"""Added to twice the displacement where neighbours are looked for, in A."""


@dataclass(frozen=True, eq=False, slots=True)
class ForceTask:
    """A supercell and the displacements in it.

    Attributes
    ----------
    lattice
        Rows are the vectors, in A.
    coordinates
        Fractional, of all atoms at rest.
    numbers
        Atomic numbers.
    atoms, displacements
        Which atom is moved, and by which vector in A, one row per cell.
    """

    lattice: Floats
    coordinates: Floats
    numbers: Integers
    atoms: Integers
    displacements: Floats

    @property
    def n_cells(self) -> int:
        """Cells to evaluate: the one at rest, too."""
        return len(self.atoms) + 1


@dataclass(frozen=True, eq=False, slots=True)
class TaskForces:
    """What the network said of a task.

    Attributes
    ----------
    at_rest
        Forces on the atoms at rest, in eV/A.
    stress_gpa
        Of the cell at rest, shape (3, 3), positive where it wants to shrink.
    displaced
        Forces in each displaced cell, shape (displacements, atoms, 3), in eV/A.
    """

    at_rest: Floats
    stress_gpa: Floats
    displaced: Floats


@dataclass(frozen=True, eq=False, slots=True)
class _Prepared:
    """A task with its atoms in the order of the network, and its neighbours."""

    task: ForceTask
    order: Integers
    gene: WyckoffGene
    topology: Topology
    n_edges: int


def find_problem(task: ForceTask, cutoff: float) -> Problem | None:
    """Say why a network must not be asked about a cell, if so.

    Parameters
    ----------
    task
        Its elements are known to be supported.
    cutoff
        Distance within which atoms see each other, in A.
    """
    from wyckflow.crystal.build.volumes import load_atomic_volumes

    elements = load_atomic_volumes().elements
    radii = [elements[SYMBOLS[number - 1]].covalent_radius for number in task.numbers]
    positions = task.coordinates @ task.lattice
    return find_geometry_problem(
        task.lattice, positions, np.array(radii), cutoff=cutoff
    )


def compute_forces(
    tasks: Sequence[ForceTask], network: QuotientNetwork
) -> list[TaskForces]:
    """Evaluate all cells of some tasks, in batches of limited size.

    Parameters
    ----------
    tasks
        Cells in which no atom is lonely and none overlap.
    network
        The network.

    Returns
    -------
    list[TaskForces]
        One per task, in order.
    """
    limit = EDGES_AT_ONCE_CPU if network.device == "cpu" else EDGES_AT_ONCE_GPU
    prepared = [_prepare(task, network) for task in tasks]
    forces = [np.empty((task.n_cells, len(task.numbers), 3)) for task in tasks]
    stresses = [np.zeros((3, 3)) for _ in tasks]
    batch: list[tuple[int, int]] = []
    n_edges = 0
    for place, one in enumerate(prepared):
        for cell in range(one.task.n_cells):
            if batch and n_edges + one.n_edges > limit:
                _evaluate(batch, prepared, network, forces, stresses)
                batch, n_edges = [], 0
            batch.append((place, cell))
            n_edges += one.n_edges
    if batch:
        _evaluate(batch, prepared, network, forces, stresses)
    return [
        TaskForces(at_rest=found[0], stress_gpa=stress, displaced=found[1:])
        for found, stress in zip(forces, stresses, strict=True)
    ]


def _prepare(task: ForceTask, network: QuotientNetwork) -> _Prepared:
    """Sort atoms as the network wants them, and look for neighbours."""
    symbols = [SYMBOLS[number - 1] for number in task.numbers]
    gene = WyckoffGene.from_pairs(1, [(symbol, "a") for symbol in symbols])
    rank = {site.element: place for place, site in enumerate(gene.sites[::-1])}
    order = np.argsort([-rank[symbol] for symbol in symbols], kind="stable")
    cells = Cells.from_genes([gene], network.device)
    farthest = np.linalg.norm(task.displacements, axis=1).max(initial=0.0)
    skin = 2 * float(farthest) + _SKIN
    topology = find_topology(
        cells,
        _to_tensor(task.coordinates[order], network),
        _to_tensor(task.lattice[None], network),
        edge_cutoff=network.edge_cutoff + skin,
        angle_cutoff=network.angle_cutoff + skin,
    )
    return _Prepared(task, order, gene, topology, len(topology.neighbors))


def _evaluate(
    batch: Sequence[tuple[int, int]],
    prepared: Sequence[_Prepared],
    network: QuotientNetwork,
    forces: Sequence[Floats],
    stresses: list[Floats],
) -> None:
    """Evaluate cells together and write down what is found."""
    ones = [prepared[place] for place, _ in batch]
    cells = Cells.from_genes([one.gene for one in ones], network.device)
    places = cells.orbits.owner.new_tensor(range(len(batch)))
    topology = Topology.join(
        [one.topology.moved_to(places[k : k + 1]) for k, one in enumerate(ones)]
    )
    coordinates = np.concatenate(
        [_displace(one, cell) for one, (_, cell) in zip(ones, batch, strict=True)]
    )
    lattices = _to_tensor(np.stack([one.task.lattice for one in ones]), network)
    found = network.evaluate(
        cells, topology, _to_tensor(coordinates, network), lattices
    )
    slopes = (lattices.mT @ found.lattice_gradients).cpu().numpy()
    parts = find_forces(cells, lattices, found).cpu().numpy()
    starts = np.cumsum([0] + [len(one.order) for one in ones])
    for k, (place, cell) in enumerate(batch):
        forces[place][cell, ones[k].order] = parts[starts[k] : starts[k + 1]]
        if cell == 0:
            volume = abs(np.linalg.det(ones[k].task.lattice))
            stress = (slopes[k] + slopes[k].T) / 2 / volume
            stresses[place] = stress * EV_PER_A3_IN_GPA


def _displace(one: _Prepared, cell: int) -> Floats:
    """Return the coordinates of one cell of a task; the first is at rest."""
    coordinates = np.array(one.task.coordinates)
    if cell > 0:
        step = one.task.displacements[cell - 1] @ np.linalg.inv(one.task.lattice)
        coordinates[one.task.atoms[cell - 1]] += step
    return coordinates[one.order]


def _to_tensor(values: Floats, network: QuotientNetwork) -> Tensor:
    import torch

    return torch.as_tensor(np.array(values)).to(network.device)
