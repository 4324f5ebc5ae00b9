"""Splits: no group in two parts, whatever the order of the rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wyckflow.crystal.dataset._arrays import RowArrays
from wyckflow.crystal.dataset.metadata import PARTS, DatasetMetadata, Part
from wyckflow.crystal.dataset.split import GroupBy, group_names, split_dataset
from wyckflow.crystal.dataset.table import Dataset
from wyckflow.crystal.elements import ATOMIC_NUMBERS, SYMBOLS
from wyckflow.crystal.encode import Engine
from wyckflow.crystal.equivalence import canonical_gene
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.tables import WYCKOFF_LETTERS
from wyckflow.errors import DatasetError

# Two rock salts in two descriptions, wurtzite-like, perovskite-like, and fluorite-like.
TEMPLATES = [
    (225, "ab"),
    (225, "ba"),
    (221, "ab"),
    (216, "ac"),
    (62, "cc"),
    (1, "aa"),
    (2, "ah"),
]


def dataset_of(rows):
    """A dataset of (template, first element, second element)."""
    genes = [
        WyckoffGene.from_pairs(
            TEMPLATES[template][0],
            zip((SYMBOLS[a], SYMBOLS[b]), TEMPLATES[template][1], strict=True),
        )
        for template, a, b in rows
    ]
    sites = [site for gene in genes for site in gene.sites]
    arrays = RowArrays(
        space_group_numbers=np.array([g.space_group_number for g in genes], np.uint8),
        n_sites=np.array([gene.n_orbits for gene in genes], np.int32),
        atomic_numbers=np.array([ATOMIC_NUMBERS[s.element] for s in sites], np.uint8),
        letter_indices=np.array(
            [WYCKOFF_LETTERS.index(s.letter) for s in sites], np.uint8
        ),
        coordinates=np.zeros((len(sites), 3)),
        lattices=np.tile(np.eye(3), (len(genes), 1, 1)),
        sources=np.zeros(len(genes), np.int32),
        records=np.arange(len(genes)),
        properties={},
        texts={},
    )
    return Dataset(arrays, DatasetMetadata(engine=Engine.SPGLIB, symprec=0.1))


rows = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 5), st.integers(6, 11)),
    min_size=3,
    max_size=60,
)
shares = st.sampled_from(
    [(0.8, 0.1, 0.1), (0.34, 0.33, 0.33), (0.5, 0, 0.5), (0, 0.2, 0.8), (1, 0, 0)]
)


@settings(max_examples=150, deadline=None)
@given(rows, st.sampled_from(GroupBy), shares, st.integers(0, 1000))
def test_no_group_is_in_two_parts_and_none_is_lost(rows, by, fractions, seed):
    dataset = dataset_of(rows)
    names = group_names(dataset, by)
    assume(len(set(names)) >= 3)
    split = split_dataset(dataset, by=by, fractions=fractions, seed=seed)
    parts_of_group = {}
    for name, part in zip(names, split.parts.tolist(), strict=True):
        parts_of_group.setdefault(name, set()).add(part)
    assert all(len(parts) == 1 for parts in parts_of_group.values())
    assert split.genes == dataset.genes
    for part, share in zip(PARTS, fractions, strict=True):
        assert (len(split.part(part)) > 0) == (share > 0)
    assert split.metadata.split.n_groups == len(parts_of_group)


@settings(max_examples=80, deadline=None)
@given(rows, st.sampled_from(GroupBy), st.integers(0, 1000), st.randoms())
def test_order_of_the_rows_does_not_matter(rows, by, seed, random):
    dataset = dataset_of(rows)
    assume(len(set(group_names(dataset, by))) >= 3)
    order = list(range(len(rows)))
    random.shuffle(order)
    straight = split_dataset(dataset, by=by, seed=seed).parts
    shuffled = split_dataset(dataset.select(order), by=by, seed=seed).parts
    np.testing.assert_array_equal(straight[order], shuffled)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(GroupBy), shares)
def test_parts_miss_their_share_by_no_more_than_the_groups_at_its_ends(
    seed, by, fractions
):
    rng = np.random.default_rng(seed)
    rows = rng.integers((0, 0, 6), (7, 6, 12), (rng.integers(40, 150), 3)).tolist()
    dataset = dataset_of(rows)
    names = group_names(dataset, by)
    largest = max(names.count(name) for name in names)
    split = split_dataset(dataset, by=by, fractions=fractions, seed=seed)
    for code, share in enumerate(fractions):
        missed = (split.parts == code).sum() - share * len(dataset)
        assert abs(missed) <= 2 * largest


def test_shares_of_many_small_groups_are_exact():
    rng = np.random.default_rng(0)
    drawn = {
        tuple(map(int, rng.integers((0, 0, 45), (7, 45, 90)))) for _ in range(3000)
    }
    dataset = dataset_of(sorted(drawn))
    split = split_dataset(dataset, seed=3)
    counts = np.bincount(split.parts) / len(dataset)
    np.testing.assert_allclose(counts, (0.8, 0.1, 0.1), atol=0.005)


def test_same_seed_same_split_and_another_seed_another():
    dataset = dataset_of([(0, a, b) for a in range(20) for b in range(30, 40)])
    first, again, other = (split_dataset(dataset, seed=s) for s in (1, 1, 2))
    assert first.dataset_id == again.dataset_id
    assert first.dataset_id != other.dataset_id
    assert (first.parts != other.parts).mean() > 0.1


def test_formula_groups_polymorphs_and_prototype_groups_descriptions():
    # The same two rock salts, once as ab and once as ba, and a third of other elements.
    dataset = dataset_of([(0, 10, 16), (1, 10, 16), (2, 10, 16), (0, 18, 34)])
    formula = group_names(dataset, GroupBy.FORMULA)
    assert formula[0] == formula[1] == formula[2] != formula[3]
    prototype = group_names(dataset, GroupBy.PROTOTYPE)
    assert prototype[0] == prototype[1] == prototype[3] != prototype[2]
    assert group_names(dataset, GroupBy.CHEMSYS)[0] == "Cl-Na"
    assert canonical_gene(dataset.genes[0]) == canonical_gene(dataset.genes[1])


def test_split_says_how_it_was_made():
    dataset = dataset_of([(0, a, 16) for a in range(10)])
    split = split_dataset(dataset, by="prototype", fractions=(1, 0, 0), seed=9)
    assert split.metadata.split.model_dump() == {
        "by": "prototype",
        "seed": 9,
        "fractions": (1, 0, 0),
        "n_groups": 1,
    }
    assert split.metadata.parent_id == dataset.dataset_id
    assert len(split.part(Part.TRAIN)) == 10


@pytest.mark.parametrize(
    "fractions", [(0.8, 0.1), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1), ()]
)
def test_fractions_that_are_no_shares_are_refused(fractions):
    with pytest.raises(DatasetError, match=r"add up to 1, such as 0\.8,0\.1,0\.1"):
        split_dataset(dataset_of([(0, 1, 16)] * 3), fractions=fractions)


def test_fewer_groups_than_parts_are_refused():
    dataset = dataset_of([(0, 10, 16), (1, 10, 16), (0, 18, 34)])
    with pytest.raises(DatasetError, match=r"3 rows of 2 groups by formula.*3 parts"):
        split_dataset(dataset)
    assert len(split_dataset(dataset, fractions=(0.5, 0, 0.5)).part("test")) in {1, 2}
