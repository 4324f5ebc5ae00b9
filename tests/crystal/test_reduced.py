"""The reduced form: exact orbits, symmetric cells, and the way back from structures."""

import json

import numpy as np
import pytest
import spglib
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.equivalence import canonical_gene
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure, contact_radii
from wyckflow.crystal.tables import load_space_group
from wyckflow.errors import StructureError

NUMBERS = range(1, 231)

# One gene of every crystal system whose structures have no higher symmetry, several
# with two orbits of one element on one letter.
GENES = [
    "1 K:a Cl:a2",
    "2 Ti:a O:i2",
    "5 Na:a S:b,c",
    "14 Ti:a O:e2",
    "19 Si:a O:a2",
    "62 Ca:c Ti:b O:c,d",
    "70 Th:a Si:e S:h",
    "82 Zn:a Ga:b,c S:g",
    "88 Ca:b W:a O:f",
    "92 Si:a O:b",
    "141 Ti:a O:e",
    "146 K:a Cl:b2",
    "152 Si:a O:c",
    "166 Bi:c Te:a,c",
    "178 Sn:a F:c",
    "186 Zn:b2 S:b2",
    "198 Fe:a Si:a",
    "205 Fe:a S:c",
    "227 Mg:a Al:d O:e",
]
CHIRAL_PAIRS = [(76, 78), (92, 96), (144, 145), (152, 154), (178, 179), (212, 213)]


def lattice_of(space_group_number, rng):
    """Return a cell of the crystal system, built by pymatgen."""
    a, b, c = rng.uniform(6, 11, 3)
    if space_group_number <= 2:
        return Lattice.from_parameters(a, b, c, *rng.uniform(70, 110, 3))
    if space_group_number <= 15:
        return Lattice.monoclinic(a, b, c, rng.uniform(92, 120))
    if space_group_number <= 74:
        return Lattice.orthorhombic(a, b, c)
    if space_group_number <= 142:
        return Lattice.tetragonal(a, c)
    if space_group_number <= 194:
        return Lattice.hexagonal(a, c)
    return Lattice.cubic(a)


def random_structure(gene, seed):
    """Return random coordinates with no two atoms on top of each other."""
    rng = np.random.default_rng(seed)
    while True:
        lattice = lattice_of(gene.space_group_number, rng).matrix
        points = rng.uniform(0.04, 0.46, (gene.n_orbits, 3))
        structure = ReducedStructure(gene, lattice, points)
        if structure.contact_ratio() > 0.3:
            return structure


def in_another_setting(structure, seed):
    """Enter a structure anew: other cell, origin, orientation and order of atoms."""
    rng = np.random.default_rng(seed)
    while True:
        change = rng.integers(-1, 2, (3, 3))
        if round(np.linalg.det(change)) == 1:
            break
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    lattice = change @ structure.lattice.matrix @ rotation
    coordinates = structure.frac_coords @ np.linalg.inv(change) + rng.random(3)
    order = rng.permutation(len(structure))
    species = [structure[int(k)].specie for k in order]
    return Structure(lattice, species, coordinates[order])


def sorted_points(points):
    """Round points modulo 1 so that two orbits can be compared as sets."""
    wrapped = np.round(points % 1.0, 6) % 1.0
    return wrapped[np.lexsort(wrapped.T)]


def shortest_over_radii(structure, radii):
    """Return the smallest contact with pymatgen's neighbour search."""
    centres, others, _, distances = structure.get_neighbor_list(8.0)
    return (distances / (radii[centres] + radii[others])).min()


@pytest.fixture(scope="module")
def operations():
    """The operations of the standard settings, as spglib lists them."""
    return {
        number: spglib.get_symmetry_from_database(load_space_group(number).hall_number)
        for number in NUMBERS
    }


# --- expansion ------------------------------------------------------------------------


def test_every_orbit_is_what_spglibs_operations_make_of_its_first_atom(operations):
    rng = np.random.default_rng(1)
    n_positions = 0
    for number in NUMBERS:
        group, operators = load_space_group(number), operations[number]
        lattice = lattice_of(number, rng).matrix
        for position in group.positions:
            gene = WyckoffGene.from_pairs(number, [("Si", position.letter)])
            reduced = ReducedStructure(gene, lattice, rng.uniform(0.03, 0.97, (1, 3)))
            points, numbers = reduced.expand()
            images = points[0] @ operators["rotations"].transpose(0, 2, 1)
            images += operators["translations"]
            expected = np.unique(sorted_points(images), axis=0)
            found = sorted_points(points)
            assert len(points) == len(numbers) == position.multiplicity
            assert found.shape == expected.shape, (number, position.letter)
            # Compared modulo 1: a coordinate near 0 may come out near 1.
            gaps = np.abs(found[:, None] - expected[None])
            gaps = np.minimum(gaps, 1 - gaps).max(axis=2)
            assert gaps.min(axis=1).max() < 1e-5, (number, position.letter)
            assert gaps.min(axis=0).max() < 1e-5, (number, position.letter)
            n_positions += 1
    assert n_positions == 1731


def test_cell_is_invariant_under_spglibs_rotations_in_all_groups(operations):
    rng = np.random.default_rng(2)
    for number in NUMBERS:
        gene = WyckoffGene.from_pairs(
            number, [("Si", load_space_group(number).positions[-1].letter)]
        )
        noisy = lattice_of(number, rng).matrix * rng.normal(1, 1e-4, (3, 1))
        lattice = ReducedStructure(gene, noisy, np.full((1, 3), 0.1)).lattice
        metric = lattice @ lattice.T
        for rotation in operations[number]["rotations"]:
            assert np.allclose(rotation.T @ metric @ rotation, metric, atol=1e-10)
        assert np.allclose(lattice, noisy, rtol=2e-3, atol=2e-2) or number <= 15
        assert lattice[0, 1] == lattice[0, 2] == lattice[1, 2] == 0


def test_right_angles_and_equal_lengths_are_exact():
    gene = WyckoffGene.from_text("221 Ca:a Ti:b O:c")
    noisy = Lattice.from_parameters(4.0, 4.001, 3.999, 90.02, 89.99, 90.0).matrix
    lattice = ReducedStructure(gene, noisy, np.zeros((3, 3))).lattice
    assert np.count_nonzero(lattice) == 3
    assert lattice[1, 1] == pytest.approx(lattice[0, 0], abs=1e-14)
    assert lattice[0, 0] == pytest.approx(4.0, abs=1e-3)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(text=st.sampled_from(GENES), seed=st.integers(0, 10**6))
def test_whole_numbers_added_to_free_coordinates_change_nothing(text, seed):
    reduced = random_structure(WyckoffGene.from_text(text), seed)
    shifts = np.random.default_rng(seed).integers(-3, 4, reduced.parameters.shape)
    moved = ReducedStructure(reduced.gene, reduced.lattice, reduced.parameters + shifts)
    here, there = reduced.expand()[0], moved.expand()[0]
    difference = here - there
    assert np.abs(difference - np.rint(difference)).max() < 1e-9


def test_coordinates_that_do_not_enter_are_dropped():
    gene = WyckoffGene.from_text("141 Ti:a O:e")
    lattice = Lattice.tetragonal(3.8, 9.6).matrix
    first = ReducedStructure(gene, lattice, [[0.3, 0.4, 0.5], [0.1, 0.2, 0.208]])
    second = ReducedStructure(gene, lattice, [[0, 0, 0], [0, 0, 0.208]])
    assert first == second
    assert hash(first) == hash(second)
    assert first.free_parameters.tolist() == [0.208]


@pytest.mark.parametrize("text", GENES)
def test_free_parameters_are_as_many_as_the_gene_says_and_can_be_replaced(text):
    reduced = random_structure(WyckoffGene.from_text(text), 5)
    free = reduced.free_parameters
    assert len(free) == reduced.gene.positional_degrees_of_freedom
    assert reduced.with_values(free_parameters=free) == reduced
    moved = reduced.with_values(free_parameters=free + 0.01)
    assert np.allclose((moved.free_parameters - free) % 1, 0.01)
    grown = reduced.with_values(lattice=reduced.lattice * 1.1)
    assert grown.volume == pytest.approx(reduced.volume * 1.331)


def test_arrays_cannot_be_changed_from_outside():
    lattice = Lattice.cubic(4.2).matrix.copy()
    gene = WyckoffGene.from_text("225 Na:a Cl:b")
    reduced = ReducedStructure(gene, lattice, np.zeros((2, 3)))
    lattice[0, 0] = 100.0
    assert reduced.lattice[0, 0] == pytest.approx(4.2)
    with pytest.raises(ValueError, match="read-only"):
        reduced.lattice[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        reduced.orbit_table.rotations[0, 0] = 1.0


def test_rock_salt_has_the_distances_of_rock_salt():
    gene = WyckoffGene.from_text("225 Na:a Cl:b")
    structure = ReducedStructure(
        gene, 5.64 * np.eye(3), np.zeros((2, 3))
    ).to_structure()
    assert structure.composition.reduced_formula == "NaCl"
    assert len(structure) == 8
    assert StructureMatcher(scale=False).fit(
        structure,
        Structure.from_spacegroup(
            "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
        ),
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(text=st.sampled_from(GENES), seed=st.integers(0, 10**6))
def test_contact_ratio_is_that_of_pymatgens_neighbours(text, seed):
    reduced = random_structure(WyckoffGene.from_text(text), seed)
    radii = contact_radii(reduced.gene)[reduced.orbit_table.site_indices]
    expected = shortest_over_radii(reduced.to_structure(), radii)
    assert reduced.contact_ratio() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("lengths", "angles"),
    [
        ((3, 9, 9), (60, 35, 35)),
        ((2.5, 20, 20), (20, 80, 85)),
        ((9, 9, 9), (28, 28, 28)),
        ((2.6, 2.6, 30), (140, 100, 110)),
    ],
    ids=["oblique", "flat", "needle", "obtuse"],
)
def test_contact_ratio_sees_all_images_in_skewed_cells(lengths, angles):
    gene = WyckoffGene.from_text("1 K:a Cl:a2")
    lattice = Lattice.from_parameters(*lengths, *angles).matrix
    lattice = lattice * np.sign(np.linalg.det(lattice))
    for seed in range(20):
        points = np.random.default_rng(seed).random((3, 3))
        reduced = ReducedStructure(gene, lattice, points)
        expected = shortest_over_radii(reduced.to_structure(), contact_radii(gene))
        assert reduced.contact_ratio() == pytest.approx(expected, rel=1e-6)


# --- from structures ------------------------------------------------------------------


@pytest.mark.parametrize("text", GENES)
@pytest.mark.parametrize("seed", [1, 2])
def test_structure_in_any_setting_comes_back_with_the_gene_asked_for(text, seed):
    gene = WyckoffGene.from_text(text)
    reduced = random_structure(gene, seed)
    structure = in_another_setting(reduced.to_structure(), seed)
    back = ReducedStructure.from_structure(structure, gene, symprec=1e-3)
    assert back.gene == gene
    assert back.volume == pytest.approx(reduced.volume)
    matcher = StructureMatcher(scale=False, ltol=0.01, stol=0.01, angle_tol=0.1)
    assert matcher.fit(structure, back.to_structure())


@pytest.mark.parametrize("text", GENES)
def test_gene_found_without_asking_is_equivalent(text):
    gene = WyckoffGene.from_text(text)
    structure = in_another_setting(random_structure(gene, 3).to_structure(), 7)
    primitive = structure.get_primitive_structure(tolerance=1e-3)
    found = ReducedStructure.from_structure(primitive, symprec=1e-3).gene
    assert canonical_gene(found) == canonical_gene(gene)


@pytest.mark.parametrize(("lower", "upper"), CHIRAL_PAIRS)
def test_mirror_image_is_described_by_the_gene_of_the_partner_group(lower, upper):
    general = load_space_group(upper).positions[-1].letter
    pairs = [("Si", general), ("O", general)]
    structure = random_structure(
        WyckoffGene.from_pairs(upper, pairs), 11
    ).to_structure()
    gene = WyckoffGene.from_pairs(lower, pairs)
    assert (
        spglib.get_symmetry_dataset(
            (structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers),
            symprec=1e-3,
        ).number
        == upper
    )
    back = ReducedStructure.from_structure(structure, gene, symprec=1e-3)
    assert back.gene == gene
    found = np.sort(back.to_structure().distance_matrix, axis=None)
    expected = np.sort(structure.distance_matrix, axis=None)
    assert np.allclose(found, expected, atol=1e-6)


def test_noise_below_symprec_is_taken_out():
    gene = WyckoffGene.from_text("227 Mg:a Al:d O:e")
    exact = ReducedStructure(gene, 8.08 * np.eye(3), [[0] * 3, [0] * 3, [0.263] * 3])
    noisy = exact.to_structure()
    noisy.perturb(0.004)
    back = ReducedStructure.from_structure(noisy, gene, symprec=0.1)
    assert back.contact_ratio() == pytest.approx(exact.contact_ratio(), abs=0.01)
    dataset = spglib.get_symmetry_dataset((back.lattice, *back.expand()), symprec=1e-6)
    assert dataset.number == 227


def test_gene_that_the_structure_does_not_have_is_refused():
    structure = random_structure(
        WyckoffGene.from_text("141 Ti:a O:e"), 1
    ).to_structure()
    with pytest.raises(StructureError, match="141 Ti"):
        ReducedStructure.from_structure(
            structure, WyckoffGene.from_text("225 Ti:a O:b")
        )
    with pytest.raises(StructureError, match="no change of axes"):
        ReducedStructure.from_structure(
            structure, WyckoffGene.from_text("141 Ti:c O:e")
        )


def test_disordered_structure_is_refused():
    structure = Structure(Lattice.cubic(3), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    with pytest.raises(StructureError, match="cannot be described by a gene"):
        ReducedStructure.from_structure(structure)


# --- wrong input ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lattice", "demand"),
    [
        ("221 Ca:a Ti:b O:c", Lattice.tetragonal(4, 5), "a = b = c"),
        ("141 Ti:a O:e", Lattice.orthorhombic(4, 5, 9), "a = b, alpha = beta"),
        ("166 Bi:c Te:a,c", Lattice.rhombohedral(6, 50), "gamma = 120"),
        (
            "62 Ca:c Ti:b O:c,d",
            Lattice.monoclinic(5, 6, 7, 100),
            "alpha = beta = gamma",
        ),
        (
            "14 Ti:a O:e2",
            Lattice.from_parameters(5, 6, 7, 100, 95, 90),
            "unique axis b",
        ),
    ],
    ids=["cubic", "tetragonal", "rhombohedral axes", "orthorhombic", "monoclinic"],
)
def test_cell_of_another_crystal_system_is_refused_with_what_is_needed(
    text, lattice, demand
):
    gene = WyckoffGene.from_text(text)
    with pytest.raises(StructureError, match=demand):
        ReducedStructure(gene, lattice.matrix, np.zeros((gene.n_orbits, 3)))


@pytest.mark.parametrize(
    ("lattice", "parameters", "message"),
    [
        (-4.0 * np.eye(3), np.zeros((2, 3)), "left-handed"),
        (np.ones((3, 3)), np.zeros((2, 3)), "flat"),
        (np.nan * np.eye(3), np.zeros((2, 3)), "not finite"),
        (4.0 * np.eye(3), np.full((2, 3), np.inf), "not finite"),
        (4.0 * np.eye(2), np.zeros((2, 3)), r"shape \(2, 2\)"),
        (4.0 * np.eye(3), np.zeros((3, 3)), "one row per site"),
    ],
    ids=["left-handed", "flat", "nan", "inf", "2x2", "rows"],
)
def test_arrays_that_cannot_be_are_refused(lattice, parameters, message):
    gene = WyckoffGene.from_text("225 Na:a Cl:b")
    with pytest.raises(StructureError, match=message):
        ReducedStructure(gene, lattice, parameters)


def test_wrong_number_of_free_parameters_is_refused():
    reduced = random_structure(WyckoffGene.from_text("141 Ti:a O:e"), 1)
    with pytest.raises(StructureError, match="1 free parameters"):
        reduced.with_values(free_parameters=[0.1, 0.2])


# --- stored form ----------------------------------------------------------------------


@pytest.mark.parametrize("text", GENES[:6])
def test_stored_form_survives_json_and_monty(text):
    from monty.json import MontyDecoder

    reduced = random_structure(WyckoffGene.from_text(text), 9)
    stored = json.dumps(reduced.as_dict())
    assert ReducedStructure.from_dict(json.loads(stored)) == reduced
    assert MontyDecoder().decode(stored) == reduced


def test_incomplete_stored_form_is_refused():
    stored = random_structure(WyckoffGene.from_text("141 Ti:a O:e"), 1).as_dict()
    del stored["lattice"]
    with pytest.raises(StructureError, match="without lattice"):
        ReducedStructure.from_dict(stored)


def test_comparison_with_something_else_is_false():
    reduced = random_structure(WyckoffGene.from_text("141 Ti:a O:e"), 1)
    assert reduced != "141 Ti:a O:e"
    assert reduced != random_structure(reduced.gene, 2)
