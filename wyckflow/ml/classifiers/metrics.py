"""How good a classifier is: precision, recall, area under the curve, reliability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

N_RESAMPLES: Final = 1000
_CONFIDENCE: Final = 0.95
_ROUNDS_OF_AREA: Final = 200

Statistic = "Callable[[NDArray[np.int64]], float]"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes
    ----------
    value
        The figure; not-a-number where it is undefined.
    low, high
        Ends of the interval.
    n
        Rows it rests on.
    """

    value: float
    low: float
    high: float
    n: int


def area_under_curve(
    scores: NDArray[np.float64],
    is_positive: NDArray[np.bool_],
    weights: NDArray[np.float64] | None = None,
) -> float:
    """Return the area under the ROC curve: how often a positive has the higher score.

    Parameters
    ----------
    scores
        Any numbers; equal ones count one half.
    is_positive
        The label.
    weights
        Per row, one by default.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    values, places = np.unique(scores, return_inverse=True)
    positive = np.bincount(places, weights * is_positive, len(values))
    others = np.bincount(places, weights * ~is_positive, len(values))
    below = np.cumsum(others) - others / 2
    total = positive.sum() * others.sum()
    return float(positive @ below / total) if total else float("nan")


def estimate_share(flags: NDArray[np.bool_]) -> Estimate:
    """Return a share with the interval of Wilson.

    Parameters
    ----------
    flags
        One per row.
    """
    n, z = len(flags), 1.959964
    if not n:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    share = float(np.mean(flags))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return Estimate(share, float(middle - reach), float(middle + reach), n)


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    n: int,
    *,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Estimate:
    """Return a figure with its percentile interval over resampled rows.

    Parameters
    ----------
    statistic
        From the places of rows to the figure.
    n
        Number of rows.
    seed
        Of the resampling.
    n_resamples
        How often.
    """
    drawing = np.random.default_rng(seed)
    draws = [statistic(drawing.integers(n, size=n)) for _ in range(n_resamples)]
    tail = 50 * (1 - _CONFIDENCE)
    low, high = np.nanpercentile(draws, [tail, 100 - tail])
    return Estimate(statistic(np.arange(n)), float(low), float(high), n)


def estimate_area(
    scores: NDArray[np.float64],
    is_positive: NDArray[np.bool_],
    weights: NDArray[np.float64] | None = None,
) -> Estimate:
    """Return the area under the ROC curve with its interval."""
    weights = np.ones(len(scores)) if weights is None else weights
    return bootstrap(
        lambda rows: area_under_curve(scores[rows], is_positive[rows], weights[rows]),
        len(scores),
        n_resamples=_ROUNDS_OF_AREA,
    )
