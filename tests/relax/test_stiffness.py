"""The guessed stiffness against springs between all atoms, counted one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from wyckflow.crystal.build import BuildEngine, build_trials
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.relax.quotient.search import find_topology
from wyckflow.relax.stiffness import FLOOR, guess_hessians
from wyckflow.relax.variables import Variables

torch = pytest.importorskip("torch", reason="install wyckflow[ml]")

REACH = 4.5
TEXTS = (
    "1 H:a2 O:a",
    "2 Ti:i O:i",
    "12 Na:a O:i",
    "62 Fe:c C:c",
    "136 Ti:a O:f",
    "152 Si:a O:c",
    "205 Fe:a S:c",
    "225 Na:a Cl:b",
)


def make(text):
    gene = WyckoffGene.from_text(text)
    (trial,) = build_trials(gene, 1, seed=4, engine=BuildEngine.SAMPLER)
    return trial.structure


LINDH = {  # by the periods of the two elements: decay per Bohr^2, distance in Bohr
    (1, 1): (1.0, 1.35),
    (1, 2): (0.3949, 2.1),
    (1, 3): (0.3949, 2.53),
    (2, 2): (0.28, 2.87),
    (2, 3): (0.28, 3.4),
    (3, 3): (0.28, 3.4),
}


def spring_constant(length, *numbers):
    """Lindh's model: 0.45 Hartree/Bohr^2 at a distance that the periods set."""
    periods = (1 if number <= 2 else 2 if number <= 10 else 3 for number in numbers)
    decay, reference = LINDH[tuple(sorted(periods))]
    return 43.7 * min(np.exp(decay * (reference**2 - (length / 0.529177) ** 2)), 3.0)


def count_springs(structure, variables, positions_at):
    """Second derivatives of the energy of all springs, by finite differences."""
    n, (fractions, lattice) = int(variables.sizes[0]), positions_at(np.zeros(0))
    numbers = structure.expand()[1]
    shifts = list(itertools.product(range(-4, 5), repeat=3))
    rows = []
    for (i, a), (j, b) in itertools.product(enumerate(numbers), repeat=2):
        for shift in shifts:
            vector = (fractions[j] - fractions[i] + shift) @ lattice
            length = np.linalg.norm(vector)
            if 1e-6 < length < REACH:
                rows.append((i, j, *shift, spring_constant(length, a, b) / 2))
    table = np.array(rows)
    first, second = table[:, 0].astype(int), table[:, 1].astype(int)
    before = (fractions[second] - fractions[first] + table[:, 2:5]) @ lattice

    def energy(point):
        moved, cell = positions_at(point)
        after = (moved[second] - moved[first] + table[:, 2:5]) @ cell
        stretch = np.linalg.norm(after, axis=1) - np.linalg.norm(before, axis=1)
        turn = ((after - before) ** 2).sum(1)
        return (table[:, 5] * (0.97 * stretch**2 + 0.03 * turn)).sum() / 2

    step, hessian = 1e-4, np.zeros((n, n))
    unit = np.eye(n) * step
    for i, j in itertools.product(range(n), repeat=2):
        corners = [(a, b) for a in (1, -1) for b in (1, -1)]
        hessian[i, j] = sum(
            a * b * energy(a * unit[i] + b * unit[j]) for a, b in corners
        )
    return hessian / (4 * step**2)


@pytest.mark.parametrize("text", TEXTS)
def test_the_guess_is_that_of_springs_between_all_atoms(text):
    structure = make(text)
    variables = Variables.from_structures([structure], "cpu")
    cells, n = variables.cells, int(variables.sizes[0])

    def positions_at(point):
        values = torch.zeros(1, variables.width, dtype=torch.float64)
        values[0, : len(point)] = torch.from_numpy(point)
        parameters, lattices = variables.place(values)
        return cells.place_atoms(parameters).numpy(), lattices[0].numpy()

    parameters, lattices = variables.place(torch.zeros(1, variables.width).double())
    topology = find_topology(
        cells, parameters, lattices, edge_cutoff=REACH, angle_cutoff=1.0
    )
    (guess,) = guess_hessians(variables, topology, parameters, lattices)
    springs = guess[:n, :n].numpy() - FLOOR * np.eye(n)
    counted = count_springs(structure, variables, positions_at)
    assert np.abs(springs - counted).max() < 1e-4 * np.abs(counted).max() + 0.01
    assert np.linalg.eigvalsh(guess.numpy()).min() >= FLOOR - 1e-9


def test_company_changes_nothing():
    structures = [make(text) for text in TEXTS]
    together = Variables.from_structures(structures, "cpu")
    parameters, lattices = together.place(
        torch.zeros(len(together), together.width).double()
    )
    topology = find_topology(
        together.cells, parameters, lattices, edge_cutoff=6.0, angle_cutoff=3.0
    )
    guesses = guess_hessians(together, topology, parameters, lattices)
    for place, structure in enumerate(structures):
        alone = Variables.from_structures([structure], "cpu")
        parameters, lattices = alone.place(torch.zeros(1, alone.width).double())
        topology = find_topology(
            alone.cells, parameters, lattices, edge_cutoff=6.0, angle_cutoff=3.0
        )
        (guess,) = guess_hessians(alone, topology, parameters, lattices)
        width = alone.width
        assert torch.allclose(guesses[place, :width, :width], guess, atol=1e-9)
