"""The latent space of a generator as a map, and where the genes of a campaign lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.tables import CrystalSystem, crystal_system_of
from wyckflow.report.latent import find_plane
from wyckflow.report.look import BLUE, GREEN, INK, ORANGE, RED, SKY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.report.latent import Plane
    from wyckflow.schemas.report import LatentPoints

_N_SQUARES: Final = 70
_EDGE: Final = 0.002
_SHADES: Final = (np.log1p([0, 1, 12]), (0.0, 0.3, 0.95))
"""Opacity of a square by the logarithm of how many crystals are in it."""
_DOTS: Final[dict[str, dict[str, Any]]] = {
    "proposed": {"marker": "o", "markersize": 2.2, "color": BLUE, "alpha": 0.6},
    "accepted": {"marker": "o", "markersize": 2.2, "color": ORANGE, "alpha": 0.9},
    "best": {
        "marker": "*",
        "markersize": 9,
        "color": RED,
        "markeredgecolor": INK,
        "markeredgewidth": 0.5,
    },
}
# The map is a picture, which does not follow the page from light to dark: so its
# colours, and those of its legend, are none of those that the page changes.
_GREY: Final = "#9aa2b0"
_VIRIDIS_FROM: Final = 0.18
"""Its darkest colours are not told from dark paper."""
_SYSTEMS: Final = {
    CrystalSystem.TRICLINIC: _GREY,
    CrystalSystem.MONOCLINIC: RED,
    CrystalSystem.ORTHORHOMBIC: ORANGE,
    CrystalSystem.TETRAGONAL: "#f0e442",
    CrystalSystem.TRIGONAL: GREEN,
    CrystalSystem.HEXAGONAL: SKY,
    CrystalSystem.CUBIC: "#0072b3",
}


def draw_map(axes: Any, latent: LatentPoints, name: str | None, label: str) -> None:
    """Draw known crystals in the plane of most variance, averaged over squares.

    Parameters
    ----------
    axes
        Of matplotlib.
    latent
        Where they are.
    name
        Of the property that colours them; the crystal system if None.
    label
        Of the property, with its unit.
    """
    plane = find_plane(np.asarray(latent.latents))
    points = plane.project(latent.latents)
    low, high = np.quantile(points, [_EDGE, 1 - _EDGE], axis=0)
    inside, flat = _find_squares(points, low, high)
    extent = (low[0], high[0], low[1], high[1])
    if name is None:
        _draw_systems(axes, flat, np.asarray(latent.space_groups)[inside], extent)
    else:
        values = np.asarray(latent.properties[name], dtype=float)[inside]
        _draw_values(axes, flat, values, extent, label)
    _label_axes(axes, plane)


def draw_genes(axes: Any, latent: LatentPoints) -> None:
    """Draw the genes of a campaign among the crystals that the model learned from.

    The map is the same: genes are projected on the plane of these crystals.

    Parameters
    ----------
    axes
        Of matplotlib.
    latent
        With genes that were placed.
    """
    from matplotlib.patches import Patch

    plane = find_plane(np.asarray(latent.latents))
    points = plane.project(latent.latents)
    dots = [(one, plane.project(one.latents)) for one in latent.placed]
    whole = np.concatenate([points, *(places for _, places in dots)])
    low, high = np.quantile(whole, [_EDGE, 1 - _EDGE], axis=0)
    bests = [places for one, places in dots if one.label == "best"]
    low, high = (
        np.min([low, *(places.min(axis=0) for places in bests)], axis=0),
        np.max([high, *(places.max(axis=0) for places in bests)], axis=0),
    )
    margin = 0.03 * (high - low)
    low, high = low - margin, high + margin
    _, flat = _find_squares(points, low, high)
    _draw_density(axes, flat, (low[0], high[0], low[1], high[1]))
    handles: list[Any] = [Patch(color=_GREY, label="learned from")]
    for one, places in dots:
        handles += axes.plot(
            *places.T, linestyle="none", label=one.label, **_DOTS[one.label]
        )
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    _label_axes(axes, plane)
    axes.figure.legend(
        handles=handles,
        loc="outside upper left",
        frameon=False,
        fontsize=7.5,
        labelcolor=INK,
        ncols=4,
        handlelength=1.0,
        columnspacing=1.0,
    )


def _find_squares(
    points: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which points lie between two corners, and the square of each of them."""
    width = np.maximum(high - low, 1e-9)
    inside = np.all((points >= low) & (points <= low + width), axis=1)
    scaled = (points[inside] - low) / width * _N_SQUARES
    places = np.minimum(scaled.astype(int), _N_SQUARES - 1)
    return inside, places[:, 1] * _N_SQUARES + places[:, 0]


def _light_viridis() -> Any:
    """Return a scale of colours that is seen on light and on dark paper."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["viridis"](np.linspace(_VIRIDIS_FROM, 1, 200)))


def _label_axes(axes: Any, plane: Plane) -> None:
    first, second = plane.shares
    axes.set_xlabel(f"PC 1 ({first:.0%} of the variance)", fontsize=8)
    axes.set_ylabel(f"PC 2 ({second:.0%})", fontsize=8)
    axes.set(xticks=[], yticks=[])


def _draw_density(
    axes: Any, flat: NDArray[np.int64], extent: tuple[float, ...]
) -> None:
    """Shade squares by how many crystals are in them, the darker the more."""
    from matplotlib.colors import to_rgba

    counts = np.bincount(flat, minlength=_N_SQUARES**2)
    image = np.tile(to_rgba(_GREY), (_N_SQUARES**2, 1))
    # Transparent, so that it is seen on light and on dark paper.
    image[:, 3] = np.interp(np.log1p(counts), *_SHADES)
    axes.imshow(
        image.reshape(_N_SQUARES, _N_SQUARES, 4),
        origin="lower",
        extent=extent,
        aspect="auto",
        interpolation="nearest",
    )


def _draw_values(
    axes: Any,
    flat: NDArray[np.int64],
    values: NDArray[np.float64],
    extent: tuple[float, ...],
    label: str,
) -> None:
    """Colour squares by the mean of a number."""
    known = np.isfinite(values)
    size = _N_SQUARES**2
    counts = np.bincount(flat[known], minlength=size)
    sums = np.bincount(flat[known], values[known], minlength=size)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    drawn = axes.imshow(
        means.reshape(_N_SQUARES, _N_SQUARES),
        origin="lower",
        extent=extent,
        aspect="auto",
        cmap=_light_viridis(),
        interpolation="nearest",
    )
    bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, colors=INK)
    bar.set_label(label, fontsize=8, color=INK)


def _draw_systems(
    axes: Any,
    flat: NDArray[np.int64],
    space_groups: NDArray[np.integer],
    extent: tuple[float, ...],
) -> None:
    """Colour squares by the most frequent crystal system."""
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Patch

    names = list(_SYSTEMS)
    number = np.array(
        [0] + [names.index(CrystalSystem(crystal_system_of(n))) for n in range(1, 231)]
    )
    mine = number[space_groups.astype(int)]
    counts = np.zeros((_N_SQUARES**2, len(names)))
    np.add.at(counts, (flat, mine), 1)
    colours = np.array([to_rgba(colour) for colour in _SYSTEMS.values()])
    image = colours[counts.argmax(axis=1)]
    image[counts.sum(axis=1) == 0] = 0.0
    axes.imshow(
        image.reshape(_N_SQUARES, _N_SQUARES, 4),
        origin="lower",
        extent=extent,
        aspect="auto",
        interpolation="nearest",
    )
    axes.legend(
        handles=[Patch(color=c, label=n.value) for n, c in _SYSTEMS.items()],
        frameon=False,
        fontsize=7,
        loc="upper left",
        bbox_to_anchor=(1, 1),
        labelcolor=INK,
        handlelength=0.9,
    )
