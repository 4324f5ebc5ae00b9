"""Phonons from displaced supercells, against a supercell that is diagonalised whole."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

pytest.importorskip("phonopy", reason="install wyckflow[dft]")
pytest.importorskip("ase", reason="install wyckflow[ml]")

from wyckflow.schemas.phonon import LatticeStability
from wyckflow.vasp.dispersion import analyse, find_supercell, list_cells, set_up
from wyckflow.vasp.path import find_primitive_structure
from wyckflow.vasp.simulator.engine import THZ_PER_ROOT, make_calculator

SYMPREC = 1e-3


def rocksalt(size=5.0, metal="Na", other="Cl"):
    faces = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    places = faces + [[x + 0.5 for x in face] for face in faces]
    cell = Structure(Lattice.cubic(size), [metal] * 4 + [other] * 4, places)
    return find_primitive_structure(cell, symprec=SYMPREC)


def forces_of(structure):
    """Return the forces of the toy potential."""
    from pymatgen.io.ase import AseAtomsAdaptor

    atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    atoms.calc = make_calculator("toy")
    return atoms.get_forces()


def frequencies_of_a_whole_supercell(structure, step=0.01):
    """Return all frequencies of a supercell that moves as one, lowest first."""
    from pymatgen.io.ase import AseAtomsAdaptor

    atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    atoms.calc = make_calculator("toy")
    start, columns = atoms.get_positions(), []
    for atom in range(len(atoms)):
        for axis in range(3):
            both = []
            for sign in (1, -1):
                moved = start.copy()
                moved[atom, axis] += sign * step
                atoms.set_positions(moved)
                both.append(atoms.get_forces().ravel())
            columns.append((both[1] - both[0]) / (2 * step))
    constants = np.array(columns)
    masses = np.repeat(atoms.get_masses(), 3)
    weighted = (constants + constants.T) / 2 / np.sqrt(np.outer(masses, masses))
    squares = np.linalg.eigvalsh(weighted)
    return np.sign(squares) * np.sqrt(abs(squares)) * THZ_PER_ROOT


def run(structure, min_length):
    matrix = find_supercell(structure, min_length=min_length)
    phonons = set_up(structure, matrix, 0.01)
    cells = list_cells(phonons, structure)
    return phonons, cells, analyse(phonons, structure, [forces_of(c) for c in cells])


@pytest.mark.parametrize("size", [4.6, 6.6], ids=["pressed", "torn"])
def test_the_lowest_mode_that_fits_is_that_of_the_whole_supercell(size):
    structure = rocksalt(size)
    phonons, cells, found = run(structure, size)
    assert len(phonons.supercell) == 8
    assert len(cells) == 2  # one for each element
    whole = Structure(
        phonons.supercell.cell,
        phonons.supercell.symbols,
        phonons.supercell.scaled_positions,
    )
    expected = frequencies_of_a_whole_supercell(whole)
    is_translation = np.argsort(abs(expected))[:3]
    others = np.delete(expected, is_translation)
    assert found.min_fitting_thz == pytest.approx(others.min(), abs=0.02)
    assert found.max_frequency_thz >= others.max() - 0.02
    verdict, reason = found.judge(0.1)
    assert (verdict is LatticeStability.UNSTABLE) == (others.min() < -0.1)
    assert bool(reason) is (verdict is not LatticeStability.STABLE)


def test_bands_along_the_path_begin_and_end_with_translations_at_gamma():
    _, _, found = run(rocksalt(4.6), 4.6)
    spectrum = found.spectrum
    first = spectrum.labels[0][0]
    assert first == "GAMMA"
    assert np.abs(spectrum.bands[0][:3]).max() < 0.05
    assert len(spectrum.segment_starts) == len(spectrum.labels)
    assert (np.diff(spectrum.distances) >= 0).all()
    n_modes = np.trapezoid(spectrum.dos, spectrum.dos_frequencies)
    assert n_modes == pytest.approx(6, rel=0.05)


def test_the_supercell_repeats_the_conventional_cell():
    for structure, n_atoms in ((rocksalt(5.0), 64), (rocksalt(11.0), 8)):
        matrix = find_supercell(structure, min_length=10)
        assert len(structure) * round(abs(np.linalg.det(matrix))) == n_atoms
        lattice = (structure.lattice.matrix.T @ matrix).T
        assert np.linalg.norm(lattice, axis=1).min() >= 10


def test_moments_go_along_with_their_atoms():
    structure = rocksalt(4.3, "Fe", "O")
    moments = [4.0 if site.specie.symbol == "Fe" else 0.1 for site in structure]
    structure.add_site_property("magmom", moments)
    matrix = find_supercell(structure, min_length=8)
    for cell in list_cells(set_up(structure, matrix, 0.01), structure):
        for site in cell:
            iron = site.specie.symbol == "Fe"
            assert site.properties["magmom"] == (4.0 if iron else 0.1)


def test_forces_that_do_not_belong_are_refused():
    structure = rocksalt(4.6)
    phonons = set_up(structure, find_supercell(structure, min_length=4.6), 0.01)
    good = [np.zeros((8, 3))] * 2
    for forces, text in (
        (good[:1], "1 cells came for 2 cells"),
        ([good[0], np.zeros((7, 3))], "came for 2 cells of 8 atoms"),
        ([good[0], np.full((8, 3), np.nan)], "not a number"),
    ):
        with pytest.raises(ValueError, match=text):
            analyse(phonons, structure, forces)
