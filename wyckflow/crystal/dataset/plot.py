"""One figure of what is in a dataset: elements, space groups, sizes, properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.cell import LAST_SUPPORTED_ATOMIC_NUMBER
from wyckflow.crystal.dataset.column import PROPERTY_BY_NAME
from wyckflow.crystal.dataset.describe import atoms_of_primitive_cells, describe_dataset
from wyckflow.crystal.elements import SYMBOLS
from wyckflow.crystal.tables import N_SPACE_GROUPS, load_space_group
from wyckflow.errors import ConfigurationError, DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wyckflow.crystal.dataset.describe import DatasetSummary
    from wyckflow.crystal.dataset.table import Dataset

_INK: Final = "#3b4252"
_FILL: Final = "#4c78a8"
_SYSTEM_COLOURS: Final = {
    "triclinic": "#9d9da1",
    "monoclinic": "#e45756",
    "orthorhombic": "#f2a03d",
    "tetragonal": "#c9b31b",
    "trigonal": "#54a24b",
    "hexagonal": "#4c78a8",
    "cubic": "#8d6bb0",
}
_N_COLUMNS: Final = 3
_MOST_PROPERTIES: Final = 9
_N_BINS: Final = 48
_N_LABELS: Final = 5
_LABEL_WIDTH: Final = 22  # in space-group numbers

# The two rows of f elements: their first atomic number, and the row they are drawn in.
_F_ROWS: Final = ((57, 71, 8.4), (89, 103, 9.4))
_PERIOD_ENDS: Final = (2, 10, 18, 36, 54, 86, 118)
_N_GROUPS: Final = 18


def plot_dataset(dataset: Dataset, path: Path) -> None:
    """Draw what is in a dataset into a file.

    Parameters
    ----------
    dataset
        Any dataset.
    path
        PNG, PDF or SVG, by its ending.

    Raises
    ------
    ConfigurationError
        If matplotlib is not installed.
    DatasetError
        If the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigurationError(
            "A plot needs the package matplotlib, which is not installed: run "
            "pip install matplotlib."
        ) from None
    summary = describe_dataset(dataset)
    known = [p.name for p in summary.properties if p.n_known][:_MOST_PROPERTIES]
    n_property_rows = -(-len(known) // _N_COLUMNS)
    heights = [3.6, 2.3] + [2.3] * n_property_rows
    figure = Figure(figsize=(12, 1.2 + sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), 6, height_ratios=heights)
    _draw_elements(figure.add_subplot(grid[0, :3]), summary)
    _draw_space_groups(figure.add_subplot(grid[0, 3:]), summary)
    sizes = (
        ("number of elements", _repeat(summary.n_elements)),
        ("number of orbits", _repeat(summary.n_orbits)),
        ("atoms in the primitive cell", atoms_of_primitive_cells(dataset)),
    )
    for place, (name, counts) in enumerate(sizes):
        axes = figure.add_subplot(grid[1, 2 * place : 2 * place + 2])
        _draw_counts(axes, name, counts)
    for place, name in enumerate(known):
        row, column = divmod(place, _N_COLUMNS)
        axes = figure.add_subplot(grid[2 + row, 2 * column : 2 * column + 2])
        unit = dataset.metadata.units.get(name, "")
        _draw_property(axes, name, unit, dataset.properties[name])
    for axes in figure.axes:
        cell = axes.get_subplotspec()
        if cell is not None and cell.is_first_col():
            axes.set_ylabel("rows", fontsize=8, color=_INK)
    figure.suptitle(
        f"dataset {dataset.dataset_id}: {summary.n_rows:,} crystals, "
        f"{summary.n_formulas:,} formulas, {summary.n_prototypes:,} prototypes",
        color=_INK,
        fontsize=13,
    )
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{str(path)!r} cannot be drawn: {error}.") from error


def _repeat(counts: dict[int, int]) -> list[int]:
    return [value for value, count in counts.items() for _ in range(count)]


def _draw_elements(axes: Any, summary: DatasetSummary) -> None:
    """Colour the periodic table by the share of rows that hold an element."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Rectangle

    shares = {e: 100 * n / summary.n_rows for e, n in summary.elements.items()}
    highest = max(shares.values())
    norm = LogNorm(max(min(shares.values()), highest / 1000), highest)
    colours = colormaps["YlGnBu"]
    for number in range(1, LAST_SUPPORTED_ATOMIC_NUMBER + 1):
        column, row = _place_in_table(number)
        share = shares.get(SYMBOLS[number - 1])
        colour = "#f4f4f4" if share is None else colours(norm(share))
        axes.add_patch(Rectangle((column, row), 0.94, 0.94, facecolor=colour))
        is_dark = share is not None and norm(share) > 0.5  # noqa: PLR2004 - legible
        axes.text(
            column + 0.47,
            row + 0.5,
            SYMBOLS[number - 1],
            ha="center",
            va="center",
            fontsize=7.5,
            color="white" if is_dark else _INK if share else "#b8b8b8",
        )
    axes.set(xlim=(0, _N_GROUPS), ylim=(10.5, 0), aspect="equal")
    axes.axis("off")
    _title(axes, "rows that hold an element (%)")
    scale = ScalarMappable(norm=norm, cmap=colours)
    bar = axes.figure.colorbar(scale, ax=axes, shrink=0.6, aspect=18, pad=0.01)
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.ax.yaxis.set_minor_formatter("")
    bar.ax.tick_params(labelsize=8, colors=_INK)
    bar.outline.set_visible(False)


def _place_in_table(number: int) -> tuple[float, float]:
    """Return column and row of an element in the periodic table."""
    for first, last, row in _F_ROWS:
        if first <= number <= last:
            return number - first + 2.0, row - 1
    period = next(i for i, end in enumerate(_PERIOD_ENDS) if number <= end)
    end = _PERIOD_ENDS[period]
    begin = _PERIOD_ENDS[period - 1] if period else 0
    n_left = 1 if period == 0 else 2
    place = number - begin - 1
    column = place if place < n_left else _N_GROUPS - 1 - (end - number)
    return float(column), float(period)


def _draw_space_groups(axes: Any, summary: DatasetSummary) -> None:
    """Draw rows by space group, coloured by crystal system."""
    systems = [
        load_space_group(number).crystal_system.value
        for number in range(1, N_SPACE_GROUPS + 1)
    ]
    for system, colour in _SYSTEM_COLOURS.items():
        numbers = [n for n, s in enumerate(systems, 1) if s == system]
        heights = [summary.space_groups.get(number, 0) for number in numbers]
        share = summary.crystal_systems.get(system, 0) / summary.n_rows
        axes.bar(numbers, heights, width=1, color=colour, label=f"{system} {share:.0%}")
    highest = max(summary.space_groups.values())
    for number in _apart(summary.space_groups):
        axes.annotate(
            load_space_group(number).symbol,
            (number, summary.space_groups[number]),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=_INK,
        )
    axes.set(xlim=(0, N_SPACE_GROUPS + 1), ylim=(0, 1.12 * highest))
    axes.legend(
        frameon=False,
        fontsize=7.5,
        ncols=4,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.08),
        labelcolor=_INK,
        handlelength=1,
        columnspacing=1.2,
    )
    _title(axes, f"rows by space group ({len(summary.space_groups)} occur)")
    axes.set_ylabel("rows", fontsize=8, color=_INK)
    _clean(axes)


def _apart(numbers: Iterable[int]) -> list[int]:
    """Choose the first few numbers whose labels do not touch."""
    chosen: list[int] = []
    for number in numbers:
        if all(abs(number - other) >= _LABEL_WIDTH for other in chosen):
            chosen.append(number)
    return chosen[:_N_LABELS]


def _draw_counts(axes: Any, name: str, counts: Sequence[int]) -> None:
    """Draw how often a small number occurs; the longest tail is left out."""
    values = np.asarray(counts)
    end = int(np.quantile(values, 0.995))
    shown = values[values <= end]
    edges = np.arange(shown.min() - 0.5, end + 1)
    axes.hist(shown, bins=edges, color=_FILL, rwidth=0.9)
    hidden = len(values) - len(shown)
    if hidden:
        axes.text(
            0.98,
            0.92,
            f"{hidden:,} rows beyond, up to {values.max()}",
            transform=axes.transAxes,
            ha="right",
            fontsize=8,
            color=_INK,
        )
    _title(axes, name)
    axes.xaxis.get_major_locator().set_params(integer=True)
    _clean(axes)


def _draw_property(
    axes: Any, name: str, unit: str, values: NDArray[np.float64]
) -> None:
    """Draw a histogram, with a logarithmic height where one value dominates."""
    known = values[np.isfinite(values)]
    low = np.quantile(known, 0.001, method="lower")
    high = np.quantile(known, 0.999, method="higher")
    shown = known[(known >= low) & (known <= high)]
    is_whole = bool((shown == np.round(shown)).all()) and high - low < 2 * _N_BINS
    bins = np.arange(low - 0.5, high + 1) if is_whole else _N_BINS
    counts, _, _ = axes.hist(shown, bins=bins, color=_FILL)
    if counts.max() > 20 * max(np.median(counts[counts > 0]), 1):
        axes.set_yscale("log")
    share = len(known) / len(values)
    column = PROPERTY_BY_NAME.get(name)
    label = f"{name} ({unit})" if unit and column else name
    _title(axes, label + ("" if share == 1 else f", {share:.0%} of rows"))
    if is_whole:
        axes.xaxis.get_major_locator().set_params(integer=True)
    _clean(axes)


def _title(axes: Any, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=9.5, color=_INK)


def _clean(axes: Any) -> None:
    """Take away what carries nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#c8c8c8")
    axes.tick_params(labelsize=8, colors=_INK, length=3)
