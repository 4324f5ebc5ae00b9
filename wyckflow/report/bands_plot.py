"""One figure per crystal: bands around the gap, its pockets, and the fitted masses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.electronic.masses import HBAR2_PER_MASS
from wyckflow.errors import ConfigurationError
from wyckflow.schemas.electronic import BandKind, Carrier

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from wyckflow.electronic.bands import Bands
    from wyckflow.schemas.electronic import ElectronicDoc, LineMass, Valley

    Floats = NDArray[np.float64]

_INK: Final = "#3b4252"
_GRID: Final = "#c8ccd4"
_SPINS: Final = ("#4c78a8", "#b07d12")
_CARRIERS: Final = {Carrier.HOLE: "#e45756", Carrier.ELECTRON: "#54a24b"}
_MARGIN: Final = 1.5
_FEWEST_APART: Final = 0.02


def plot_bands(
    bands: Bands, document: ElectronicDoc, path: Path, *, title: str = ""
) -> None:
    """Draw the bands of one crystal along its path into a file.

    Energies count from the valence band edge, or from the Fermi level of a metal. Each
    pocket is a dot with its number of valleys; over it lies Kane's dispersion with the
    fitted mass, as far as it was fitted.

    Parameters
    ----------
    bands
        Along lines.
    document
        What was found in them.
    path
        PNG, PDF or SVG, by its ending.
    title
        Formula and gap if not given.

    Raises
    ------
    ConfigurationError
        If there are no lines, matplotlib is not installed, or the file cannot be
        written.
    """
    lines = bands.lines()
    if not lines:
        raise ConfigurationError(
            "These wave vectors make no path, so there is nothing to draw along; plot "
            "a run along lines."
        )
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigurationError(
            "A plot needs the package matplotlib, which is not installed: run "
            "pip install matplotlib."
        ) from None
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.subplots()
    zero = bands.fermi if document.vbm is None else document.vbm
    x = place_points(bands, lines)
    _draw_lines(axes, bands, lines, x, zero)
    for valley in document.valleys:
        _draw_valley(axes, bands, x, valley, zero=zero)
    _dress(axes, bands, lines, x, document)
    figure.suptitle(title or _title(document), color=_INK, fontsize=11)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{str(path)!r} cannot be drawn: {error}.") from error


def _title(document: ElectronicDoc) -> str:
    """Say what it is and how large its gap."""
    name = document.formula_pretty or document.name or "bands"
    if document.kind is not BandKind.SEMICONDUCTOR or document.band_gap is None:
        return f"{name}: {document.kind.replace('_', ' ')}"
    kind = "direct" if document.is_gap_direct else "indirect"
    words = f"{name}: gap {document.band_gap:.2f} eV, {kind}"
    return f"{words} (simulated)" if document.is_simulated else words


def place_points(bands: Bands, lines: list[tuple[int, int]]) -> Floats:
    """Return where each wave vector stands on the axis; those on no line nowhere.

    Parameters
    ----------
    bands
        Along lines.
    lines
        First and last point of each.
    """
    cartesian = bands.kpoints @ bands.reciprocal
    x = np.full(len(cartesian), np.nan)
    end = 0.0
    for first, last in lines:
        steps = np.linalg.norm(np.diff(cartesian[first : last + 1], axis=0), axis=1)
        x[first : last + 1] = end + np.concatenate([[0.0], np.cumsum(steps)])
        end = float(x[last])
    return x


def _draw_lines(
    axes: Any, bands: Bands, lines: list[tuple[int, int]], x: Floats, zero: float
) -> None:
    """Draw all bands; the second spin is dashed."""
    for spin in range(bands.n_spins):
        for first, last in lines:
            part = slice(first, last + 1)
            axes.plot(
                x[part],
                bands.energies[spin, :, part].T - zero,
                color=_SPINS[spin],
                linewidth=1.0,
                linestyle="--" if spin else "-",
            )
    if bands.n_spins > 1:
        for spin, name in enumerate(("spin up", "spin down")):
            style = "--" if spin else "-"
            axes.plot([], [], color=_SPINS[spin], linestyle=style, label=name)
        axes.legend(loc="upper right", fontsize=8, framealpha=0.9)


def _draw_valley(
    axes: Any, bands: Bands, x: Floats, valley: Valley, *, zero: float
) -> None:
    """Draw one pocket wherever the path meets it, and the fits along its lines."""
    colour = _CARRIERS[valley.carrier]
    apart = bands.kpoints - np.array(valley.kpoint)
    is_there = np.abs(apart - np.rint(apart)).max(axis=1) < 1e-5  # noqa: PLR2004
    places = [int(one) for one in np.flatnonzero(is_there & np.isfinite(x))]
    height = valley.energy - zero
    axes.plot(x[places], [height] * len(places), "o", color=colour, markersize=5)
    if places:
        below = valley.carrier is Carrier.ELECTRON
        axes.annotate(
            f"{valley.n_k} x {valley.n_b}",
            (x[places[0]], height),
            xytext=(5, -11 if below else 5),
            textcoords="offset points",
            fontsize=8,
            color=colour,
        )
    for first, last in bands.lines():
        for place in places:
            if not first <= place <= last:
                continue
            ends = [bands.name_of(end) for end in (first, last)]
            names = {f"{bands.name_of(place)}→{end}" for end in ends}
            for fit in valley.lines:
                if fit.direction in names:
                    k, energy = sample_fit(fit, x[first : last + 1] - x[place])
                    sign = -1 if valley.carrier is Carrier.HOLE else 1
                    axes.plot(
                        x[place] + k,
                        height + sign * energy,
                        color=colour,
                        linewidth=2.4,
                        alpha=0.75,
                        zorder=4,
                    )


def sample_fit(fit: LineMass, line: Floats) -> tuple[Floats, Floats]:
    """Return Kane's dispersion as far as it was fitted, within the line.

    Parameters
    ----------
    fit
        One mass.
    line
        Distances of the ends of the line from the extremum, in 1/A.
    """
    if fit.mass is None or fit.alpha is None or fit.k_range is None:
        return np.zeros(0), np.zeros(0)
    k = np.linspace(-fit.k_range, fit.k_range, 61)
    k = k[(k >= line[0] - 1e-9) & (k <= line[-1] + 1e-9)]
    reduced = HBAR2_PER_MASS * k**2 / (2 * fit.mass)
    inside = np.maximum(0.0, 1 + 4 * fit.alpha * reduced)
    return k, 2 * reduced / (1 + np.sqrt(inside))


def _dress(
    axes: Any,
    bands: Bands,
    lines: list[tuple[int, int]],
    x: Floats,
    document: ElectronicDoc,
) -> None:
    """Name the points of the path, and show the energies that matter."""
    places: list[float] = []
    names: list[str] = []
    for first, last in lines:
        for point in (first, last):
            name = bands.name_of(point)
            name = "" if name.startswith("(") else name
            if places and x[point] - places[-1] < _FEWEST_APART:
                if name and name not in names[-1].split("|"):
                    names[-1] = f"{names[-1]}|{name}".strip("|")
            else:
                places.append(float(x[point]))
                names.append(name)
    axes.set_xticks(places, names)
    for place in places:
        axes.axvline(place, color=_GRID, linewidth=0.8, zorder=0)
    axes.axhline(0, color=_INK, linewidth=0.6, linestyle=":")
    axes.set_xlim(np.nanmin(x), np.nanmax(x))
    gap = document.band_gap or 0.0
    axes.set_ylim(-_MARGIN, gap + _MARGIN)
    what = "Fermi level" if document.vbm is None else "valence band edge"
    axes.set_ylabel(f"energy above the {what} (eV)", fontsize=9, color=_INK)
    axes.tick_params(labelsize=9, colors=_INK)
    for spine in axes.spines.values():
        spine.set_color(_GRID)
