"""How far candidates lie above the hull."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.report.look import BLUE, INK, ORANGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.schemas.report import ReportData

_LIMITS: Final = (0.0, 0.05, 0.1)
_N_BINS: Final = 30
_SHOWN: Final = 0.98


@dataclass(frozen=True, eq=False, slots=True)
class HullDistances:
    """Distances of one method.

    Attributes
    ----------
    name
        For files.
    label
        For people.
    values
        In eV/atom.
    """

    name: str
    label: str
    values: NDArray[np.float64]

    @property
    def caption(self) -> str:
        """Say how many lie below the usual limits."""
        counts = [
            f"{int((self.values <= limit).sum()):,} at or below {limit:g} eV/atom"
            for limit in _LIMITS
        ]
        words = f"{len(self.values):,} candidates: {', '.join(counts)} (lines)."
        beyond = int((self.values > self.end).sum())
        if beyond:
            words += f" {beyond:,} lie beyond the figure."
        return (
            f"{words} Where competing phases are missing a distance is a lower bound."
        )

    @property
    def end(self) -> float:
        """Where the figure ends."""
        return max(0.2, float(np.quantile(self.values, _SHOWN)))


def list_hull_distances(data: ReportData) -> list[HullDistances]:
    """Return the distances by each method that has any.

    Parameters
    ----------
    data
        Of a report.
    """
    scales = sorted({item.hull_scale for item in data.candidates if item.hull_scale})
    found = []
    for name, label, field in (
        ("chgnet", f"by {', '.join(scales) or 'CHGNet'}", "energy_above_hull"),
        ("dft", "by DFT", "dft_energy_above_hull"),
    ):
        values = [getattr(item, field) for item in data.candidates]
        known = np.array([value for value in values if value is not None], dtype=float)
        if len(known):
            word = " (some of it SIMULATED)" * (name == "dft" and data.is_simulated)
            found.append(HullDistances(name, label + word, known))
    return found


def draw_hull_distances(axes: Any, distances: HullDistances) -> None:
    """Draw how many candidates lie how far above the hull.

    Parameters
    ----------
    axes
        Of matplotlib.
    distances
        What to draw.
    """
    begin = min(float(distances.values.min()), 0.0)
    bins = np.linspace(begin, distances.end, _N_BINS + 1)
    colour = ORANGE if distances.name == "dft" else BLUE
    axes.hist(distances.values, bins=bins, color=colour)
    for limit in _LIMITS:
        axes.axvline(limit, color=INK, linewidth=0.8, linestyle=":")
    axes.set_xlabel("energy above the hull (eV/atom)", fontsize=9)
    axes.set_ylabel("candidates", fontsize=9)
    axes.yaxis.get_major_locator().set_params(integer=True)
