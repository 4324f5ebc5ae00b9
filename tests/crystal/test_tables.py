"""Space groups, Wyckoff positions and normalizers, against spglib, pyxtal, pymatgen."""

import itertools
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from wyckflow.crystal._packed import pack_groups, read_groups
from wyckflow.crystal.tables import (
    ENANTIOMORPHS,
    WYCKOFF_LETTERS,
    CrystalSystem,
    NormalizerKind,
    load_space_group,
)
from wyckflow.errors import GeneError, UnknownWyckoffLetterError

NUMBERS = range(1, 231)
NEIGHBOURS = np.array(list(itertools.product(range(-3, 4), repeat=3)), float)
ORTHORHOMBIC = range(16, 75)


@pytest.fixture(scope="module")
def pyxtal_groups():
    from pyxtal.symmetry import Group

    return {number: Group(number) for number in NUMBERS}


@pytest.fixture(scope="module")
def pyxtal_sets():
    """What pyxtal lists: affine permutations for 16 to 74, else Euclidean ones."""
    import pyxtal

    path = Path(pyxtal.__file__).parent / "database" / "wyckoff_sets.json"
    return {
        int(number): table for number, table in json.loads(path.read_text()).items()
    }


def in_24ths(affine_matrices):
    """Return operators as a list of hashable exact blocks."""
    blocks = np.array([np.array(matrix, float)[:3] for matrix in affine_matrices])
    blocks[:, :, 3] *= 24
    exact = np.rint(blocks).astype(int)
    assert np.abs(blocks - exact).max() < 1e-6
    exact[:, :, 3] %= 24
    return [tuple(block.ravel().tolist()) for block in exact]


def blocks_of(rotations, translations):
    joined = np.concatenate([rotations, translations[:, :, None] % 24], axis=2)
    return [tuple(block.ravel().tolist()) for block in joined]


def random_point(position, rng):
    free = rng.uniform(0.05, 0.95, 3)
    return position.rotations[0] @ free + position.translations[0] / 24


def images_of(group, point):
    return group.rotations @ point + group.translations / 24


def n_distinct_images(group, point):
    """Count the orbit of a point through its stabiliser."""
    shift = images_of(group, point) - point
    is_fixed = np.abs(shift - np.round(shift)).max(axis=1) < 1e-6
    return len(shift) // is_fixed.sum()


def is_on(group, position, point):
    """Whether a point is on the subspace of a position and has its orbit size."""
    rotation, translation = position.rotations[0], position.translations[0] / 24
    complement = np.eye(3) - rotation @ np.linalg.pinv(rotation)
    lattice = np.unique(np.round(NEIGHBOURS @ complement.T, 6), axis=0)
    offsets = (images_of(group, point) % 1.0 - translation) @ complement.T
    distances = np.abs(offsets[:, None] + lattice).max(axis=2)
    on_subspace = distances.min() < 1e-5
    return on_subspace and n_distinct_images(group, point) == position.multiplicity


def test_operations_are_those_of_spglib(pyxtal_groups):
    import spglib

    for number in NUMBERS:
        group = load_space_group(number)
        database = spglib.get_symmetry_from_database(group.hall_number)
        kind = spglib.get_spacegroup_type(group.hall_number)
        spglib_blocks = np.concatenate(
            [database["rotations"], database["translations"][:, :, None]], axis=2
        )
        ours = blocks_of(group.rotations, group.translations)
        assert sorted(ours) == sorted(in_24ths(spglib_blocks)), number
        assert kind.number == number
        assert kind.international_short == group.symbol
        assert group.hall_number == pyxtal_groups[number].hall_number
        assert ours[0] == (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)


def test_setting_is_axis_b_cell_1_hexagonal_axes_origin_2():
    import spglib

    choices = Counter(
        spglib.get_spacegroup_type(load_space_group(number).hall_number).choice
        for number in NUMBERS
    )
    assert set(choices) == {"", "b", "b1", "H", "2"}
    assert choices["2"] == 24
    assert choices["H"] == 7


def test_every_position_is_that_of_pyxtal(pyxtal_groups):
    n_positions = 0
    for number in NUMBERS:
        group = load_space_group(number)
        theirs = pyxtal_groups[number].Wyckoff_positions[::-1]
        assert len(group.positions) == len(theirs)
        seen = Counter()
        for ours, their in zip(group.positions, theirs, strict=True):
            their.get_site_symmetry()
            assert ours.letter == their.letter
            assert ours.multiplicity == their.multiplicity
            assert ours.degrees_of_freedom == their.get_dof()
            assert ours.site_symmetry == their.site_symm
            assert ours.enumeration == seen[their.site_symm]
            assert ours.label == f"{their.multiplicity}{their.letter}"
            blocks = blocks_of(ours.rotations, ours.translations)
            expected = in_24ths([op.affine_matrix for op in their.ops])
            assert blocks[0] == expected[0]
            assert sorted(blocks) == sorted(expected)
            seen[their.site_symm] += 1
            n_positions += 1
    assert n_positions == 1731


def test_orbit_is_what_the_operations_make_of_its_first_point():
    rng = np.random.default_rng(0)
    for number in NUMBERS:
        group = load_space_group(number)
        for position in group.positions:
            free = rng.uniform(0.05, 0.95, 3)
            orbit = position.rotations @ free + position.translations / 24
            images = images_of(group, orbit[0])
            shift = images[:, None] - orbit
            is_same = np.abs(shift - np.round(shift)).max(axis=2) < 1e-6
            assert is_same.any(axis=1).all()
            assert (is_same.sum(axis=0) * len(orbit) == len(images)).all()
            assert n_distinct_images(group, orbit[0]) == position.multiplicity


@pytest.mark.parametrize(
    "number", [2, 15, 47, 64, 71, 107, 126, 136, 166, 191, 198, 221]
)
def test_spglib_names_the_positions_up_to_a_normalizing_permutation(number):
    import spglib

    group, rng = load_space_group(number), np.random.default_rng(number)
    system = group.crystal_system
    a, b, c = 9.0, 11.3, 13.9
    if system is not CrystalSystem.ORTHORHOMBIC and number > 74:
        b, c = a, a if system is CrystalSystem.CUBIC else c
    lattice = np.diag([a, b, c])
    if system in (CrystalSystem.TRIGONAL, CrystalSystem.HEXAGONAL):
        lattice[1] = [-a / 2, a * np.sqrt(3) / 2, 0]
    elif number <= 15:
        lattice[2, 0] = -2.1
        lattice[1, 0] = 1.2 if number <= 2 else 0.0
    coordinates, kinds = [], []
    for kind, position in enumerate(group.positions, 1):
        free = rng.uniform(0.05, 0.95, 3)
        orbit = position.rotations @ free + position.translations / 24
        coordinates.append(orbit)
        kinds += [kind] * len(orbit)
    dataset = spglib.get_symmetry_dataset(
        (lattice, np.concatenate(coordinates), kinds), hall_number=group.hall_number
    )
    named = dict(zip(kinds, dataset.wyckoffs, strict=True))
    image = [WYCKOFF_LETTERS.index(named[kind]) for kind in sorted(named)]
    assert image in group.euclidean.distinct_permutations.tolist()


def test_site_symmetry_and_enumeration_together_name_the_letter():
    for number in NUMBERS:
        positions = load_space_group(number).positions
        tokens = {(p.site_symmetry, p.enumeration) for p in positions}
        assert len(tokens) == len(positions)


def test_crystal_system_and_free_lattice_parameters():
    from pymatgen.symmetry.groups import SpaceGroup as PymatgenSpaceGroup

    basis = np.zeros((6, 3, 3))
    for row, (i, j) in enumerate(itertools.combinations_with_replacement(range(3), 2)):
        basis[row, i, j] = basis[row, j, i] = 1
    for number in NUMBERS:
        group = load_space_group(number)
        theirs = PymatgenSpaceGroup.from_int_number(number).crystal_system
        assert group.crystal_system == theirs
        # Metrics that every rotation keeps form a space of this dimension.
        turned = np.einsum("nki,bkl,nlj->nbij", group.rotations, basis, group.rotations)
        change = (turned - basis).transpose(0, 2, 3, 1).reshape(-1, 6)
        free = 6 - np.linalg.matrix_rank(change)
        assert group.lattice_degrees_of_freedom == free


def test_the_27th_letter_is_a_capital():
    group = load_space_group(47)
    assert group.positions[-1].letter == "A"
    assert group.position("A").degrees_of_freedom == 3
    assert group.letters == WYCKOFF_LETTERS


@pytest.mark.parametrize("letter", ["d", "A", "", "ab", "1"])
def test_unknown_letter_names_those_that_exist(letter):
    with pytest.raises(UnknownWyckoffLetterError, match=r"P2_1/c.*a, b, c, d, e"):
        load_space_group(14).position(letter if letter != "d" else "f")


@pytest.mark.parametrize("number", [0, 231, -1, 2.5, "225", None])
def test_a_number_outside_1_to_230_is_refused(number):
    with pytest.raises(GeneError, match="from 1 to 230"):
        load_space_group(number)


def test_a_group_is_loaded_once_and_cannot_be_changed():
    group = load_space_group(225)
    assert load_space_group(np.int64(225)) is group
    for array in (
        group.rotations,
        group.positions[0].translations,
        group.affine.permutations,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_normalizer_operators_carry_the_group_onto_itself():
    for number in NUMBERS:
        group = load_space_group(number)
        own = set(blocks_of(group.rotations, group.translations))
        for rotation, translation in zip(
            group.affine.rotations, group.affine.translations, strict=True
        ):
            inverse = np.rint(np.linalg.inv(rotation)).astype(int)
            assert (rotation @ inverse == np.eye(3)).all()
            conjugate = rotation @ group.rotations @ inverse
            shift = (
                group.translations @ rotation.T + translation - conjugate @ translation
            )
            assert set(blocks_of(conjugate, shift)) == own, number


def test_normalizer_operators_carry_positions_where_their_permutation_says():
    rng = np.random.default_rng(1)
    for number in NUMBERS:
        group = load_space_group(number)
        normalizer = group.affine
        for index, position in enumerate(group.positions):
            point = random_point(position, rng)
            images = normalizer.rotations @ point + normalizer.translations / 24
            for image, letter in zip(
                images, normalizer.permutations[:, index], strict=True
            ):
                assert is_on(group, group.positions[letter], image)


def test_euclidean_operators_lie_in_different_cosets():
    for number in NUMBERS:
        group = load_space_group(number)
        kinds = [group.euclidean] + [group.affine] * (number > 15)
        for normalizer in kinds:
            rotations = normalizer.rotations[:, None] @ group.rotations
            shifts = normalizer.rotations[:, None] @ group.translations[..., None]
            shifts = shifts[..., 0] + normalizer.translations[:, None]
            products = blocks_of(rotations.reshape(-1, 3, 3), shifts.reshape(-1, 3))
            assert len(set(products)) == len(products)


def test_euclidean_operators_keep_every_metric_of_the_system():
    rng = np.random.default_rng(2)
    for number in NUMBERS:
        group = load_space_group(number)
        seed = rng.normal(size=(3, 3))
        seed = seed @ seed.T
        turn = group.rotations
        metric = (turn.transpose(0, 2, 1) @ seed @ turn).mean(axis=0)
        if 75 <= number <= 194:  # any metric of the holohedry, not of the point group
            axes = [0.7, 0.7, 1.3]
            metric = np.diag(axes)
            if number >= 143:
                metric[0, 1] = metric[1, 0] = -0.35
        own = group.euclidean.rotations
        assert np.allclose(own.transpose(0, 2, 1) @ metric @ own, metric)


def test_permutations_are_groups_that_keep_multiplicity_and_freedom():
    rng = np.random.default_rng(4)
    for number in NUMBERS:
        group = load_space_group(number)
        kept = np.array(
            [(p.multiplicity, p.degrees_of_freedom) for p in group.positions]
        )
        symmetries = np.array([p.site_symmetry for p in group.positions])
        for normalizer in (group.euclidean, group.affine):
            permutations = normalizer.distinct_permutations
            assert (permutations[0] == np.arange(len(kept))).all()
            assert (kept[permutations] == kept).all()
            # One number per permutation tells whether every product is in the set.
            names = rng.integers(1 << 58, size=len(kept))
            known = np.sort(permutations @ names)
            products = permutations[:, permutations] @ names
            assert len(np.unique(known)) == len(known)
            assert np.isin(products, known).all()
        euclidean = group.euclidean.distinct_permutations
        assert (symmetries[euclidean] == symmetries).all()


def test_affine_begins_with_euclidean_and_equals_it_from_75_on():
    for number in NUMBERS:
        group = load_space_group(number)
        n_euclidean = len(group.euclidean)
        for name in ("rotations", "translations", "permutations"):
            part = getattr(group.affine, name)[:n_euclidean]
            assert (part == getattr(group.euclidean, name)).all()
        assert (group.affine.rotations[0] == np.eye(3)).all()
        assert not group.affine.translations[0].any()
        if number > 74:
            assert len(group.affine) == n_euclidean


def test_augmentation_is_affine_for_orthorhombic_groups_only():
    for number in NUMBERS:
        group = load_space_group(number)
        chosen = group.normalizer(NormalizerKind.AUGMENTATION)
        assert chosen is (group.affine if number in ORTHORHOMBIC else group.euclidean)
        assert len(chosen.distinct_permutations) <= 48


def test_permutation_sets_and_cosets_are_those_of_pyxtal(pyxtal_sets):
    for number in NUMBERS:
        normalizer = load_space_group(number).normalizer(NormalizerKind.AUGMENTATION)
        table = pyxtal_sets[number]
        theirs = {
            tuple(WYCKOFF_LETTERS.index(letter) for letter in row.split())
            for row in table["Transformed WP"]
        }
        ours = {tuple(row) for row in normalizer.distinct_permutations.tolist()}
        assert ours == theirs
        assert len(normalizer) == len(table["Transformed WP"])


def test_inversion_centres_of_p_1bar_are_permuted_as_points_of_a_binary_space():
    # Eight centres at multiples of one half: the affine group AGL(3, 2) acts on them.
    group = load_space_group(2)
    n_affine = 8 * (8 - 1) * (8 - 2) * (8 - 4)
    assert len(group.affine.distinct_permutations) == n_affine
    assert len(group.euclidean.distinct_permutations) == 8


def test_enantiomorphs_share_their_letters_through_the_inversion():
    import spglib

    rng = np.random.default_rng(3)
    assert len(ENANTIOMORPHS) == 11
    for upper, lower in ENANTIOMORPHS.items():
        right, left = load_space_group(upper), load_space_group(lower)
        mirrored = blocks_of(right.rotations, -right.translations)
        assert sorted(mirrored) == sorted(blocks_of(left.rotations, left.translations))
        points = [random_point(position, rng) for position in right.positions]
        image = [
            next(i for i, p in enumerate(left.positions) if is_on(left, p, -point))
            for point in points
        ]
        assert image in left.euclidean.distinct_permutations.tolist()
        halls = [spglib.get_spacegroup_type(g.hall_number) for g in (right, left)]
        assert halls[0].pointgroup_international == halls[1].pointgroup_international


@pytest.mark.skipif(
    "WYCKFLOW_ORACLES" not in os.environ,
    reason="set WYCKFLOW_ORACLES to the folder of the independent normalizer tables",
)
def test_normalizers_are_those_of_the_oracle_files():
    folder = Path(os.environ["WYCKFLOW_ORACLES"])
    halls = json.loads((folder / "hall_std.json").read_text())
    letters = json.loads((folder / "letter_perms.json").read_text())
    cosets = json.loads((folder / "normalizer_cosets_24.json").read_text())
    for number in NUMBERS:
        group = load_space_group(number)
        assert group.hall_number == halls[number - 1]
        for kind, normalizer in (("euclid", group.euclidean), ("affine", group.affine)):
            expected = {
                tuple(WYCKOFF_LETTERS.index(letter) for letter in row.split())
                for row in letters[kind][str(number)]
            }
            ours = {tuple(row) for row in normalizer.distinct_permutations.tolist()}
            assert ours == expected
        assert_same_cosets(group, cosets[str(number)])


def assert_same_cosets(group, expected):
    """Each expected operator is ours times an operation, with the same permutation."""
    free = (group.rotations == np.eye(3)).all(axis=0)
    polar = free.all(axis=0) & free.all(axis=1)
    found = {}
    normalizer = group.normalizer(NormalizerKind.AUGMENTATION)
    for index, (rotation, translation) in enumerate(
        zip(normalizer.rotations, normalizer.translations, strict=True)
    ):
        shift = group.translations @ rotation.T + translation
        shift[:, polar] = 0
        found |= dict.fromkeys(blocks_of(rotation @ group.rotations, shift), index)
    matched = set()
    for rotation, translation, letters in expected:
        shift = np.where(polar, 0, translation)
        (block,) = blocks_of(np.reshape(rotation, (1, 3, 3)), shift[None])
        matched.add(found[block])
        permutation = normalizer.permutations[found[block]]
        assert "".join(WYCKOFF_LETTERS[i] for i in permutation) == letters
    assert matched == set(range(len(normalizer)))


@pytest.mark.slow
def test_the_packaged_file_is_what_the_generator_derives():
    from wyckflow.crystal._generate.table import generate_group

    derived = pack_groups([generate_group(number) for number in NUMBERS])
    packaged = pack_groups(read_groups())
    assert derived.keys() == packaged.keys()
    for name, array in derived.items():
        assert array.dtype == packaged[name].dtype, name
        assert np.array_equal(array, packaged[name]), name


def test_the_generator_derives_the_same_group_again():
    from wyckflow.crystal._generate.table import generate_group

    for number in (5, 47, 155, 227):
        derived, packaged = generate_group(number), read_groups()[number - 1]
        assert derived.symbol == packaged.symbol
        assert derived.site_symmetries == packaged.site_symmetries
        for name in ("operations", "representatives", "normalizer", "permutations"):
            assert np.array_equal(getattr(derived, name), getattr(packaged, name))
