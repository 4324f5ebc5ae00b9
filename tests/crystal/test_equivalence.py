"""Equivalent genes, keys, and the same crystal in another description."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wyckflow.crystal import WyckoffGene
from wyckflow.crystal.equivalence import (
    NormalizerKind,
    augment_structure,
    canonical_gene,
    equivalent_genes,
)
from wyckflow.crystal.keys import (
    anonymous_keys,
    canonical_keys,
    find_keys,
    gene_ids,
    key_genes,
    pack_genes,
    unpack_genes,
)
from wyckflow.crystal.tables import ENANTIOMORPHS, CrystalSystem, load_space_group
from wyckflow.errors import GeneError, StructureError


@st.composite
def genes(draw, elements=("Ca", "Ti", "O", "He")):
    """Any gene that can exist, of any space group."""
    group = load_space_group(draw(st.integers(1, 230)))
    letters = draw(st.lists(st.sampled_from(group.letters), min_size=1, max_size=8))
    fixed = {p.letter for p in group.positions if not p.degrees_of_freedom}
    kept = [x for i, x in enumerate(letters) if x not in fixed or x not in letters[:i]]
    pairs = [(draw(st.sampled_from(elements)), letter) for letter in kept]
    return WyckoffGene.from_pairs(group.number, pairs)


def random_genes(number, n_genes, seed, elements=("Ca", "O")):
    """Small genes of one group, many of them equivalent."""
    rng = np.random.default_rng(seed)
    group = load_space_group(number)
    made = []
    for _ in range(n_genes):
        size = min(int(rng.integers(1, 4)), len(group.letters))
        letters = rng.choice(list(group.letters), size, replace=False)
        chosen = rng.choice(elements, len(letters))
        pairs = list(zip(chosen.tolist(), letters.tolist(), strict=True))
        made.append(WyckoffGene.from_pairs(number, pairs))
    return made


def partition(labels):
    """Return which entries share a label, as labels counted from the first one on."""
    seen = {}
    return [seen.setdefault(label, len(seen)) for label in labels]


def texts(found):
    return {str(gene) for gene in found}


def test_rocksalt_and_perovskite_have_the_two_descriptions_of_the_textbooks():
    rocksalt = WyckoffGene.from_text("225 Na:a Cl:b")
    assert texts(equivalent_genes(rocksalt)) == {"225 Na:a Cl:b", "225 Na:b Cl:a"}
    perovskite = WyckoffGene.from_text("221 Ca:b Ti:a O:d")
    assert texts(equivalent_genes(perovskite)) == {
        "221 Ca:b Ti:a O:d",
        "221 Ca:a Ti:b O:c",
    }
    assert str(canonical_gene(perovskite)) == "221 Ca:a Ti:b O:c"


@pytest.mark.parametrize("number", [229, 230])
def test_groups_that_are_their_own_normalizer_leave_genes_alone(number):
    for gene in random_genes(number, 20, seed=number):
        for kind in NormalizerKind:
            assert equivalent_genes(gene, kind=kind) == (gene,)


def test_new_axes_give_an_orthorhombic_gene_other_letters_and_site_symmetries():
    gene = WyckoffGene.from_text("71 O:e")
    assert texts(equivalent_genes(gene)) == {"71 O:e", "71 O:f"}
    forms = equivalent_genes(gene, kind=NormalizerKind.AUGMENTATION)
    assert texts(forms) == {f"71 O:{letter}" for letter in "efghij"}
    assert {form.site_symmetries for form in forms} == {("2mm",), ("m2m",), ("mm2",)}


@given(genes())
def test_key_is_invariant_under_every_equivalent_form(gene):
    for kind in NormalizerKind:
        forms = equivalent_genes(gene, kind=kind)
        assert forms[0] == gene
        assert len(set(forms)) == len(forms)
        arrays = pack_genes(forms)
        assert len(set(canonical_keys(*arrays, kind=kind).tolist())) == 1
        assert len(set(anonymous_keys(*arrays, kind=kind).tolist())) == 1
        # What the affine normalizer holds together, it holds whatever the form.
        assert len(set(gene_ids(forms))) == 1


@given(genes())
def test_canonical_gene_is_one_of_the_forms_and_the_same_for_all(gene):
    for kind in NormalizerKind:
        forms = equivalent_genes(gene, kind=kind)
        chosen = canonical_gene(gene, kind=kind, fold_enantiomorphs=False)
        assert chosen in forms
        for form in forms[:: max(1, len(forms) // 10)]:
            same = canonical_gene(form, kind=kind, fold_enantiomorphs=False)
            assert same == chosen
    folded = canonical_gene(gene)
    assert canonical_gene(folded) == folded
    assert folded.gene_id == gene.gene_id


@given(genes(), st.permutations(["Ca", "Ti", "O", "He"]))
def test_anonymous_key_forgets_the_names_of_elements(gene, renamed):
    names = dict(zip(["Ca", "Ti", "O", "He"], renamed, strict=True))
    pairs = [(names[site.element], site.letter) for site in gene.sites]
    other = WyckoffGene.from_pairs(gene.space_group_number, pairs)
    keys = anonymous_keys(*pack_genes([gene, other]))
    assert keys[0] == keys[1]


@pytest.mark.parametrize("number", [1, 2, 10, 16, 47, 62, 71, 93, 166, 216, 227])
def test_keys_tell_genes_apart_exactly_as_canonical_genes_do(number):
    many = random_genes(number, 400, seed=number)
    for kind in NormalizerKind:
        expected = partition(canonical_gene(gene, kind=kind) for gene in many)
        assert partition(key_genes(many, kind=kind).tolist()) == expected


@pytest.mark.parametrize("number", [2, 16, 47, 71, 216])
def test_anonymous_keys_tell_templates_apart_exactly_as_renaming_does(number):
    elements = ("Ca", "Ti", "O")
    many = random_genes(number, 250, seed=number, elements=elements)

    def template(gene):
        renamings = [
            dict(zip(elements, order, strict=True))
            for order in itertools.permutations(elements)
        ]
        forms = (
            WyckoffGene.from_pairs(
                gene.space_group_number,
                [(names[site.element], site.letter) for site in gene.sites],
            )
            for names in renamings
        )
        return min(str(canonical_gene(form)) for form in forms)

    keys = anonymous_keys(*pack_genes(many))
    assert partition(keys.tolist()) == partition(template(gene) for gene in many)


def test_ids_of_different_groups_letters_and_repeats_differ():
    different = [
        WyckoffGene.from_text(text)
        for number in range(1, 231)
        if number not in ENANTIOMORPHS
        for letter in [load_space_group(number).letters[-1]]
        for text in (
            f"{number} O:{letter}",
            f"{number} O:{letter}2",
            f"{number} O:{letter} S:{letter}",
        )
    ]
    assert len(set(gene_ids(different))) == len(different)


def test_mirror_pairs_are_folded_onto_the_lower_number():
    for upper, lower in ENANTIOMORPHS.items():
        for gene in random_genes(upper, 10, seed=upper):
            mirrored = WyckoffGene(lower, gene.sites)
            assert canonical_gene(gene) == canonical_gene(mirrored)
            assert gene.gene_id == mirrored.gene_id
            apart = key_genes([gene, mirrored], fold_enantiomorphs=False)
            assert apart[0] != apart[1]
            kept = canonical_gene(gene, fold_enantiomorphs=False)
            assert kept.space_group_number == upper


def test_spglib_gives_mirror_images_of_a_crystal_the_same_id():
    import spglib

    gene = WyckoffGene.from_text("92 Si:a O:b")
    lattice, coordinates, numbers, _ = random_crystal(gene, seed=0)
    ids = set()
    for handedness in (1, -1):
        cell = (lattice, handedness * coordinates, numbers)
        dataset = spglib.get_symmetry_dataset(cell, symprec=1e-4)
        letters = dict(zip(numbers, dataset.wyckoffs, strict=True))
        pairs = list(zip(("Si", "O"), letters.values(), strict=True))
        ids.add((dataset.number, WyckoffGene.from_pairs(dataset.number, pairs).gene_id))
    assert {number for number, _ in ids} == {92, 96}
    assert {gene_id for _, gene_id in ids} == {gene.gene_id}


@given(st.lists(genes(), max_size=6))
def test_genes_survive_being_packed(many):
    numbers, codes = pack_genes(many)
    assert unpack_genes(numbers, codes) == many
    wider = np.pad(codes, ((0, 0), (0, 3)))
    assert (canonical_keys(numbers, wider) == key_genes(many)).all()
    assert (canonical_keys(numbers, codes[:, ::-1]) == key_genes(many)).all()
    ids = [gene.gene_id for gene in many]
    assert [f"{key:016x}" for key in key_genes(many).tolist()] == ids


@pytest.mark.parametrize(
    ("numbers", "codes"),
    [
        ([221], [[0]]),
        ([221], [[5]]),
        ([221], [[8 << 5 | 14]]),
        ([221], [[119 << 5]]),
        ([221], [[-(8 << 5)]]),
        ([0], [[8 << 5]]),
        ([231], [[8 << 5]]),
        ([221, 1], [[8 << 5]]),
        ([221], [8 << 5]),
    ],
)
def test_arrays_that_are_no_genes_are_refused(numbers, codes):
    with pytest.raises(GeneError):
        canonical_keys(numbers, codes)
    with pytest.raises(GeneError):
        anonymous_keys(numbers, codes)


@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=20),
    st.lists(st.integers(0, 2**64 - 1), max_size=20),
)
def test_find_keys_agrees_with_a_dict(reference, others):
    known = np.unique(np.array(reference, np.uint64))
    sought = np.array(reference + others, np.uint64)
    index = {key: i for i, key in enumerate(known.tolist())}
    expected = [index.get(key, -1) for key in sought.tolist()]
    assert find_keys(sought, known).tolist() == expected


# --- the same crystal in another description -------------------------------------

LATTICE_SEEDS = np.array([[6.1, 0.4, -0.3], [0.0, 7.3, 0.5], [0.0, 0.0, 8.9]])


def random_lattice(group):
    """Return a cell of the general metric of the crystal system, in A."""
    a, b, c = 6.1, 7.3, 8.9
    system = group.crystal_system
    if system is CrystalSystem.TRICLINIC:
        return LATTICE_SEEDS
    if system is CrystalSystem.MONOCLINIC:
        return np.array([[a, 0, 0], [0, b, 0], [-1.7, 0, c]])
    if system is CrystalSystem.ORTHORHOMBIC:
        return np.diag([a, b, c])
    if system is CrystalSystem.TETRAGONAL:
        return np.diag([a, a, c])
    if system is CrystalSystem.CUBIC:
        return np.diag([c, c, c])
    return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])


def random_crystal(gene, seed):
    """Place every orbit at random; return lattice, coordinates, kinds and letters."""
    rng = np.random.default_rng(seed)
    coordinates, kinds, letters = [], [], []
    for kind, (site, position) in enumerate(
        zip(gene.sites, gene.positions, strict=True), 1
    ):
        free = rng.uniform(0.05, 0.95, 3)
        orbit = position.rotations @ free + position.translations / 24
        coordinates.append(orbit)
        kinds += [kind] * len(orbit)
        letters += [site.letter] * len(orbit)
    return random_lattice(gene.space_group), np.concatenate(coordinates), kinds, letters


def as_structure(lattice, coordinates, kinds, gene):
    from pymatgen.core import Structure

    species = [gene.sites[kind - 1].element for kind in kinds]
    return Structure(lattice, species, coordinates)


AUGMENTED = [
    "1 Ca:a O:a2",  # polar in three directions, only the inversion
    "2 Ca:a Ti:f O:i",
    "4 Ca:a O:a",
    "8 Ca:a Ti:b O:b",
    "16 Ca:a O:j,u",
    "19 Ca:a O:a",
    "25 Ca:a Ti:f O:h",  # polar, axes x and y can be renamed
    "33 Ca:a O:a",
    "62 Ca:c Ti:b O:c,d",
    "71 Fe:e O:i,a",
    "76 Ca:a O:a",  # one of a mirror pair
    "82 Ca:a Ti:e O:g",
    "92 Si:a O:b",
    "144 Ca:a O:a",
    "155 Ca:c O:d",
    "160 Ti:a O:b",
    "186 Zn:b S:b",
    "198 Fe:a Si:a",
    "212 Ca:a O:c",
    "216 Zn:a S:c",
]


@pytest.mark.parametrize("text", AUGMENTED)
def test_augmented_structures_are_the_same_crystal_to_structure_matcher(text):
    from pymatgen.analysis.structure_matcher import StructureMatcher

    gene = WyckoffGene.from_text(text)
    lattice, coordinates, kinds, _ = random_crystal(gene, seed=5)
    original = as_structure(lattice, coordinates, kinds, gene)
    matcher = StructureMatcher(
        ltol=1e-4, stol=1e-4, angle_tol=0.01, primitive_cell=False, scale=False
    )
    forms = augment_structure(gene, lattice, coordinates)
    assert len(forms) == len(gene.space_group.normalizer(NormalizerKind.AUGMENTATION))
    for form in forms:
        assert np.linalg.det(form.lattice) > 0
        assert form.gene in equivalent_genes(gene, kind=NormalizerKind.AUGMENTATION)
        same = as_structure(form.lattice, form.fractional_coordinates, kinds, gene)
        assert matcher.fit(original, same)


@pytest.mark.parametrize("text", AUGMENTED)
def test_augmented_atoms_lie_on_the_letters_that_the_gene_says(text):
    gene = WyckoffGene.from_text(text)
    lattice, coordinates, _, letters = random_crystal(gene, seed=6)
    group = gene.space_group
    for form in augment_structure(gene, lattice, coordinates):
        for point, old in zip(form.fractional_coordinates, letters, strict=True):
            position = group.position(form.letters[old])
            assert distance_to(position, point) < 1e-6
        moved = [(site.element, form.letters[site.letter]) for site in gene.sites]
        assert WyckoffGene.from_pairs(group.number, moved) == form.gene


def distance_to(position, point):
    """Distance of a point from the nearest subspace of a position, in cell edges."""
    lattice = np.array(list(itertools.product(range(-3, 4), repeat=3)))
    distances = []
    for rotation, translation in zip(
        position.rotations, position.translations / 24, strict=True
    ):
        complement = np.eye(3) - rotation @ np.linalg.pinv(rotation)
        offsets = (point - translation + lattice) @ complement.T
        distances.append(np.abs(offsets).max(axis=1).min())
    return min(distances)


@pytest.mark.parametrize("text", ["25 Ca:a Ti:f O:h", "92 Si:a O:b", "216 Zn:a S:e"])
def test_augmented_structures_keep_their_space_group_in_the_same_setting(text):
    gene = WyckoffGene.from_text(text)
    group = gene.space_group
    lattice, coordinates, kinds, _ = random_crystal(gene, seed=7)
    for form in augment_structure(gene, lattice, coordinates):
        atoms = {}
        for kind, point in zip(kinds, form.fractional_coordinates, strict=True):
            atoms.setdefault(kind, []).append(point)
        for rotation, translation in zip(
            group.rotations, group.translations / 24, strict=True
        ):
            metric = form.lattice @ form.lattice.T
            assert np.allclose(rotation.T @ metric @ rotation, metric)
            for points in map(np.array, atoms.values()):
                shift = (points @ rotation.T + translation)[:, None] - points
                gaps = np.abs(shift - np.round(shift)).max(axis=2)
                assert gaps.min(axis=1).max() < 1e-9


def test_the_first_augmented_structure_is_the_input():
    gene = WyckoffGene.from_text("62 Ca:c Ti:b O:c,d")
    lattice, coordinates, _, _ = random_crystal(gene, seed=8)
    first = augment_structure(gene, lattice, coordinates)[0]
    assert first.gene == gene
    assert np.allclose(first.lattice, lattice)
    shift = first.fractional_coordinates - coordinates
    assert np.allclose(shift, np.round(shift))


@pytest.mark.parametrize(
    ("lattice", "coordinates", "message"),
    [
        (np.diag([4.0, 5.0, 6.0]), np.zeros((1, 3)), "ITA standard setting"),
        (np.eye(2), np.zeros((1, 3)), "shape"),
        (4 * np.eye(3), np.zeros(3), "shape"),
        (4 * np.eye(3), np.zeros((2, 2)), "shape"),
    ],
)
def test_a_lattice_of_another_setting_is_refused(lattice, coordinates, message):
    gene = WyckoffGene.from_text("221 Ca:a")
    with pytest.raises(StructureError, match=message):
        augment_structure(gene, lattice, coordinates)
