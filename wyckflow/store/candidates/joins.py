"""What each kind of job output adds to the candidates it speaks of.

One entry per job of the pipeline, in its order; a new stage adds one entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from wyckflow.crystal.keys import gene_ids, unpack_genes
from wyckflow.schemas.candidate import CandidateDoc, StageOutcome, StageVerdict
from wyckflow.schemas.dft import RunMark
from wyckflow.schemas.phonon import LatticeStability
from wyckflow.schemas.screening import Verdict
from wyckflow.schemas.structures import unpack_structures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wyckflow.schemas.dft import (
        DftAuditDoc,
        DftStabilityDoc,
        DispersionDoc,
        GammaPhononDoc,
    )
    from wyckflow.schemas.electronic import ElectronicDoc
    from wyckflow.schemas.generation import GenerationDoc
    from wyckflow.schemas.phonon import PhononBatchDoc
    from wyckflow.schemas.relaxation import RelaxationBatchDoc
    from wyckflow.schemas.screening import ScreeningDoc
    from wyckflow.schemas.stability import StabilityBatchDoc, StabilityVerdict

HULL_STAGE: Final = "hull distance"
_ROWS_AT_ONCE: Final = 5000


@dataclass(frozen=True)
class Part:
    """What one output says about one gene."""

    gene: str
    gene_id: str
    fields: dict[str, Any] = field(default_factory=dict)
    verdict: StageVerdict | None = None
    outcome: StageOutcome | None = None
    round: int | None = None
    """Set where only the earliest round that speaks of a gene counts."""

    def apply(
        self, candidate: CandidateDoc, *, stage: str, job_uuid: str
    ) -> CandidateDoc:
        """Return the candidate with this stage's part replaced, others as they were.

        Parameters
        ----------
        candidate
            What is known so far.
        stage
            Name of the job that speaks.
        job_uuid
            Which job of that name.
        """
        was_first = self.round is None or not _is_earlier(candidate, self.round)
        verdicts = [item for item in candidate.verdicts if item.stage != stage]
        outcomes = [item for item in candidate.outcomes if item.stage != stage]
        if self.verdict is not None:
            verdicts.append(self.verdict.model_copy(update={"job_uuid": job_uuid}))
        if self.outcome is not None:
            outcomes.append(self.outcome.model_copy(update={"job_uuid": job_uuid}))
        verdicts.sort(key=lambda item: _rank(item.stage))
        outcomes.sort(key=lambda item: _rank(item.stage))
        return candidate.model_copy(
            update={
                **(self.fields if was_first else {}),
                "verdicts": verdicts,
                "verdict": verdicts[-1].verdict if verdicts else None,
                "outcomes": outcomes,
                "job_uuids": sorted({*candidate.job_uuids, job_uuid}),
            }
        )


@dataclass(frozen=True)
class Join:
    """How the outputs of one job are read."""

    job_name: str
    parts: Callable[[Any], Iterator[Part]]


def _is_earlier(candidate: CandidateDoc, number: int) -> bool:
    """Return whether an earlier round has proposed a candidate."""
    return candidate.round is not None and candidate.round < number


def _generation_parts(document: GenerationDoc) -> Iterator[Part]:
    """Yield who proposed each gene, and what was predicted of it."""
    names = ("formation_energy_per_atom", "band_gap")
    known = [name for name in names if name in document.properties]
    source: dict[str, Any] = {"round": document.shard, "model_id": document.model_id}
    for arrays in document.iter_rows(_ROWS_AT_ONCE):
        genes = unpack_genes(arrays["space_groups"], arrays["codes"])
        columns = [arrays[name].tolist() for name in known]
        for gene, gene_id, *numbers in zip(
            genes, gene_ids(genes), *columns, strict=True
        ):
            predicted = zip(known, numbers, strict=True)
            found = source | {f"predicted_{name}": number for name, number in predicted}
            yield Part(gene.to_text(), gene_id, found, round=document.shard)


def _screening_parts(document: ScreeningDoc) -> Iterator[Part]:
    """Yield the verdict on each gene; one met twice keeps its first."""
    seen = set()
    for item in document.iter_verdicts():
        if item.gene_id in seen:
            continue
        seen.add(item.gene_id)
        verdict = StageVerdict(
            stage="gene screen",
            filter=item.filter,
            verdict=item.verdict,
            value=item.value,
            threshold=item.threshold,
            reason=item.reason,
        )
        yield Part(item.gene, item.gene_id, verdict=verdict)


def _relaxation_parts(document: RelaxationBatchDoc) -> Iterator[Part]:
    """Yield energy, structure and outcome of each gene."""
    packed = unpack_structures(document.blob) if document.blob else []
    for item in document.results:
        index = item.structure_index
        relaxed = None if index is None else packed[index]
        found = {
            "energy_per_atom": item.energy_per_atom,
            "energy_scale": document.energy_scale,
            "is_symmetry_kept": item.is_symmetry_kept,
            "volume_per_atom": item.volume_per_atom,
            "magnetic_moments_mu_b": item.magnetic_moments_mu_b,
            "structure": relaxed.to_structure().as_dict() if relaxed else None,
        }
        outcome = StageOutcome(stage="chgnet relax", outcome=item.outcome)
        yield Part(item.gene, item.gene_id, fields=found, outcome=outcome)


def _phonon_parts(document: PhononBatchDoc) -> Iterator[Part]:
    """Yield the verdict on each lattice; only a clear instability rejects."""
    for item in document.results:
        if item.gene is None or item.gene_id is None:
            continue
        found = {
            "lattice_stability": item.verdict,
            "min_phonon_frequency_thz": item.min_frequency_thz,
        }
        verdict = StageVerdict(
            stage="chgnet phonon",
            verdict=_VERDICT_BY_LATTICE.get(item.verdict, Verdict.PASS),
            value=item.min_frequency_thz,
            threshold=-document.settings.reject_thz,
            reason=item.reason,
        )
        yield Part(item.gene, item.gene_id, fields=found, verdict=verdict)


_VERDICT_BY_LATTICE: Final = {
    LatticeStability.UNSTABLE: Verdict.FAIL,
    LatticeStability.CANNOT_JUDGE: Verdict.CANNOT_JUDGE,
}


def stability_fields(
    verdict: StabilityVerdict, *, scale: str, hull_version: str
) -> dict[str, Any]:
    """Return what a verdict of the hull says of a candidate, by field.

    Parameters
    ----------
    verdict
        On its gene.
    scale
        Of the energies.
    hull_version
        Version of the hull that gave it.
    """
    names = (
        "energy_above_hull",
        "formation_energy_per_atom",
        "decomposition",
        "probability_within_0_mev",
        "probability_within_50_mev",
        "probability_within_100_mev",
    )
    return {
        **{name: getattr(verdict, name) for name in names},
        "hull_scale": scale,
        "hull_version": hull_version,
        "hull_completeness": verdict.completeness,
    }


def stability_link(verdict: StabilityVerdict) -> StageVerdict:
    """Return a verdict of the hull as a link in the chain of decisions.

    Parameters
    ----------
    verdict
        On a gene.
    """
    return StageVerdict(
        stage=HULL_STAGE,
        verdict=verdict.verdict,
        value=verdict.value,
        threshold=verdict.threshold,
        reason=verdict.reason,
    )


def _stability_parts(document: StabilityBatchDoc) -> Iterator[Part]:
    """Yield distance and verdict of each gene."""
    for item in document.results:
        fields = stability_fields(
            item, scale=document.energy_scale, hull_version=document.hull_version
        )
        yield Part(item.gene, item.gene_id, fields=fields, verdict=stability_link(item))


def _electronic_parts(document: ElectronicDoc) -> Iterator[Part]:
    """Yield gap, edges, masses and valleys of the gene, if the document names one."""
    if document.gene is None or document.gene_id is None:
        return
    found: dict[str, Any] = {
        "band_gap": document.band_gap,
        "is_gap_direct": document.is_gap_direct,
        "vbm": document.vbm,
        "cbm": document.cbm,
    }
    for prefix, carrier in (("hole", document.holes), ("electron", document.electrons)):
        found |= {
            f"{prefix}_mass": carrier.conductivity_mass,
            f"{prefix}_band_mass": carrier.band_mass,
            f"n_{prefix}_valleys": carrier.n_valleys,
        }
    if document.is_simulated:
        found["is_simulated"] = True
    outcome = StageOutcome(stage="electronic structure", outcome=document.kind)
    yield Part(document.gene, document.gene_id, fields=found, outcome=outcome)


def _dft_hull_parts(document: DftStabilityDoc) -> Iterator[Part]:
    """Yield distance and verdict by DFT, if the document names a gene."""
    if document.gene is None or document.gene_id is None:
        return
    found: dict[str, Any] = {
        "dft_energy_above_hull": document.energy_above_hull,
        "dft_formation_energy_per_atom": document.formation_energy_per_atom,
    }
    if document.mark is RunMark.SIMULATED:
        found["is_simulated"] = True
    verdict = StageVerdict(
        stage="dft hull",
        verdict=document.verdict,
        value=document.value,
        threshold=document.threshold,
        reason=document.reason,
    )
    yield Part(document.gene, document.gene_id, fields=found, verdict=verdict)


def _gamma_parts(document: GammaPhononDoc) -> Iterator[Part]:
    """Yield the verdict on the lattice at Gamma by DFT."""
    yield from _lattice_parts(document, "gamma phonon", "dft_lattice_stability")


def _dispersion_parts(document: DispersionDoc) -> Iterator[Part]:
    """Yield the verdict on the lattice in the whole zone by DFT."""
    yield from _lattice_parts(document, "dft dispersion", "dft_dispersion_stability")


def _displacement_parts(document: DispersionDoc) -> Iterator[Part]:
    """Yield why there are no phonons of the whole zone; otherwise it has no output."""
    yield from _lattice_parts(document, "dft displacements", "dft_dispersion_stability")


def _lattice_parts(
    document: GammaPhononDoc | DispersionDoc, stage: str, name: str
) -> Iterator[Part]:
    """Yield a verdict on a lattice by DFT, if the document names a gene."""
    if document.gene is None or document.gene_id is None:
        return
    found: dict[str, Any] = {name: document.verdict}
    if document.mark is RunMark.SIMULATED:
        found["is_simulated"] = True
    verdict = StageVerdict(
        stage=stage,
        verdict=_VERDICT_BY_LATTICE.get(document.verdict, Verdict.PASS),
        value=document.min_frequency_thz,
        threshold=-document.tolerance_thz,
        reason=document.reason,
    )
    yield Part(document.gene, document.gene_id, fields=found, verdict=verdict)


def _audit_parts(document: DftAuditDoc) -> Iterator[Part]:
    """Yield how far all runs are as published, if the document names a gene."""
    if document.gene is None or document.gene_id is None:
        return
    found: dict[str, Any] = {"dft_mark": document.mark}
    if document.mark is RunMark.SIMULATED:
        found["is_simulated"] = True
    words = f"{document.mark}: {document.reason}" if document.reason else document.mark
    outcome = StageOutcome(stage="dft audit", outcome=words)
    yield Part(document.gene, document.gene_id, fields=found, outcome=outcome)


JOINS: Final = (
    Join("gene generate", _generation_parts),
    Join("gene screen", _screening_parts),
    Join("chgnet relax", _relaxation_parts),
    Join(HULL_STAGE, _stability_parts),
    Join("chgnet phonon", _phonon_parts),
    Join("dft hull", _dft_hull_parts),
    Join("gamma phonon", _gamma_parts),
    Join("dft displacements", _displacement_parts),
    Join("dft dispersion", _dispersion_parts),
    Join("electronic structure", _electronic_parts),
    Join("dft audit", _audit_parts),
)


def _rank(stage: str) -> int:
    """Return the place of a stage in the pipeline; unknown ones come last."""
    names = [join.job_name for join in JOINS]
    return names.index(stage) if stage in names else len(names)
