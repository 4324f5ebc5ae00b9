"""Frequencies against ASE's own phonons; what force constants must obey."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.relax.phonon.crystal_cell import find_primitive_cell
from wyckflow.relax.phonon.forces import compute_forces
from wyckflow.relax.phonon.lattice_dynamics import (
    compute_dynamical_matrices,
    fit_force_constants,
    list_displacements,
    set_up_phonons,
)
from wyckflow.relax.phonon.supercell import Supercell

EV_PER_THZ = 4.135667696e-3  # Planck's constant


def compute(structure, potential, n=1, displacement=0.05):
    """Return phonopy's object for n x n x n conventional cells."""
    from wyckflow.relax.network import QuotientNetwork

    cell = find_primitive_cell(structure)
    matrix = n * cell.conventional
    supercell = Supercell(matrix, round(np.linalg.det(matrix)), 0.0, is_even=n == 2)
    phonons = set_up_phonons(cell, supercell, displacement)
    (forces,) = compute_forces(
        [list_displacements(phonons)], QuotientNetwork(potential)
    )
    return cell, phonons, fit_force_constants(phonons, forces)


def ask_ase(structure, potential, folder, n, displacement):
    """Return the frequencies at the centre of the zone of the conventional cell."""
    from ase import Atoms
    from ase.phonons import Phonons

    coordinates, numbers = structure.expand()
    atoms = Atoms(
        numbers=numbers,
        cell=structure.lattice,
        scaled_positions=coordinates,
        pbc=True,
    )
    peer = Phonons(
        atoms,
        potential.calculator(),
        supercell=(n, n, n),
        delta=displacement,
        name=str(folder / "ase"),
    )
    peer.run()
    peer.read(acoustic=True)
    return np.sort(peer.band_structure([[0, 0, 0]], verbose=False)[0]) / EV_PER_THZ


def frequencies(phonons, q):
    return phonons.run_qpoints([q]).frequencies[0]


def at_folded_points(phonons):
    """The centre of the conventional zone is centre and X of the primitive one."""
    points = ([0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5])
    return np.sort(phonons.run_qpoints(points).frequencies.ravel())


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("NaCl", 0.01), ("Si", 0.01)],
    ids=["NaCl", "Si"],
)
@pytest.mark.filterwarnings("ignore")
def test_centre_and_border_are_those_of_ase(
    name, tolerance, minima, potential, tmp_path
):
    _, phonons, _ = compute(minima[name], potential)
    theirs = ask_ase(minima[name], potential, tmp_path, 1, 0.05)
    assert at_folded_points(phonons) == pytest.approx(theirs, abs=tolerance)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_magnesia_is_that_of_ase_within_what_symmetrising_does(
    minima, potential, tmp_path
):
    """Its forces are not quite harmonic, and both make the constants symmetric, in
    different ways; hence the tolerance of 1 %."""
    _, phonons, _ = compute(minima["MgO"], potential)
    theirs = ask_ase(minima["MgO"], potential, tmp_path, 1, 0.05)
    assert at_folded_points(phonons) == pytest.approx(theirs, abs=0.1)


@pytest.fixture(scope="module")
def perovskite(minima, potential):
    return compute(minima["SrTiO3"], potential)


def test_moving_the_whole_crystal_costs_nothing(perovskite):
    _, phonons, constants = perovskite
    found = np.array(phonons.force_constants)
    assert abs(found.sum(axis=1)).max() < 1e-8
    assert constants.largest > 5


def test_the_order_of_derivatives_does_not_matter(perovskite):
    _, phonons, _ = perovskite
    for q in ([0.5, 0.5, 0.5], [0.1, 0.2, 0.3]):
        (matrix,) = compute_dynamical_matrices(phonons, np.array([q]))
        assert matrix == pytest.approx(matrix.conj().T, abs=1e-12)
    found = np.array(phonons.force_constants)
    own = np.array(phonons.primitive.p2s_map)
    block = found[:, own]
    assert block == pytest.approx(block.transpose(1, 0, 3, 2), abs=1e-8)


def test_frequencies_have_the_symmetry_of_the_crystal(perovskite):
    cell, phonons, _ = perovskite
    q = np.array([0.11, 0.23, 0.37])
    here = frequencies(phonons, q)
    for rotation in cell.rotations[::5]:
        there = frequencies(phonons, q @ np.linalg.inv(rotation))
        assert there == pytest.approx(here, abs=1e-4)


@pytest.mark.parametrize(
    ("symbol", "number"), [("H", 1), ("Tc", 43), ("Pm", 61), ("Np", 93), ("Pu", 94)]
)
def test_elements_without_stable_isotopes_have_a_mass(symbol, number, make_cubic):
    from ase.data import atomic_masses

    cell = find_primitive_cell(make_cubic(f"225 {symbol}:a", 4.0))
    unit = Supercell(np.eye(3, dtype=int), 1, 0.0, is_even=False)
    (mass,) = set_up_phonons(cell, unit, 0.05).primitive.masses
    assert mass == pytest.approx(atomic_masses[number], rel=0.01)


def test_noise_is_told(minima, potential):
    _, _, constants = compute(minima["NaCl"], potential)
    assert 0 < constants.largest_change < 0.1 * constants.largest


def test_small_displacements_measure_the_corrugation(minima, potential):
    """The reason for displacements of 0.05 A: from there on they agree."""
    optical = {
        d: frequencies(
            compute(minima["MgO"], potential, displacement=d)[1], np.zeros(3)
        )[-1]
        for d in (0.003, 0.05, 0.08)
    }
    assert abs(optical[0.08] / optical[0.05] - 1) < 0.03
    assert optical[0.003] / optical[0.05] < 0.9
