"""Genes as arrays: all that they say is kept, and another description is the same."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.equivalence import equivalent_genes
from wyckflow.crystal.keys import canonical_keys, key_genes, pack_genes, unpack_genes
from wyckflow.crystal.tables import NormalizerKind, load_space_group
from wyckflow.errors import GeneError
from wyckflow.ml.codec.arrangement import (
    END,
    NEXT,
    allowed_elements,
    allowed_letters,
    arrange_sites,
)
from wyckflow.ml.codec.sites import tensorise_codes, tensorise_genes
from wyckflow.ml.codec.tables import load_permutations, load_position_tables


def test_arrays_say_what_the_genes_say(random_genes):
    sites = tensorise_genes(random_genes)
    for row, gene in enumerate(random_genes):
        n = gene.n_orbits
        assert sites.mask[row].sum() == n
        assert sites.multiplicity[row, :n].tolist() == list(gene.multiplicities)
        freedom = [p.degrees_of_freedom for p in gene.positions]
        assert sites.degrees_of_freedom[row, :n].tolist() == freedom
        symbols = load_position_tables().site_symmetry_symbols
        named = [symbols[i] for i in sites.site_symmetry[row, :n]]
        assert named == list(gene.site_symmetries)
    assert unpack_genes(*sites.codes) == random_genes


def test_nothing_stands_where_there_is_no_site(random_genes):
    sites = tensorise_genes(random_genes).permuted(np.random.default_rng(0))
    for name in ("atomic_number", "letter", "multiplicity", "site_symmetry"):
        assert not getattr(sites, name)[~sites.mask].any()


@pytest.mark.parametrize("kind", list(NormalizerKind))
def test_a_permuted_gene_is_the_same_arrangement(random_genes, kind):
    sites = tensorise_genes(random_genes)
    permuted = sites.permuted(np.random.default_rng(1), kind=kind)
    assert (permuted.letter != sites.letter).any()
    assert (canonical_keys(*permuted.codes) == key_genes(random_genes)).all()
    # Axes may be renamed, then the oriented symbol changes; the multiplicity never.
    assert (permuted.multiplicity == sites.multiplicity).all()


def test_every_description_is_drawn_equally_often(random_genes):
    gene = next(g for g in random_genes if len(equivalent_genes(g)) >= 4)
    sites = tensorise_genes([gene] * 4000).permuted(np.random.default_rng(2))
    rows, counts = np.unique(sites.codes[1], axis=0, return_counts=True)
    drawn = {
        g for code in rows for g in unpack_genes([gene.space_group_number], code[None])
    }
    assert drawn == set(equivalent_genes(gene))
    n_rows = load_permutations(NormalizerKind.EUCLIDEAN)[0][gene.space_group_number]
    assert counts.min() > 0.8 * 4000 / n_rows


def test_a_letter_that_does_not_exist_is_refused():
    numbers, codes = pack_genes(unpack_genes([221], [[6 << 5]]))
    with pytest.raises(GeneError, match="no site of space group 1"):
        tensorise_codes([1], codes + 5)
    assert len(tensorise_codes(numbers, codes)) == 1


def test_no_genes_make_empty_arrays():
    assert len(tensorise_genes([])) == 0


def test_tensors_hold_the_same_numbers(random_genes):
    sites = tensorise_genes(random_genes[:5])
    tensors = sites.to_torch()
    assert tensors["letter"].numpy().tolist() == sites.letter.tolist()
    assert tensors["mask"].numpy().tolist() == sites.mask.tolist()


# --- sequences ------------------------------------------------------------------------


def test_a_sequence_gives_its_gene_back(random_genes):
    arrangement = arrange_sites(tensorise_genes(random_genes))
    assert unpack_genes(*arrangement.codes) == random_genes


def test_a_sequence_does_not_depend_on_the_order_of_sites(random_genes):
    sites = tensorise_genes(random_genes)
    numbers, codes = sites.codes
    rng = np.random.default_rng(3)
    shuffled = np.zeros_like(codes)
    for row, n in enumerate(sites.mask.sum(axis=1)):
        shuffled[row, :n] = rng.permutation(codes[row, :n])
    first = arrange_sites(sites)
    second = arrange_sites(tensorise_codes(numbers, shuffled))
    for name in first.__slots__:
        assert (getattr(first, name) == getattr(second, name)).all(), name


def test_sequences_count_species_as_genes_do(random_genes):
    arrangement = arrange_sites(tensorise_genes(random_genes))
    for row, gene in enumerate(random_genes):
        n = len(gene.elements)
        assert arrangement.n_atoms[row, :n].tolist() == list(gene.composition.values())
        assert not arrangement.element[row, n:].any()
        flags = arrangement.flag[row, : gene.n_orbits].tolist()
        assert flags[-1] == END
        assert flags.count(END) == 1
        assert flags.count(NEXT) == n - 1


def test_what_stands_in_a_gene_is_always_allowed(random_genes):
    arrangement = arrange_sites(tensorise_genes(random_genes))
    letters = allowed_letters(arrangement)
    own = letters.gather(-1, arrangement.letter[..., None])[..., 0]
    assert bool((own | ~arrangement.mask).all())
    elements = allowed_elements(arrangement, arrangement.n_species)
    present = arrangement.element[:, : arrangement.n_species]
    own = elements.gather(-1, present[..., None])[..., 0]
    assert bool((own | (present == 0)).all())


def test_a_fixed_point_is_not_allowed_twice():
    gene = unpack_genes([221], [[(20 << 5) | 0, (22 << 5) | 1, (8 << 5) | 2]])
    letters = allowed_letters(arrange_sites(tensorise_genes(gene)))
    assert letters[0, 0, :2].tolist() == [True, True]
    assert letters[0, 1, :2].tolist() == [False, True]
    assert letters[0, 2, :2].tolist() == [False, False]
    n_letters = len(load_space_group(221).letters)
    assert not letters[0, :, n_letters:].any()


def test_more_species_than_the_networks_take_are_refused():
    codes = [[(z << 5) for z in range(1, 10)]]
    with pytest.raises(GeneError, match="9 elements"):
        arrange_sites(tensorise_codes([1], codes))
