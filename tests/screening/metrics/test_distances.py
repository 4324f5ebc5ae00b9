"""Distances of distributions, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare, ks_2samp

from wyckflow.screening.metrics.distances import chi_squared, kolmogorov_smirnov


@pytest.mark.parametrize("seed", range(5))
def test_kolmogorov_smirnov_is_scipys(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.poisson(4, 300), rng.poisson(5 + seed / 5, 170)
    counts = [np.bincount(values, minlength=40) for values in (first, second)]
    expected = ks_2samp(first, second).statistic
    assert kolmogorov_smirnov(*counts) == pytest.approx(expected, abs=1e-12)


def test_chi_squared_by_hand():
    # 0.5, 0.5 against 0.8, 0.2: 0.09/0.8 + 0.09/0.2
    assert chi_squared([5, 5], [80, 20]) == pytest.approx(0.5625)


def test_chi_squared_leaves_out_what_the_reference_lacks():
    assert chi_squared([5, 5, 90], [80, 20, 0]) == pytest.approx(0.5625)
    assert chi_squared([0, 0, 90], [80, 20, 0]) == float("inf")


def test_chi_squared_counts_what_the_set_lacks():
    assert chi_squared([10, 0], [80, 20]) == pytest.approx(0.04 / 0.8 + 0.2)


def test_chi_squared_is_scipys_per_draw():
    rng = np.random.default_rng(3)
    reference = rng.random(12)
    drawn = rng.multinomial(500, reference / reference.sum())
    expected = chisquare(drawn, 500 * reference / reference.sum()).statistic / 500
    assert chi_squared(drawn, reference) == pytest.approx(expected)
