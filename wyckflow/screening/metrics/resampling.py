"""Values at a given sample size with bootstrap intervals, and what chance alone gives.

A distance between distributions grows as samples get smaller, and draws with
repetitions are further away still. So a value for n genes is the mean over subsets of n
without repetitions; draws with repetitions only tell how far a value may be off, and
their interval is put around the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Statistics = Callable[[NDArray[np.int64]], dict[str, float]]

INTERVAL: Final = (2.5, 97.5)
"""Percentages that bound an interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic at a sample size.

    Attributes
    ----------
    value
        Mean over subsets of this size, or the value of all if there are no more.
    low, high
        95 % bootstrap interval around the value; not-a-number where a draw has none,
        such as a distance of a draw that shares nothing with the reference.
    of_all
        The value of all.
    """

    value: float
    low: float
    high: float
    of_all: float


def estimate(
    statistics: Statistics, n_all: int, n: int, *, n_resamples: int, seed: int
) -> dict[str, Estimate]:
    """Estimate statistics for ``n`` of ``n_all`` items.

    Parameters
    ----------
    statistics
        Takes places of items and returns numbers by name.
    n_all
        How many items there are.
    n
        Size of the sample that the values are for, at most ``n_all``.
    n_resamples
        Random draws.
    seed
        Of the draws.
    """
    rng = np.random.default_rng(seed)
    of_all = statistics(np.arange(n_all))
    values = of_all
    if n < n_all:
        subsets = [
            statistics(rng.choice(n_all, n, replace=False)) for _ in range(n_resamples)
        ]
        values = {k: float(np.mean([s[k] for s in subsets])) for k in of_all}
    draws = [statistics(rng.integers(0, n_all, n)) for _ in range(n_resamples)]
    found = {}
    for name, value in values.items():
        drawn = np.array([draw[name] for draw in draws])
        low, high = float("nan"), float("nan")
        if np.isfinite(drawn).all() and np.isfinite(value):
            ends = np.percentile(drawn, INTERVAL) - drawn.mean() + value
            low, high = max(float(ends[0]), 0.0), float(ends[1])
        found[name] = Estimate(value, low, high, of_all[name])
    return found


def find_floor(
    statistics: Statistics, n_reference: int, n: int, *, n_resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Return mean and 97.5 % quantile of statistics of draws from the reference.

    Parameters
    ----------
    statistics
        Takes places in the reference and returns distances from it, by name.
    n_reference
        Size of the reference.
    n
        Items of a draw; one may come twice, as in any sample of a distribution.
    n_resamples
        Random draws.
    seed
        Of the draws.
    """
    rng = np.random.default_rng(seed)
    draws = [statistics(rng.integers(0, n_reference, n)) for _ in range(n_resamples)]
    return {
        name: (float(np.mean(values)), float(np.percentile(values, INTERVAL[1])))
        for name in draws[0]
        for values in [[draw[name] for draw in draws]]
    }
