"""Supercells, held against ASE and spglib."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from wyckflow.relax.phonon.crystal_cell import find_primitive_cell
from wyckflow.relax.phonon.supercell import (
    choose_supercell,
    find_shortest_distance,
    has_point_group,
    reduce_vectors,
)

CRYSTALS = [
    ("225 Na:a Cl:b", 5.7),
    ("225 Mg:a O:b", 4.24),
    ("221 Sr:a Ti:b O:c", 3.95),
    ("229 W:a", 3.2),
]


@pytest.fixture(params=CRYSTALS, ids=lambda item: item[0])
def cell(request, make_cubic):
    return find_primitive_cell(make_cubic(*request.param))


def test_the_nearest_image_is_as_far_as_ase_says(cell):
    ase_geometry = pytest.importorskip("ase.geometry")
    found = choose_supercell(cell, min_length=10, max_atoms=400)
    lattice = found.matrix @ cell.lattice
    reduced, _ = ase_geometry.minkowski_reduce(lattice)
    expected = np.linalg.norm(reduced, axis=1).min()
    assert found.shortest_distance == pytest.approx(expected)
    assert found.shortest_distance >= 10
    assert found.n_cells * cell.n_atoms <= 400
    assert np.linalg.det(lattice) > 0


def test_shortest_vectors_of_skewed_cells_are_found():
    rng = np.random.default_rng(0)
    ase_geometry = pytest.importorskip("ase.geometry")
    for _ in range(50):
        skewed = np.triu(rng.integers(-5, 6, (3, 3)), 1) + np.eye(3)
        lattice = skewed @ rng.normal(size=(3, 3))
        reduced, _ = ase_geometry.minkowski_reduce(lattice)
        expected = np.linalg.norm(reduced, axis=1).min()
        assert find_shortest_distance(lattice) == pytest.approx(expected)
        same = reduce_vectors(lattice) @ np.linalg.inv(lattice)
        assert same == pytest.approx(np.rint(same), abs=1e-6)


def test_a_supercell_keeps_the_point_group_that_spglib_finds(cell):
    """spglib lists only operations that the lattice of the supercell allows."""
    import spglib
    from ase import Atoms
    from ase.build import make_supercell

    found = choose_supercell(cell, min_length=10, max_atoms=400)
    atoms = Atoms(
        numbers=cell.numbers,
        cell=cell.lattice,
        scaled_positions=cell.coordinates,
        pbc=True,
    )
    large = make_supercell(atoms, found.matrix)
    told = (np.array(large.cell), large.get_scaled_positions(), large.numbers)
    rotations = spglib.get_symmetry(told, symprec=1e-4)["rotations"]
    assert len(np.unique(rotations, axis=0)) == len(cell.rotations)


def test_a_supercell_that_breaks_the_symmetry_is_known_as_one(make_cubic):
    cell = find_primitive_cell(make_cubic("221 Sr:a Ti:b O:c", 3.95))
    assert has_point_group(2 * np.eye(3, dtype=int), cell.rotations)
    assert not has_point_group(np.diag([1, 2, 2]), cell.rotations)


def test_points_on_the_border_of_the_zone_fit_where_it_is_cheap(cell):
    found = choose_supercell(cell, min_length=10, max_atoms=400)
    assert found.is_even
    for q in product((0, 0.5), repeat=3):
        fit = found.matrix @ np.array(q)
        assert fit == pytest.approx(np.rint(fit))


def test_no_supercell_is_found_where_all_are_too_large(cell):
    assert choose_supercell(cell, min_length=10, max_atoms=8) is None


def test_farther_images_cost_no_less(cell):
    """An even supercell may have twice the atoms of another."""
    costs = []
    for length in (4, 6, 8, 10, 12):
        found = choose_supercell(cell, min_length=length, max_atoms=2000)
        costs.append(found.n_cells * (1 if found.is_even else 2))
    assert costs == sorted(costs)


def test_one_atom_and_low_symmetry_cells_have_one_too(make_cubic, rutile):
    for structure in (make_cubic("225 Cu:a", 3.6), rutile):
        cell = find_primitive_cell(structure)
        found = choose_supercell(cell, min_length=9, max_atoms=400)
        assert found.shortest_distance >= 9
        assert has_point_group(found.matrix, cell.rotations)


def test_the_path_is_that_of_the_lattice(make_cubic):
    cell = find_primitive_cell(make_cubic("221 Sr:a Ti:b O:c", 3.95))
    assert cell.points["R"] == pytest.approx([0.5, 0.5, 0.5])
    assert ("GAMMA", "X") in cell.path
    assert len(cell.rotations) == 48
    fcc = find_primitive_cell(make_cubic("225 Na:a Cl:b", 5.7))
    assert fcc.n_atoms == 2
    edges = np.linalg.norm(fcc.conventional @ fcc.lattice, axis=1)
    assert edges == pytest.approx([5.7] * 3)
