"""Translations told from soft modes, wave vectors that fit, soft modes in cells."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.relax.phonon.crystal_cell import find_primitive_cell
from wyckflow.relax.phonon.modes import (
    list_fitting_points,
    make_translations,
    measure_translation,
    shorten_point,
    split_gamma,
)
from wyckflow.relax.phonon.soft_modes import find_fitting_matrix, modulate_crystal
from wyckflow.schemas.phonon import PhononCell, SoftMode


def springs(constant, masses, drift=0.0):
    """Two atoms on isotropic springs: one optical mode, three times."""
    masses = np.array(masses)
    block = np.array([[constant + drift, -constant], [-constant, constant + drift]])
    return np.kron(block / np.sqrt(np.outer(masses, masses)), np.eye(3))


def test_a_soft_optical_mode_below_the_translations_is_no_translation():
    masses = np.array([20.0, 60.0])
    found = split_gamma(springs(-1.5, masses), masses, factor=1.0)
    expected = -np.sqrt(1.5 * (1 / 20 + 1 / 60))
    assert found.optical == pytest.approx([expected] * 3)
    assert found.acoustic == pytest.approx([0] * 3, abs=1e-7)
    assert found.acoustic_places == [3, 4, 5]  # the three lowest are not they
    assert found.is_clear


def test_modes_that_mix_at_zero_are_taken_apart():
    masses = np.array([20.0, 60.0])
    found = split_gamma(springs(0.0, masses), masses, factor=1.0)
    assert found.optical == pytest.approx([0] * 3, abs=1e-7)
    assert make_translations(masses).T @ found.eigenvectors == pytest.approx(0)


def test_a_broken_sum_rule_shows_in_the_translations():
    masses = np.array([20.0, 20.0])
    found = split_gamma(springs(1.0, masses, drift=0.02), masses, factor=1.0)
    assert found.acoustic == pytest.approx([np.sqrt(0.02 / 20)] * 3)


def test_one_atom_has_only_translations():
    found = split_gamma(np.zeros((3, 3)), np.array([63.5]), factor=1.0)
    assert len(found.optical) == 0
    assert measure_translation(np.eye(3), np.array([63.5])) == pytest.approx([1] * 3)


def test_points_that_fit_are_those_of_phonopy(make_cubic, rutile):
    dynmat = pytest.importorskip("phonopy.harmonic.dynmat_to_fc")
    cases = [
        (make_cubic("221 Sr:a Ti:b O:c", 3.95), [[0, 2, 2], [2, 0, 2], [2, 2, 0]]),
        (make_cubic("225 Na:a Cl:b", 5.7), [[-2, 2, 2], [2, -2, 2], [2, 2, -2]]),
        (rutile, [[2, 0, 0], [0, 2, 0], [0, 0, 3]]),
    ]
    for structure, rows in cases:
        cell, matrix = find_primitive_cell(structure), np.array(rows)
        points = list_fitting_points(matrix, cell.rotations)
        assert points[0] == pytest.approx([0, 0, 0])
        inverses = np.linalg.inv(cell.rotations)
        stars = np.concatenate([points @ w for w in (*inverses, *-inverses)])
        theirs = dynmat.get_commensurate_points(matrix.T)
        assert as_set(stars) == as_set(theirs)
        assert len(points) <= len(theirs)


def as_set(points):
    return {tuple(row) for row in np.round(points % 1 % 0.9999999, 6).tolist()}


def test_a_point_is_moved_to_the_nearest_image():
    assert shorten_point([0.9, 0, 0], np.eye(3)) == pytest.approx([-0.1, 0, 0])
    assert shorten_point([0.5, 0.5, 0], np.eye(3)) == pytest.approx([0.5, 0.5, 0])


@pytest.mark.parametrize(
    ("q", "n_cells"),
    [([0, 0, 0], 1), ([0.5, 0, 0], 2), ([0.5, 0.5, 0.5], 2), ([1 / 3, 1 / 3, 0], 3)],
    ids=["centre", "X", "R", "K"],
)
def test_a_mode_repeats_itself_in_the_smallest_cell(q, n_cells):
    matrix = find_fitting_matrix(np.array(q), np.diag([3.0, 3.5, 4.0]))
    assert round(np.linalg.det(matrix)) == n_cells
    assert matrix @ q == pytest.approx(np.rint(matrix @ q))


def test_following_a_mode_moves_atoms_by_its_pattern():
    """A chain of one atom at the border: neighbours move against each other."""
    cell = PhononCell(np.eye(3) * 3.0, np.zeros((1, 3)), np.array([29]), np.ones(1))
    matrix = find_fitting_matrix(np.array([0.5, 0, 0]), cell.lattice)
    mode = SoftMode(
        cell, np.array([0.5, 0, 0]), -1.0, np.array([[0, 0, 1 + 0j]]), matrix
    )
    lattice, coordinates, numbers = modulate_crystal(mode, 0.1)
    assert numbers.tolist() == [29, 29]
    assert abs(np.linalg.det(lattice)) == pytest.approx(54)
    heights = (coordinates @ lattice)[:, 2]
    assert sorted(np.round(heights, 9)) == pytest.approx([-0.1, 0.1])
