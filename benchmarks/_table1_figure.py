"""Bars of Table 1: our errors per property, published ones as marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from _table1_cases import Column

_COLORS = {
    "composition": "#b8b8b8",
    "gene": "#f2a03d",
    "gene-l": "#d9822b",
    "wycryst": "#9ecae1",
    "wycryst-l": "#4c78a8",
    "ftcp": "#76b7b2",
    "graph": "#54a24b",
}
_MARKS = {
    "CrabNet": ("composition",),
    "FTCP": ("ftcp",),
    "FTCP+": ("ftcp+",),
    "WyCryst": ("wycryst",),
    "WyCryst+": ("wycryst+",),
    "WyCryst-L+": ("wycryst-l+",),
}
_ORDER = tuple(f"{name}{end}" for name in _COLORS for end in ("", "+"))


def draw_table(
    path: Path,
    values: Mapping[str, Mapping[str, tuple[float, float]]],
    columns: Sequence[Column],
    published: Mapping[str, Sequence[float]],
) -> None:
    """Draw a panel per property.

    Parameters
    ----------
    path
        PNG to write.
    values
        Mean and spread by names of row and column.
    columns
        The properties, of which the first ones are those of the published figures.
    published
        Errors by name of the row, in the order of the properties of the paper.
    """
    from _table1_cases import AFLOW
    from matplotlib.figure import Figure

    rows = [name for name in _ORDER if name in values]
    n_lines = -(-len(columns) // 3)
    figure = Figure(figsize=(10.5, 3.6 * n_lines), layout="constrained")
    axes = figure.subplots(n_lines, min(3, len(columns)), squeeze=False).ravel()
    for panel, column in zip(axes, columns, strict=False):
        known = dict(zip(AFLOW, zip(*published.values(), strict=True), strict=True))
        marks = dict(zip(published, known.get(column, ()), strict=False))
        _draw_panel(panel, rows, values, column, marks)
    for panel in axes[len(columns) :]:
        panel.set_axis_off()
    if len(axes) > len(columns):
        axes[len(columns)].legend(
            *axes[0].get_legend_handles_labels(), loc="center left", frameon=False
        )
    figure.savefig(path, dpi=140)


def _draw_panel(
    panel: object,
    rows: Sequence[str],
    values: Mapping[str, Mapping[str, tuple[float, float]]],
    column: Column,
    marks: Mapping[str, float],
) -> None:
    places = np.arange(len(rows))
    means = np.array([values[r].get(column.name, (np.nan, 0))[0] for r in rows])
    spreads = [values[r].get(column.name, (np.nan, 0))[1] for r in rows]
    panel.bar(
        places,
        means,
        0.75,
        yerr=spreads,
        color=[_COLORS[row.removesuffix("+")] for row in rows],
        hatch=["///" if row.endswith("+") else "" for row in rows],
        edgecolor="white",
        error_kw={"lw": 1, "ecolor": "#3b4252"},
    )
    own = [
        (rows.index(row), marks[name])
        for name, its in _MARKS.items()
        for row in its
        if name in marks and row in rows
    ]
    if own:
        panel.plot(
            *zip(*own, strict=True), "D", color="#c0392b", ms=5, label="published"
        )
    if "CrabNet" in marks:
        panel.axhline(
            marks["CrabNet"], color="#c0392b", lw=0.9, ls=":", label="CrabNet"
        )
    panel.set_xticks(places, rows, rotation=60, ha="right", fontsize=8)
    panel.set_title(column.name, fontsize=10)
    panel.set_ylabel(f"mean absolute error ({column.unit})", fontsize=9)
    panel.spines[["top", "right"]].set_visible(False)
