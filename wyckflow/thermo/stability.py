"""The verdict of a hull on relaxed genes: one rule for jobs and for re-ranking."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.schemas.screening import Verdict
from wyckflow.schemas.stability import (
    DecompositionProduct,
    ReferenceCompleteness,
    StabilityVerdict,
)
from wyckflow.thermo.hull.completeness import measure_completeness
from wyckflow.thermo.scale import require_same_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wyckflow.thermo.hull import Hull
    from wyckflow.thermo.hull.answer import HullDistances, Product
    from wyckflow.thermo.hull.completeness import Completeness

DEFAULT_THRESHOLD = 0.1
"""Largest distance to the hull that passes, eV/atom."""


class StabilityCalibration(Protocol):
    """Turns distances on one scale into probabilities of stability by DFT."""

    @property
    def identity(self) -> str:
        """Name and version, for the documents."""

    @property
    def scale(self) -> str:
        """Scale of the distances that it was fitted on."""

    @property
    def reference_version(self) -> str:
        """Version of the reference that these distances were measured to."""

    def probabilities(
        self,
        energies_above_hull: NDArray[np.float64],
        completeness: Sequence[Completeness],
    ) -> NDArray[np.float64]:
        """Return a row per candidate: within 0, 0.05 and 0.1 eV/atom of the DFT hull.

        Not-a-number where nothing can be said.

        Parameters
        ----------
        energies_above_hull
            eV/atom, by the hull of a reference; no NaN.
        completeness
            How much that reference knows of each candidate's chemical system.
        """


@dataclass(frozen=True)
class Relaxed:
    """What the verdict on one gene needs to know of its relaxation.

    Attributes
    ----------
    gene
        In text form.
    energy_per_atom
        eV/atom, if there is one.
    outcome
        How the relaxation ended.
    is_converged
        Whether the energy is that of a minimum; else it is an upper bound.
    own_id
        Id by which it may be in the reference itself.
    """

    gene: str
    energy_per_atom: float | None
    outcome: str
    is_converged: bool
    own_id: str | None = None


def judge_stability(
    hull: Hull,
    relaxed: Sequence[Relaxed],
    *,
    scale: str,
    threshold: float = DEFAULT_THRESHOLD,
    calibration: StabilityCalibration | None = None,
) -> list[StabilityVerdict]:
    """Judge relaxed genes by their distance to a hull.

    Within the threshold they pass. Above it they fail if they had converged, and
    cannot be judged if not, since their energy would have gone down further.

    Parameters
    ----------
    hull
        The competing phases.
    relaxed
        Genes with total energies.
    scale
        Scale of these energies.
    threshold
        Largest distance that passes, eV/atom.
    calibration
        Adds probabilities, if given and made for this scale.

    Raises
    ------
    ScaleMismatchError
        If hull, energies and calibration are not all of one scale.
    """
    places = [at for at, item in enumerate(relaxed) if item.energy_per_atom is not None]
    counts = [composition_of(relaxed[at].gene) for at in places]
    own_ids = [relaxed[at].own_id for at in places]
    energies = np.array([relaxed[at].energy_per_atom for at in places], np.float64)
    distances = hull.energies_above_hull(counts, energies, scale=scale, own_ids=own_ids)
    products = hull.decompose(counts, own_ids=own_ids)
    known = [measure_completeness(hull.reference, item) for item in counts]
    likely = _probabilities(calibration, distances, known)
    verdicts = [_no_energy(item, threshold) for item in relaxed]
    for row, at in enumerate(places):
        fields = {
            **_judge(relaxed[at], row, distances, threshold),
            "threshold": threshold,
            "energy_per_atom": relaxed[at].energy_per_atom,
            "completeness": _describe(known[row]),
            "decomposition": [_name_product(product) for product in products[row]],
            **likely.get(row, {}),
        }
        verdicts[at] = StabilityVerdict(**fields)
    return verdicts


def count_verdicts(verdicts: Sequence[StabilityVerdict]) -> dict[str, int]:
    """Return how many passed, failed and could not be judged, by field name.

    Parameters
    ----------
    verdicts
        To be counted.
    """
    counts = Counter(item.verdict for item in verdicts)
    return {f"n_{verdict.value}": counts[verdict] for verdict in Verdict}


def find_calibration(scale: str) -> StabilityCalibration | None:
    """Return the calibration that comes with wyckflow for a scale, if there is one.

    Parameters
    ----------
    scale
        Of the energies to be judged.
    """
    from wyckflow.thermo.calibration import load_bundled_calibration

    calibration = load_bundled_calibration()
    return calibration if calibration.scale == scale else None


@lru_cache(maxsize=4096)
def composition_of(gene: str) -> dict[str, int]:
    """Return the composition of a gene in text form; not to be changed.

    Parameters
    ----------
    gene
        Such as ``221 Sr:a Ti:b O:c``.
    """
    return WyckoffGene.from_text(gene).composition


def _judge(
    item: Relaxed, row: int, distances: HullDistances, threshold: float
) -> dict[str, Any]:
    """Return the verdict on one gene with its distance, by field name."""
    if row in distances.missing_elements:
        names = ", ".join(distances.missing_elements[row])
        reason = f"the reference has no energy of {names}"
        return {"verdict": Verdict.CANNOT_JUDGE, "reason": reason}
    distance = float(distances.energies_above_hull[row])
    verdict, reason = Verdict.PASS, ""
    if distance > threshold:
        verdict = Verdict.FAIL if item.is_converged else Verdict.CANNOT_JUDGE
        reason = f"{distance * 1000:.0f} meV/atom above the hull"
        if not item.is_converged:
            reason += f" at most: its relaxation ended as {item.outcome}"
    return {
        "verdict": verdict,
        "reason": reason,
        "value": distance,
        "energy_above_hull": distance,
        "formation_energy_per_atom": float(distances.formation_energies[row]),
    }


def _name_product(product: Product) -> DecompositionProduct:
    """Return what is stored of a product."""
    return DecompositionProduct(
        formula_pretty=product.formula,
        entry_id=product.id,
        fraction=product.fraction,
    )


def _no_energy(item: Relaxed, threshold: float) -> StabilityVerdict:
    """Return the verdict on a gene whose relaxation gave no energy."""
    return StabilityVerdict(
        verdict=Verdict.CANNOT_JUDGE,
        threshold=threshold,
        reason=f"its relaxation ended as {item.outcome}, without an energy",
    )


def _describe(known: Completeness) -> ReferenceCompleteness:
    """Return what is stored of it."""
    return ReferenceCompleteness(
        n_entries=known.n_entries,
        n_entries_by_size=known.n_entries_by_size,
        n_subsystems=known.n_subsystems,
        n_empty_subsystems=known.n_empty_subsystems,
        missing_elements=list(known.missing_elements),
    )


def _probabilities(
    calibration: StabilityCalibration | None,
    distances: HullDistances,
    known: Sequence[Completeness],
) -> dict[int, dict[str, float]]:
    """Return the probabilities of each candidate that can be judged, by field name."""
    places = np.flatnonzero(distances.can_judge).tolist()
    if calibration is None or not places:
        return {}
    what = f"the calibration {calibration.identity!r} with a hull"
    require_same_scale(calibration.scale, distances.scale, what)
    rows = calibration.probabilities(
        distances.energies_above_hull[places], [known[place] for place in places]
    )
    names = [f"probability_within_{limit}_mev" for limit in (0, 50, 100)]
    return {
        place: dict(zip(names, map(float, row), strict=True))
        for place, row in zip(places, rows, strict=True)
        if not np.isnan(row).any()
    }
