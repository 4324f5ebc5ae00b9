"""The latent space of a generator as a map of small squares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.tables import CrystalSystem, crystal_system_of
from wyckflow.report.latent import project_on_plane
from wyckflow.report.look import BACKGROUND, BLUE, GREEN, INK, ORANGE, RED, SKY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.schemas.report import LatentPoints

_N_SQUARES: Final = 70
_EDGE: Final = 0.002
_SYSTEMS: Final = {
    CrystalSystem.TRICLINIC: BACKGROUND,
    CrystalSystem.MONOCLINIC: RED,
    CrystalSystem.ORTHORHOMBIC: ORANGE,
    CrystalSystem.TETRAGONAL: "#f0e442",
    CrystalSystem.TRIGONAL: GREEN,
    CrystalSystem.HEXAGONAL: SKY,
    CrystalSystem.CUBIC: BLUE,
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
    points, shares = project_on_plane(np.asarray(latent.latents))
    low, high = np.quantile(points, [_EDGE, 1 - _EDGE], axis=0)
    scaled = (points - low) / np.maximum(high - low, 1e-9)
    places = np.clip((scaled * _N_SQUARES).astype(int), 0, _N_SQUARES - 1)
    flat = places[:, 1] * _N_SQUARES + places[:, 0]
    extent = (low[0], high[0], low[1], high[1])
    if name is None:
        _draw_systems(axes, flat, latent, extent)
    else:
        values = np.asarray(latent.properties[name], dtype=float)
        _draw_values(axes, flat, values, extent, label)
    axes.set_xlabel(f"PC 1 ({shares[0]:.0%} of the variance)", fontsize=8)
    axes.set_ylabel(f"PC 2 ({shares[1]:.0%})", fontsize=8)
    axes.set(xticks=[], yticks=[])


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
        cmap="viridis",
        interpolation="nearest",
    )
    bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, colors=INK)
    bar.set_label(label, fontsize=8, color=INK)


def _draw_systems(
    axes: Any,
    flat: NDArray[np.int64],
    latent: LatentPoints,
    extent: tuple[float, ...],
) -> None:
    """Colour squares by the most frequent crystal system."""
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Patch

    names = list(_SYSTEMS)
    number = np.array(
        [0] + [names.index(CrystalSystem(crystal_system_of(n))) for n in range(1, 231)]
    )
    mine = number[np.asarray(latent.space_groups, dtype=int)]
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
