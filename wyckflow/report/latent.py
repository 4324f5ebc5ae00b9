"""Figures of a generator: its latent space, and what asking for a target changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.tables import CrystalSystem
from wyckflow.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.schemas.target import Window

_INK: Final = "#3b4252"
_SYSTEM_COLOURS: Final = {
    CrystalSystem.TRICLINIC: "#9d9da1",
    CrystalSystem.MONOCLINIC: "#e45756",
    CrystalSystem.ORTHORHOMBIC: "#f2a03d",
    CrystalSystem.TETRAGONAL: "#c9b31b",
    CrystalSystem.TRIGONAL: "#54a24b",
    CrystalSystem.HEXAGONAL: "#4c78a8",
    CrystalSystem.CUBIC: "#8d6bb0",
}
_SET_COLOURS: Final = ("#b8c4d6", "#4c78a8", "#e45756", "#54a24b", "#8d6bb0")
_UNITS: Final = {"band_gap": "eV", "formation_energy_per_atom": "eV/atom"}
_N_BINS: Final = 60


@dataclass(frozen=True, eq=False, slots=True)
class Plane:
    """The plane of most variance of some points: a map on which others have a place.

    Attributes
    ----------
    centre
        Mean of the points.
    axes
        Two directions, one per row. Their signs are fixed, so that the same points
        give the same map.
    shares
        Shares of the variance along them.
    """

    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    shares: NDArray[np.float64]

    def project(self, latents: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return where points lie on the map (n, 2).

        Parameters
        ----------
        latents
            One point per row, of as many dimensions as the plane was found in.
        """
        place: NDArray[np.float64] = (np.asarray(latents, float) - self.centre) @ (
            self.axes.T
        )
        return place


def find_plane(latents: NDArray[np.floating[Any]]) -> Plane:
    """Return the plane of the first two principal components of points.

    Parameters
    ----------
    latents
        One point per row.
    """
    centre = np.mean(latents, axis=0, dtype=float)
    centred = np.asarray(latents, float) - centre
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    largest = np.abs(axes).argmax(axis=1)
    axes *= np.sign(axes[np.arange(len(axes)), largest])[:, None]
    shares = sizes**2 / max(float((sizes**2).sum()), np.finfo(float).tiny)
    return Plane(centre, axes, shares[:2])


def project_on_plane(
    latents: NDArray[np.floating[Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first two principal components of points, and their variance shares.

    Parameters
    ----------
    latents
        One point per row.
    """
    plane = find_plane(latents)
    return plane.project(latents), plane.shares


def plot_latent_map(
    path: Path,
    latents: NDArray[np.floating[Any]],
    *,
    properties: Mapping[str, ArrayLike],
    crystal_systems: Sequence[CrystalSystem],
    title: str = "",
) -> None:
    """Draw known crystals in the plane of the latent space that holds most variance.

    Parameters
    ----------
    path
        PNG, PDF or SVG, by its ending.
    latents
        Latent point of each crystal.
    properties
        Values of each crystal by property; one panel each.
    crystal_systems
        Of each crystal.
    title
        Over the figure.

    Raises
    ------
    DatasetError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure

    points, shares = project_on_plane(latents)
    n_panels = len(properties) + 1
    figure = Figure(figsize=(4.4 * n_panels, 4.3), layout="constrained")
    panels = figure.subplots(1, n_panels, squeeze=False)[0]
    # In a random order, so that no group of crystals hides another by its place.
    order = np.random.default_rng(0).permutation(len(points))
    for axes, (name, values) in zip(panels, properties.items(), strict=False):
        _draw_values(axes, points[order], name, np.asarray(values, float)[order])
    _draw_systems(panels[-1], points, np.asarray(crystal_systems), order)
    for axes in panels:
        axes.set_xlabel(f"PC 1 ({shares[0]:.0%} of the variance)", fontsize=8)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#c8c8c8")
    panels[0].set_ylabel(f"PC 2 ({shares[1]:.0%})", fontsize=8)
    if title:
        figure.suptitle(title, color=_INK, fontsize=11)
    _save(figure, path)


def plot_densities(
    path: Path,
    sets: Mapping[str, Mapping[str, ArrayLike]],
    *,
    windows: Mapping[str, Window] | None = None,
    title: str = "",
) -> None:
    """Draw how properties are distributed in several sets, the ranges asked for shaded.

    Parameters
    ----------
    path
        PNG, PDF or SVG, by its ending.
    sets
        Values by property, for each set by its name; the first is the background.
    windows
        Ranges asked for, by property.
    title
        Over the figure.

    Raises
    ------
    DatasetError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for values in sets.values() for name in values))
    figure = Figure(figsize=(4.2 * len(names), 3.3), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        columns = {
            label: np.asarray(values[name], float)
            for label, values in sets.items()
            if name in values
        }
        _draw_density(axes, columns, (windows or {}).get(name))
        axes.set_xlabel(_label(name), fontsize=9, color=_INK)
    panels[0].set_ylabel("density", fontsize=9, color=_INK)
    panels[0].legend(frameon=False, fontsize=8, labelcolor=_INK)
    if title:
        figure.suptitle(title, color=_INK, fontsize=11)
    _save(figure, path)


def _draw_values(
    axes: Any, points: NDArray[np.float64], name: str, values: NDArray[np.float64]
) -> None:
    """Colour the points by a number; unknown ones stay grey."""
    known = np.isfinite(values)
    axes.scatter(*points[~known].T, s=3, color="#e3e3e3", linewidths=0)
    low, high = np.quantile(values[known], [0.01, 0.99]) if known.any() else (0, 1)
    drawn = axes.scatter(
        *points[known].T,
        s=4,
        c=values[known],
        cmap="viridis",
        vmin=low,
        vmax=high,
        linewidths=0,
    )
    bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.8, pad=0.01)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7)
    axes.set_title(_label(name), loc="left", fontsize=9.5, color=_INK)


def _draw_systems(
    axes: Any,
    points: NDArray[np.float64],
    systems: NDArray[np.str_],
    order: NDArray[np.int64],
) -> None:
    """Colour the points by crystal system."""
    colours = np.array([_SYSTEM_COLOURS[CrystalSystem(item)] for item in systems])
    axes.scatter(*points[order].T, s=4, c=colours[order], linewidths=0)
    for system, colour in _SYSTEM_COLOURS.items():
        axes.scatter([], [], s=18, color=colour, label=system.value)
    axes.legend(
        frameon=False,
        fontsize=7,
        loc="upper left",
        bbox_to_anchor=(1, 1),
        labelcolor=_INK,
        handletextpad=0.2,
    )
    axes.set_title("crystal system", loc="left", fontsize=9.5, color=_INK)


def _draw_density(
    axes: Any, columns: Mapping[str, NDArray[np.float64]], window: Window | None
) -> None:
    """Draw one histogram per set, of equal area."""
    pooled = np.concatenate(
        [values[np.isfinite(values)] for values in columns.values()]
    )
    low, high = np.quantile(pooled, [0.002, 0.998]) if pooled.size else (0.0, 1.0)
    bins = np.linspace(low, high, _N_BINS + 1)
    for place, (label, values) in enumerate(columns.items()):
        colour = _SET_COLOURS[place % len(_SET_COLOURS)]
        is_background = place == 0
        axes.hist(
            values[np.isfinite(values)],
            bins=bins,
            density=True,
            histtype="stepfilled" if is_background else "step",
            color=colour,
            linewidth=1.4,
            label=label,
        )
    if window is not None:
        left, right = max(window.lower, low), min(window.upper, high)
        if left < right:
            axes.axvspan(left, right, color="#f6e7c1", zorder=0, linewidth=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=_INK)


def _label(name: str) -> str:
    """Return a property's name with its unit, for people."""
    words = name.replace("_per_atom", "").replace("_", " ")
    return f"{words} ({_UNITS[name]})" if name in _UNITS else words


def _save(figure: Any, path: Path) -> None:
    """Write a figure."""
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{str(path)!r} cannot be drawn: {error}.") from error
