"""Forces in displaced supercells, held against chgnet's own calculator."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.relax.phonon import forces as module
from wyckflow.relax.phonon.forces import ForceTask, compute_forces, find_problem
from wyckflow.schemas.relaxation import Outcome


@pytest.fixture(scope="session")
def network(potential):
    from wyckflow.relax.network import QuotientNetwork

    return QuotientNetwork(potential)


def make_task(structure, displacements, *, turn=None):
    coordinates, numbers = structure.expand()
    rng = np.random.default_rng(1)
    order = rng.permutation(len(numbers))  # any order of elements is welcome
    lattice = structure.lattice if turn is None else structure.lattice @ turn
    return ForceTask(
        lattice=lattice,
        coordinates=coordinates[order],
        numbers=numbers[order],
        atoms=np.arange(len(displacements)),
        displacements=np.array(displacements, dtype=float).reshape(-1, 3),
    )


def ask_chgnet(task, potential):
    """Return forces of all displaced cells and the stress at rest, in GPa."""
    from ase import Atoms
    from ase.units import GPa

    found = []
    atoms = Atoms(
        numbers=task.numbers,
        cell=task.lattice,
        scaled_positions=task.coordinates,
        pbc=True,
    )
    atoms.calc = potential.calculator()
    rest, stress = atoms.get_forces(), atoms.get_stress(voigt=False) / GPa
    for atom, step in zip(task.atoms, task.displacements, strict=True):
        moved = atoms.copy()
        moved.calc = potential.calculator()
        moved.positions[atom] += step
        found.append(moved.get_forces())
    return rest, stress, np.array(found)


def test_forces_on_all_atoms_are_those_of_chgnet(rutile, network, potential):
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)  # a rotation
    steps = [[0.05, 0, 0], [0.02, -0.03, 0.01], [0, 0, 0.3]]
    task = make_task(rutile, steps, turn=turn)
    (found,) = compute_forces([task], network)
    rest, stress, displaced = ask_chgnet(task, potential)
    assert found.at_rest == pytest.approx(rest, abs=2e-4)
    assert found.displaced == pytest.approx(displaced, abs=2e-4)
    assert found.stress_gpa == pytest.approx(stress, abs=2e-2)
    assert abs(displaced).max() > 1  # there was something to compare


def test_batches_and_neighbours_in_them_change_nothing(
    rutile, make_cubic, network, monkeypatch
):
    steps = [[0.05, 0, 0], [0, 0.05, 0], [0, 0, 0.05]]
    tasks = [make_task(rutile, steps), make_task(make_cubic("225 Na:a Cl:b", 5.7), [])]
    together = compute_forces(tasks, network)
    monkeypatch.setattr(module, "EDGES_AT_ONCE_CPU", 1)
    alone = compute_forces(tasks, network)
    for one, other in zip(together, alone, strict=True):
        assert one.displaced == pytest.approx(other.displaced, abs=1e-5)
        assert one.at_rest == pytest.approx(other.at_rest, abs=1e-5)
        assert one.stress_gpa == pytest.approx(other.stress_gpa, abs=1e-3)
    assert together[1].displaced.shape == (0, 8, 3)


def test_overlapping_atoms_are_not_asked_about(make_cubic):
    task = make_task(make_cubic("225 Na:a Cl:b", 2.0), [])
    assert find_problem(task, 6.0).outcome is Outcome.GUARDED
