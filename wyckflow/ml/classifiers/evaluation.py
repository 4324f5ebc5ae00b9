"""The figures of a classifier on rows that no choice has seen."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.ml.classifiers.balance import count_elements, primitive_atoms
from wyckflow.ml.classifiers.composition import GROUPS, group_compositions
from wyckflow.ml.classifiers.metrics import bootstrap, estimate_area, estimate_share
from wyckflow.schemas.classifier import ReliabilityPoint
from wyckflow.schemas.training import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wyckflow.ml.classifiers.metrics import Estimate
    from wyckflow.ml.classifiers.model import Classifier
    from wyckflow.ml.codec.sites import SiteTensors

ALL: Final = "all"
N_BINS: Final = 10
_LEAST_ROWS: Final = 10
_SIZES: Final = ((1, 8), (9, 20), (21, 10_000))


@dataclass(frozen=True, eq=False, slots=True)
class ScoredRows:
    """Rows with their scores.

    Attributes
    ----------
    name
        What they are called.
    sites
        The genes.
    scores
        In [0, 1]; not-a-number where the classifier could not judge.
    is_positive
        The label, where all rows have one.
    """

    name: str
    sites: SiteTensors
    scores: NDArray[np.float64]
    is_positive: NDArray[np.bool_] | None = None

    @classmethod
    def of(
        cls,
        name: str,
        sites: SiteTensors,
        classifier: Classifier,
        is_positive: NDArray[np.bool_] | None = None,
    ) -> ScoredRows:
        """Score rows."""
        return cls(name, sites, classifier.score_sites(sites)[0], is_positive)

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which rows have a score."""
        return ~np.isnan(self.scores)

    def subsets(self) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Yield all rows, then those of each kind, number of elements and size."""
        yield ALL, np.ones(len(self.scores), np.bool_)
        codes = group_compositions(self.sites)
        for code, group in enumerate(GROUPS):
            yield group.value, codes == code
        n_elements = count_elements(self.sites)
        for count in (2, 3):
            yield f"{count} elements", n_elements == count
        yield "4 or more elements", n_elements > 3  # noqa: PLR2004
        atoms = primitive_atoms(self.sites)
        for low, high in _SIZES:
            text = f"{low} to {high}" if high < _SIZES[-1][1] else f"{low} or more"
            yield f"{text} atoms", (atoms >= low) & (atoms <= high)


def to_figure(
    quantity: str, rows: str, estimate: Estimate, subset: str = ALL
) -> Figure:
    """Return an estimate as it is stored."""
    numbers = (estimate.value, estimate.low, estimate.high)
    value, low, high = (
        round(float(number), 5) if np.isfinite(number) else None for number in numbers
    )
    return Figure(
        quantity=quantity,
        rows=rows,
        subset=subset,
        value=value,
        low=low,
        high=high,
        n=estimate.n,
    )


def measure_supervised(rows: ScoredRows, threshold: float) -> list[Figure]:
    """Return precision, recall, area and Brier score, for all rows and each kind.

    Parameters
    ----------
    rows
        With labels.
    threshold
        Rows with at least this score are called positive.
    """
    if rows.is_positive is None:
        raise ValueError(f"{rows.name} has no labels to measure against.")
    figures = []
    for subset, chosen in rows.subsets():
        place = chosen & rows.judged
        scores, labels = rows.scores[place], rows.is_positive[place]
        if len(scores) < _LEAST_ROWS:
            continue
        called = scores >= threshold
        precision = estimate_share(labels[called])
        recall = estimate_share(called[labels])
        figures += [
            to_figure(f"precision at {threshold:g}", rows.name, precision, subset),
            to_figure(f"recall at {threshold:g}", rows.name, recall, subset),
            to_figure("AUC", rows.name, estimate_area(scores, labels), subset),
            to_figure("share of positives", rows.name, estimate_share(labels), subset),
        ]
        if subset == ALL:
            brier = _mean((scores - labels) ** 2)
            figures.append(to_figure("Brier score", rows.name, brier))
    figures.append(_unjudged(rows))
    return figures


def measure_share(rows: ScoredRows, threshold: float, quantity: str) -> list[Figure]:
    """Return which share of rows reaches a score, for all rows and each kind.

    Parameters
    ----------
    rows
        All of one class, or unlabelled.
    threshold
        The score.
    quantity
        What the share is: "recall" of positives, "share" of others.
    """
    figures = []
    for subset, chosen in rows.subsets():
        scores = rows.scores[chosen & rows.judged]
        if len(scores) >= _LEAST_ROWS:
            share = estimate_share(scores >= threshold)
            name = f"{quantity} at {threshold:g}"
            figures.append(to_figure(name, rows.name, share, subset))
    return [*figures, _unjudged(rows)]


def find_reliability(
    scores: NDArray[np.float64], is_positive: NDArray[np.bool_], n_bins: int = N_BINS
) -> list[ReliabilityPoint]:
    """Return how many rows of similar score are positive, in bins of equal numbers.

    Parameters
    ----------
    scores
        Of rows with labels; not-a-number is left out.
    is_positive
        The labels.
    n_bins
        How many bins at most.
    """
    judged = ~np.isnan(scores)
    scores, is_positive = scores[judged], is_positive[judged]
    points = []
    for part in np.array_split(np.argsort(scores, kind="stable"), n_bins):
        if len(part):
            share = estimate_share(is_positive[part])
            points.append(
                ReliabilityPoint(
                    mean_score=round(float(scores[part].mean()), 5),
                    share=round(share.value, 5),
                    low=round(share.low, 5),
                    high=round(share.high, 5),
                    n=len(part),
                )
            )
    return points


def quantile_edges(
    scores: NDArray[np.float64], n_bins: int
) -> list[tuple[float, float]]:
    """Return the limits of bins with equal numbers of scores."""
    edges = np.quantile(scores, np.linspace(0, 1, n_bins + 1))
    edges[0], edges[-1] = 0.0, 1.0 + 1e-9
    return list(pairwise(edges.tolist()))


def _mean(values: NDArray[np.float64]) -> Estimate:
    """Return a mean with its interval."""
    return bootstrap(lambda chosen: float(values[chosen].mean()), len(values))


def _unjudged(rows: ScoredRows) -> Figure:
    """Return the share of rows that could not be judged."""
    return to_figure("cannot judge", rows.name, estimate_share(~rows.judged))
