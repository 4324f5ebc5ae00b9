"""Values at a sample size: their intervals cover, and the floor is that of theory."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.screening.metrics.distances import chi_squared
from wyckflow.screening.metrics.resampling import estimate, find_floor

N_VALUES = 40


def test_the_floor_of_chi_squared_is_that_of_a_multinomial():
    """(k - 1) / n for n independent draws from k values."""
    values = np.repeat(np.arange(N_VALUES), 50)
    reference = np.bincount(values)

    def statistics(rows):
        drawn = np.bincount(values[rows], minlength=N_VALUES)
        return {"chi2": chi_squared(drawn, reference)}

    for n in (200, 1000):
        mean, high = find_floor(statistics, len(values), n, n_resamples=300, seed=1)[
            "chi2"
        ]
        assert mean == pytest.approx((N_VALUES - 1) / n, rel=0.1)
        assert mean < high < 3 * mean


def test_the_interval_of_a_share_is_that_of_the_binomial():
    flags = np.arange(1000) < 300

    def statistics(rows):
        return {"share": float(flags[rows].mean())}

    for n in (100, 1000):
        found = estimate(statistics, 1000, n, n_resamples=1000, seed=2)["share"]
        half = 1.96 * np.sqrt(0.3 * 0.7 / n)
        assert found.value == pytest.approx(0.3, abs=0.2 * half)
        assert found.high - found.low == pytest.approx(2 * half, rel=0.15)
        assert found.of_all == 0.3


def test_a_value_at_equal_size_is_the_mean_over_subsets():
    values = np.array([0.0] * 50 + [10.0] * 50)

    def statistics(rows):
        return {"largest": float(values[rows].max())}

    found = estimate(statistics, 100, 1, n_resamples=2000, seed=0)["largest"]
    assert found.of_all == 10
    assert found.value == pytest.approx(5, abs=0.5)


def test_the_same_seed_gives_the_same_numbers():
    values = np.random.default_rng(0).random(50)

    def statistics(rows):
        return {"mean": float(values[rows].mean())}

    first, again, other = (
        estimate(statistics, 50, 20, n_resamples=30, seed=seed)["mean"]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
