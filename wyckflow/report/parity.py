"""What a generator predicted beside what was computed afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.report.look import BLUE, INK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.report import ReportData

    Floats = NDArray[np.float64]

_SURE: Final = 1.96
"""Standard deviations around the mean that hold 95 % of a normal distribution."""
_MARGIN: Final = 0.05
_CHGNET: Final = "CHGNet"


@dataclass(frozen=True, eq=False, slots=True)
class Pairs:
    """Predictions and results of the same candidates.

    Attributes
    ----------
    predicted, computed
        One value per candidate.
    deviation
        Standard deviation of the prediction, NaN where the model gives none.
    method
        What computed it, in words.
    """

    predicted: Floats
    computed: Floats
    deviation: Floats
    method: str

    def summary(self, unit: str) -> str:
        """Say in numbers how near both are.

        Parameters
        ----------
        unit
            Of both.
        """
        off = self.predicted - self.computed
        words = (
            f"{len(off):,} candidates, computed by {self.method}: mean absolute error "
            f"{np.abs(off).mean():.2f} {unit}, predicted minus computed "
            f"{off.mean():+.2f} {unit} on average."
        )
        known = np.isfinite(self.deviation)
        if known.any():
            inside = np.abs(off[known]) <= _SURE * self.deviation[known]
            share = f"{100 * inside.mean():.0f} %"
            words += f" {share} lie within the interval that should hold 95 %."
        if self.method == _CHGNET and unit == "eV/atom":
            words += (
                " Both are on scales of their own: a shift between them is no error of "
                "one alone."
            )
        return words


def find_pairs(data: ReportData, name: str) -> Pairs | None:
    """Return what was predicted and computed of a quantity; None if nothing was.

    A gap is computed by DFT alone. A formation energy is that by DFT where at least one
    candidate has it, else that of CHGNet; the two are never put together.

    Parameters
    ----------
    data
        Of a report.
    name
        Of the quantity.
    """
    for field, method in _SOURCES.get(name, ()):
        rows = list(_find_rows(data, name, field))
        if rows:
            predicted, computed, deviation = np.array(rows, dtype=float).T
            return Pairs(predicted, computed, deviation, _word(method, data))
    return None


_SOURCES: Final = {
    "formation_energy_per_atom": (
        ("dft_formation_energy_per_atom", "DFT"),
        ("formation_energy_per_atom", _CHGNET),
    ),
    "band_gap": (("band_gap", "DFT"),),
}


def _find_rows(
    data: ReportData, name: str, field: str
) -> Iterator[tuple[float, float, float]]:
    for item in data.candidates:
        predicted = _number(item, f"predicted_{name}")
        computed = _number(item, field)
        if predicted is not None and computed is not None:
            deviations = data.evidence_of(item).deviations
            yield predicted, computed, deviations.get(name, np.nan)


def _number(item: CandidateDoc, name: str) -> float | None:
    value: float | None = getattr(item, name)
    return value


def _word(method: str, data: ReportData) -> str:
    """Name the method, and warn of results that a simulator made up."""
    if method == "DFT" and data.is_simulated:
        return "DFT (some of it SIMULATED)"
    return method


def draw_parity(axes: Any, pairs: Pairs, label: str, unit: str) -> None:
    """Draw predicted over computed values.

    Parameters
    ----------
    axes
        Of matplotlib.
    pairs
        What to draw.
    label, unit
        Of the quantity.
    """
    values = np.concatenate([pairs.predicted, pairs.computed])
    low, high = float(values.min()), float(values.max())
    margin = _MARGIN * max(high - low, 0.1)
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=INK, linewidth=0.8, linestyle="--", zorder=1)
    axes.errorbar(
        pairs.computed,
        pairs.predicted,
        yerr=np.nan_to_num(pairs.deviation),
        fmt="none",
        ecolor=BLUE,
        elinewidth=0.8,
        alpha=0.5,
        zorder=2,
    )
    axes.scatter(
        pairs.computed, pairs.predicted, s=9, color=BLUE, alpha=0.8, linewidths=0
    )
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    method = pairs.method.split(" ")[0]
    axes.set_xlabel(f"{label} by {method} ({unit})", fontsize=9)
    axes.set_ylabel(f"{label} predicted ({unit})", fontsize=9)
