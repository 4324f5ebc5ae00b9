"""Genes of two sources in one order, and what a budget leaves of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wyckflow.crystal import WyckoffGene
from wyckflow.crystal.enumeration import EnumerationLimits
from wyckflow.crystal.keys import key_genes, pack_genes, unpack_genes
from wyckflow.ml.sampling.composition import CompositionOptions
from wyckflow.ml.sampling.proposal import (
    BY_ENERGY,
    BY_SIZE,
    BY_SUPPORT,
    ENERGY,
    LEAST_SUPPORT,
    SUPPORT_ENERGY,
    ProposalOptions,
    choose_genes,
    propose_genes,
)

SALT = {"Na": 1, "Cl": 1}
GENERATE = CompositionOptions(n_decoded=200)
ENUMERATE = EnumerationLimits(max_atoms=4, max_assignments=20)
BOTH = ProposalOptions(GENERATE, ENUMERATE, n_shortlist=100)


@pytest.fixture(scope="module")
def proposal(small_model):
    return propose_genes(SALT, small_model, options=BOTH)


def test_genes_of_both_sources_are_joined_and_each_comes_once(proposal):
    keys = proposal.keys.tolist()
    assert len(keys) == len(set(keys)) == len(proposal)
    made, listed = proposal.generated, proposal.enumerated
    assert set(made.keys.tolist()) <= set(keys)
    assert proposal.n_genes == len({*made.keys.tolist(), *listed.keys.tolist()})
    assert proposal.is_generated.sum() == len(made)
    assert (proposal.is_generated | proposal.is_enumerated).all()
    n_others = (~proposal.is_generated).sum()
    assert n_others == min(100, proposal.n_genes - len(made))
    genes = unpack_genes(proposal.space_group_numbers, proposal.codes)
    assert {gene.formula for gene in genes} == {"NaCl"}
    assert keys == key_genes(genes).tolist()


def test_the_order_is_that_of_energy_less_support(proposal, small_model):
    genes = unpack_genes(proposal.space_group_numbers, proposal.codes)
    energies = small_model.predict(genes)[ENERGY]
    assert np.allclose(energies, proposal.energies, atol=1e-4)
    support = dict(
        zip(
            proposal.generated.keys.tolist(),
            proposal.generated.support.tolist(),
            strict=True,
        )
    )
    own = np.array([support.get(key, 0.0) for key in proposal.keys.tolist()])
    assert own.tolist() == proposal.support.tolist()
    score = proposal.energies - SUPPORT_ENERGY * np.log(own + LEAST_SUPPORT)
    assert np.all(np.diff(score) >= -1e-9)
    assert proposal.ranked_by == BY_SUPPORT


def test_enumerated_genes_alone_come_by_energy(small_model):
    options = ProposalOptions(enumeration=ENUMERATE)
    found = propose_genes(SALT, small_model, options=options)
    assert found.ranked_by == BY_ENERGY
    assert found.generated is None
    assert not found.is_generated.any()
    assert np.all(np.diff(found.energies) >= 0)


def test_without_a_model_simple_genes_come_first():
    options = ProposalOptions(GENERATE, ENUMERATE)
    found = propose_genes(SALT, None, options=options)
    genes = unpack_genes(found.space_group_numbers, found.codes)
    freedom = [gene.positional_degrees_of_freedom for gene in genes]
    assert freedom == sorted(freedom)
    assert found.ranked_by == BY_SIZE
    assert np.isnan(found.energies).all()


def test_the_rank_of_a_gene_is_that_of_any_equivalent_one(proposal):
    one, other = (
        proposal.rank_of(WyckoffGene.from_text(text))
        for text in ("225 Na:a Cl:b", "225 Na:b Cl:a")
    )
    assert one == other is not None
    assert proposal.rank_of(WyckoffGene.from_text("225 K:a Br:b")) is None


def test_a_budget_holds_and_no_crystal_comes_twice(proposal):
    chosen = choose_genes(proposal, 50, lambda _: 3)
    assert chosen.n_relaxations == 3 * len(chosen.choices) == 48
    ids = [choice.gene.gene_id for choice in chosen.choices]
    assert len(set(ids)) == len(ids)
    ranks = [choice.rank for choice in chosen.choices]
    assert ranks == sorted(ranks)


def only(proposal, *texts):
    """The proposal, as if it had nothing but these genes."""
    genes = [WyckoffGene.from_text(text) for text in texts]
    numbers, codes = pack_genes(genes)
    return replace(
        proposal, space_group_numbers=numbers, codes=codes, keys=key_genes(genes)
    )


def test_a_gene_gives_way_to_the_one_that_says_its_full_symmetry(proposal):
    few = only(proposal, "196 Na:a Cl:b", "225 Na:a Cl:b", "186 Na:b Cl:b")
    chosen = choose_genes(few, 100, lambda _: 1)
    texts = [choice.gene.to_text() for choice in chosen.choices]
    ids = [WyckoffGene.from_text(text).gene_id for text in texts]
    assert ids == [
        WyckoffGene.from_text(text).gene_id
        for text in ("225 Na:a Cl:b", "186 Na:b Cl:b")
    ]
    assert chosen.n_of_higher_symmetry == 1
    assert chosen.n_never_of_group == 0


def test_a_gene_that_is_never_of_the_wanted_group_is_left_out(proposal):
    few = only(proposal, "196 Na:a Cl:b")
    chosen = choose_genes(few, 100, lambda _: 1, space_group_number=196)
    assert chosen.choices == ()
    assert chosen.n_never_of_group == 1


def test_a_source_is_needed():
    with pytest.raises(ValueError, match="No source"):
        ProposalOptions()
