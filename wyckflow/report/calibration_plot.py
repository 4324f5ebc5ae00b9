"""The calibration plot of a classifier: what it said, and what turned out."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from wyckflow.errors import DocumentError

if TYPE_CHECKING:
    from pathlib import Path

    from wyckflow.schemas.classifier import ClassifierCard

_INK: Final = "#3b4252"
_FILL: Final = "#4c78a8"
_PALE: Final = "#d9dde4"
_EVEN: Final = 0.5
_STEEP: Final = 30
"""Ratio of densities from which they are drawn logarithmically."""


def plot_calibration(path: Path, card: ClassifierCard) -> None:
    """Draw the share of positives against the score, with intervals.

    Parameters
    ----------
    path
        Figure to write; its ending says which kind.
    card
        Of a classifier that was measured.

    Raises
    ------
    DocumentError
        If the card has no calibration, or the file cannot be written.
    """
    if not card.reliability:
        raise DocumentError(
            f"The classifier {card.name!r} was measured on no test rows; train it with "
            "--test to see how well it is calibrated."
        )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 5.2), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    _draw_shares(top, card)
    _draw_counts(bottom, card)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise DocumentError(f"{str(path)!r} cannot be drawn: {error}.") from error


def _draw_shares(axes: Any, card: ClassifierCard) -> None:
    """Draw points with their intervals, the diagonal, and the threshold."""
    points = card.reliability
    scores = [point.mean_score for point in points]
    shares = [point.share for point in points]
    below = [max(point.share - point.low, 0) for point in points]
    above = [max(point.high - point.share, 0) for point in points]
    axes.plot([0, 1], [0, 1], color=_PALE, zorder=1)
    axes.axvline(card.threshold, color=_INK, linewidth=0.8, linestyle=":")
    axes.errorbar(
        scores,
        shares,
        yerr=(below, above),
        fmt="o",
        color=_FILL,
        markersize=5,
        elinewidth=1.2,
        capsize=2,
    )
    on_left = card.threshold >= _EVEN
    axes.annotate(
        f"threshold {card.threshold:g}",
        (card.threshold, 0.02),
        xytext=(-4 if on_left else 4, 0),
        textcoords="offset points",
        ha="right" if on_left else "left",
        fontsize=8,
        color=_INK,
    )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_ylabel("share of positives, 95 % interval", fontsize=9, color=_INK)
    axes.set_title(
        f"{card.name}: {sum(point.n for point in points):,} rows held out",
        loc="left",
        fontsize=10,
        color=_INK,
    )
    _clean(axes)


def _draw_counts(axes: Any, card: ClassifierCard) -> None:
    """Draw how dense the scores are: rows of a bin over its reach."""
    scores = [point.mean_score for point in card.reliability]
    middles = [(a + b) / 2 for a, b in pairwise(scores)]
    edges = [0.0, *middles, 1.0]
    total = sum(point.n for point in card.reliability)
    widths = [max(b - a, 1e-3) for a, b in pairwise(edges)]
    heights = [
        point.n / total / width
        for point, width in zip(card.reliability, widths, strict=True)
    ]
    axes.bar(edges[:-1], heights, width=widths, align="edge", color=_PALE)
    if max(heights) > _STEEP * min(heights):
        axes.set_yscale("log")
    axes.set_xlabel("score", fontsize=9, color=_INK)
    axes.set_ylabel("density", fontsize=9, color=_INK)
    _clean(axes)


def _clean(axes: Any) -> None:
    """Take away what carries nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#c8c8c8")
    axes.tick_params(labelsize=8, colors=_INK, length=3)
