"""The crystals of a composition as a figure: energy against predicted rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wyckflow.errors import DocumentError
from wyckflow.schemas.structure_prediction import GeneSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wyckflow.schemas.structure_prediction import PhaseDoc, StructurePredictionDoc

_INK: Final = "#3b4252"
_COLOURS: Final = {
    GeneSource.GENERATED: "#4c78a8",
    GeneSource.BOTH: "#72b7b2",
    GeneSource.ENUMERATED: "#f2a03d",
}
_WORDS: Final = {
    GeneSource.GENERATED: "generated",
    GeneSource.BOTH: "generated and enumerated",
    GeneSource.ENUMERATED: "enumerated",
}
_MOST_NAMED: Final = 8
_MOST_BARS: Final = 30
_HIGHEST: Final = 1000.0
"""What is drawn at most, in meV/atom above the best."""


def plot_phases(path: Path, answer: StructurePredictionDoc, *, title: str = "") -> None:
    """Draw every phase: its energy by rank, and by the rank that was predicted.

    Parameters
    ----------
    path
        Figure to write; its ending says which kind.
    answer
        The phases.
    title
        Above the figure.

    Raises
    ------
    DocumentError
        If there is no phase, or the file cannot be written.
    """
    if not answer.phases:
        raise DocumentError(
            "No crystal converged, so that there is nothing to draw; raise the budget."
        )
    from matplotlib.figure import Figure

    shown = [p for p in answer.phases if 1000 * p.energy_above_best <= _HIGHEST]
    figure = Figure(figsize=(10.4, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_bars(left, shown[:_MOST_BARS], answer)
    _draw_prediction(right, shown)
    if title:
        figure.suptitle(title, x=0.01, ha="left", color=_INK, fontsize=11)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise DocumentError(f"{str(path)!r} cannot be drawn: {error}.") from error


def _draw_bars(
    axes: Any, phases: Sequence[PhaseDoc], answer: StructurePredictionDoc
) -> None:
    """Draw one stem per phase, the lowest first, named by its space group."""
    for phase in phases:
        height = 1000 * phase.energy_above_best
        colour = _COLOURS[phase.source]
        axes.plot([phase.rank] * 2, [0, height], color=colour, lw=1.2, zorder=1)
        face = colour if phase.is_in_wanted_group else "white"
        axes.plot(
            phase.rank,
            height,
            "o",
            ms=6,
            color=colour,
            mfc=face,
            zorder=2,
            clip_on=False,
        )
        axes.annotate(
            str(phase.space_group_number),
            (phase.rank, height),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color=_INK,
        )
    for source in dict.fromkeys(phase.source for phase in phases):
        axes.plot([], [], "o", color=_COLOURS[source], label=_WORDS[source])
    axes.legend(
        frameon=False,
        fontsize=8,
        loc="upper left",
        title="genes that led there",
        title_fontsize=8,
    )
    axes.set_xlim(0.2, max(len(phases), 2) + 0.8)
    top = max((1000 * phase.energy_above_best for phase in phases), default=0.0)
    axes.set_ylim(0, max(1.25 * top, 1.0))
    axes.set_xlabel("phase, by energy; above each its space group")
    axes.set_ylabel(f"energy above the best, meV/atom ({answer.energy_scale})")
    _plain(axes)


def _draw_prediction(axes: Any, phases: Sequence[PhaseDoc]) -> None:
    """Draw energies against the places at which the genes were ranked."""
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    known = [phase for phase in phases if phase.predicted_rank is not None]
    for phase in known:
        axes.plot(
            phase.predicted_rank,
            1000 * phase.energy_above_best,
            "o",
            ms=5,
            color=_COLOURS[phase.source],
        )
    for phase in known[:_MOST_NAMED]:
        axes.annotate(
            str(phase.space_group_number),
            (phase.predicted_rank, 1000 * phase.energy_above_best),
            xytext=(5, 2),
            textcoords="offset points",
            fontsize=7,
            color=_INK,
        )
    axes.set_xlabel("place of its gene in the ranking before relaxation")
    axes.set_ylabel("energy above the best, meV/atom")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(0.8, 1.6 * max((p.predicted_rank or 1 for p in known), default=10))
    _plain(axes)


def _plain(axes: Any) -> None:
    """Leave out the frame where nothing is read off it."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=8)
