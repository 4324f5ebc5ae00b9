"""What a classifier sees: invariant, complete, and right by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Composition, Element

from wyckflow.crystal.equivalence import NormalizerKind, equivalent_genes
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.tables import ENANTIOMORPHS, load_space_group
from wyckflow.ml.classifiers.balance import (
    count_elements,
    describe_kind,
    overlap_weights,
    primitive_atoms,
)
from wyckflow.ml.classifiers.composition import (
    GROUPS,
    CompositionGroup,
    group_compositions,
)
from wyckflow.ml.classifiers.features import N_SIZE_FEATURES, describe_sites
from wyckflow.ml.codec.sites import tensorise_genes
from wyckflow.ml.elements import ELEMENT_FEATURES, element_features


def describe(*genes):
    return describe_sites(tensorise_genes(genes), element_features())


def random_gene(number, drawing):
    """Put elements on random positions of a group."""
    group = load_space_group(number)
    letters = list(group.letters[: min(6, len(group.letters))])
    drawing.shuffle(letters)
    symbols = drawing.choice(["Na", "Ti", "O", "S", "Fe"], len(letters))
    return WyckoffGene.from_pairs(number, zip(symbols, letters, strict=True))


@pytest.mark.parametrize("number", range(1, 231, 3))
def test_equivalent_genes_look_alike(number):
    """Every image under the affine normalizer, and the mirror image of the group."""
    gene = random_gene(number, np.random.default_rng(number))
    images = equivalent_genes(gene, kind=NormalizerKind.AFFINE)
    features = describe(*images)
    # The spread of a number that all atoms share is the root of a rounding error.
    np.testing.assert_allclose(features, features[:1].repeat(len(images), 0), atol=1e-5)


@pytest.mark.parametrize("number", ENANTIOMORPHS)
def test_mirror_images_look_alike(number):
    gene = random_gene(number, np.random.default_rng(number))
    mirrored = WyckoffGene(ENANTIOMORPHS[number], gene.sites)
    assert gene.gene_id == mirrored.gene_id
    features = describe(gene, mirrored)
    np.testing.assert_allclose(features[0], features[1], atol=1e-5)


def test_different_arrangements_of_the_same_atoms_look_different():
    """Normal and inverse spinel-like occupation; CsCl and NaCl."""
    spinel = describe(
        WyckoffGene.from_text("227 Mg:a Al:d O:e"),
        WyckoffGene.from_text("227 Mg:d Al:a O:e"),
    )
    assert np.abs(spinel[0] - spinel[1]).max() > 0.1


def test_means_are_those_of_pymatgen():
    gene = WyckoffGene.from_text("221 Sr:a Ti:b O:c")
    column = ELEMENT_FEATURES.index("electronegativity")
    table = element_features()[:, column]
    numbers = {Element(s).Z: n for s, n in Composition("SrTiO3").as_dict().items()}
    expected = sum(table[z] * n for z, n in numbers.items()) / 5
    assert describe(gene)[0, column] == pytest.approx(expected, abs=1e-6)
    n_values = len(ELEMENT_FEATURES)
    chosen = [table[z] for z in numbers]
    assert describe(gene)[0, 2 * n_values + column] == pytest.approx(min(chosen))
    assert describe(gene)[0, 3 * n_values + column] == pytest.approx(max(chosen))


def test_size_stands_in_the_last_columns_only():
    """A primitive and a centred cell of one atom per lattice point differ in nothing
    else than the group."""
    genes = [WyckoffGene.from_text(text) for text in ("225 Na:a Cl:b", "227 Na:a Cl:b")]
    sites = tensorise_genes(genes)
    assert primitive_atoms(sites).tolist() == [2, 4]
    assert count_elements(sites).tolist() == [2, 2]
    size = describe(*genes)[:, -N_SIZE_FEATURES]
    np.testing.assert_allclose(size, np.log([2, 4]), rtol=1e-6)


def test_no_genes_give_no_rows():
    assert len(describe_sites(tensorise_genes([]), element_features())) == 0


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("221 Sr:a Ti:b O:c", CompositionGroup.OXIDES),
        ("225 Na:a Cl:b", CompositionGroup.HALIDES),
        ("216 Zn:a S:c", CompositionGroup.CHALCOGENIDES),
        ("129 Bi:c O:a Cl:c", CompositionGroup.MIXED_ANIONS),
        ("216 Ga:a As:c", CompositionGroup.PNICTIDES),
        ("225 Li:a H:b", CompositionGroup.HYDRIDES),
        ("227 Si:a", CompositionGroup.BORIDES_CARBIDES_SILICIDES),
        ("221 Cu:c Au:a", CompositionGroup.INTERMETALLICS),
        ("136 Mn:a O:f", CompositionGroup.OXIDES),
    ],
)
def test_a_compound_belongs_to_the_group_a_chemist_puts_it_in(text, group):
    sites = tensorise_genes([WyckoffGene.from_text(text)])
    assert GROUPS[group_compositions(sites)[0]] is group


def test_overlap_weights_make_size_and_kind_the_same_in_both_sets(salts_and_alloys):
    """Means of all columns agree, although the sets were chosen by them."""
    sites = tensorise_genes(salts_and_alloys.genes)
    kinds = describe_kind(sites)
    drawing = np.random.default_rng(0)
    lean = 1 / (1 + np.exp(-3 * (primitive_atoms(sites) - 2.5)))
    is_first = drawing.random(len(sites)) < 0.2 + 0.6 * lean
    weights = overlap_weights(kinds, is_first)
    assert weights[is_first].sum() == pytest.approx(0.5)
    raw = kinds[is_first].mean(axis=0) - kinds[~is_first].mean(axis=0)
    assert np.abs(raw).max() > 0.1
    means = [
        np.average(kinds[part], axis=0, weights=weights[part])
        for part in (is_first, ~is_first)
    ]
    np.testing.assert_allclose(*means, atol=1e-4)
