"""Energies, forces, stresses and magnetic moments of structures as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wyckflow.relax.network import QuotientNetwork
from wyckflow.relax.quotient.cells import stack_lattices, stack_parameters
from wyckflow.relax.quotient.search import find_topology
from wyckflow.relax.variables import Variables, find_forces, find_stresses

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.potential import Potential

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
    lattices = stack_lattices(structures, network.device)
    topology = find_topology(
        cells,
        parameters,
        lattices,
        edge_cutoff=network.edge_cutoff,
        angle_cutoff=network.angle_cutoff,
    )
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
