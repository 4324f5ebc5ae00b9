"""From what networks say to a probability, and what it rests on.

A supervised score is the probability of the positive class. Where the other rows are
unlabelled, the networks tell how much more frequent a gene is among the positives than
among the unlabelled, a ratio ``r``. If a share ``s`` of the unlabelled is positive too,
and those are like the known positives of the same size and kind, then a gene is
``r (1 - s) / (1 - r s)`` times as frequent among positives as among negatives. The
score is the probability that follows at even odds: for ``s = 0.17`` a ratio of one
gives 0.5, and a score of 0.4 a gene that is 1.4 times rarer among the positives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SURE: Final = 0.999
"""The highest score, and its complement the lowest."""

_MOST_STEPS: Final = 100
_CONVERGED: Final = 1e-10
_MOST_LOGIT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a logarithm of odds becomes a score.

    Attributes
    ----------
    slope, offset
        The calibrated logarithm of odds is ``slope * logit + offset``.
    unlabelled_share
        Positives among the unlabelled; 0 for a supervised score.
    """

    slope: float = 1.0
    offset: float = 0.0
    unlabelled_share: float = 0.0

    def to_scores(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scores.

        Parameters
        ----------
        logits
            What the networks say, of any shape.
        """
        logits = np.clip(self.slope * logits + self.offset, -_MOST_LOGIT, _MOST_LOGIT)
        return correct_for_share(1 / (1 + np.exp(-logits)), self.unlabelled_share)


def correct_for_share(scores: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Turn the probability of "positive rather than unlabelled" into "than negative".

    Both at even odds before looking at the gene.

    Parameters
    ----------
    scores
        In [0, 1].
    share
        Positives among the unlabelled.
    """
    in_positives, in_unlabelled = scores, 1 - scores
    in_negatives = np.maximum((in_unlabelled - share * in_positives) / (1 - share), 0)
    corrected = in_positives / np.maximum(in_positives + in_negatives, 1e-300)
    return np.clip(corrected, 1 - SURE, SURE)


def at_prior(scores: NDArray[np.float64], prior: float) -> NDArray[np.float64]:
    """Return the probability for a population that is not half positive.

    Parameters
    ----------
    scores
        Scores at even odds.
    prior
        Share of positives among the genes that are judged, in (0, 1).
    """
    odds = prior * scores
    probabilities: NDArray[np.float64] = odds / (odds + (1 - prior) * (1 - scores))
    return probabilities


def fit_calibration(
    logits: NDArray[np.float64],
    is_positive: NDArray[np.bool_],
    weights: NDArray[np.float64],
    unlabelled_share: float = 0.0,
) -> Calibration:
    """Fit slope and offset by maximum likelihood on rows that no network has seen.

    Parameters
    ----------
    logits
        Mean of the networks per row.
    is_positive
        The label.
    weights
        Per row.
    unlabelled_share
        Passed on.
    """
    columns = np.stack([logits, np.ones_like(logits)], axis=1)
    target, weights = is_positive.astype(float), weights / weights.sum()
    found = np.array([1.0, 0.0])
    for _ in range(_MOST_STEPS):
        linear = np.clip(columns @ found, -_MOST_LOGIT, _MOST_LOGIT)
        chance = 1 / (1 + np.exp(-linear))
        slope = columns.T @ (weights * (target - chance)) - 1e-4 * (found - [1, 0])
        curvature = (columns.T * (weights * chance * (1 - chance))) @ columns
        step = np.linalg.solve(curvature + 1e-4 * np.eye(2), slope)
        found = found + np.clip(step, -1, 1)
        if np.abs(step).max() < _CONVERGED:
            break
    return Calibration(float(found[0]), float(found[1]), unlabelled_share)
