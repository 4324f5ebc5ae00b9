"""Figures against scikit-learn, scipy and cases solved by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from wyckflow.ml.classifiers.calibration import (
    Calibration,
    at_prior,
    correct_for_share,
    fit_calibration,
)
from wyckflow.ml.classifiers.evaluation import find_reliability
from wyckflow.ml.classifiers.metrics import area_under_curve, bootstrap, estimate_share

sklearn_metrics = pytest.importorskip("sklearn.metrics")


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_that_of_scikit_learn_also_with_ties_and_weights(seed):
    drawing = np.random.default_rng(seed)
    scores = drawing.integers(0, 8, 200) / 8
    labels = drawing.random(200) < 0.3 + 0.4 * scores
    weights = drawing.random(200)
    ours = area_under_curve(scores, labels, weights)
    theirs = sklearn_metrics.roc_auc_score(labels, scores, sample_weight=weights)
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_the_area_of_one_class_is_undefined():
    assert np.isnan(area_under_curve(np.ones(3), np.ones(3, bool)))


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (93, 100), (100, 100)])
def test_the_interval_of_a_share_is_that_of_wilson(hits, n):
    ours = estimate_share(np.arange(n) < hits)
    theirs = binomtest(hits, n).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)
    assert ours.value == hits / n


def test_the_share_of_no_rows_is_undefined():
    assert np.isnan(estimate_share(np.zeros(0, bool)).value)


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error():
    values = np.random.default_rng(0).normal(size=400)
    found = bootstrap(lambda rows: float(values[rows].mean()), len(values))
    width = 2 * 1.96 * values.std() / 20
    assert found.high - found.low == pytest.approx(width, rel=0.1)
    assert found.low < found.value < found.high


def test_calibration_finds_the_slope_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    drawing = np.random.default_rng(1)
    logits = drawing.normal(size=5000)
    labels = drawing.random(5000) < 1 / (1 + np.exp(-(0.6 * logits - 0.5)))
    ours = fit_calibration(logits, labels, np.ones(5000))
    theirs = LogisticRegression(C=1e6, tol=1e-8).fit(logits[:, None], labels)
    assert ours.slope == pytest.approx(theirs.coef_[0, 0], abs=2e-3)
    assert ours.offset == pytest.approx(theirs.intercept_[0], abs=2e-3)


def test_the_correction_gives_back_the_mixture_it_came_from():
    """Positives and negatives of known density, a fifth of the unlabelled positive."""
    share = 0.2
    x = np.linspace(-2, 2, 41)
    positive, negative = np.exp(-((x - 1) ** 2)), np.exp(-((x + 1) ** 2))
    unlabelled = share * positive + (1 - share) * negative
    naive = positive / (positive + unlabelled)
    true = positive / (positive + negative)
    np.testing.assert_allclose(
        correct_for_share(naive, share), true.clip(0.001, 0.999), atol=1e-9
    )


def test_what_no_mixture_explains_is_sure_but_finite():
    """More frequent among positives than their share of the unlabelled allows."""
    assert correct_for_share(np.array([0.99]), 0.2)[0] == 0.999


def test_no_correction_leaves_a_supervised_score_alone():
    logits = np.array([-2.0, 0.0, 2.0])
    expected = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(Calibration().to_scores(logits), expected)


def test_the_words_of_the_documentation_about_a_score_of_two_fifths_hold():
    """A gene 1.4 times rarer among the positives than among the unlabelled."""
    naive = (1 / 1.4) / (1 / 1.4 + 1)
    assert correct_for_share(np.array([naive]), 0.17)[0] == pytest.approx(0.4, abs=0.01)
    assert correct_for_share(np.array([0.5]), 0.17)[0] == pytest.approx(0.5)
    assert at_prior(np.array([0.4]), 0.5)[0] == pytest.approx(0.4)
    assert at_prior(np.array([0.4]), 0.1)[0] == pytest.approx(0.04 / 0.58)


def test_reliability_counts_what_is_in_each_bin():
    scores = np.array([0.1, 0.1, 0.2, 0.8, 0.9, np.nan])
    labels = np.array([0, 1, 0, 1, 1, 1], bool)
    points = find_reliability(scores, labels, n_bins=2)
    assert [point.n for point in points] == [3, 2]
    assert [point.share for point in points] == pytest.approx([1 / 3, 1], abs=1e-4)
    assert points[0].mean_score == pytest.approx(0.4 / 3, abs=1e-4)
