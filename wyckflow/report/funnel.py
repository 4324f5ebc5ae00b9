"""The funnel as a figure: how many genes each filter left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wyckflow.errors import DocumentError
from wyckflow.report.look import BLUE, INK, ORANGE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from wyckflow.schemas.screening import FunnelStep, ScreenCost

_INK: Final = INK
_PASSED: Final = BLUE
_FAILED: Final = "#d9dde4"
_UNJUDGED: Final = ORANGE
_LEAST_INSIDE: Final = 0.12
"""Share of the width from which a number fits into its bar."""


def plot_funnel(
    path: Path,
    funnel: Sequence[FunnelStep],
    *,
    costs: Sequence[ScreenCost] = (),
    title: str = "",
) -> None:
    """Draw one bar per filter: who passed, who failed, who could not be judged.

    Parameters
    ----------
    path
        Figure to write; its ending says which kind.
    funnel
        Steps in their order.
    costs
        What the screen does to known crystals; each is a line below the figure, and
        the last of them a column beside the bars.
    title
        Above the figure.

    Raises
    ------
    DocumentError
        If there is no step.
    """
    if not funnel:
        raise DocumentError(
            "A funnel without steps cannot be drawn; give that of a ScreeningDoc."
        )
    from matplotlib.figure import Figure

    height = 1.5 + 0.44 * (len(funnel) + 1) + 0.22 * len(costs)
    figure = Figure(figsize=(8.4, height), layout="constrained")
    axes = figure.add_subplot()
    _draw_bars(axes, funnel)
    if costs:
        _write_costs(axes, funnel, costs[-1])
        figure.supxlabel("\n".join(map(str, costs)), fontsize=8, color=_INK)
    if title:
        axes.set_title(title, loc="left", color=_INK, fontsize=11)
    figure.savefig(path, dpi=150)


def _draw_bars(axes: Axes, funnel: Sequence[FunnelStep]) -> None:
    """Draw what came in and what each filter left."""
    n_genes = max(funnel[0].n_in, 1)
    axes.barh(0, n_genes, color=_PASSED, height=0.72)
    _write_count(axes, 0, funnel[0].n_in, n_genes)
    for place, step in enumerate(funnel, start=1):
        parts = (
            (step.n_pass, _PASSED),
            (step.n_fail, _FAILED),
            (step.n_cannot_judge, _UNJUDGED),
        )
        left = 0
        for count, colour in parts:
            axes.barh(place, count, left=left, color=colour, height=0.72)
            left += count
        _write_count(axes, place, step.n_pass, n_genes, end=left)
    axes.set_yticks(
        range(len(funnel) + 1),
        ["genes", *(step.filter.replace("_", " ") for step in funnel)],
    )
    axes.invert_yaxis()
    axes.set_xlim(0, n_genes * 1.18)
    axes.set_xlabel("genes", color=_INK)
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= n_genes])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0, colors=_INK)
    axes.tick_params(axis="x", colors=_INK)
    _explain_colours(axes, funnel)


def _write_count(
    axes: Axes, place: int, count: int, n_genes: int, *, end: int | None = None
) -> None:
    """Write how many are left, into the bar or behind it."""
    is_inside = count > _LEAST_INSIDE * n_genes
    at = count if is_inside or end is None else end
    axes.annotate(
        f"{count:,}",
        (at, place),
        xytext=(-4 if is_inside else 4, 0),
        textcoords="offset points",
        ha="right" if is_inside else "left",
        va="center",
        color="white" if is_inside else _INK,
        fontsize=9,
    )


def _write_costs(axes: Axes, funnel: Sequence[FunnelStep], cost: ScreenCost) -> None:
    """Write beside each bar what its filter drops of known crystals."""
    shares = {item.filter: item.share_alone for item in cost.filters}
    at = axes.get_xlim()[1]
    axes.annotate(
        "drops of those\nin the last line",
        (at, 0),
        ha="right",
        va="center",
        fontsize=8,
        color=_INK,
    )
    for place, step in enumerate(funnel, start=1):
        share = shares.get(step.filter)
        text = "not measured" if share is None else f"{share:.1%}"
        axes.annotate(
            text, (at, place), ha="right", va="center", fontsize=8, color=_INK
        )


def _explain_colours(axes: Axes, funnel: Sequence[FunnelStep]) -> None:
    """Say what the colours mean, those that are there, above the title."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    meanings = [("passed", _PASSED), ("failed", _FAILED)]
    if any(step.n_cannot_judge for step in funnel):
        meanings.append(("could not be judged", _UNJUDGED))
    figure = axes.get_figure(root=True)
    if isinstance(figure, Figure):
        figure.legend(
            handles=[Patch(color=colour, label=label) for label, colour in meanings],
            loc="outside upper right",
            ncols=len(meanings),
            frameon=False,
            fontsize=8,
            labelcolor=_INK,
        )
