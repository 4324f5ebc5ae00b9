"""The calibration: it finds the curves that made the pairs, and keeps its limits."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize

from wyckflow.errors import ReferenceDataError
from wyckflow.thermo._logistic import fit_falling, fit_logistic, logistic
from wyckflow.thermo.calibration import (
    THRESHOLDS,
    Pairs,
    Population,
    StabilityCalibration,
    count_compounds,
    fit_calibration,
    make_features,
)
from wyckflow.thermo.hull.completeness import Completeness


def make_pairs(n_known=4000, n_generated=400, seed=1):
    """Draw pairs of which the probabilities are known: a normal error on distances."""
    generator = np.random.default_rng(seed)
    n = n_known + n_generated
    is_generated = np.arange(n) >= n_known
    distances = generator.uniform(-0.1, 0.3, n)
    missing = generator.exponential(np.where(is_generated, 0.08, 0.01))
    true = np.maximum(distances + missing, 0) * (generator.random(n) < 0.8)
    return Pairs(distances, generator.integers(0, 20, n), true, is_generated)


@pytest.fixture(scope="module")
def pairs():
    return make_pairs()


@pytest.fixture(scope="module")
def calibration(pairs):
    return fit_calibration(
        pairs,
        name="test",
        scale="chgnet-0.3.0",
        reference_version="0123456789abcdef",
        applies_to="nothing real",
        n_draws=40,
    )


def test_the_fit_is_the_maximum_that_scipy_finds():
    generator = np.random.default_rng(0)
    features = np.column_stack([np.ones(300), generator.normal(size=(300, 2))])
    labels = generator.random(300) < logistic(features @ [0.3, 1.0, -2.0])
    pull, weights = np.array([0.0, 0.5, 0.5]), generator.integers(0, 3, 300) * 1.0

    def loss(values):
        margins = features @ values
        each = np.logaddexp(0, margins) - labels * margins
        return weights @ each + 0.5 * pull @ values**2

    theirs = minimize(loss, np.zeros(3), tol=1e-10).x
    ours = fit_logistic(features, labels, pull, weights)
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert loss(ours) <= loss(theirs) + 1e-9


def test_labels_that_one_feature_separates_do_not_blow_up():
    features = np.column_stack([np.ones(20), np.linspace(-1, 1, 20)])
    labels = features[:, 1] > 0
    found = fit_logistic(features, labels, np.array([0.1, 0.1]), np.ones(20))
    assert np.isfinite(found).all()
    assert found[1] > 1


def test_a_coefficient_that_must_fall_does_not_rise():
    features = np.column_stack([np.ones(200), np.linspace(-1, 1, 200)])
    labels = np.random.default_rng(0).random(200) < logistic(2 * features[:, 1])
    pull, weights = np.full(2, 0.01), np.ones(200)
    assert fit_logistic(features, labels, pull, weights)[1] > 1
    kept = fit_falling(features, labels, pull, weights, (1,))
    assert kept[1] == 0
    assert logistic(kept[:1])[0] == pytest.approx(labels.mean(), abs=0.01)


def test_what_is_told_comes_true(pairs, calibration):
    fresh = make_pairs(seed=2)
    for kind in Population:
        here = fresh.is_generated == (kind is Population.GENERATED)
        part = fresh.take(here)
        told = calibration.probabilities(
            part.distances, part.n_compounds.tolist(), population=kind
        )
        for column, threshold in enumerate(THRESHOLDS):
            labels, p = part.labels(threshold), told[:, column]
            ok = np.isfinite(p)
            assert ok.mean() > 0.99
            assert p[ok].mean() == pytest.approx(labels[ok].mean(), abs=0.06)
            brier = np.mean((p[ok] - labels[ok]) ** 2)
            assert brier < labels.mean() * (1 - labels.mean()) + 1e-3


def test_probabilities_grow_with_the_threshold_and_fall_with_the_distance(calibration):
    distances = np.linspace(-0.09, 0.29, 50)
    for kind in Population:
        told = calibration.probabilities(distances, [3] * 50, population=kind)
        assert (np.diff(told, axis=1) >= 0).all()
        assert (np.diff(told, axis=0) <= 1e-12).all()
        assert ((told >= 0) & (told <= 1)).all()


def test_beyond_the_fitted_range_nothing_is_said(calibration):
    told = calibration.probabilities([-5.0, 0.1, 5.0, np.nan], [1, 1, 1, 1])
    assert np.isnan(told[[0, 2, 3]]).all()
    assert np.isfinite(told[1]).all()
    assert np.isnan(calibration.intervals([5.0], [1])).all()
    assert calibration.can_say([0.1, 5.0]).tolist() == [True, False]


def test_intervals_hold_the_value_and_shrink_with_more_pairs(calibration):
    few = fit_calibration(
        make_pairs(400, 30), name="few", scale="chgnet-0.3.0",
        reference_version="", applies_to="", n_draws=40,
    )  # fmt: skip
    widths = []
    for made in (calibration, few):
        ends = made.intervals([0.02], [5])[0]
        told = made.probabilities([0.02], [5])[0]
        assert (ends[:, 0] <= told + 0.02).all()
        assert (ends[:, 1] >= told - 0.02).all()
        widths.append((ends[:, 1] - ends[:, 0]).max())
    assert widths[1] > widths[0]


def test_completeness_is_a_count_of_compounds():
    known = Completeness("Cl-Cs", {"Cl": 3, "Cs": 1, "Cl-Cs": 4}, ())
    assert count_compounds(known) == 4
    assert count_compounds(7) == 7


def test_a_crystal_never_counts_against_itself_in_the_features():
    rows = make_features(np.array([np.nan, -9.0, 0.0]), [0, 0, 0], [False, True, True])
    assert np.isfinite(rows).all()
    assert rows[1, 1] == -1  # far below the hull says no more than a little below
    assert rows[:, -1].tolist() == [0, 1, 1]


def test_it_survives_its_file(calibration, tmp_path):
    path = tmp_path / "calibration.json"
    calibration.save(path)
    again = StabilityCalibration.from_text(path.read_text(), where=path.name)
    for ours, theirs in zip(
        calibration.probabilities([0.0, 0.1], [1, 2]).ravel(),
        again.probabilities([0.0, 0.1], [1, 2]).ravel(),
        strict=True,
    ):
        assert theirs == pytest.approx(ours, abs=1e-4)
    assert again.n_pairs == calibration.n_pairs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "another format"),
        ({"thresholds": [0, 1, 2]}, "other thresholds"),
        ({"distance_range": None}, "cannot be read"),
        ({"unknown": 1}, "cannot be read"),
    ],
    ids=["format", "thresholds", "range", "unknown"],
)
def test_a_file_of_another_kind_is_refused(calibration, tmp_path, change, message):
    path = tmp_path / "calibration.json"
    calibration.save(path)
    text = json.dumps({**json.loads(path.read_text()), **change})
    with pytest.raises(ReferenceDataError, match=message):
        StabilityCalibration.from_text(text, where="x")


def test_wrong_calls_are_refused(calibration):
    with pytest.raises(ReferenceDataError, match="one for each"):
        calibration.probabilities([0.0, 0.1], [1])
    with pytest.raises(ValueError, match="martian"):
        calibration.probabilities([0.0], [1], population="martian")
