"""Crystals described otherwise: the same crystal, judged by other programs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wyckflow.crystal.elements import SYMBOLS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import canonical_keys, pack_genes
from wyckflow.crystal.tables import WYCKOFF_LETTERS, NormalizerKind, load_space_group
from wyckflow.ml.codec.sites import tensorise_genes
from wyckflow.ml.forward.atoms import expand
from wyckflow.ml.forward.crystals import (
    count_cosets,
    crystals_from_codes,
    crystals_from_dataset,
    crystals_from_genes,
    crystals_from_structures,
    join_crystals,
    move,
    random_cosets,
)
from wyckflow.ml.forward.moves import load_moves, load_stabilisers

# Groups whose published letter lists are not in the order of the published operators.
TRAPS = (
    *(16, 17, 22, 23, 24, 25, 27, 47, 48, 49, 58, 69, 70, 71, 73, 74),
    *(82, 119, 143, 149, 156, 158, 174, 187, 188, 196, 216),
)
NEEDS_DATA = pytest.mark.skipif(
    "WYCKFLOW_DATA" not in os.environ, reason="WYCKFLOW_DATA not set"
)


def to_structure(crystals, row):
    """The whole crystal as pymatgen has it."""
    from pymatgen.core.structure import Structure

    atoms = expand(crystals)
    some = slice(*atoms.offsets[row : row + 2])
    species = [SYMBOLS[number - 1] for number in atoms.atomic_numbers[some]]
    return Structure(crystals.lattices[row], species, atoms.coordinates[some])


def fingerprint(structure, reach=4.5):
    """Distances between atoms of the elements, the same for mirror images."""
    centers, others, _, distances = structure.get_neighbor_list(reach)
    numbers = np.array(structure.atomic_numbers)
    pairs = 200 * numbers[centers] + numbers[others]
    inside = distances < reach - 0.01
    order = np.lexsort((distances[inside].round(3), pairs[inside]))
    return pairs[inside][order], distances[inside][order]


def same_distances(one, two):
    (pairs, distances), (others, moved) = fingerprint(one), fingerprint(two)
    return np.array_equal(pairs, others) and np.allclose(distances, moved, atol=2e-3)


def spglib_operations(number):
    """The operations of the standard setting, from spglib's own tables."""
    import spglib

    found = spglib.get_symmetry_from_database(load_space_group(number).hall_number)
    return found["rotations"], found["translations"]


def orbit_of(number, point):
    """All images of a point in its cell."""
    rotations, translations = spglib_operations(number)
    images = rotations @ point + translations
    differences = images[:, None] - images
    differences -= np.rint(differences)
    is_same = (np.abs(differences) < 1e-6).all(axis=2)
    return images[is_same.argmax(axis=1) == np.arange(len(images))]


def cosets_of(crystals, row):
    """One crystal in all of its descriptions."""
    n = int(count_cosets(crystals)[row])
    return move(crystals.take(np.full(n, row)), np.arange(n))


def test_identity_changes_nothing(random_crystals):
    same = move(random_crystals, np.zeros(len(random_crystals), int))
    for name in ("letter_indices", "atomic_numbers", "coordinates", "lattices"):
        assert np.array_equal(getattr(same, name), getattr(random_crystals, name))


def test_atoms_are_those_of_the_structure(random_genes, make_structure):
    rng = np.random.default_rng(5)
    for gene in random_genes[::23]:
        reduced = make_structure(gene, rng)
        crystals = crystals_from_structures([reduced])
        coordinates, numbers = reduced.expand()
        ours = expand(crystals)
        assert sorted(ours.atomic_numbers) == sorted(numbers)
        difference = ours.coordinates[:, None] - coordinates
        difference -= np.rint(difference)
        is_there = (np.abs(difference) < 1e-8).all(axis=2)
        is_there &= ours.atomic_numbers[:, None] == numbers
        assert is_there.any(axis=1).all()
        assert is_there.any(axis=0).all()


@pytest.mark.parametrize("number", TRAPS)
def test_every_operator_of_the_traps_gives_the_same_crystal(number, random_crystals):
    row = int(np.flatnonzero(random_crystals.space_group_numbers == number)[0])
    moved = cosets_of(random_crystals, row)
    original = to_structure(random_crystals, row)
    for place in range(0, len(moved), max(1, len(moved) // 12)):
        assert same_distances(original, to_structure(moved, place)), place


def test_a_random_operator_of_every_group_gives_the_same_crystal(random_crystals):
    rng = np.random.default_rng(2)
    rows = np.flatnonzero(np.diff(expand(random_crystals).offsets) < 60)[::2]
    crystals = random_crystals.take(rows)
    moved = move(crystals, random_cosets(crystals, rng))
    assert len(np.unique(crystals.space_group_numbers)) > 120
    for row in range(len(crystals)):
        assert same_distances(to_structure(crystals, row), to_structure(moved, row))


def test_points_of_another_operator_would_give_another_crystal(make_structure):
    """The checks here can fail: letters of one operator, points of another."""
    gene = WyckoffGene.from_text("16 Ca:a Ti:q O:u")
    rng = np.random.default_rng(0)
    crystals = crystals_from_structures([make_structure(gene, rng)])
    moved = cosets_of(crystals, 0)
    wrong = replace(moved, coordinates=np.roll(moved.coordinates, 3, axis=0))
    original = to_structure(crystals, 0)
    rows = range(0, len(wrong), 4)
    same = [same_distances(original, to_structure(wrong, row)) for row in rows]
    assert sum(same) < len(same) / 4


@pytest.mark.slow
def test_all_operators_of_all_groups_give_the_same_crystal(random_crystals):
    sizes = np.diff(expand(random_crystals).offsets)
    for number in range(1, 231):
        rows = np.flatnonzero(random_crystals.space_group_numbers == number)
        row = int(rows[sizes[rows].argmin()])
        moved = cosets_of(random_crystals, row)
        original = to_structure(random_crystals, row)
        for place in range(len(moved)):
            assert same_distances(original, to_structure(moved, place)), (number, place)


@pytest.mark.parametrize("number", [2, 12, 16, 47, 62, 71, 82, 139, 164, 187, 216, 225])
def test_points_lie_on_their_letters(number, random_crystals):
    """Orbits of spglib's operations have the atoms that the letter says."""
    for row in np.flatnonzero(random_crystals.space_group_numbers == number):
        moved = cosets_of(random_crystals, int(row))
        places = np.unique(np.linspace(0, len(moved) - 1, 6).astype(int))
        some = moved.take(places)
        for site, crystal in enumerate(some.crystal_indices):
            group = load_space_group(int(some.space_group_numbers[crystal]))
            position = group.positions[some.letter_indices[site]]
            point = some.coordinates[site]
            assert len(orbit_of(group.number, point)) == position.multiplicity
            first = position.rotations[0] @ point + position.translations[0] / 24
            off = first - point
            assert np.abs(off - np.rint(off)).max() < 1e-8


@pytest.mark.parametrize("number", [16, 62, 139, 149, 216, 225])
def test_letters_are_those_that_pyxtal_finds(number, random_crystals):
    pyxtal = pytest.importorskip("pyxtal.symmetry")
    group = pyxtal.Group(number)
    row = int(np.flatnonzero(random_crystals.space_group_numbers == number)[1])
    moved = cosets_of(random_crystals, row)
    some = moved.take(np.unique(np.linspace(0, len(moved) - 1, 4).astype(int)))
    for index, point in zip(some.letter_indices, some.coordinates, strict=True):
        position = group.get_wyckoff_position(WYCKOFF_LETTERS[index])
        images = np.array([op.operate(point) for op in position.ops])
        off = images - point
        assert (np.abs(off - np.rint(off)) < 1e-6).all(axis=1).any()


def test_spglib_and_structure_matcher_find_the_same_crystal(make_structure):
    import spglib
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher(primitive_cell=False, attempt_supercell=False)
    rng = np.random.default_rng(8)
    texts = [
        "62 Ca:c Ti:b O:c O:d",
        "16 Li:a Na:e O:u",
        "216 Zn:a S:c F:e",
        "31 Li:a O:b",
    ]
    for gene in map(WyckoffGene.from_text, texts):
        crystals = crystals_from_structures([make_structure(gene, rng)])
        moved = cosets_of(crystals, 0)
        original = to_structure(crystals, 0)
        for row in range(0, len(moved), max(1, len(moved) // 4)):
            again = to_structure(moved, row)
            assert matcher.fit(original, again)
            cell = (moved.lattices[row], again.frac_coords, again.atomic_numbers)
            found = spglib.get_symmetry_dataset(cell, symprec=1e-4)
            assert found.number == gene.space_group_number


def test_keys_and_permutations_are_those_of_the_tables(random_crystals):
    rng = np.random.default_rng(3)
    moved = move(random_crystals, random_cosets(random_crystals, rng))
    before = canonical_keys(*random_crystals.sites.codes)
    assert np.array_equal(before, canonical_keys(*moved.sites.codes))
    tables = load_moves()
    for number in (16, 62, 225):
        normalizer = load_space_group(number).normalizer(NormalizerKind.AUGMENTATION)
        start, n = tables.starts[number], tables.counts[number]
        n_letters = normalizer.permutations.shape[1]
        ours = tables.letters[start : start + n, :n_letters]
        assert np.array_equal(ours, normalizer.permutations)


def test_moved_points_do_not_depend_on_the_way(random_crystals):
    """All descriptions of a described crystal are those of the crystal itself."""
    for row in range(0, len(random_crystals), 19):
        ways = cosets_of(random_crystals, row)
        again = cosets_of(ways, len(ways) - 1)
        assert sorted(map(summary, split(ways))) == sorted(map(summary, split(again)))


def split(crystals):
    return [crystals.take([row]) for row in range(len(crystals))]


def summary(crystal):
    points = np.round(crystal.coordinates, 4) % 1
    lattice = np.round(np.linalg.norm(crystal.lattices[0], axis=1), 6)
    return (
        tuple(crystal.letter_indices),
        tuple(points.ravel() + 0.0),
        tuple(lattice),
    )


def test_genes_move_without_cells(random_genes):
    crystals = crystals_from_genes(random_genes)
    assert not crystals.has_cells
    sites = tensorise_genes(random_genes)
    assert np.array_equal(crystals.sites.letter, sites.letter)
    assert np.array_equal(crystals.sites.atomic_number, sites.atomic_number)
    moved = move(crystals, count_cosets(crystals) - 1)
    assert np.isnan(moved.coordinates).all()
    assert np.array_equal(moved.sites.mask, sites.mask)


def test_packed_genes_may_have_their_sites_in_any_order(random_genes):
    numbers, codes = pack_genes(random_genes)
    shuffled = np.random.default_rng(0).permuted(codes, axis=1)
    first = crystals_from_codes(numbers, codes)
    second = crystals_from_codes(numbers, shuffled)
    for name in ("offsets", "atomic_numbers", "letter_indices"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_rows_are_taken_and_joined(random_crystals):
    first = random_crystals.take(np.arange(100))
    rest = random_crystals.take(np.arange(100, len(random_crystals)))
    joined = join_crystals([first, rest])
    assert np.array_equal(joined.coordinates, random_crystals.coordinates)
    assert np.array_equal(joined.offsets, random_crystals.offsets)
    backwards = random_crystals.take(np.arange(len(random_crystals))[::-1])
    assert backwards.space_group_numbers[0] == random_crystals.space_group_numbers[-1]
    assert not join_crystals([first.without_cells(), rest]).has_cells


def test_a_coset_that_there_is_not_is_refused(random_crystals):
    coset = np.zeros(len(random_crystals), int)
    coset[7] = 96
    with pytest.raises(ValueError, match="row 7"):
        move(random_crystals, coset)


def test_stabilisers_keep_the_first_point():
    maps = load_stabilisers()
    rng = np.random.default_rng(4)
    for number in range(1, 231, 7):
        for place, position in enumerate(load_space_group(number).positions):
            key = number * len(WYCKOFF_LETTERS) + place
            point = position.rotations[0] @ rng.random(3)
            point = point + position.translations[0] / 24
            which = np.arange(maps.counts[key]) + maps.starts[key]
            images = maps.apply(which, np.tile(point, (len(which), 1)))
            again = images @ position.rotations[0].T + position.translations[0] / 24
            off = again - images
            assert np.abs(off - np.rint(off)).max() < 1e-9
            assert len(which) >= 1


@NEEDS_DATA
@pytest.mark.parametrize("name", ["aflow/bulk_modulus_val", "mp20_biternary_test"])
def test_rows_of_the_data_are_the_same_crystals(name, tmp_path):
    import gzip

    import pandas as pd

    from wyckflow.crystal.dataset.importing import import_dataset

    path = Path(os.environ["WYCKFLOW_DATA"]) / f"{name}.csv.gz"
    with gzip.open(path) as stream:
        table = pd.read_csv(stream).sample(60, random_state=1)
    table.to_csv(tmp_path / "some.csv", index=False)
    dataset = import_dataset([tmp_path / "some.csv"], tmp_path / "some.npz").dataset
    crystals = crystals_from_dataset(dataset)
    moved = move(crystals, random_cosets(crystals, np.random.default_rng(0)))
    for row in range(len(crystals)):
        original = dataset.structure(row).to_structure()
        assert same_distances(original, to_structure(moved, row))
