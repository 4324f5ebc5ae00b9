"""Genes of one composition around known crystals of like stoichiometry."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal import WyckoffGene
from wyckflow.crystal.enumeration import count_lattice_points
from wyckflow.crystal.keys import pack_genes, unpack_genes
from wyckflow.errors import ModelError
from wyckflow.ml.sampling.composition import (
    CompositionOptions,
    _likeness,
    compose_genes,
    count_atoms,
    have_composition,
)

QUICK = CompositionOptions(n_decoded=200)


def genes_of(found):
    return unpack_genes(found.space_group_numbers, found.codes)


def test_every_gene_has_the_composition_and_comes_once(small_model):
    found = compose_genes(small_model, {"Na": 2, "Cl": 2}, options=QUICK)
    genes = genes_of(found)  # reading them back checks letters and fixed sites
    assert genes
    assert {gene.formula for gene in genes} == {"NaCl"}
    assert found.keys.tolist() == [int(gene.gene_id, 16) for gene in genes]
    assert len(set(found.keys.tolist())) == len(found)
    assert (found.support > 0).all()
    for gene in genes:
        points = count_lattice_points(gene.space_group_number)
        assert gene.n_sites <= QUICK.max_atoms * points
    n_made = found.n_decoded - sum(found.failures.values())
    assert n_made == len(found)


def test_the_prototype_of_known_crystals_is_found(small_model):
    found = compose_genes(small_model, {"Na": 1, "Cl": 1}, options=QUICK)
    ids = {gene.gene_id for gene in genes_of(found)}
    assert WyckoffGene.from_text("225 Na:a Cl:b").gene_id in ids


def test_a_space_group_binds(small_model):
    found = compose_genes(
        small_model, {"Na": 1, "Cl": 1}, space_groups=[225], options=QUICK
    )
    assert set(found.space_group_numbers.tolist()) == {225}


def test_the_same_seed_gives_the_same_genes(small_model):
    first, second, other = (
        compose_genes(small_model, {"Na": 1, "Cl": 1}, options=QUICK, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first.keys.tolist() == second.keys.tolist()
    assert first.support.tolist() == second.support.tolist()
    assert other.support.tolist() != first.support.tolist()


def test_like_elements_are_better_starts_than_unlike_ones(small_model):
    """At level 0 a start is repeated: support is the likeness of elements alone."""
    exact = CompositionOptions(levels=(0.0,))
    found = compose_genes(small_model, {"Na": 1, "Cl": 1}, options=exact)
    rows = found.keys.tolist()
    own = rows.index(int(WyckoffGene.from_text("225 Na:a Cl:b").gene_id, 16))
    assert found.support[own] > 0.99  # it is one of the starts itself
    wanted = np.array([11, 17])
    near, far = (
        _likeness(np.array([19, 35]), wanted),
        _likeness(np.array([22, 7]), wanted),
    )
    assert 1 == _likeness(wanted, wanted) > near > far > 0


def test_a_stoichiometry_that_no_crystal_has_gives_no_gene(small_model):
    found = compose_genes(small_model, {"Na": 7, "Cl": 11}, options=QUICK)
    assert len(found) == 0
    assert found.n_starts == found.n_decoded == 0
    assert found.codes.shape[0] == 0


def test_an_element_that_the_model_never_saw_is_refused_by_name(small_model):
    with pytest.raises(ModelError, match="never seen Og"):
        compose_genes(small_model, {"Na": 1, "Og": 1}, options=QUICK)


def test_atoms_are_those_of_the_primitive_cell():
    texts = ["225 Na:a Cl:b", "62 Ca:c Ti:b O:c,d", "166 Bi:c Te:a,c"]
    genes = [WyckoffGene.from_text(text) for text in texts]
    counts, sizes = count_atoms(*pack_genes(genes))
    assert sizes.tolist() == [2, 20, 5]
    assert have_composition(counts, {"Na": 1, "Cl": 1}).tolist() == [True, False, False]
    assert have_composition(counts, {"Ca": 1, "Ti": 1, "O": 3}).tolist() == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"levels": ()}, {"levels": (1.5,)}, {"n_decoded": 0}, {"temperature": 0.0}],
    ids=str,
)
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CompositionOptions(**wrong)


def test_progress_ends_at_the_whole(small_model):
    shares = []
    compose_genes(small_model, {"Na": 1, "Cl": 1}, options=QUICK, report=shares.append)
    assert np.all(np.diff(shares) > 0)
    assert shares[-1] == 1.0
