"""One figure per crystal: phonon bands along the path, density of states beside."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.errors import ConfigurationError
from wyckflow.schemas.phonon import LatticeStability

if TYPE_CHECKING:
    from pathlib import Path

    from wyckflow.schemas.phonon import PhononDoc, PhononSettings, Spectrum

_INK: Final = "#3b4252"
_BAND: Final = "#4c78a8"
_SOFT: Final = "#e45756"
_GRID: Final = "#c8ccd4"
_COLOURS: Final = {
    LatticeStability.STABLE: "#54a24b",
    LatticeStability.BORDERLINE: "#b07d12",
    LatticeStability.UNSTABLE: _SOFT,
    LatticeStability.CANNOT_JUDGE: _INK,
}
_GREEK: Final = {"GAMMA": "Γ", "SIGMA": "Σ", "DELTA": "Δ", "LAMBDA": "Λ"}


def plot_phonons(
    document: PhononDoc,
    spectrum: Spectrum,
    settings: PhononSettings,
    path: Path,
    *,
    title: str = "",
) -> None:
    """Draw bands and density of states of one crystal into a file.

    Imaginary frequencies are drawn below zero, in red. A dashed line marks the limit
    below which a crystal is unstable.

    Parameters
    ----------
    document
        With the verdict.
    spectrum
        What to draw.
    settings
        With the limits.
    path
        PNG, PDF or SVG, by its ending.
    title
        Formula and verdict if not given.

    Raises
    ------
    ConfigurationError
        If matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigurationError(
            "A plot needs the package matplotlib, which is not installed: run "
            "pip install matplotlib."
        ) from None
    figure = Figure(figsize=(7.6, 4.4), layout="constrained")
    bands, density = figure.subplots(1, 2, width_ratios=(4, 1), sharey=True)
    _draw_bands(bands, spectrum)
    _draw_density(density, spectrum)
    for axes in (bands, density):
        axes.axhline(0, color=_INK, linewidth=0.8)
        if spectrum.bands.min() < -settings.tolerance_thz:
            line = -settings.reject_thz
            axes.axhline(line, color=_SOFT, linewidth=0.8, linestyle="--")
        axes.tick_params(labelsize=8, colors=_INK)
        for spine in axes.spines.values():
            spine.set_color(_GRID)
    words = title or f"{document.formula_pretty}: {document.verdict.replace('_', ' ')}"
    figure.suptitle(words, color=_COLOURS[document.verdict], fontsize=11)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{str(path)!r} cannot be drawn: {error}.") from error


def _draw_bands(axes: Any, spectrum: Spectrum) -> None:
    """Draw the bands segment by segment; a jump in the path is a gap in no line."""
    ends = [*spectrum.segment_starts[1:], len(spectrum.distances)]
    for first, last in zip(spectrum.segment_starts, ends, strict=True):
        x, y = spectrum.distances[first:last], spectrum.bands[first:last]
        axes.plot(x, y, color=_BAND, linewidth=1.0)
        axes.plot(x, np.where(y < 0, y, np.nan), color=_SOFT, linewidth=1.2)
    places, names = list_ticks(spectrum)
    axes.set_xticks(places, names)
    for place in places:
        axes.axvline(place, color=_GRID, linewidth=0.8, zorder=0)
    axes.set_xlim(spectrum.distances[0], spectrum.distances[-1])
    axes.set_ylabel("frequency (THz; imaginary below 0)", fontsize=9, color=_INK)


def list_ticks(spectrum: Spectrum) -> tuple[list[float], list[str]]:
    """Return where segments meet, and the names of the points there.

    Parameters
    ----------
    spectrum
        With its path.
    """
    starts = spectrum.segment_starts
    places = [*spectrum.distances[starts].tolist(), float(spectrum.distances[-1])]
    labels = [(_name(first), _name(last)) for first, last in spectrum.labels]
    names = [labels[0][0]]
    for (_, before), (after, _) in pairwise(labels):
        names.append(before if before == after else f"{before}|{after}")
    return places, [*names, labels[-1][1]]


def _name(point: str) -> str:
    """Write a point of the path as people do."""
    stem, _, index = str(point).partition("_")
    subscript = f"$_{{{index}}}$" if index else ""
    return _GREEK.get(stem, stem) + subscript


def _draw_density(axes: Any, spectrum: Spectrum) -> None:
    """Draw the density of states, on its side."""
    x, y = spectrum.dos, spectrum.dos_frequencies
    axes.fill_betweenx(y, 0, x, color=_BAND, alpha=0.35, linewidth=0)
    axes.fill_betweenx(y, 0, x, where=y < 0, color=_SOFT, alpha=0.7, linewidth=0)
    axes.plot(x, y, color=_BAND, linewidth=0.8)
    axes.set_xlim(0, 1.05 * float(x.max()) if x.max() > 0 else 1)
    axes.set_xlabel("modes / THz", fontsize=9, color=_INK)
