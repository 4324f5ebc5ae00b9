"""Distances of generated sets to real crystals, a panel per distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

_COLORS = ("#4c78a8", "#d9822b", "#b8b8b8", "#dfe3e8")


def draw_distances(
    path: Path,
    columns: Mapping[str, Sequence[Mapping[str, float]]],
    titles: Mapping[str, tuple[str, float | None]],
    peer: str,
) -> None:
    """Draw bars with a dot per training, and the published figure as a line.

    Parameters
    ----------
    path
        PNG to write.
    columns
        Figures by name of what was measured, one mapping per training.
    titles
        Title and published figure of each distance, by its name.
    peer
        Whose figure that is.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = figure.subplots(1, len(titles))
    for panel, (name, (title, published)) in zip(panels, titles.items(), strict=True):
        _draw_panel(panel, columns, name)
        panel.set_title(title, fontsize=10)
        if published is not None:
            panel.axhline(published, color="#c0392b", lw=1.2, ls="--", label=peer)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(columns) + 1,
        frameon=False,
        fontsize=9,
    )
    figure.savefig(path, dpi=140)


def _draw_panel(
    panel: Any, columns: Mapping[str, Sequence[Mapping[str, float]]], name: str
) -> None:
    for place, (label, cases) in enumerate(columns.items()):
        values = [case[name] for case in cases]
        panel.bar(place, np.mean(values), 0.8, color=_COLORS[place], label=label)
        if len(values) > 1:
            panel.plot([place] * len(values), values, ".", color="#2e3440", ms=5)
    panel.set_xticks([])
    panel.spines[["top", "right"]].set_visible(False)
