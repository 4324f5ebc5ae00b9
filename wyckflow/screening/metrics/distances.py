"""Distances between two distributions, as the literature on generators defines them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def kolmogorov_smirnov(shares: ArrayLike, reference: ArrayLike) -> float:
    """Return the largest difference of two cumulative distributions.

    Parameters
    ----------
    shares, reference
        Share, or number, of each of the same ascending values.
    """
    first, second = (np.asarray(array, np.float64) for array in (shares, reference))
    difference = first.cumsum() / first.sum() - second.cumsum() / second.sum()
    return float(np.abs(difference).max())


def chi_squared(shares: ArrayLike, reference: ArrayLike) -> float:
    """Return the sum of (p - q)^2 / q over what occurs in the reference.

    What is absent from the reference is left out, and the rest adds up to 1 again. With
    n independent draws from a reference of k values it is (k - 1) / n on average, so it
    may only be compared at equal n.

    Parameters
    ----------
    shares, reference
        Share, or number, of each of the same values.
    """
    first, second = (np.asarray(array, np.float64) for array in (shares, reference))
    occurs = second > 0
    q = second[occurs] / second[occurs].sum()
    total = first[occurs].sum()
    if total == 0:
        return float("inf")
    return float((np.square(first[occurs] / total - q) / q).sum())
