"""Several generated sets side by side: the rows of a table, and a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wyckflow.crystal.tables import load_space_group
from wyckflow.errors import ConfigurationError, DatasetError
from wyckflow.screening.metrics.definitions import DEFINITIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wyckflow.schemas.evaluation import Distribution, EvaluationDoc, Metric

_INK: Final = "#3b4252"
_REFERENCE: Final = "#c9ced6"
_COLOURS: Final = ("#4c78a8", "#e45756", "#54a24b", "#f2a03d", "#8d6bb0", "#c9b31b")
_N_SPACE_GROUPS: Final = 20
_TAIL: Final = 0.995
_PANELS: Final = (
    ("sites", "occupied orbits"),
    ("elements", "different elements"),
    ("degrees_of_freedom", "free coordinates"),
    ("atoms", "atoms in the conventional cell"),
)


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One metric of all sets, as text.

    Attributes
    ----------
    name
        Of the metric.
    label
        What people call it.
    cells
        One per set; a dash where it was not measured.
    floor
        What chance alone gives at this size, or nothing.
    reference
        The same of the real crystals, or nothing.
    """

    name: str
    label: str
    cells: tuple[str, ...]
    floor: str
    reference: str


def compare_sets(documents: Sequence[EvaluationDoc]) -> list[ComparisonRow]:
    """Return the metrics of sets that were measured against one reference.

    Parameters
    ----------
    documents
        One per set.

    Raises
    ------
    DatasetError
        If the references, or what counts as known, differ.
    """
    _check_comparable(documents)
    rows = []
    for name, definition in DEFINITIONS.items():
        found = [document.metric(name) for document in documents]
        measured = [metric for metric in found if metric is not None]
        if not measured:
            continue
        first = measured[0]
        floors = {word_value(name, m.floor) for m in measured if m.floor is not None}
        rows.append(
            ComparisonRow(
                name=name,
                label=definition.label,
                cells=tuple("-" if m is None else word_metric(m) for m in found),
                floor=" to ".join(sorted(floors)),
                reference=""
                if first.reference is None
                else word_value(name, first.reference),
            )
        )
    return rows


def word_metric(metric: Metric) -> str:
    """Return a value with its interval.

    Parameters
    ----------
    metric
        What to write.
    """
    text = word_value(metric.name, metric.value)
    if metric.low is None or metric.high is None:
        return text
    low, high = (word_value(metric.name, x) for x in (metric.low, metric.high))
    return f"{text} [{low.removesuffix(' %')}, {high.removesuffix(' %')}]"


def word_value(name: str, value: float) -> str:
    """Return a number as the metric of this name is written.

    Parameters
    ----------
    name
        Of the metric.
    value
        A share between 0 and 1, a distance, or a number of atoms.
    """
    if name.endswith("_share"):
        return f"{100 * value:.1f} %"
    if name.startswith("atoms"):
        return f"{value:.0f}"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def _check_comparable(documents: Sequence[EvaluationDoc]) -> None:
    references = {document.reference.content_id for document in documents}
    known = {document.known and document.known.known_id for document in documents}
    if len(references) > 1 or len(known) > 1:
        raise DatasetError(
            f"The sets {', '.join(d.name for d in documents)} were measured against "
            f"{len(references)} references and {len(known)} sets of known genes; "
            "compare sets that were measured against the same."
        )


# --- figure -------------------------------------------------------------------------


def plot_comparison(documents: Sequence[EvaluationDoc], path: Path) -> None:
    """Draw how sets are distributed, over the reference.

    Parameters
    ----------
    documents
        One per set, measured against one reference.
    path
        PNG, PDF or SVG, by its ending.

    Raises
    ------
    ConfigurationError
        If matplotlib is not installed.
    DatasetError
        If the references differ, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigurationError(
            "A plot needs the package matplotlib, which is not installed: run "
            "pip install matplotlib."
        ) from None
    _check_comparable(documents)
    figure = Figure(figsize=(12, 7.2), layout="constrained")
    grid = figure.add_gridspec(2, len(_PANELS), height_ratios=[1, 1.15])
    for column, (name, label) in enumerate(_PANELS):
        _draw_counts(figure.add_subplot(grid[0, column]), documents, name, label)
    _draw_space_groups(figure.add_subplot(grid[1, :]), documents)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=4,
        frameon=False,
        fontsize=9,
        labelcolor=_INK,
    )
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{str(path)!r} cannot be drawn: {error}.") from error


def _find(distributions: Sequence[Distribution], name: str) -> dict[int, float]:
    found = next(one for one in distributions if one.name == name)
    return dict(zip(found.values, found.shares, strict=True))


def _draw_counts(
    axes: Any, documents: Sequence[EvaluationDoc], name: str, label: str
) -> None:
    """Draw the shares of whole numbers: the reference filled, the sets as steps."""
    reference = documents[0].reference
    real = _find(reference.distributions, name)
    own = [_find(document.distributions, name) for document in documents]
    end = max(_end(shares) for shares in (real, *own))
    begin = min(min(shares) for shares in (real, *own))
    width = max(1, round((end - begin) / 30))  # bins that can be seen
    starts = range(begin, end + 1, width)

    def bins(shares: dict[int, float]) -> list[float]:
        return [
            100 * sum(shares.get(value, 0.0) for value in range(start, start + width))
            for start in starts
        ]

    edges = [start - 0.5 for start in (*starts, starts[-1] + width)]
    title = f"{reference.name} (reference, {reference.n_genes:,})"
    axes.stairs(bins(real), edges, fill=True, color=_REFERENCE, label=title)
    for place, (document, shares) in enumerate(zip(documents, own, strict=True)):
        axes.stairs(
            bins(shares),
            edges,
            color=_COLOURS[place % len(_COLOURS)],
            linewidth=1.6,
            label=f"{document.name} ({document.population}, {document.n_population:,})",
        )
    axes.set_xlim(edges[0], edges[-1])
    axes.set_title(label, loc="left", fontsize=9.5, color=_INK)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if name == _PANELS[0][0]:
        axes.set_ylabel("share (%)", fontsize=8, color=_INK)
    _clean(axes)


def _end(shares: dict[int, float]) -> int:
    """Return the value below which nearly everything lies."""
    total = 0.0
    for value in sorted(shares):
        total += shares[value]
        if total >= _TAIL:
            return value
    return max(shares)


def _draw_space_groups(axes: Any, documents: Sequence[EvaluationDoc]) -> None:
    """Draw the shares of the most frequent space groups of all."""
    real = _find(documents[0].reference.distributions, "space_groups")
    own = [_find(document.distributions, "space_groups") for document in documents]
    highest: dict[int, float] = {}
    for shares in (real, *own):
        for number, share in shares.items():
            highest[number] = max(highest.get(number, 0.0), share)
    numbers = sorted(sorted(highest, key=highest.__getitem__)[-_N_SPACE_GROUPS:])
    places = range(len(numbers))
    heights = [100 * real.get(number, 0.0) for number in numbers]
    axes.bar(places, heights, width=0.9, color=_REFERENCE)
    width = 0.8 / len(own)
    for index, shares in enumerate(own):
        shifted = [place - 0.4 + (index + 0.5) * width for place in places]
        heights = [100 * shares.get(number, 0.0) for number in numbers]
        colour = _COLOURS[index % len(_COLOURS)]
        axes.bar(shifted, heights, width=0.7 * width, color=colour)
    names = [f"{load_space_group(n).symbol}\n{n}" for n in numbers]
    axes.set_xticks(list(places), names, fontsize=7.5)
    axes.set_xlim(-0.6, len(numbers) - 0.4)
    shown = sum(real.get(number, 0.0) for number in numbers)
    axes.set_title(
        f"space groups: the {len(numbers)} most frequent, "
        f"{100 * shown:.0f} % of the reference",
        loc="left",
        fontsize=9.5,
        color=_INK,
    )
    axes.set_ylabel("share (%)", fontsize=8, color=_INK)
    _clean(axes)


def _clean(axes: Any) -> None:
    """Take away what carries nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#c8c8c8")
    axes.tick_params(labelsize=8, colors=_INK, length=3)
