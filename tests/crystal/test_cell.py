"""Cells that no crystal can have, found as pymatgen finds them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import DummySpecies, Lattice, Structure

from wyckflow.crystal._distance import shortest_distance_below
from wyckflow.crystal.cell import (
    Cell,
    Refusal,
    RefusalReason,
    cell_from_structure,
    cell_volume,
    check_cell,
    make_cell,
)

CUBE = 4 * np.eye(3)


def skewed_lattice(seed):
    """A cell with vectors added to one another until it is flat."""
    rng = np.random.default_rng(seed)
    lattice = np.diag(rng.uniform(2, 6, 3)) + rng.normal(0, 0.3, (3, 3))
    for _ in range(rng.integers(0, 7)):
        first, second = rng.permutation(3)[:2]
        lattice[first] += rng.integers(-2, 3) * lattice[second]
    return lattice


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_shortest_distance_is_that_of_pymatgen_in_any_cell(seed, n_atoms):
    lattice = skewed_lattice(seed)
    coordinates = np.random.default_rng(seed).uniform(-2, 2, (n_atoms, 3))
    limit = 1.5
    pairs = Structure(lattice, ["H"] * n_atoms, coordinates).get_all_neighbors(limit)
    expected = min((n.nn_distance for site in pairs for n in site), default=None)
    found = shortest_distance_below(limit, lattice, coordinates)
    if expected is None:
        assert found is None
    else:
        assert found == pytest.approx(expected, abs=1e-8)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_volume_is_that_of_pymatgen(seed):
    lattice = skewed_lattice(seed)
    assert cell_volume(lattice) == pytest.approx(Lattice(lattice).volume)


def test_ordinary_cell_passes():
    assert check_cell(make_cell(CUBE, [[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17])) is None


def test_hydrogen_molecule_is_not_an_overlap():
    assert check_cell(make_cell(CUBE, [[0, 0, 0], [0.185, 0, 0]], [1, 1])) is None


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (make_cell(CUBE, [], []), RefusalReason.DEGENERATE_CELL),
        (make_cell(0 * CUBE, [[0, 0, 0]], [6]), RefusalReason.DEGENERATE_CELL),
        (make_cell(np.ones((3, 3)), [[0, 0, 0]], [6]), RefusalReason.DEGENERATE_CELL),
        (make_cell(CUBE, [[0, 0, np.nan]], [6]), RefusalReason.DEGENERATE_CELL),
        (make_cell(np.inf * CUBE, [[0, 0, 0]], [6]), RefusalReason.DEGENERATE_CELL),
        (make_cell(CUBE, [[0, 0, 0]], [95]), RefusalReason.UNSUPPORTED_ELEMENT),
        (make_cell(CUBE, [[0, 0, 0]], [0]), RefusalReason.UNSUPPORTED_ELEMENT),
        (
            make_cell(CUBE, [[0, 0, 0], [0.99, 0, 0.01]], [6, 8]),
            RefusalReason.OVERLAPPING_ATOMS,
        ),
        (
            make_cell(np.diag([0.3, 9, 9]), [[0, 0, 0]], [6]),
            RefusalReason.OVERLAPPING_ATOMS,
        ),
    ],
    ids=[
        "no atoms",
        "no lattice",
        "no volume",
        "nan",
        "inf",
        "americium",
        "no element",
        "across the border",
        "own image",
    ],
)
def test_impossible_cell_is_refused_with_its_reason(cell, reason):
    refusal = check_cell(cell)
    assert refusal is not None
    assert refusal.reason is reason
    assert refusal.message


def test_shared_site_is_disorder_and_vacancy_is_partial_occupancy():
    shared = Structure(CUBE, [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    vacant = Structure(CUBE, [{"Fe": 0.9}], [[0, 0, 0]])
    both = Structure(CUBE, [{"Fe": 0.5, "Ni": 0.2}], [[0, 0, 0]])
    valences = Structure(CUBE, [{"Fe2+": 0.5, "Fe3+": 0.5}], [[0, 0, 0]])
    reasons = [cell_from_structure(s).reason for s in (shared, vacant, both, valences)]
    disordered, partial = RefusalReason.DISORDERED, RefusalReason.PARTIALLY_OCCUPIED
    assert reasons == [disordered, partial, disordered, disordered]
    assert "Fe 0.5, Ni 0.5" in cell_from_structure(shared).message


def test_dummy_species_is_no_supported_element():
    dummy = cell_from_structure(Structure(CUBE, [DummySpecies("X")], [[0, 0, 0]]))
    refusal = dummy if isinstance(dummy, Refusal) else check_cell(dummy)
    assert refusal.reason is RefusalReason.UNSUPPORTED_ELEMENT


def test_oxidation_states_and_deuterium_are_dropped():
    cell = cell_from_structure(
        Structure(CUBE, ["Na+", "D"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    )
    assert cell.atomic_numbers.tolist() == [11, 1]


def test_cell_and_structure_are_the_same_crystal():
    structure = Structure(CUBE, ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert cell_from_structure(structure).to_structure() == structure


def test_arrays_that_do_not_fit_together_are_a_bad_argument():
    with pytest.raises(ValueError, match="one atomic number per atom"):
        make_cell(CUBE, [[0, 0, 0]], [1, 1])
    with pytest.raises(ValueError, match="3 x 3 lattice"):
        make_cell(np.eye(2), [[0, 0, 0]], [1])
    assert isinstance(make_cell(CUBE.tolist(), [[0, 0, 0]], [1]), Cell)
