"""How genes of several origins are distributed, side by side."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.tables import CrystalSystem, crystal_system_of, load_space_group
from wyckflow.report.look import BACKGROUND, BLUE, FAINT, GREEN, INK, ORANGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wyckflow.schemas.report import GeneSet, HullDistanceSet
    from wyckflow.schemas.target import Window

_BY_LABEL: Final = {
    "learned from": BACKGROUND,
    "for the target": BLUE,
    "without a target": ORANGE,
}
HULL_RANGE: Final = (-0.3, 1.0)
"""What is drawn of the distances to the hull, eV/atom."""
HULL_LIMITS: Final = (0.0, 0.1)
_N_STEPS: Final = 261
_N_BINS: Final = 40
_N_GROUPS: Final = 12
_N_ELEMENTS: Final = 22


def draw_property(
    axes: Any, sets: Sequence[GeneSet], name: str, label: str, window: Window | None
) -> None:
    """Draw densities of a property, what the others are compared with filled.

    Parameters
    ----------
    axes
        Of matplotlib.
    sets
        Genes by origin.
    name
        Of the property.
    label
        Of the axis, with the unit.
    window
        What was asked for.
    """
    known = [one for one in sets if name in one.properties]
    columns = [_finite(one.properties[name]) for one in known]
    pooled = np.concatenate(columns)
    low, high = np.quantile(pooled, [0.002, 0.998]) if len(pooled) else (0.0, 1.0)
    bins = np.linspace(low, max(high, low + 1e-3), _N_BINS + 1)
    for one, values in zip(known, columns, strict=True):
        is_background = one.label == "learned from"
        axes.hist(
            values,
            bins=bins,
            density=True,
            histtype="stepfilled" if is_background else "step",
            color=_colour(one),
            linewidth=1.6,
            label=one.label,
        )
    if window is not None:
        left, right = max(window.lower, low), min(window.upper, high)
        if left < right:
            axes.axvspan(left, right, color=GREEN, alpha=0.15, zorder=0, linewidth=0)
    axes.set_xlabel(label, fontsize=9)
    axes.set_ylabel("density", fontsize=9)
    _explain(axes)


def draw_hull_shares(axes: Any, sets: Sequence[HullDistanceSet]) -> None:
    """Draw which share of each set lies within a distance to the hull.

    Sets on the energy scale of most are lines; those of another are dashed, and the
    legend names it.

    Parameters
    ----------
    axes
        Of matplotlib.
    sets
        At least one; the first is what the others are compared with.
    """
    ((scale, _),) = Counter(one.scale for one in sets).most_common(1)
    at = np.linspace(*HULL_RANGE, _N_STEPS)
    for one in sets:
        shares = 100 * np.searchsorted(np.sort(one.values), at, side="right")
        is_first = one is sets[0]
        is_same = one.scale == scale
        name = f"{one.label}, {one.method}"
        axes.plot(
            at,
            shares / len(one.values),
            color=INK if is_first else _BY_LABEL.get(one.label, GREEN),
            linewidth=1.6,
            linestyle="-" if is_same else (0, (4, 2)),
            label=name if is_same else f"{name} ({one.scale})",
        )
    for limit in HULL_LIMITS:
        axes.axvline(limit, color=FAINT, linewidth=0.8, zorder=0)
    axes.set(ylim=(0, 101), xlim=HULL_RANGE)
    axes.set_xlabel("energy above the hull (eV/atom)", fontsize=9)
    axes.set_ylabel("share of the set within (%)", fontsize=9)
    _explain(axes, n_columns=1)


def draw_systems(axes: Any, sets: Sequence[GeneSet]) -> None:
    """Draw the shares of the crystal systems.

    Parameters
    ----------
    axes
        Of matplotlib.
    sets
        Genes by origin.
    """
    shares = []
    for one in sets:
        counts = dict.fromkeys(CrystalSystem, 0)
        numbers, times = np.unique(one.space_groups, return_counts=True)
        for number, n in zip(numbers.tolist(), times.tolist(), strict=True):
            counts[CrystalSystem(crystal_system_of(number))] += n
        shares.append(_shares(counts, one.n_genes))
    _draw_bars(axes, sets, shares, {one: one.value for one in CrystalSystem})


def draw_space_groups(axes: Any, sets: Sequence[GeneSet]) -> None:
    """Draw the shares of the most frequent space groups.

    Parameters
    ----------
    axes
        Of matplotlib.
    sets
        Genes by origin.
    """
    shares = []
    for one in sets:
        numbers, times = np.unique(one.space_groups, return_counts=True)
        counts = dict(zip(numbers.tolist(), times.tolist(), strict=True))
        shares.append(_shares(counts, one.n_genes))
    chosen = sorted(_most_frequent(shares, _N_GROUPS))
    names = {n: f"{n} {symbol_text(n)}" for n in chosen}
    _draw_bars(axes, sets, shares, names)


def draw_elements(axes: Any, sets: Sequence[GeneSet]) -> None:
    """Draw in which share of the genes the most frequent elements are.

    Parameters
    ----------
    axes
        Of matplotlib.
    sets
        Genes by origin.
    """
    shares = [_shares(one.elements, one.n_genes) for one in sets]
    chosen = _most_frequent(shares, _N_ELEMENTS)
    _draw_bars(axes, sets, shares, {symbol: symbol for symbol in chosen})


def _explain(axes: Any, *, n_columns: int = 3) -> None:
    """Say above the axes which colour is which."""
    axes.figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside upper left",
        frameon=False,
        fontsize=7.5,
        labelcolor=INK,
        ncols=n_columns,
        handlelength=1.0,
        columnspacing=1.0,
    )


def _finite(values: Any) -> Any:
    column = np.asarray(values, dtype=float)
    return column[np.isfinite(column)]


def _colour(one: GeneSet) -> str:
    return _BY_LABEL.get(one.label, GREEN)


def symbol_text(number: int) -> str:
    """Return the symbol of a space group with its screw axes below the line.

    Parameters
    ----------
    number
        Of the International Tables.
    """
    symbol = load_space_group(number).symbol
    return re.sub(r"_(\d)", lambda m: chr(0x2080 + int(m[1])), symbol)


def _shares(counts: Mapping[Any, int], n_genes: int) -> dict[Any, float]:
    return {key: 100 * n / max(n_genes, 1) for key, n in counts.items()}


def _most_frequent(shares: Sequence[Mapping[Any, float]], most: int) -> list[Any]:
    """Return the keys that are frequent anywhere, the most frequent first."""
    highest: dict[Any, float] = {}
    for one in shares:
        for key, share in one.items():
            highest[key] = max(highest.get(key, 0.0), share)
    return sorted(highest, key=lambda key: (-highest[key], str(key)))[:most]


def _draw_bars(
    axes: Any,
    sets: Sequence[GeneSet],
    shares: Sequence[Mapping[Any, float]],
    names: Mapping[Any, str],
) -> None:
    """Draw lying bars, one group per name, the first at the top."""
    keys = list(names)
    height = 0.8 / len(sets)
    for place, (one, mine) in enumerate(zip(sets, shares, strict=True)):
        at = np.arange(len(keys)) - 0.4 + (place + 0.5) * height
        axes.barh(
            at,
            [mine.get(key, 0.0) for key in keys],
            height=0.9 * height,
            color=_colour(one),
            label=one.label,
        )
    axes.set_yticks(range(len(keys)), [names[key] for key in keys])
    axes.invert_yaxis()
    axes.set_xlabel("share of the genes (%)", fontsize=9)
    _explain(axes)
