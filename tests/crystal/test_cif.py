"""CIF texts, by the fast path and by pymatgen, to the same atoms."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from wyckflow.crystal.cell import Refusal, RefusalReason
from wyckflow.crystal.cif import lattice_from_parameters, parse_cif, parse_p1_dump

STRUCTURES = {
    "rock salt": Structure.from_spacegroup(
        225, Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    ),
    "primitive": Structure(
        [[0, 2.8, 2.8], [2.8, 0, 2.8], [2.8, 2.8, 0]],
        ["Na", "Cl"],
        [[0, 0, 0], [0.5, 0.5, 0.5]],
    ),
    "wurtzite": Structure.from_spacegroup(
        186,
        Lattice.hexagonal(3.25, 5.2),
        ["Zn", "O"],
        [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.38]],
    ),
    "triclinic": Structure(
        Lattice.from_parameters(4.1, 5.2, 6.3, 81, 97, 113),
        ["Cu", "O", "O"],
        [[0.1, 0.2, 0.3], [-0.3, 1.4, 0.9], [0.6, 0.05, 0.5]],
    ),
}


@pytest.fixture(params=STRUCTURES)
def structure(request):
    return STRUCTURES[request.param]


def assert_same_atoms(cell, structure):
    assert not isinstance(cell, Refusal), cell
    np.testing.assert_allclose(cell.lattice, structure.lattice.matrix, atol=1e-6)
    # pymatgen puts elements together, and coordinates within 1e-4 of a third onto it.
    shifts = cell.coordinates[:, None] - structure.frac_coords
    is_near = np.abs(shifts - np.rint(shifts)).max(axis=-1) < 1.1e-4
    numbers = np.array(structure.atomic_numbers)
    is_same = is_near & (cell.atomic_numbers[:, None] == numbers)
    assert is_same.sum(axis=0).tolist() == [1] * len(structure)
    assert is_same.sum(axis=1).tolist() == [1] * len(cell)


def test_fast_path_reads_what_pymatgen_writes_as_pymatgen_reads_it(structure):
    text = str(CifWriter(structure))
    cell = parse_p1_dump(text)
    assert cell is not None
    assert_same_atoms(cell, Structure.from_str(text, fmt="cif"))


def test_fast_path_reads_oxidation_states_and_windows_line_ends():
    structure = STRUCTURES["rock salt"].copy()
    structure.add_oxidation_state_by_element({"Na": 1, "Cl": -1})
    text = str(CifWriter(structure)).replace("\n", "\r\n")
    cell = parse_p1_dump(text)
    assert sorted(cell.atomic_numbers.tolist()) == [11] * 4 + [17] * 4


def test_cif_with_symmetry_takes_the_general_path_to_the_same_crystal():
    structure = STRUCTURES["rock salt"]
    text = str(CifWriter(structure, symprec=0.01))
    assert parse_p1_dump(text) is None
    cell = parse_cif(text)
    assert len(cell) == 8
    assert cell.to_structure().matches(structure)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("_cell_length_a   5.64000000", "_cell_length_a   5.6400(2)"),
        ("  1  'x, y, z'\n", "  1  'x, y, z'\n  2  '-x, -y, -z'\n"),
        (" _atom_site_occupancy\n", " _atom_site_occupancy\n _atom_site_U\n"),
    ],
    ids=["uncertainty", "second operation", "further column"],
)
def test_fast_path_leaves_other_layouts_alone(before, after):
    text = str(CifWriter(STRUCTURES["rock salt"]))
    assert before in text
    assert parse_p1_dump(text.replace(before, after)) is None


def test_uncertainties_do_not_hinder_the_general_path():
    text = str(CifWriter(STRUCTURES["rock salt"]))
    text = text.replace("_cell_length_a   5.64000000", "_cell_length_a   5.6400(2)")
    assert_same_atoms(parse_cif(text), Structure.from_str(text, fmt="cif"))


@pytest.mark.parametrize(
    ("species", "reason"),
    [
        ({"Fe": 0.5, "Ni": 0.5}, RefusalReason.DISORDERED),
        ({"Fe": 0.9}, RefusalReason.PARTIALLY_OCCUPIED),
    ],
    ids=["shared site", "vacancy"],
)
def test_disorder_in_a_cif_is_refused(species, reason):
    disordered = Structure(Lattice.cubic(3), [species], [[0, 0, 0]])
    assert parse_cif(str(CifWriter(disordered))).reason is reason


@pytest.mark.parametrize(
    "text",
    [
        "data_nothing\n",
        "data_x\n_cell_length_a 3\n",
        str(CifWriter(STRUCTURES["rock salt"]))[:-30],
        str(CifWriter(STRUCTURES["rock salt"])).replace("5.64000000", "wide"),
        str(CifWriter(STRUCTURES["rock salt"])).replace("90.00000000", "0.0"),
        "\0\1\2",
    ],
    ids=["no cell", "no atoms", "cut off", "no number", "no angle", "binary"],
)
def test_unreadable_cif_is_refused_with_a_message(text):
    refusal = parse_cif(text)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is RefusalReason.UNREADABLE
    assert "\n" not in refusal.message


def test_cif_of_two_structures_is_ambiguous():
    text = "".join(
        str(CifWriter(STRUCTURES[name])) for name in ("wurtzite", "rock salt")
    )
    refusal = parse_cif(text)
    assert refusal.reason is RefusalReason.UNREADABLE
    assert "2 structures" in refusal.message


def test_lattice_is_placed_as_pymatgen_places_it():
    parameters = (4.1, 5.2, 6.3, 81.0, 97.0, 113.0)
    ours = lattice_from_parameters(parameters[:3], parameters[3:])
    np.testing.assert_allclose(ours, Lattice.from_parameters(*parameters).matrix)
    with pytest.raises(ValueError, match="No cell has the angles"):
        lattice_from_parameters((1, 1, 1), (0, 90, 90))


@pytest.mark.skipif("WYCKFLOW_DATA" not in os.environ, reason="WYCKFLOW_DATA not set")
@pytest.mark.parametrize("name", ["mp20_biternary_test", "mpts52_test", "wbm_train"])
def test_public_sets_are_read_by_the_fast_path_as_pymatgen_reads_them(name):
    path = Path(os.environ["WYCKFLOW_DATA"]) / f"{name}.csv.gz"
    with gzip.open(path, "rt") as stream:
        texts = [row["cif"] for row in csv.DictReader(stream)]
    for index in np.random.default_rng(0).choice(len(texts), 100, replace=False):
        cell = parse_p1_dump(texts[index])
        assert cell is not None
        assert_same_atoms(cell, Structure.from_str(texts[index], fmt="cif"))
