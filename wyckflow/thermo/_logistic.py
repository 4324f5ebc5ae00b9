"""Logistic regression with a mild pull to zero, for tens to thousands of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STEPS: Final = 60
_CONVERGED: Final = 1e-9
_LARGEST_STEP: Final = 5.0


def logistic(values: Floats) -> Floats:
    """Return 1 / (1 + exp(-values)) without overflow.

    Parameters
    ----------
    values
        Any.
    """
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))


def fit_falling(
    features: Floats,
    labels: NDArray[np.bool_],
    pull: Floats,
    weights: Floats,
    falling: Sequence[int],
) -> Floats:
    """Return the coefficients of `fit_logistic`, some of them kept from rising.

    One that would be above zero is zero, and the others are fitted without it.

    Parameters
    ----------
    features, labels, pull, weights
        As for `fit_logistic`.
    falling
        Columns whose coefficients may not be above zero.
    """
    kept = list(range(features.shape[1]))
    while True:
        fitted = fit_logistic(features[:, kept], labels, pull[kept], weights)
        found = np.zeros(features.shape[1])
        found[kept] = fitted
        rising = [column for column in falling if found[column] > 0]
        if not rising:
            return found
        kept = [column for column in kept if column not in rising]


def fit_logistic(
    features: Floats, labels: NDArray[np.bool_], pull: Floats, weights: Floats
) -> Floats:
    """Return the coefficients of largest penalised likelihood, by Newton's method.

    Parameters
    ----------
    features
        One row per case; a column of ones is the constant.
    labels
        Whether it happened.
    pull
        Strength of the pull to zero of each coefficient: the likelihood is that with a
        normal prior of the variance 1 / pull.
    weights
        How often each case counts.
    """
    found = np.zeros(features.shape[1])
    for _ in range(_STEPS):
        probabilities = logistic(features @ found)
        slope = features.T @ (weights * (labels - probabilities)) - pull * found
        spread = weights * probabilities * (1.0 - probabilities)
        curvature = (features * spread[:, None]).T @ features + np.diag(pull)
        step = np.linalg.solve(curvature + 1e-12 * np.eye(len(found)), slope)
        # A long step would overshoot where labels are separable at first.
        step *= min(1.0, _LARGEST_STEP / max(np.abs(step).max(), 1e-300))
        found = found + step
        if np.abs(step).max() < _CONVERGED:
            break
    return found
