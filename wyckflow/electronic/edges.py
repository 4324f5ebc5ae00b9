"""Where filled bands end and empty ones begin, for each spin and for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.schemas.electronic import BandKind, Carrier

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.electronic.bands import Bands

    Floats = NDArray[np.float64]

_AT_FERMI: Final = 1e-4
"""A band that ends this near to the Fermi level does not cross it, in eV."""
_WHOLE: Final = 1e-3
"""Electrons per cell may miss an integer by this."""


@dataclass(frozen=True, slots=True)
class Channel:
    """Filled and empty bands of one spin.

    Attributes
    ----------
    n_filled
        Bands below the gap; None if there is no gap.
    vbm, cbm
        Highest filled and lowest empty energy in eV; None without.
    direct_gap
        Smallest distance at one wave vector, in eV.
    """

    n_filled: int | None
    vbm: float | None = None
    cbm: float | None = None
    direct_gap: float | None = None

    @property
    def gap(self) -> float:
        """Of this spin in eV; zero for a metal."""
        if self.vbm is None or self.cbm is None:
            return 0.0
        return max(0.0, self.cbm - self.vbm)


@dataclass(frozen=True, slots=True)
class Edges:
    """The gap of a crystal.

    Attributes
    ----------
    kind
        Semiconductor, metal or half-metal, or not to be told.
    channels
        One per spin.
    reason
        Why there is no gap, or what had to be put right.
    """

    kind: BandKind
    channels: tuple[Channel, ...]
    reason: str = ""

    @property
    def vbm(self) -> float | None:
        """Highest filled energy in eV; None unless a semiconductor."""
        found = [one.vbm for one in self.channels if one.vbm is not None]
        return max(found) if found and self.kind is BandKind.SEMICONDUCTOR else None

    @property
    def cbm(self) -> float | None:
        """Lowest empty energy in eV; None unless a semiconductor."""
        found = [one.cbm for one in self.channels if one.cbm is not None]
        return min(found) if found and self.kind is BandKind.SEMICONDUCTOR else None

    @property
    def gap(self) -> float | None:
        """Between both, in eV, whatever the spins; zero for a metal."""
        if self.kind is BandKind.CANNOT_JUDGE:
            return None
        if self.vbm is None or self.cbm is None:
            return 0.0
        return self.cbm - self.vbm

    @property
    def direct_gap(self) -> float | None:
        """Smallest at one wave vector and of one spin, in eV."""
        found = [one.direct_gap for one in self.channels if one.direct_gap is not None]
        is_open = self.kind is BandKind.SEMICONDUCTOR
        return min(found) if found and is_open else None

    def edge(self, carrier: Carrier) -> float | None:
        """Return the energy where a carrier lives, in eV.

        Parameters
        ----------
        carrier
            Which.
        """
        return self.vbm if carrier is Carrier.HOLE else self.cbm


def find_edges(bands: Bands) -> Edges:
    """Tell filled bands from empty ones.

    By counting electrons where their number is known: the Fermi level that a run along
    lines reports is that of its own points, and can lie in a band although there is a
    gap. Else by the Fermi level.

    Parameters
    ----------
    bands
        On lines or on a mesh; the gap is that of the wave vectors there.
    """
    by_level = [_fill_to(energies, bands.fermi) for energies in bands.energies]
    counted = _count_electrons(bands)
    if isinstance(counted, str):
        return Edges(
            BandKind.CANNOT_JUDGE,
            tuple(Channel(None) for _ in by_level),
            counted,
        )
    if counted is not None:
        channels = _measure(bands, counted)
        moved = list(counted) != by_level
        reason = (
            f"the Fermi level of the run ({bands.fermi:.3f} eV) does not lie in the "
            "gap; filled bands were found by counting electrons"
        )
        return _judge(channels, reason if moved else "")
    return _judge(_measure(bands, by_level), "")


def _judge(channels: tuple[Channel, ...], reason: str) -> Edges:
    """Name what the channels make together."""
    n_open = sum(one.n_filled is not None for one in channels)
    if n_open == 0:
        return Edges(BandKind.METAL, channels, "bands cross the Fermi level")
    if n_open < len(channels):
        return Edges(
            BandKind.HALF_METAL,
            channels,
            f"spin {'up' if channels[0].n_filled is None else 'down'} crosses the "
            "Fermi level, the other has a gap",
        )
    if any(one.cbm is None for one in channels):
        return Edges(
            BandKind.CANNOT_JUDGE,
            channels,
            "there are no empty bands; compute more of them (NBANDS)",
        )
    if any(one.vbm is None for one in channels):
        return Edges(
            BandKind.CANNOT_JUDGE,
            channels,
            "there are no filled bands below the Fermi level",
        )
    tops = [one.vbm for one in channels if one.vbm is not None]
    bottoms = [one.cbm for one in channels if one.cbm is not None]
    overlap = max(tops) - min(bottoms)
    if overlap >= 0:
        return Edges(
            BandKind.METAL,
            channels,
            f"filled and empty bands overlap by {overlap:.3f} eV",
        )
    return Edges(BandKind.SEMICONDUCTOR, channels, reason)


def _fill_to(energies: Floats, level: float) -> int | None:
    """Return how many bands lie below a level; None if one crosses it."""
    lowest, highest = energies.min(axis=1), energies.max(axis=1)
    crosses = (lowest < level - _AT_FERMI) & (highest > level + _AT_FERMI)
    if crosses.any():
        return None
    return int(np.sum((lowest + highest) / 2 < level))


def _count_electrons(bands: Bands) -> list[int] | str | None:
    """Return filled bands per spin if counting shows a gap, words if too few bands."""
    if bands.n_electrons is None:
        return None
    per_band = bands.spin_degeneracy
    n_filled = bands.n_electrons / per_band
    n_bands = bands.energies.shape[1]
    if n_filled > n_bands * bands.n_spins + _WHOLE:
        return (
            f"{bands.n_electrons:g} electrons do not fit into {n_bands} bands; "
            "the file is of another calculation, or lacks bands"
        )
    if abs(n_filled - round(n_filled)) > _WHOLE:
        return None
    total = round(n_filled)
    if bands.n_spins == 1:
        choices = [[total]]
    else:
        lowest = max(0, total - n_bands)
        choices = [[up, total - up] for up in range(lowest, min(total, n_bands) + 1)]
    # A gap at this filling exists for one choice at most, since all energies below it
    # are filled.
    for choice in choices:
        channels = _measure(bands, choice)
        top = max((one.vbm for one in channels if one.vbm is not None), default=None)
        end = min((one.cbm for one in channels if one.cbm is not None), default=None)
        if top is not None and (end is None or end > top):
            return choice
    return None


def _measure(
    bands: Bands, n_filled: list[int] | list[int | None]
) -> tuple[Channel, ...]:
    """Return the edges of each spin with so many bands filled."""
    channels = []
    for energies, n in zip(bands.energies, n_filled, strict=True):
        if n is None:
            channels.append(Channel(None))
            continue
        has_filled, has_empty = n > 0, n < len(energies)
        distance = energies[n] - energies[n - 1] if has_filled and has_empty else None
        channels.append(
            Channel(
                n_filled=n,
                vbm=float(energies[:n].max()) if has_filled else None,
                cbm=float(energies[n:].min()) if has_empty else None,
                direct_gap=None if distance is None else float(distance.min()),
            )
        )
    return tuple(channels)
