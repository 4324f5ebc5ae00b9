"""Genes of structures, against spglib, moyopy, PyXtal and textbooks."""

from __future__ import annotations

import csv
import gzip
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import spglib
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from wyckflow.crystal import encode
from wyckflow.crystal.cell import Refusal, RefusalReason, cell_volume, make_cell
from wyckflow.crystal.cif import parse_cif
from wyckflow.crystal.elements import ATOMIC_NUMBERS, SYMBOLS
from wyckflow.crystal.encode import (
    EncodedStructure,
    Engine,
    encode_structure,
    encode_structures,
)
from wyckflow.crystal.equivalence import canonical_gene
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.tables import ENANTIOMORPHS, load_space_group
from wyckflow.errors import ConfigurationError

# Prototypes with the sites that textbooks give them.
TEXTBOOK = {
    "225 Na:a Cl:b": (Lattice.cubic(5.64), [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "216 Zn:a S:c": (Lattice.cubic(5.41), [[0, 0, 0], [0.25, 0.25, 0.25]]),
    "227 Mg:a Al:d O:e": (
        Lattice.cubic(8.08),
        [[0.125, 0.125, 0.125], [0.5, 0.5, 0.5], [0.2624, 0.2624, 0.2624]],
    ),
    "221 Sr:a Ti:b O:c": (
        Lattice.cubic(3.9),
        [[0, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.5]],
    ),
    "136 Ti:a O:f": (Lattice.tetragonal(4.59, 2.96), [[0, 0, 0], [0.305, 0.305, 0]]),
    "141 Ti:a O:e": (
        Lattice.tetragonal(3.78, 9.51),
        [[0, 0.75, 0.125], [0, 0.25, 0.0816]],
    ),
    "186 Zn:b O:b": (
        Lattice.hexagonal(3.25, 5.2),
        [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]],
    ),
    "166 Bi:c Te:a,c": (
        Lattice.hexagonal(4.38, 30.5),
        [[0, 0, 0.4], [0, 0, 0], [0, 0, 0.21]],
    ),
    "62 Ca:c Ti:b O:c,d": (
        Lattice.orthorhombic(5.44, 7.64, 5.38),
        [
            [0.036, 0.25, 0.993],
            [0, 0, 0.5],
            [0.484, 0.25, 0.071],
            [0.288, 0.037, 0.711],
        ],
    ),
}


def lattice_of(group, rng):
    """A conventional cell of the crystal system of a group."""
    a, b, c = rng.uniform(9, 14, 3)
    match group.crystal_system:
        case "triclinic":
            return Lattice.from_parameters(a, b, c, 81, 97, 106).matrix
        case "monoclinic":
            return Lattice.monoclinic(a, b, c, 104).matrix
        case "orthorhombic":
            return np.diag([a, b, c])
        case "tetragonal":
            return np.diag([a, a, c])
        case "cubic":
            return np.diag([a, a, a])
        case _:
            return Lattice.hexagonal(a, c).matrix


def orbit(rotations, translations, point):
    """All different images of a point under operations."""
    images = (rotations @ point + translations) % 1
    kept = []
    for image in images:
        shifts = np.array([image - other for other in kept]).reshape(-1, 3)
        if not (np.abs(shifts - np.rint(shifts)) < 1e-6).all(axis=1).any():
            kept.append(image)
    return kept


def textbook_structure(text):
    """The conventional cell of a prototype, by spglib's operations."""
    gene = WyckoffGene.from_text(text)
    operations = spglib.get_symmetry_from_database(gene.space_group.hall_number)
    lattice, points = TEXTBOOK[text]
    species, coordinates = [], []
    for site, point in zip(gene.sites, points, strict=True):
        images = orbit(operations["rotations"], operations["translations"], point)
        species += [site.element] * len(images)
        coordinates += images
    return Structure(lattice, species, coordinates)


def crystal_of(number, seed=0):
    """A crystal of a space group, made with spglib's operations in our setting."""
    rng = np.random.default_rng([number, seed])
    group = load_space_group(number)
    operations = spglib.get_symmetry_from_database(group.hall_number)
    lattice = lattice_of(group, rng)
    while True:
        points = [rng.uniform(0, 1, 3), rng.integers(0, 4, 3) / 4, rng.uniform(0, 1, 3)]
        points[2][rng.permutation(3)[:2]] = rng.integers(0, 4, 2) / 4
        coordinates, numbers = [], []
        for atomic_number, point in zip((14, 20, 8), points, strict=True):
            images = orbit(operations["rotations"], operations["translations"], point)
            coordinates += images
            numbers += [atomic_number] * len(images)
        cell = make_cell(lattice, coordinates, numbers)
        if encode.check_cell(cell) is None:
            return cell


def reentered(cell, seed, *, mirror):
    """The same crystal in another cell, order, origin and orientation."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(3, dtype=int)
    for _ in range(4):
        first, second = rng.permutation(3)[:2]
        matrix[first] += rng.integers(-1, 2) * matrix[second]
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    if (np.linalg.det(rotation) < 0) != mirror:
        rotation = -rotation
    order = rng.permutation(len(cell))
    coordinates = cell.coordinates @ np.linalg.inv(matrix) + rng.uniform(0, 1, 3)
    return make_cell(
        matrix @ cell.lattice @ rotation,
        coordinates[order] + rng.integers(-1, 2, (len(cell), 3)),
        cell.atomic_numbers[order],
    )


def gene_by_spglib(cell, symprec):
    """The gene by spglib's own letters in our setting, orbit by orbit."""
    arrays = (cell.lattice, cell.coordinates, cell.atomic_numbers)
    number = spglib.get_symmetry_dataset(arrays, symprec=symprec).number
    dataset = spglib.get_symmetry_dataset(
        arrays, symprec=symprec, hall_number=load_space_group(number).hall_number
    )
    symbols = [SYMBOLS[z - 1] for z in cell.atomic_numbers.tolist()]
    return WyckoffGene.from_pairs(
        number,
        [
            (symbols[atom], dataset.wyckoffs[atom])
            for atom in dict.fromkeys(dataset.crystallographic_orbits.tolist())
        ],
    )


def lower_of_pair(number):
    return ENANTIOMORPHS.get(number, number)


@pytest.fixture(params=list(Engine))
def engine(request):
    if request.param is Engine.MOYOPY:
        pytest.importorskip("moyopy", reason="moyopy is not installed")
    return request.param


@pytest.mark.parametrize("text", TEXTBOOK)
def test_prototype_has_the_sites_of_the_textbook(text, engine):
    gene = WyckoffGene.from_text(text)
    structure = textbook_structure(text)
    encoded = encode_structure(structure, engine=engine)
    assert isinstance(encoded, EncodedStructure)
    assert canonical_gene(encoded.gene) == canonical_gene(gene)
    assert encoded.n_atoms == len(structure) == gene.n_sites


@pytest.mark.parametrize("number", range(1, 231))
def test_gene_is_that_of_spglib_called_in_our_setting(number):
    cell = crystal_of(number)
    encoded = encode_structure(cell, symprec=0.001, with_standard_cell=True)
    assert encoded.gene.space_group_number == number
    assert encoded.max_displacement < 1e-5
    assert canonical_gene(encoded.gene) == canonical_gene(gene_by_spglib(cell, 0.001))
    # Every operation that spglib lists for our setting takes atoms to atoms.
    operations = spglib.get_symmetry_from_database(load_space_group(number).hall_number)
    standard = encoded.standard_cell
    atoms = standard.to_cell()
    images = np.einsum("nij,aj->nai", operations["rotations"], standard.coordinates)
    images += operations["translations"][:, None]
    shifts = images[:, :, None] - atoms.coordinates
    shifts -= np.rint(shifts)
    is_met = np.linalg.norm(shifts @ atoms.lattice, axis=-1) < 1e-4
    elements = [ATOMIC_NUMBERS[site.element] for site in standard.gene.sites]
    is_met &= np.array(elements)[:, None] == atoms.atomic_numbers
    assert (is_met.sum(axis=-1) == 1).all()
    assert len(atoms) / len(cell) == pytest.approx(
        cell_volume(atoms.lattice) / cell_volume(cell.lattice), rel=1e-6
    )


@pytest.mark.parametrize(
    "number",
    [
        1,
        2,
        5,
        14,
        15,
        47,
        62,
        70,
        88,
        92,
        96,
        148,
        166,
        178,
        186,
        199,
        203,
        213,
        214,
        221,
        224,
        227,
        230,
    ],
)
def test_both_engines_find_the_same_arrangement(number):
    pytest.importorskip("moyopy", reason="moyopy is not installed")
    cell = crystal_of(number, seed=1)
    genes = [encode_structure(cell, symprec=0.001, engine=e).gene for e in Engine]
    assert canonical_gene(genes[0]) == canonical_gene(genes[1])


@settings(max_examples=150, deadline=None)
@given(
    number=st.integers(1, 230),
    seed=st.integers(0, 10**6),
    mirror=st.booleans(),
    engine=st.sampled_from(Engine),
)
def test_key_is_that_of_the_same_crystal_entered_in_another_way(
    number, seed, mirror, engine
):
    if engine is Engine.MOYOPY:
        pytest.importorskip("moyopy", reason="moyopy is not installed")
    cell = crystal_of(number)
    again = reentered(cell, seed, mirror=mirror)
    first = encode_structure(cell, symprec=0.001)
    second = encode_structure(
        again, symprec=0.001, engine=engine, with_standard_cell=True
    )
    assert canonical_gene(first.gene) == canonical_gene(second.gene)
    assert first.gene.gene_id == second.gene.gene_id
    assert np.linalg.det(second.standard_cell.lattice) > 0


@pytest.mark.parametrize("text", ["166 Bi:c Te:a,c", "62 Ca:c Ti:b O:c,d"])
def test_standard_cell_is_the_crystal_that_came(text, engine):
    gene = WyckoffGene.from_text(text)
    structure = textbook_structure(text)
    cell = reentered(encode.cell_from_structure(structure), 7, mirror=True)
    encoded = encode_structure(cell, engine=engine, with_standard_cell=True)
    standard = encoded.standard_cell
    assert standard.gene == encoded.gene
    assert standard.coordinates.shape == (gene.n_orbits, 3)
    assert StructureMatcher(scale=False).fit(
        structure, standard.to_cell().to_structure()
    )


def test_sites_of_the_standard_cell_lie_on_the_first_point_of_their_position():
    for number in (14, 62, 88, 166, 212, 227, 230):
        encoded = encode_structure(
            crystal_of(number), symprec=0.001, with_standard_cell=True
        )
        cell = encoded.standard_cell
        for position, point in zip(cell.gene.positions, cell.coordinates, strict=True):
            shift = (
                position.rotations[0] @ point + position.translations[0] / 24 - point
            )
            np.testing.assert_allclose(shift, np.rint(shift), atol=1e-9)


def test_supercell_does_not_split_orbits(engine):
    structure = textbook_structure("225 Na:a Cl:b")
    structure.make_supercell([[2, 0, 0], [0, 1, 0], [1, 0, 1]])
    encoded = encode_structure(structure, engine=engine)
    assert encoded.gene.n_orbits == 2
    assert encoded.gene.composition == {"Na": 4, "Cl": 4}


def test_noise_below_the_tolerance_is_removed_and_measured(engine):
    structure = textbook_structure("221 Sr:a Ti:b O:c")
    structure.perturb(0.02, seed=1)
    encoded = encode_structure(structure, engine=engine, with_standard_cell=True)
    expected = canonical_gene(WyckoffGene.from_text("221 Sr:a Ti:b O:c"))
    assert canonical_gene(encoded.gene) == expected
    assert 0.001 < encoded.max_displacement < 0.1
    exact = encode_structure(structure, symprec=0.001, engine=engine)
    assert exact.gene.space_group_number == 1


def test_genes_are_those_of_pyxtal():
    pyxtal = pytest.importorskip("pyxtal", reason="PyXtal is not installed")
    for number in (2, 14, 36, 62, 88, 122, 141, 167, 186, 203, 216, 227):
        cell = crystal_of(number, seed=2)
        crystal = pyxtal.pyxtal()
        crystal.from_seed(cell.to_structure(), tol=0.1)
        theirs = WyckoffGene.from_pairs(
            crystal.group.number,
            [(site.specie, site.wp.letter) for site in crystal.atom_sites],
        )
        ours = encode_structure(cell).gene
        assert canonical_gene(ours) == canonical_gene(theirs)


def test_structures_cells_and_tuples_are_alike_and_come_out_in_order():
    structure = crystal_of(62).to_structure()
    cell = encode.cell_from_structure(structure)
    arrays = (cell.lattice.tolist(), cell.coordinates.tolist(), cell.atomic_numbers)
    encoded = list(encode_structures([structure, cell, arrays], symprec=0.001))
    assert len({result.gene for result in encoded}) == 1


# --- refusals -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("structure", "reason"),
    [
        (
            Structure(3 * np.eye(3), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]]),
            RefusalReason.DISORDERED,
        ),
        (
            Structure(3 * np.eye(3), [{"Fe": 0.9}], [[0, 0, 0]]),
            RefusalReason.PARTIALLY_OCCUPIED,
        ),
        (
            Structure(3 * np.eye(3), ["Cf"], [[0, 0, 0]]),
            RefusalReason.UNSUPPORTED_ELEMENT,
        ),
        (
            Structure(3 * np.eye(3), ["Fe", "Fe"], [[0, 0, 0], [0.1, 0, 0]]),
            RefusalReason.OVERLAPPING_ATOMS,
        ),
        ((np.zeros((3, 3)), [[0, 0, 0]], [26]), RefusalReason.DEGENERATE_CELL),
    ],
    ids=["disorder", "vacancy", "element", "overlap", "no volume"],
)
def test_what_cannot_be_a_gene_is_refused(structure, reason, engine):
    refusal = encode_structure(structure, engine=engine)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason


def test_refusals_do_not_stop_the_others():
    good = crystal_of(14).to_structure()
    bad = Structure(3 * np.eye(3), [{"Fe": 0.5}], [[0, 0, 0]])
    kinds = [type(result) for result in encode_structures([bad, good, bad])]
    assert kinds == [Refusal, EncodedStructure, Refusal]


def fail_silently(*arguments):
    return None


def fail_loudly(*arguments):
    raise getattr(spglib, "SpglibError", RuntimeError)(
        "too close distance between atoms"
    )


@pytest.mark.parametrize("fail", [fail_silently, fail_loudly])
def test_failed_symmetry_search_is_a_refusal(monkeypatch, fail):
    monkeypatch.setattr(spglib, "get_symmetry_dataset", fail)
    refusal = encode_structure(crystal_of(14))
    assert refusal.reason is RefusalReason.SYMMETRY_NOT_FOUND


@pytest.mark.parametrize(
    "wrong",
    [{"letters": "z" * 40}, {"orbits": [0] * 40}],
    ids=["letter that does not exist", "all atoms in one orbit"],
)
def test_orbits_that_do_not_add_up_are_refused(monkeypatch, wrong):
    def find_symmetry(*arguments, **options):
        found = original(*arguments, **options)
        fields = {name: getattr(found, name) for name in found.__slots__}
        return type(found)(**(fields | wrong))

    original = encode.find_symmetry
    monkeypatch.setattr(encode, "find_symmetry", find_symmetry)
    refusal = encode_structure(crystal_of(14))
    assert refusal.reason is RefusalReason.INCONSISTENT_ORBITS


def test_missing_engine_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "moyopy", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'wyckflow\[fast\]'"):
        encode_structure(crystal_of(14), engine=Engine.MOYOPY)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="symprec"):
        encode_structure(crystal_of(1), symprec=0)
    with pytest.raises(ValueError, match="magic"):
        encode_structure(crystal_of(1), engine="magic")


# --- public data ----------------------------------------------------------------------


@pytest.mark.skipif("WYCKFLOW_DATA" not in os.environ, reason="WYCKFLOW_DATA not set")
@pytest.mark.parametrize("name", ["mp20_biternary_test", "mpts52_test"])
def test_public_sets_have_the_genes_of_spglib_and_moyopy(name):
    pytest.importorskip("moyopy", reason="moyopy is not installed")
    path = Path(os.environ["WYCKFLOW_DATA"]) / f"{name}.csv.gz"
    with gzip.open(path, "rt") as stream:
        texts = [row["cif"] for row in csv.DictReader(stream)]
    chosen = np.random.default_rng(1).choice(len(texts), 150, replace=False)
    disagreements = Counter()
    for index in chosen:
        cell = parse_cif(texts[index])
        by_spglib = encode_structure(cell, with_standard_cell=True)
        by_moyopy = encode_structure(cell, engine=Engine.MOYOPY)
        key = canonical_gene(by_spglib.gene)
        assert key == canonical_gene(gene_by_spglib(cell, 0.1))
        again = encode_structure(reentered(cell, index, mirror=bool(index % 2)))
        disagreements["reentered"] += canonical_gene(again.gene) != key
        if lower_of_pair(by_moyopy.gene.space_group_number) == key.space_group_number:
            assert canonical_gene(by_moyopy.gene) == key
        else:
            disagreements["space group"] += 1
    # Crystals at the edge of the tolerance can fall on either side of it.
    assert disagreements["reentered"] <= 1
    assert disagreements["space group"] <= 0.02 * len(chosen)
