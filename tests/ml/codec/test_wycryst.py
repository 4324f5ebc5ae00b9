"""The published representation: its layout, there and back, and reasons."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import GeneError
from wyckflow.ml.codec.sites import tensorise_genes
from wyckflow.ml.codec.wycryst import (
    N_ROWS,
    ROWS,
    WycrystRejection,
    binary_features,
    decode_wycryst,
    encode_wycryst,
    fits_wycryst,
)

PEROVSKITE = WyckoffGene.from_text("221 Ca:a Ti:b O:c")


def test_the_layout_is_the_published_one():
    arrays = encode_wycryst(tensorise_genes([PEROVSKITE]))
    assert arrays.crystal.shape == (1, 224, 3)
    assert arrays.one_hot[0].argmax() == 220
    crystal = arrays.crystal[0]
    assert crystal[:103].argmax(axis=0).tolist() == [19, 21, 7]
    assert crystal[103].tolist() == [1, 1, 3]
    assert crystal[104].tolist() == pytest.approx([0.2, 0.2, 0.6])
    assert not crystal[105].any()
    letters = crystal[198:224]
    assert [letters[:, i].nonzero()[0].tolist() for i in range(3)] == [[0], [1], [2]]
    covered = np.concatenate([np.arange(224)[rows] for rows in ROWS.values()])
    assert sorted(covered.tolist()) == list(range(N_ROWS))


def test_features_are_zeros_and_ones_and_tell_neighbours_apart():
    features = binary_features()
    assert features.shape == (119, 92)
    assert set(np.unique(features)) == {0, 1}
    assert not features[0].any()
    assert len(np.unique(features[1:90], axis=0)) > 75


def test_genes_that_fit_come_back(random_genes):
    sites = tensorise_genes(random_genes)
    fits = fits_wycryst(sites)
    expected = [len(g.elements) <= 3 for g in random_genes]
    letters = [all(s.letter != "A" for s in g.sites) for g in random_genes]
    assert fits.tolist() == [a and b for a, b in zip(expected, letters, strict=True)]
    arrays = encode_wycryst(sites.take(fits))
    back = decode_wycryst(arrays.crystal, arrays.one_hot, max_atoms=10_000)
    assert back == [g for g, fit in zip(random_genes, fits, strict=True) if fit]


@pytest.mark.parametrize("text", ["1 Li:a Na:a K:a Ca:a", "47 Li:A O:a", "1 Rf:a O:a"])
def test_what_does_not_fit_is_refused(text):
    with pytest.raises(GeneError, match="does not fit"):
        encode_wycryst(tensorise_genes([WyckoffGene.from_text(text)]))


def spoil(change):
    arrays = encode_wycryst(tensorise_genes([PEROVSKITE]))
    crystal, group = arrays.crystal.copy(), arrays.one_hot.copy()
    change(crystal[0], group[0])
    return decode_wycryst(crystal, group)[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _, g: g.fill(0.01), WycrystRejection.NO_SPACE_GROUP),
        (lambda c, _: c[198:].fill(0), WycrystRejection.NO_SITE),
        (lambda c, _: c[:103, 0].fill(0), WycrystRejection.NO_ELEMENT),
        (
            lambda c, _: c[:103].__setitem__((slice(None), 0), c[:103, 1]),
            WycrystRejection.ELEMENT_TWICE,
        ),
        (lambda c, _: c.__setitem__((223, 0), 1), WycrystRejection.UNKNOWN_LETTER),
        (
            lambda c, _: c.__setitem__((198, 1), 1),
            WycrystRejection.FIXED_POSITION_TWICE,
        ),
        (lambda c, _: c.__setitem__((211, 2), 9), WycrystRejection.TOO_MANY_ATOMS),
    ],
    ids=lambda x: str(x) if isinstance(x, WycrystRejection) else "",
)
def test_every_way_to_fail_has_its_reason(change, reason):
    assert spoil(change) is reason


def test_a_gene_that_was_not_spoiled_is_no_failure():
    assert spoil(lambda *_: None) == PEROVSKITE
