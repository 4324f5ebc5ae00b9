"""Bands of phonons and electrons as small drawings: a page may hold a thousand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.report.bands_plot import place_points, sample_fit
from wyckflow.report.page.markup import Html, tag
from wyckflow.report.phonon_bands import list_ticks
from wyckflow.schemas.electronic import Carrier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.electronic.bands import Bands
    from wyckflow.schemas.electronic import ElectronicDoc, Valley
    from wyckflow.schemas.phonon import PhononSettings, Spectrum

    Floats = NDArray[np.float64]

_WIDTH, _HEIGHT = 1040, 600
_LEFT, _RIGHT, _TOP, _BOTTOM = 104, 16, 20, 56
_MOST_POINTS: Final = 120
"""Along a whole path: what eyes can tell apart."""
_MOST_TICKS: Final = 6
_AROUND_GAP: Final = 1.5
_FEWEST_APART: Final = 18.0


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where numbers are in a drawing."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, values: ArrayLike) -> Any:
        """Return where they are from left to right."""
        width = _WIDTH - _LEFT - _RIGHT
        return _LEFT + width * (np.asarray(values) - self.x_low) / max(
            self.x_high - self.x_low, 1e-9
        )

    def y(self, values: ArrayLike) -> Any:
        """Return where they are from top to bottom."""
        height = _HEIGHT - _TOP - _BOTTOM
        return _TOP + height * (self.y_high - np.asarray(values)) / max(
            self.y_high - self.y_low, 1e-9
        )

    def trace(self, x: Floats, y: Floats) -> str:
        """Return a line through points, broken at gaps."""
        known = np.isfinite(x) & np.isfinite(y)
        if known.sum() < 2:  # noqa: PLR2004
            return ""
        # Steps in whole pixels of a drawing of twice the size: half the letters.
        words: list[str] = []
        before: tuple[int, int] | None = None
        for is_known, a, b in zip(known, self.x(x), self.y(y), strict=True):
            if not is_known:
                before = None
                continue
            at = (round(a), round(b))
            if before is None:
                words.append(f"M{at[0]} {at[1]}l")
            else:
                words.append(f"{at[0] - before[0]} {at[1] - before[1]} ")
            before = at
        return "".join(words).rstrip()


def draw_phonons(spectrum: Spectrum, settings: PhononSettings) -> Html:
    """Return phonon bands along the path; imaginary ones below zero, in red.

    Parameters
    ----------
    spectrum
        What to draw.
    settings
        With the limit below which a lattice is unstable.
    """
    low, high = float(spectrum.bands.min()), float(spectrum.bands.max())
    margin = 0.04 * max(high - low, 0.1)
    frame = _Frame(
        float(spectrum.distances[0]),
        float(spectrum.distances[-1]),
        min(low, 0.0) - margin,
        high + margin,
    )
    traces: list[str] = []
    soft: list[str] = []
    ends = [*spectrum.segment_starts[1:].tolist(), len(spectrum.distances)]
    for first, last in zip(spectrum.segment_starts.tolist(), ends, strict=True):
        chosen = _thin(first, last, len(spectrum.distances))
        x, y = spectrum.distances[chosen], spectrum.bands[chosen]
        for band in y.T:
            traces.append(frame.trace(x, band))
            if band.min() < -settings.tolerance_thz:
                soft.append(frame.trace(x, np.where(band < 0, band, np.nan)))
    lines = [_curve(traces, "band"), _curve(soft, "soft")]
    places, names = list_ticks(spectrum)
    words = [name.replace("$_{", "").replace("}$", "") for name in names]
    levels = [(0.0, "zero")]
    if frame.y_low < -settings.reject_thz:
        levels.append((-settings.reject_thz, "limit"))
    return _dress(
        frame,
        lines,
        zip(places, words, strict=True),
        levels,
        label="frequency (THz)",
        title="phonon bands",
    )


def draw_electrons(bands: Bands, document: ElectronicDoc) -> Html | None:
    """Return electronic bands around the gap with pockets and fitted masses.

    None if the wave vectors are no path.

    Parameters
    ----------
    bands
        Along lines.
    document
        What was found in them.
    """
    lines = bands.lines()
    if not lines:
        return None
    zero = bands.fermi if document.vbm is None else document.vbm
    x = place_points(bands, lines)
    top = (document.band_gap or 0.0) + _AROUND_GAP
    frame = _Frame(float(np.nanmin(x)), float(np.nanmax(x)), -_AROUND_GAP, top)
    drawn: list[Html | None] = []
    for spin in range(bands.n_spins):
        levels = bands.energies[spin] - zero
        traces = [
            frame.trace(x[chosen], band)
            for first, last in lines
            for chosen in [_thin(first, last + 1, len(x))]
            for band in levels[:, chosen]
            if band.max() >= frame.y_low and band.min() <= frame.y_high
        ]
        drawn.append(_curve(traces, "band down" if spin else "band"))
    for valley in document.valleys:
        drawn += _draw_valley(frame, bands, x, valley, zero)
    return _dress(
        frame,
        drawn,
        _corner_names(bands, lines, x),
        [(0.0, "zero")],
        label="energy (eV)",
        title="electronic bands",
    )


def _thin(first: int, last: int, n_all: int) -> NDArray[np.int64]:
    """Return some of the points from first to before last, both ends among them."""
    n = last - first
    share = max(2, round(_MOST_POINTS * n / max(n_all, 1)))
    return np.unique(np.linspace(first, last - 1, min(n, share)).astype(int))


def _draw_valley(
    frame: _Frame, bands: Bands, x: Floats, valley: Valley, zero: float
) -> Iterator[Html | None]:
    """Yield the dots of a pocket and the dispersions that were fitted to it."""
    apart = bands.kpoints - np.array(valley.kpoint)
    is_there = np.abs(apart - np.rint(apart)).max(axis=1) < 1e-5  # noqa: PLR2004
    height = valley.energy - zero
    kind = "hole" if valley.carrier is Carrier.HOLE else "electron"
    sign = -1 if valley.carrier is Carrier.HOLE else 1
    for place in np.flatnonzero(is_there & np.isfinite(x)).tolist():
        yield tag(
            "circle",
            tag(
                "title", f"{valley.carrier}s at {valley.label}: N_v {valley.n_valleys}"
            ),
            cx=f"{frame.x(x[place]):.1f}",
            cy=f"{frame.y(height):.1f}",
            r=8,
            class_=kind,
        )
        for first, last in bands.lines():
            if not first <= place <= last:
                continue
            ends = {f"{bands.name_of(place)}→{bands.name_of(e)}" for e in (first, last)}
            for fit in valley.lines:
                if fit.direction in ends:
                    k, energy = sample_fit(fit, x[first : last + 1] - x[place])
                    fitted = frame.trace(x[place] + k, height + sign * energy)
                    yield _curve([fitted], f"fit {kind}")


def _curve(traces: Iterable[str], kind: str) -> Html | None:
    """Return lines of one kind as one element; nothing if there are none."""
    whole = "".join(traces)
    return tag("path", d=whole, class_=kind) if whole else None


def _corner_names(
    bands: Bands, lines: list[tuple[int, int]], x: Floats
) -> list[tuple[float, str]]:
    """Return where lines meet, and what these points are called."""
    found: dict[float, list[str]] = {}
    for first, last in lines:
        for point in (first, last):
            name = bands.name_of(point)
            names = found.setdefault(round(float(x[point]), 4), [])
            if not name.startswith("(") and name not in names:
                names.append(name)
    return [(place, "|".join(names)) for place, names in sorted(found.items())]


def _dress(
    frame: _Frame,
    lines: Iterable[Html | None],
    corners: Iterable[tuple[float, str]],
    levels: Iterable[tuple[float, str]],
    *,
    label: str,
    title: str,
) -> Html:
    """Return the whole drawing: axes, names, lines."""
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts: list[Html | None] = [tag("title", title)]
    before = -_FEWEST_APART
    for place, name in corners:
        at = float(frame.x(place))
        parts.append(_line(at, _TOP, at, bottom, "corner"))
        if at - before >= _FEWEST_APART:
            parts.append(
                tag("text", name, x=f"{at:.1f}", y=bottom + 36, text_anchor="middle")
            )
            before = at
    for value in _ticks(frame.y_low, frame.y_high):
        at = float(frame.y(value))
        parts.append(_line(_LEFT - 8, at, _LEFT, at, "corner"))
        text = f"{value:g}".replace("-", "\N{MINUS SIGN}")
        parts.append(
            tag("text", text, x=_LEFT - 14, y=f"{at + 8:.1f}", text_anchor="end")
        )
    for value, kind in levels:
        at = float(frame.y(value))
        parts.append(_line(_LEFT, at, right, at, kind))
    middle = (_TOP + bottom) / 2
    parts.append(
        tag(
            "text",
            label,
            transform=f"translate(26 {middle:g}) rotate(-90)",
            text_anchor="middle",
        )
    )
    inside = tag(
        "svg",
        *lines,
        x=0,
        y=_TOP,
        width=_WIDTH,
        height=bottom - _TOP,
        viewBox=f"0 {_TOP} {_WIDTH} {bottom - _TOP}",
    )
    return tag(
        "svg",
        *parts,
        inside,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        class_="bands",
        role="img",
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Html:
    return tag(
        "line",
        x1=f"{x1:.1f}",
        y1=f"{y1:.1f}",
        x2=f"{x2:.1f}",
        y2=f"{y2:.1f}",
        class_=kind,
    )


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two."""
    raw = (high - low) / _MOST_TICKS
    power = 10 ** np.floor(np.log10(raw))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= raw)
    first = np.ceil(low / step)
    n_steps = int((high - first * step) / step) + 1
    return [round(float(step * (first + i)), 6) for i in range(n_steps)]
