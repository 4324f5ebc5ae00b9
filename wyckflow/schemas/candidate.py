"""The documents of the collection ``candidates``: what users query."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from wyckflow.crystal.tables import CrystalSystem
from wyckflow.schemas.base import UtcDatetime, WyckflowDoc
from wyckflow.schemas.dft import RunMark
from wyckflow.schemas.phonon import LatticeStability
from wyckflow.schemas.screening import Judgement, Verdict
from wyckflow.schemas.stability import DecompositionProduct, ReferenceCompleteness


class StageOutcome(BaseModel):
    """How one stage ended for a candidate."""

    model_config = ConfigDict(extra="forbid")

    stage: str = Field(description="Name of the job, such as 'chgnet relax'.")
    outcome: str = Field(description="How it ended, such as 'converged'.")
    job_uuid: str | None = Field(
        default=None, description="Job whose output says so; none if not from a job."
    )


class StageVerdict(Judgement):
    """One link in the chain of decisions about a candidate."""

    stage: str = Field(description="Name of the job that decided.")
    filter: str | None = Field(
        default=None, description="Filter or gate within the stage, where it has many."
    )
    job_uuid: str | None = Field(
        default=None,
        description="Job whose output says so; null if it was ranked again since, by a "
        "hull with more phases.",
    )


class CandidateDoc(WyckflowDoc):
    """All that is known of one gene in one campaign, joined from the job outputs.

    Its identity is (``campaign``, ``gene_id``). Flat, so that every field can be
    queried and sorted on; fields of later stages are null until they have run.
    """

    campaign: str = Field(description="Campaign it was found in.")
    gene_id: str = Field(description="Hash of the canonical gene.")
    gene: str = Field(description="Gene in text form, such as '221 Sr:a Ti:b O:c'.")

    formula_pretty: str = Field(description="Reduced formula, such as 'SrTiO3'.")
    chemsys: str = Field(description="Elements, sorted, joined by '-': 'O-Sr-Ti'.")
    elements: list[str] = Field(description="Chemical symbols, sorted.")
    n_elements: int = Field(ge=1, description="Number of different elements.")
    nsites: int = Field(ge=1, description="Atoms in the conventional cell.")
    space_group_number: int = Field(
        ge=1, le=230, description="Space group of the gene (International Tables)."
    )
    crystal_system: CrystalSystem = Field(description="Crystal system of that group.")

    round: int | None = Field(
        default=None,
        ge=0,
        description="Round of the campaign that proposed it first, from 0; null if no "
        "generator did.",
    )
    model_id: str | None = Field(
        default=None, description="Hash of the model that proposed it in that round."
    )
    predicted_formation_energy_per_atom: FiniteFloat | None = Field(
        default=None,
        description="What that model predicted, eV/atom on the scale it learned from, "
        "mostly that of the Materials Project.",
    )
    predicted_band_gap: FiniteFloat | None = Field(
        default=None, description="What that model predicted, eV."
    )

    energy_per_atom: FiniteFloat | None = Field(
        default=None, description="Energy of the relaxed structure, eV/atom."
    )
    energy_scale: str | None = Field(
        default=None,
        description="Scale of that energy, such as 'chgnet-0.3.0'; energies of "
        "different scales must not be compared.",
    )
    is_symmetry_kept: bool | None = Field(
        default=None, description="Whether relaxation kept the gene's space group."
    )
    volume_per_atom: FiniteFloat | None = Field(
        default=None, description="Volume of the relaxed structure, A^3/atom."
    )
    magnetic_moments_mu_b: list[FiniteFloat] | None = Field(
        default=None,
        description="Sizes of the moments that CHGNet predicts, per orbit in the order "
        "of the gene, mu_B; it predicts no directions.",
    )
    formation_energy_per_atom: FiniteFloat | None = Field(
        default=None, description="Energy relative to the elements, eV/atom."
    )
    energy_above_hull: FiniteFloat | None = Field(
        default=None,
        description="Energy above the hull of competing phases, eV/atom; negative "
        "where it would lower the hull; a lower bound if phases are missing.",
    )
    lattice_stability: LatticeStability | None = Field(
        default=None, description="Whether its lattice holds, by phonons."
    )
    min_phonon_frequency_thz: FiniteFloat | None = Field(
        default=None,
        description="Lowest phonon frequency at the wave vectors that fit the "
        "supercell, translations left out, THz; negative if imaginary.",
    )
    dft_energy_above_hull: FiniteFloat | None = Field(
        default=None,
        description="Energy above the hull of the Materials Project by DFT, eV/atom; "
        "null where no validated run says.",
    )
    dft_formation_energy_per_atom: FiniteFloat | None = Field(
        default=None,
        description="Energy relative to the elements by DFT on the same scale, "
        "eV/atom.",
    )
    dft_lattice_stability: LatticeStability | None = Field(
        default=None,
        description="Whether its lattice holds at the centre of the zone, by DFT.",
    )
    dft_dispersion_stability: LatticeStability | None = Field(
        default=None,
        description="Whether it holds in the whole zone, by DFT of displaced "
        "supercells.",
    )
    dft_mark: RunMark | None = Field(
        default=None,
        description="How far its VASP runs are as published: the worst of them.",
    )
    hull_scale: str | None = Field(
        default=None, description="Energy scale of the hull, that of the energy."
    )
    hull_version: str | None = Field(
        default=None,
        description="Hash of the competing phases: 'wyckflow hull show' finds them.",
    )
    decomposition: list[DecompositionProduct] = Field(
        default_factory=list,
        description="Stable phases of the same composition, most atoms first.",
    )
    hull_completeness: ReferenceCompleteness | None = Field(
        default=None,
        description="How much the reference knows of the chemical system.",
    )
    probability_within_0_mev: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Probability of lying on the DFT hull or below it.",
    )
    probability_within_50_mev: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Probability of lying within 0.05 eV/atom of the DFT hull.",
    )
    probability_within_100_mev: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Probability of lying within 0.1 eV/atom of the DFT hull.",
    )
    band_gap: FiniteFloat | None = Field(
        default=None, description="Fundamental band gap, eV; zero for a metal."
    )
    is_gap_direct: bool | None = Field(
        default=None, description="Whether the gap is direct; null without a gap."
    )
    vbm: FiniteFloat | None = Field(
        default=None, description="Highest filled energy, eV; null without a gap."
    )
    cbm: FiniteFloat | None = Field(
        default=None, description="Lowest empty energy, eV; null without a gap."
    )
    hole_mass: FiniteFloat | None = Field(
        default=None,
        description="Conductivity mass of holes at the edge, free electron masses; "
        "null if it is not determined.",
    )
    electron_mass: FiniteFloat | None = Field(
        default=None, description="The same of electrons."
    )
    hole_band_mass: FiniteFloat | None = Field(
        default=None,
        description="Harmonic mean mass of holes over the directions of the band path, "
        "free electron masses; other directions have no say.",
    )
    electron_band_mass: FiniteFloat | None = Field(
        default=None, description="The same of electrons."
    )
    n_hole_valleys: int | None = Field(
        default=None, description="Valley degeneracy of the valence band edge."
    )
    n_electron_valleys: int | None = Field(
        default=None, description="Valley degeneracy of the conduction band edge."
    )

    verdict: Verdict | None = Field(
        default=None,
        description="Verdict of the last stage that gave one; null if none has.",
    )
    verdicts: list[StageVerdict] = Field(
        default_factory=list, description="Every decision about it, in order of time."
    )
    outcomes: list[StageOutcome] = Field(
        default_factory=list, description="How each stage ended, in order of time."
    )
    structure: dict[str, Any] | None = Field(
        default=None,
        description="Best structure so far, conventional cell, as pymatgen's "
        "Structure.from_dict reads it (lengths in A).",
    )
    is_simulated: bool = Field(
        default=False,
        description="Whether any number in it comes from a simulator instead of the "
        "code it stands for.",
    )
    job_uuids: list[str] = Field(
        default_factory=list, description="Jobs whose outputs it was joined from."
    )
    updated_at: UtcDatetime = Field(
        default_factory=lambda: datetime.now(UTC),
        description="When it was last changed (UTC).",
    )
