"""Energies, forces, stresses and magnetic moments of structures as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wyckflow.relax.batched import estimate_edges
from wyckflow.relax.network import QuotientNetwork
from wyckflow.relax.quotient.cells import stack_parameters
from wyckflow.relax.quotient.search import find_topology
from wyckflow.relax.variables import Variables, find_forces, find_stresses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.potential import Potential
    from wyckflow.relax.quotient.topology import Topology

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Prediction:
    """What the network says of one structure.

    Attributes
    ----------
    energy_per_atom
        In eV.
    forces
        On the atoms of the conventional cell, in the order of
        `wyckflow.crystal.reduced.ReducedStructure.expand`, in eV/A.
    stress_gpa
        Positive where the cell wants to shrink, shape (3, 3).
    magnetic_moments
        Size of the moment of each atom in mu_B, if asked for.
    """

    energy_per_atom: float
    forces: Floats
    stress_gpa: Floats
    magnetic_moments: Floats | None = None


def evaluate_structures(
    structures: Sequence[ReducedStructure],
    potential: Potential,
    *,
    with_magnetic_moments: bool = False,
    batch_size: int = 64,
    dtype: str = "float32",
) -> list[Prediction]:
    """Evaluate structures in batches, whatever the guards would say.

    Parameters
    ----------
    structures
        Of elements that the network knows.
    potential
        The network.
    with_magnetic_moments
        Whether to look at magnetic moments, too.
    batch_size
        Structures at once.
    dtype
        ``float32`` or ``float64``, of the network's layers.

    Returns
    -------
    list[Prediction]
        One per structure, in order.
    """
    network = QuotientNetwork(potential, dtype)
    predictions: list[Prediction] = []
    for first in range(0, len(structures), batch_size):
        batch = structures[first : first + batch_size]
        predictions += _evaluate_batch(
            batch, network, with_magnetic_moments=with_magnetic_moments
        )
    return predictions


def predict_magnetic_moments(
    structures: Sequence[ReducedStructure],
    potential: Potential,
    *,
    max_edges: float = 8000,
    dtype: str = "float32",
) -> list[Floats]:
    """Predict how large the magnetic moments are, without energies or forces.

    Parameters
    ----------
    structures
        Of elements that the network knows.
    potential
        The network.
    max_edges
        Classes of neighbours at once, as estimated; a structure that has more is
        evaluated alone.
    dtype
        ``float32`` or ``float64``, of the network's layers.

    Returns
    -------
    list[ndarray]
        For each structure the size of the moment of an atom of each orbit in mu_B, in
        the order of the gene. The network knows no directions.
    """
    network = QuotientNetwork(potential, dtype)
    moments: list[Floats] = []
    for batch in _split_by_edges(structures, max_edges):
        variables = Variables.from_structures(batch, network.device)
        parameters = stack_parameters(batch, network.device)
        topology = _look_around(variables, parameters, network)
        of_orbits = network.magnetic_moments(
            variables.cells, topology, parameters, variables.lattices
        )
        sizes = [structure.gene.n_orbits for structure in batch]
        moments += [part.numpy() for part in of_orbits.cpu().split(sizes)]
    return moments


def _split_by_edges(
    structures: Sequence[ReducedStructure], max_edges: float
) -> Iterator[list[ReducedStructure]]:
    """Yield neighbouring structures that fit into the memory together."""
    batch: list[ReducedStructure] = []
    n_edges = 0.0
    for structure in structures:
        cost = estimate_edges(structure)
        if batch and n_edges + cost > max_edges:
            yield batch
            batch, n_edges = [], 0.0
        batch.append(structure)
        n_edges += cost
    if batch:
        yield batch


def _look_around(
    variables: Variables, parameters: Tensor, network: QuotientNetwork
) -> Topology:
    """Find the neighbours that the network sees."""
    return find_topology(
        variables.cells,
        parameters,
        variables.lattices,
        edge_cutoff=network.edge_cutoff,
        angle_cutoff=network.angle_cutoff,
    )


def _evaluate_batch(
    structures: Sequence[ReducedStructure],
    network: QuotientNetwork,
    *,
    with_magnetic_moments: bool,
) -> list[Prediction]:
    """Evaluate structures together."""
    variables = Variables.from_structures(structures, network.device)
    cells = variables.cells
    parameters = stack_parameters(structures, network.device)
    lattices = variables.lattices
    topology = _look_around(variables, parameters, network)
    found = network.evaluate(cells, topology, parameters, lattices)
    sizes = [structure.n_atoms for structure in structures]
    forces = find_forces(cells, lattices, found).cpu().split(sizes)
    stresses = find_stresses(variables.strains, lattices, found).cpu().numpy()
    moments: list[Floats | None] = [None] * len(structures)
    if with_magnetic_moments:
        of_orbits = network.magnetic_moments(cells, topology, parameters, lattices)
        of_atoms = of_orbits[cells.orbits_of_atoms].cpu().split(sizes)
        moments = [part.numpy() for part in of_atoms]
    return [
        Prediction(energy / size, force.numpy(), stress, moment)
        for energy, size, force, stress, moment in zip(
            found.energies.tolist(), sizes, forces, stresses, moments, strict=True
        )
    ]
