"""The figures of a report, one question each: listed here, drawn wherever needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.report.distributions import (
    draw_elements,
    draw_hull_shares,
    draw_property,
    draw_space_groups,
    draw_systems,
)
from wyckflow.report.energies import draw_hull_distances, list_hull_distances
from wyckflow.report.latent_map import draw_genes, draw_map
from wyckflow.report.look import INK, clean_axes, new_figure
from wyckflow.report.parity import draw_parity, find_pairs
from wyckflow.schemas.report import HullDistanceSet, PlacedGenes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.figure import Figure

    from wyckflow.schemas.report import ReportData

_COLUMN: Final = 3.5
"""Width of a column of a journal, in inches."""
_SQUARE: Final = 4
"""So many figures stand two by two."""
_FEWEST: Final = 2
"""Sets of distances that make a comparison."""
_QUANTITIES: Final = {
    "formation_energy_per_atom": ("formation energy", "eV/atom"),
    "band_gap": ("band gap", "eV"),
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure.

    Attributes
    ----------
    group
        Section that it belongs to: ``parity``, ``distributions``, ``energies`` or
        ``latent``.
    name
        Of its file, unique.
    title
        What it shows.
    caption
        How to read it.
    draw
        Draws into axes.
    height
        In inches; the width is that of a column.
    """

    group: str
    name: str
    title: str
    caption: str
    draw: Callable[[Any], None]
    height: float = 2.7

    def figure(self) -> Figure:
        """Return the figure, as wide as the column of a journal."""
        figure = new_figure(_COLUMN, self.height)
        axes = figure.add_subplot()
        self.draw(axes)
        clean_axes(axes)
        return figure


def list_panels(data: ReportData, group: str | None = None) -> list[Panel]:
    """Return the figures for which there are data, in order.

    Parameters
    ----------
    data
        Of a report.
    group
        Only those of this section.
    """
    makers = {
        "parity": _parity,
        "energies": _energies,
        "distributions": _distributions,
        "latent": _latent,
    }
    return [
        panel
        for name, make in makers.items()
        if group in (None, name)
        for panel in make(data)
    ]


def join_panels(panels: Sequence[Panel], *, title: str = "") -> Figure:
    """Return several figures side by side as one.

    Parameters
    ----------
    panels
        At least one.
    title
        Above them.
    """
    n_columns = 2 if len(panels) == _SQUARE else min(len(panels), 3)
    n_rows = -(-len(panels) // n_columns)
    height = max(panel.height for panel in panels)
    figure = new_figure(_COLUMN * n_columns, height * n_rows + (0.3 if title else 0))
    parts = np.ravel(figure.subfigures(n_rows, n_columns, squeeze=False))
    for part, panel in zip(parts, panels, strict=False):
        axes = part.add_subplot()
        panel.draw(axes)
        axes.set_title(panel.title, loc="left", fontsize=9, color=INK)
        clean_axes(axes)
    if title:
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


def _parity(data: ReportData) -> Iterator[Panel]:
    for name, (label, unit) in _QUANTITIES.items():
        pairs = find_pairs(data, name)
        if pairs is None:
            continue
        yield Panel(
            "parity",
            f"parity-{name.replace('_per_atom', '').replace('_', '-')}",
            f"{label}: predicted against computed",
            f"{pairs.summary(unit)} Bars are one standard deviation as the model gives "
            "it; the line is equality.",
            partial(draw_parity, pairs=pairs, label=label, unit=unit),
            height=3.3,
        )


def _energies(data: ReportData) -> Iterator[Panel]:
    for distances in list_hull_distances(data):
        yield Panel(
            "energies",
            f"hull-distance-{distances.name}",
            f"distance to the hull, {distances.label}",
            distances.caption,
            partial(draw_hull_distances, distances=distances),
        )


def _distributions(data: ReportData) -> Iterator[Panel]:
    sets = data.gene_sets
    if not sets:
        return
    windows = data.request.spec.target.properties if data.request else {}
    numbers = ", ".join(f"{one.label}: {one.n_genes:,}" for one in sets)
    for name, (label, unit) in _QUANTITIES.items():
        if not any(name in one.properties for one in sets):
            continue
        yield Panel(
            "distributions",
            f"distribution-{name.replace('_per_atom', '').replace('_', '-')}",
            f"predicted {label}",
            f"As the model predicts it ({numbers} genes). The shaded range was asked "
            "for.",
            partial(
                draw_property,
                sets=sets,
                name=name,
                label=f"{label} ({unit})",
                window=windows.get(name),
            ),
        )
    yield from _hull_shares(data)
    for kind, draw, height in (
        ("crystal systems", draw_systems, 2.7),
        ("space groups", draw_space_groups, 3.4),
        ("elements", draw_elements, 4.2),
    ):
        yield Panel(
            "distributions",
            f"distribution-{kind.replace(' ', '-')}",
            kind,
            f"Share of the genes ({numbers}).",
            partial(draw, sets=sets),
            height=height,
        )


def _hull_shares(data: ReportData) -> Iterator[Panel]:
    """Yield distances to the hull of all sets, of what was relaxed here last."""
    sets = list(data.hull_distances)
    values = [item.energy_above_hull for item in data.candidates]
    known = np.array([value for value in values if value is not None], dtype=float)
    scales = {item.hull_scale for item in data.candidates if item.hull_scale}
    if len(known) and len(scales) == 1:
        sets.append(
            HullDistanceSet("relaxed", "CHGNet", scales.pop(), known, len(known))
        )
    if len(sets) < _FEWEST:
        return
    words = "; ".join(map(_count_set, sets))
    yield Panel(
        "distributions",
        "distribution-hull-distance",
        "distance to the hull",
        f"How much of each set lies within a distance of the hull ({words}). Dashed: "
        "another energy scale and another hull, so compare shapes, not numbers. Known "
        "phases are held against the whole hull of their source; predictions against "
        "the part that comes with wyckflow: below zero, competitors are missing there.",
        partial(draw_hull_shares, sets=sets),
        height=3.4,
    )


def _count_placed(one: PlacedGenes) -> str:
    """Say how many genes are drawn, and whether by chance."""
    if len(one.latents) == one.n_genes:
        return f"{one.label}: all {one.n_genes:,}"
    how = "first" if one.label == "best" else "by chance, with a fixed seed,"
    return f"{one.label}: {len(one.latents):,} {how} of {one.n_genes:,}"


def _count_set(one: HullDistanceSet) -> str:
    """Say how large a set is, and what gave its distances."""
    part = "" if one.n_genes == len(one.values) else f" of {one.n_genes:,}"
    return f"{one.label}: {len(one.values):,}{part}, {one.method}, {one.scale}"


def _latent(data: ReportData) -> Iterator[Panel]:
    if data.latent is None:
        return
    latent = data.latent
    where = (
        f"{len(latent.latents):,} crystals that the model {latent.model_name} learned "
        "from, in the two directions of most variance of its latent space"
    )
    for name, (label, unit) in _QUANTITIES.items():
        if name in latent.properties:
            yield Panel(
                "latent",
                f"latent-{name.replace('_per_atom', '').replace('_', '-')}",
                f"latent space, {label}",
                f"{where}. Colour: mean of what it predicts of them.",
                partial(draw_map, latent=latent, name=name, label=f"{label} ({unit})"),
                height=3.0,
            )
    yield Panel(
        "latent",
        "latent-crystal-system",
        "latent space, crystal system",
        f"{where}. Colour: the most frequent crystal system.",
        partial(draw_map, latent=latent, name=None, label=""),
        height=3.0,
    )
    if latent.placed:
        counts = ", ".join(map(_count_placed, latent.placed))
        yield Panel(
            "latent",
            "latent-genes",
            "latent space, genes of this campaign",
            "Where the encoder of the model places genes in the same two directions "
            f"({counts}). Accepted genes have passed the screen; the best are nearest "
            "the hull, by CHGNet, of those that nothing stopped. Grey: crystals that "
            "the model learned from, the fuller where there are more.",
            partial(draw_genes, latent=latent),
            height=3.3,
        )
