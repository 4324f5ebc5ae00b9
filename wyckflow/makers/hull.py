"""The job that says how far relaxed genes are above the hull."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobflow import Maker

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import ScaleMismatchError
from wyckflow.makers._job import wyckflow_job
from wyckflow.schemas.relaxation import Outcome, RelaxationBatchDoc
from wyckflow.schemas.screening import Verdict
from wyckflow.schemas.stability import StabilityBatchDoc, StabilityDoc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.schemas.relaxation import RelaxationDoc
    from wyckflow.thermo.stability import Relaxed


@dataclass
class HullMaker(Maker):
    """Judge relaxed genes by their energy above the hull of known phases.

    Energies and reference must be on one energy scale. A gene with an element that the
    reference does not know cannot be judged, which is a verdict.

    Attributes
    ----------
    name
        Name of the job.
    reference
        Known phases: ``bundled`` or ``bundled:NAME`` for a set that comes with
        wyckflow, the version of a set in the folder that the setting ``references``
        names, or the path of a file.
    version
        Version that the reference must have; any if None.
    threshold
        Largest energy above the hull that passes, in eV/atom.
    with_calibration
        Whether to add the probability of being stable by DFT, where the scale of the
        energies has a calibration.
    """

    name: str = "hull distance"
    reference: str = "bundled"
    version: str | None = None
    threshold: float = 0.1
    with_calibration: bool = True

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker."""
        if not -10 < self.threshold < 10:  # noqa: PLR2004 - meV were meant
            raise ValueError(
                f"{self.threshold=} eV/atom cannot be meant; give eV, such as 0.1."
            )

    @wyckflow_job(StabilityBatchDoc)
    def make(
        self,
        relaxations: RelaxationBatchDoc | Sequence[RelaxationDoc],
        energy_scale: str | None = None,
    ) -> StabilityBatchDoc:
        """Judge the results of one relaxation job.

        Parameters
        ----------
        relaxations
            What ``RelaxMaker`` returned, or its results.
        energy_scale
            Scale of the results, if only these were given.
        """
        from wyckflow.settings import WyckflowSettings
        from wyckflow.thermo.hull import Hull
        from wyckflow.thermo.source import load_reference
        from wyckflow.thermo.stability import (
            count_verdicts,
            find_calibration,
            judge_stability,
        )

        results, scale = take_results(relaxations, energy_scale)
        reference = load_reference(
            self.reference,
            folder=WyckflowSettings.load().references_folder(),
            version=self.version,
        )
        calibration = find_calibration(scale) if self.with_calibration else None
        verdicts = judge_stability(
            Hull(reference),
            [describe_relaxation(item) for item in results],
            scale=scale,
            threshold=self.threshold,
            calibration=calibration,
        )
        return StabilityBatchDoc(
            energy_scale=scale,
            reference_name=reference.name,
            hull_version=reference.version,
            n_reference_entries=len(reference),
            threshold=self.threshold,
            calibration=calibration.identity if calibration else None,
            calibration_reference_version=(
                calibration.reference_version if calibration else None
            ),
            passed=[
                item.gene_id
                for item, verdict in zip(results, verdicts, strict=True)
                if verdict.verdict is Verdict.PASS
            ],
            **count_verdicts(verdicts),
            results=[
                StabilityDoc(
                    gene=item.gene,
                    gene_id=item.gene_id,
                    formula_pretty=item.formula_pretty,
                    chemsys=WyckoffGene.from_text(item.gene).chemsys,
                    **verdict.model_dump(),
                )
                for item, verdict in zip(results, verdicts, strict=True)
            ],
        )


def take_results(
    relaxations: RelaxationBatchDoc | Sequence[RelaxationDoc],
    energy_scale: str | None,
) -> tuple[list[RelaxationDoc], str]:
    """Return results and their scale, whether they came as a document or apart.

    Parameters
    ----------
    relaxations
        Document, or its results.
    energy_scale
        Scale, needed with results alone.

    Raises
    ------
    ScaleMismatchError
        If a document came with another scale than its own, or results with none.
    """
    if isinstance(relaxations, RelaxationBatchDoc):
        own = relaxations.energy_scale
        if energy_scale not in {None, own}:
            raise ScaleMismatchError(
                f"The relaxations have energies of the scale {own!r}, but "
                f"{energy_scale=} came with them; leave it out."
            )
        return relaxations.results, own
    if energy_scale is None:
        raise ScaleMismatchError(
            "Results of a relaxation came without the scale of their energies; give "
            "the whole document, or its field energy_scale."
        )
    return list(relaxations), energy_scale


def describe_relaxation(result: RelaxationDoc) -> Relaxed:
    """Return what a verdict on a relaxed gene needs.

    Parameters
    ----------
    result
        Of one gene.
    """
    from wyckflow.thermo.stability import Relaxed

    return Relaxed(
        gene=result.gene,
        energy_per_atom=result.energy_per_atom,
        outcome=result.outcome.value,
        is_converged=result.outcome is Outcome.CONVERGED,
        own_id=result.gene_id,  # as it may be in the layer of its campaign
    )
