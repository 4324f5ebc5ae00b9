"""What relaxation found: per trial, per gene, per job."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.schemas.base import WyckflowDoc
from wyckflow.schemas.structures import unpack_structures
from wyckflow.schemas.trials import pack_trials, unpack_trials


class Outcome(StrEnum):
    """How the relaxation of one structure ended, the best first."""

    CONVERGED = "converged"
    STEP_LIMIT = "step_limit"
    STUCK = "stuck"
    DROPPED = "dropped"
    """Given up on the way, since another trial of its gene was better or alike."""
    GUARDED = "guarded"
    NON_FINITE = "non_finite"
    ISOLATED = "isolated"
    ERROR = "error"
    """The software failed on it; the reason has the exception, the log the rest."""
    BUILD_FAILED = "build_failed"
    UNSUPPORTED_ELEMENT = "unsupported_element"


class RelaxedState(BaseModel):
    """The numbers of a relaxed structure, or of the try to relax it."""

    model_config = ConfigDict(extra="forbid")

    outcome: Outcome = Field(description="How the relaxation ended.")
    reason: str = Field(
        default="", description="Why it did not converge, in words; else empty."
    )
    energy_per_atom: FiniteFloat | None = Field(
        default=None,
        description="Energy at the end, eV/atom, on the energy scale of the batch; "
        "null unless it converged, ran into the step limit, got stuck, or was dropped "
        "after its first stage.",
    )
    max_force: FiniteFloat | None = Field(
        default=None, ge=0, description="Largest force on an atom at the end, eV/A."
    )
    max_stress_gpa: FiniteFloat | None = Field(
        default=None,
        ge=0,
        description="Largest component of the stress tensor at the end, GPa.",
    )
    n_steps: int = Field(default=0, ge=0, description="Steps of the optimiser.")
    n_evaluations: int = Field(
        default=0, ge=0, description="Evaluations of energy, forces and stress."
    )
    volume_per_atom: FiniteFloat | None = Field(
        default=None, gt=0, description="Volume at the end, A^3/atom."
    )
    space_group_number_after: int | None = Field(
        default=None,
        ge=1,
        le=230,
        description="Space group detected at the end, at the batch's symprec.",
    )


class TrialDoc(RelaxedState):
    """One start structure of a gene and where it relaxed to."""

    trial: int = Field(ge=0, description="Number of the trial, from 0.")
    seed: int = Field(ge=0, description="Seed of its start structure.")
    engine: str = Field(description="What made its start structure.")
    stage: int | None = Field(
        default=None,
        ge=0,
        description="Stages of the race that it ran in; 0 if it was not relaxed, null "
        "where there was no race.",
    )


class RelaxationDoc(RelaxedState):
    """One gene after relaxation: the numbers of its best trial.

    The best trial is the lowest in energy among those with the best outcome.
    """

    gene: str = Field(description="Gene in text form, such as '221 Sr:a Ti:b O:c'.")
    gene_id: str = Field(description="Hash of the canonical gene.")
    formula_pretty: str = Field(description="Reduced formula, such as 'SrTiO3'.")
    space_group_number_before: int = Field(
        ge=1, le=230, description="Space group of the gene, exact in every start."
    )
    space_group_number_after_tight: int | None = Field(
        default=None,
        ge=1,
        le=230,
        description="Space group detected at the end at 1e-5 A: a supergroup here is "
        "exact, one at the batch's symprec alone is only near.",
    )
    is_symmetry_kept: bool | None = Field(
        default=None,
        description="Whether the space group after, at the batch's symprec, is the one "
        "before; null without a structure.",
    )
    n_evaluations_of_gene: int = Field(
        default=0, ge=0, description="Evaluations of all its trials together."
    )
    best_trial: int | None = Field(
        default=None, ge=0, description="Trial the numbers come from; null if none ran."
    )
    magnetic_moments_mu_b: list[FiniteFloat] | None = Field(
        default=None,
        description="Size of the magnetic moment of an atom of each orbit, in mu_B and "
        "in the order of the gene. The network predicts sizes alone: nothing says how "
        "the moments are ordered, and the energy is not that of another order. Null "
        "without a structure, if the backend predicts none, and before version 3.",
    )
    structure_index: int | None = Field(
        default=None,
        ge=0,
        description="Place of its structure in the batch's blob; null without one.",
    )
    trials: list[TrialDoc] = Field(
        default_factory=list,
        description="Every trial, in order of its number; empty in what a job emits, "
        "where they are in the table of the batch, since version 4.",
    )


class TrialTable(BaseModel):
    """The trials of all genes of a job, as columns.

    In the document itself, since they take about 100 bytes per gene, and each blob of a
    job is stored apart.
    """

    model_config = ConfigDict(
        extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
    )

    n_trials: int = Field(ge=0, description="Trials of all genes together.")
    packed: bytes = Field(
        description="Columns of numbers and texts, and how many rows each gene has, "
        "for wyckflow.schemas.trials.unpack_trials."
    )

    @classmethod
    def pack(cls, trials: Sequence[Sequence[TrialDoc]]) -> Self:
        """Put the trials of genes together.

        Parameters
        ----------
        trials
            Of each gene, in the order of the batch.
        """
        rows = [[trial.model_dump() for trial in of_gene] for of_gene in trials]
        return cls(n_trials=sum(map(len, rows)), packed=pack_trials(rows))

    def unpack(self) -> list[list[TrialDoc]]:
        """Return the trials of each gene, in the order of the batch."""
        return [
            [TrialDoc.model_validate(row) for row in of_gene]
            for of_gene in unpack_trials(self.packed)
        ]


class RelaxationSettings(BaseModel):
    """The options that decided the numbers of a batch."""

    model_config = ConfigDict(extra="forbid")

    relaxer: str = Field(description="Algorithm and library that relaxed.")
    engine: str = Field(description="What made the start structures.")
    n_trials: int | None = Field(
        ge=1,
        description="Start structures per gene; null for a number that grows with its "
        "free coordinates.",
    )
    seed: int = Field(ge=0, description="Seed of the start structures.")
    fmax: float = Field(gt=0, description="Force at which a trial converged, eV/A.")
    max_stress_gpa: float = Field(
        gt=0, description="Stress at which a trial converged, GPa."
    )
    max_steps: int = Field(ge=0, description="Steps after which a trial was stopped.")
    symprec: float = Field(
        gt=0, description="Tolerance of the space group after relaxation, A."
    )
    backend: str | None = Field(
        default=None, description="Name of the backend, such as 'chgnet-quotient'."
    )
    n_coarse_stages: int = Field(
        default=0, ge=0, description="Stages of the race after which trials dropped."
    )
    coarse_steps: int | None = Field(
        default=None,
        ge=1,
        description="Steps of a trial in the first stage; each stage doubled them.",
    )
    energy_window: float | None = Field(
        default=None,
        gt=0,
        description="Distance to the gene's best at which a trial dropped after the "
        "last coarse stage, eV/atom; four times as much one stage earlier.",
    )
    keep_fraction: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Largest share of a gene's trials that went on from a stage.",
    )
    max_evaluations: int | None = Field(
        default=None,
        ge=1,
        description="Evaluations that a gene might cost; null for no limit.",
    )


class RelaxationBatchDoc(WyckflowDoc):
    """The relaxations of one job, in the order of its input."""

    SCHEMA_VERSION: ClassVar[int] = 4

    energy_scale: str = Field(
        description="Scale of every energy here, such as 'chgnet-0.3.0'; energies of "
        "different scales must not be compared."
    )
    settings: RelaxationSettings = Field(description="Options of the job.")
    shard: int = Field(default=0, ge=0, description="Number of this shard, from 0.")
    n_shards: int = Field(default=1, ge=1, description="Shards of the whole list.")
    n_converged: int = Field(ge=0, description="Genes with a converged trial.")
    results: list[RelaxationDoc] = Field(
        description="One entry per gene of the shard, in the order of the input."
    )
    blob: bytes | None = Field(
        default=None,
        description="Relaxed structures as genes, cells (A) and free coordinates, for "
        "wyckflow.schemas.structures.unpack_structures; null without any.",
    )
    trials: TrialTable | None = Field(
        default=None,
        description="Every trial of every gene; null in documents before version 4, "
        "where they are with the genes.",
    )

    def list_trials(self) -> dict[str, list[TrialDoc]]:
        """Return every trial by the id of its gene, in order of its number."""
        found = [result.trials for result in self.results]
        if self.trials is not None:
            found = self.trials.unpack()
        ids = [result.gene_id for result in self.results]
        return dict(zip(ids, found, strict=True))

    def list_structures(self) -> list[ReducedStructure | None]:
        """Return the relaxed structure of each result, None where it has none."""
        if self.blob is None:
            return [None] * len(self.results)
        packed = unpack_structures(self.blob)
        places = [result.structure_index for result in self.results]
        return [None if place is None else packed[place] for place in places]

    def structures(self) -> dict[str, ReducedStructure]:
        """Return the relaxed structures by the id of their gene.

        Genes without a structure are absent. Of a gene that was relaxed more than once
        the last one is returned; `list_structures` has them all.
        """
        return {
            result.gene_id: structure
            for result, structure in zip(
                self.results, self.list_structures(), strict=True
            )
            if structure is not None
        }
