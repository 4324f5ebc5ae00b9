"""Figures of a classifier where only positives and unlabelled rows are known.

Every figure compares positives with unlabelled rows twice: as they are, and with
weights under which the two do not differ in size and kind. The first is mostly the
difference between two collections; the second is what the score knows about a gene.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.ml.classifiers.balance import (
    describe_kind,
    overlap_weights,
    primitive_atoms,
)
from wyckflow.ml.classifiers.evaluation import (
    N_BINS,
    measure_share,
    quantile_edges,
    to_figure,
)
from wyckflow.ml.classifiers.metrics import area_under_curve, bootstrap, estimate_area
from wyckflow.schemas.classifier import ReliabilityPoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wyckflow.ml.classifiers.evaluation import ScoredRows
    from wyckflow.schemas.training import Figure

MATCHED: Final = "matched in size and kind"
_ROUNDS: Final = 200


def measure_unlabelled(
    positives: Sequence[ScoredRows],
    unlabelled: ScoredRows,
    *,
    threshold: float,
    unlabelled_share: float,
) -> list[Figure]:
    """Return recall, accepted shares and areas, raw and matched, and the shortcuts.

    Parameters
    ----------
    positives
        Sets of crystals that were made.
    unlabelled
        Crystals of which it is unknown.
    threshold
        Rows with at least this score are called positive.
    unlabelled_share
        Positives among the unlabelled, assumed.
    """
    figures = measure_share(unlabelled, threshold, "share")
    figures.append(_size_correlation(unlabelled))
    for rows in positives:
        figures += measure_share(rows, threshold, "recall")
        figures.append(_size_correlation(rows))
        figures += _compare(rows, unlabelled, threshold, unlabelled_share)
    return figures


def find_even_reliability(
    positives: ScoredRows,
    unlabelled: ScoredRows,
    unlabelled_share: float,
    n_bins: int = N_BINS,
) -> list[ReliabilityPoint]:
    """Return the calibration plot at even odds, from positives and unlabelled rows.

    In each bin of scores the share of negatives is that of the unlabelled, less the
    positives assumed among them. Rows are matched in size and kind.

    Parameters
    ----------
    positives, unlabelled
        The two sets.
    unlabelled_share
        Positives among the unlabelled, assumed.
    n_bins
        Bins of equal numbers of rows.
    """
    scores, is_positive, weights = _match(positives, unlabelled)
    points = []
    for low, high in quantile_edges(scores, n_bins):
        inside = (scores >= low) & (scores < high)
        if not inside.any():
            continue

        def share(rows: NDArray[np.int64], inside: NDArray[np.bool_] = inside) -> float:
            label, weight = is_positive[rows], weights[rows]
            here = inside[rows]
            p = (weight * (label & here)).sum() / (weight * label).sum()
            u = (weight * (~label & here)).sum() / (weight * ~label).sum()
            n = max((u - unlabelled_share * p) / (1 - unlabelled_share), 0.0)
            return float(p / (p + n)) if p + n > 0 else float("nan")

        found = bootstrap(share, len(scores), n_resamples=_ROUNDS)
        points.append(
            ReliabilityPoint(
                mean_score=round(
                    float(np.average(scores[inside], weights=weights[inside])), 5
                ),
                share=round(found.value, 5),
                low=round(found.low, 5),
                high=round(found.high, 5),
                n=int(inside.sum()),
            )
        )
    return points


def _match(
    positives: ScoredRows, unlabelled: ScoredRows
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return scores, labels and weights of two sets, matched in size and kind."""
    kept = [positives.judged, unlabelled.judged]
    kinds = [
        describe_kind(rows.sites)[judged]
        for rows, judged in zip((positives, unlabelled), kept, strict=True)
    ]
    scores = np.concatenate([positives.scores[kept[0]], unlabelled.scores[kept[1]]])
    is_positive = np.arange(len(scores)) < kept[0].sum()
    return scores, is_positive, overlap_weights(np.concatenate(kinds), is_positive)


def _compare(
    rows: ScoredRows, unlabelled: ScoredRows, threshold: float, share: float
) -> list[Figure]:
    """Return areas of the score and of size alone, and precision at even odds."""
    scores, is_positive, weights = _match(rows, unlabelled)
    sizes = np.concatenate(
        [primitive_atoms(part.sites)[part.judged] for part in (rows, unlabelled)]
    )

    def precision(chosen: NDArray[np.int64]) -> float:
        label, weight = is_positive[chosen], weights[chosen]
        called = scores[chosen] >= threshold
        p = (weight * (label & called)).sum() / (weight * label).sum()
        u = (weight * (~label & called)).sum() / (weight * ~label).sum()
        return float(p / (p + max((u - share * p) / (1 - share), 0)))

    def matched_share(chosen: NDArray[np.int64], *, of_positives: bool) -> float:
        mine = is_positive[chosen] == of_positives
        weight = weights[chosen] * mine
        return float((weight * (scores[chosen] >= threshold)).sum() / weight.sum())

    pair = f"{rows.name} against {unlabelled.name}"
    n = len(scores)
    resampled = {
        f"precision at {threshold:g} at even odds": precision,
        f"recall at {threshold:g}": lambda c: matched_share(c, of_positives=True),
        f"share of unlabelled at {threshold:g}": lambda c: matched_share(
            c, of_positives=False
        ),
    }
    figures = [
        to_figure(name, pair, bootstrap(what, n, n_resamples=_ROUNDS), MATCHED)
        for name, what in resampled.items()
    ]
    figures += [
        to_figure("AUC", pair, estimate_area(scores, is_positive)),
        to_figure("AUC", pair, estimate_area(scores, is_positive, weights), MATCHED),
        to_figure("AUC of size alone", pair, estimate_area(sizes, is_positive)),
        to_figure(
            "AUC of size alone",
            pair,
            estimate_area(sizes, is_positive, weights),
            MATCHED,
        ),
    ]
    if share:

        def against_negatives(chosen: NDArray[np.int64]) -> float:
            part = scores[chosen], is_positive[chosen], weights[chosen]
            return (area_under_curve(*part) - share / 2) / (1 - share)

        estimate = bootstrap(against_negatives, n, n_resamples=_ROUNDS)
        figures.append(to_figure("AUC against negatives", pair, estimate, MATCHED))
    return figures


def _size_correlation(rows: ScoredRows) -> Figure:
    """Return how the score goes with the logarithm of the atoms in a primitive cell."""
    scores = rows.scores[rows.judged]
    size = np.log(primitive_atoms(rows.sites)[rows.judged])

    def correlate(chosen: NDArray[np.int64]) -> float:
        left, right = scores[chosen], size[chosen]
        if not (left.std() and right.std()):
            return 0.0
        return float(np.corrcoef(left, right)[0, 1])

    estimate = bootstrap(correlate, len(scores), n_resamples=_ROUNDS)
    return to_figure("correlation with size", rows.name, estimate)
