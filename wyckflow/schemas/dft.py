"""The documents of the DFT tier: gate, check before, audit and verdicts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from monty.json import jsanitize
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PlainSerializer,
)
from pymatgen.core.structure import Structure

from wyckflow.schemas.base import UtcDatetime, WyckflowDoc
from wyckflow.schemas.blob import unpack_arrays
from wyckflow.schemas.phonon import LatticeStability, Spectrum
from wyckflow.schemas.stability import StabilityVerdict


def _read_structure(value: Any) -> Any:
    """Take a structure also as its dictionary, as JSON has it."""
    return Structure.from_dict(value) if isinstance(value, dict) else value


def _write_structure(structure: Structure) -> dict[str, Any]:
    """Return a structure as JSON can have it."""
    plain: dict[str, Any] = jsanitize(structure.as_dict())
    return plain


StoredStructure = Annotated[
    Structure,
    BeforeValidator(_read_structure),
    PlainSerializer(_write_structure, return_type=dict[str, Any]),
]
"""A structure of pymatgen that survives JSON and every store."""


class RunMark(StrEnum):
    """How far a run, or all runs of a crystal, can be trusted to be as published."""

    AS_PUBLISHED = "as_published"
    """DFT, converged, with the published settings."""
    DEVIATES = "deviates"
    """DFT, converged, but a setting differs: an override, or a correction."""
    INCOMPLETE = "incomplete"
    """It did not converge, or its evidence is not there."""
    SIMULATED = "simulated"
    """Not DFT at all: a stand-in wrote the numbers."""


class GateOpener(StrEnum):
    """Who opened the gate before VASP."""

    USER = "user"
    RULE = "rule"
    NOBODY = "nobody"


class DftGateDoc(WyckflowDoc):
    """Whether a crystal may spend VASP time, and who said so."""

    is_open: bool = Field(description="Whether what follows runs.")
    opened_by: GateOpener = Field(description="User, rule, or nobody yet.")
    approved_by: str | None = Field(
        default=None, description="Name of the user who approved; null if none did."
    )
    reason: str = Field(description="Why, in words.")
    energy_above_hull: FiniteFloat | None = Field(
        default=None, description="Distance that the rule looked at, eV/atom."
    )
    n_jobs_spent: int | None = Field(
        default=None,
        ge=0,
        description="VASP jobs of the crystals that passed before, for the budget.",
    )
    n_jobs_needed: int = Field(
        default=1, ge=0, description="VASP jobs of this crystal."
    )
    structure: StoredStructure = Field(
        description="What is to be computed (lengths in A)."
    )


class ApprovalDoc(WyckflowDoc):
    """One crystal of a campaign that may spend VASP time, in ``approvals``.

    Written before its workflow is sent, so that nobody sends a second one.
    """

    campaign: str = Field(description="Campaign that found it.")
    gene_id: str = Field(description="Hash of the canonical gene.")
    gene: str = Field(description="Gene in text form, such as '221 Sr:a Ti:b O:c'.")
    formula_pretty: str = Field(description="Reduced formula, such as 'SrTiO3'.")
    opened_by: GateOpener = Field(description="User, or rule.")
    approved_by: str | None = Field(
        default=None, description="Name of the user who approved; null if a rule did."
    )
    n_vasp_jobs: int = Field(ge=0, description="VASP jobs of its workflow.")
    n_jobs_spent: int = Field(
        ge=0, description="VASP jobs of its campaign that were approved before."
    )
    budget: int | None = Field(
        default=None,
        ge=0,
        description="VASP jobs that a rule could approve then; null if a user did.",
    )
    energy_above_hull: FiniteFloat | None = Field(
        default=None, description="Distance to the hull by CHGNet then, eV/atom."
    )
    request: dict[str, Any] = Field(
        default_factory=dict,
        description="The section 'dft' of the campaign's file then.",
    )
    structure: dict[str, Any] = Field(
        description="What is computed, as pymatgen's Structure.from_dict reads it "
        "(lengths in A)."
    )
    approved_at: UtcDatetime = Field(description="When (UTC).")


class StepCost(BaseModel):
    """How large one VASP step is, before it runs."""

    model_config = ConfigDict(extra="forbid")

    step: str = Field(description="Name of the job, such as 'vasp static'.")
    n_kpoints: int = Field(
        ge=1, description="Points that symmetry leaves, or points of the path."
    )
    mesh: list[int] | None = Field(
        default=None, description="Divisions of the mesh; null for a path."
    )
    n_plane_waves: int | None = Field(
        default=None,
        description="Plane waves per band and point by volume and cut-off; null where "
        "the POTCARs set the cut-off and are not at hand.",
    )
    wave_function_gb: FiniteFloat | None = Field(
        default=None,
        description="Memory of the wave functions over all processes, GB; null where "
        "the number of electrons is not known.",
    )


class PreflightDoc(WyckflowDoc):
    """What a machine lacks to run VASP on a crystal; empty problems mean nothing."""

    is_ready: bool = Field(description="Whether no problem was found.")
    problems: list[str] = Field(description="Each problem with its remedy.")
    warnings: list[str] = Field(
        default_factory=list, description="What does not stop a run but may surprise."
    )
    potcars: list[str] = Field(description="Symbols of the POTCARs, such as 'Fe_pv'.")
    is_simulated: bool = Field(
        default=False,
        description="Whether a POTCAR here, or VASP itself, is a stand-in.",
    )
    costs: list[StepCost] = Field(description="One entry per VASP step.")
    space_group_number: int = Field(
        ge=1, le=230, description="Space group of the crystal that will be computed."
    )
    structure: StoredStructure = Field(
        description="SeeK-path's primitive cell, where the steps begin (lengths in A)."
    )


class MagnetismDoc(WyckflowDoc):
    """Whether a crystal keeps its spin, and the structure that says so to VASP."""

    is_magnetic: bool = Field(
        description="Whether any atom has a moment at or above the threshold."
    )
    max_moment: FiniteFloat | None = Field(
        default=None,
        description="Largest magnitude of a moment, muB; null if none was given.",
    )
    threshold: float = Field(gt=0, description="Smallest moment that counts, muB.")
    reason: str = Field(default="", description="Why, in words.")
    structure: StoredStructure = Field(
        description="With moments ('magmom', muB) if magnetic, without otherwise "
        "(lengths in A)."
    )


class SettingDeviation(BaseModel):
    """One setting that was not as published."""

    model_config = ConfigDict(extra="forbid")

    setting: str = Field(description="INCAR tag, 'KPOINTS', or 'validation'.")
    expected: str = Field(description="Published value; empty if it must be absent.")
    found: str = Field(description="Value of the run; empty if it was absent.")


class CustodianCorrection(BaseModel):
    """One thing that custodian changed in a run."""

    model_config = ConfigDict(extra="forbid")

    handler: str = Field(description="Handler that acted.")
    errors: list[str] = Field(description="What it had found.")
    actions: str = Field(description="What it changed, as JSON.")


class StepAudit(BaseModel):
    """What is known of how one VASP step ran."""

    model_config = ConfigDict(extra="forbid")

    step: str = Field(description="Name of the job, such as 'vasp static'.")
    mark: RunMark = Field(description="How far it is as published.")
    vasp_version: str | None = Field(default=None, description="Version of VASP.")
    is_converged: bool = Field(description="Whether electrons and atoms converged.")
    corrections: list[CustodianCorrection] = Field(
        default_factory=list, description="Everything that custodian changed."
    )
    deviations: list[SettingDeviation] = Field(
        default_factory=list,
        description="Settings of the last run that are not the published ones.",
    )


class DftAuditDoc(WyckflowDoc):
    """How all VASP steps of one crystal ran, against the published settings."""

    gene: str | None = Field(
        default=None, description="Gene in text form, where it has one."
    )
    gene_id: str | None = Field(
        default=None, description="Hash of the canonical gene, where it has one."
    )
    mark: RunMark = Field(description="The worst of the steps.")
    reason: str = Field(default="", description="Which steps are why, in words.")
    n_corrections: int = Field(ge=0, description="Corrections in all steps.")
    n_deviations: int = Field(ge=0, description="Deviations in all steps.")
    steps: list[StepAudit] = Field(description="One entry per step, in their order.")


class EnergyCorrection(BaseModel):
    """One correction of the Materials Project's scheme of 2020."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Such as 'MP2020 anion correction (oxide)'.")
    value: FiniteFloat = Field(description="Added to the energy of the cell, eV.")
    uncertainty: FiniteFloat | None = Field(
        default=None, description="Standard uncertainty of it, eV; null if unknown."
    )


class DftStabilityDoc(WyckflowDoc, StabilityVerdict):
    """The distance of a crystal to the hull of the Materials Project, by DFT."""

    formula_pretty: str = Field(description="Reduced formula, such as 'SrTiO3'.")
    gene: str | None = Field(
        default=None, description="Gene in text form, where it has one."
    )
    gene_id: str | None = Field(
        default=None, description="Hash of the canonical gene, where it has one."
    )
    energy_scale: str = Field(description="Scale of energies and reference.")
    mark: RunMark = Field(description="Of the runs that gave the energy.")
    uncorrected_energy_per_atom: FiniteFloat | None = Field(
        default=None, description="Energy as VASP gave it, eV/atom."
    )
    corrections: list[EnergyCorrection] = Field(
        default_factory=list, description="What was added to the energy of the cell."
    )
    correction_warnings: list[str] = Field(
        default_factory=list,
        description="What the scheme of corrections had to guess, in its own words.",
    )
    reference_name: str | None = Field(
        default=None, description="Name of the reference; null if none was given."
    )
    hull_version: str | None = Field(
        default=None, description="Hash of the entries of the reference."
    )


class GammaPhononDoc(WyckflowDoc):
    """Whether the lattice of a crystal holds at Gamma, by perturbation theory."""

    verdict: LatticeStability = Field(description="Stable, unstable, cannot judge.")
    reason: str = Field(default="", description="Why, in words.")
    gene: str | None = Field(
        default=None, description="Gene in text form, where it has one."
    )
    gene_id: str | None = Field(
        default=None, description="Hash of the canonical gene, where it has one."
    )
    mark: RunMark = Field(description="Of the run that gave the frequencies.")
    tolerance_thz: float = Field(
        gt=0, description="Modes above minus this count as stable, THz."
    )
    acoustic_thz: list[FiniteFloat] = Field(
        default_factory=list,
        description="The three modes that move all atoms alike, THz; exactly zero but "
        "for the grid of VASP.",
    )
    optical_thz: list[FiniteFloat] = Field(
        default_factory=list,
        description="All others, from the lowest, THz; negative if imaginary.",
    )
    min_frequency_thz: FiniteFloat | None = Field(
        default=None, description="Lowest of these, THz."
    )
    acoustic_share: FiniteFloat | None = Field(
        default=None,
        description="Smallest share of translation in a mode taken for acoustic, 0 to "
        "1; below 0.5 the two kinds are mixed.",
    )


class DispersionDoc(WyckflowDoc):
    """The phonons of the whole zone, from VASP runs of displaced supercells."""

    verdict: LatticeStability = Field(
        description="Stable, borderline, unstable, cannot judge."
    )
    reason: str = Field(default="", description="Why, in words.")
    gene: str | None = Field(
        default=None, description="Gene in text form, where it has one."
    )
    gene_id: str | None = Field(
        default=None, description="Hash of the canonical gene, where it has one."
    )
    mark: RunMark = Field(description="The worst of the runs that gave the forces.")
    tolerance_thz: float = Field(
        gt=0, description="Modes above minus this count as stable, THz."
    )
    supercell_matrix: list[list[int]] | None = Field(
        default=None,
        description="Columns are the supercell's vectors as sums of primitive ones.",
    )
    n_atoms_supercell: int | None = Field(
        default=None, ge=1, description="Atoms of the supercell."
    )
    n_displacements: int = Field(default=0, ge=0, description="Displaced supercells.")
    displacement: float | None = Field(
        default=None, gt=0, description="Displacement of one atom, A."
    )
    min_frequency_thz: FiniteFloat | None = Field(
        default=None,
        description="Lowest frequency at the wave vectors that fit the supercell, "
        "translations left out, THz; negative if imaginary.",
    )
    min_frequency_q: list[float] | None = Field(
        default=None, description="Wave vector of that mode, fractional."
    )
    min_interpolated_thz: FiniteFloat | None = Field(
        default=None, description="Lowest frequency on mesh and path, THz."
    )
    max_frequency_thz: FiniteFloat | None = Field(
        default=None, description="Highest frequency there, THz."
    )
    blob: bytes | None = Field(
        default=None,
        description="Bands and density of states as arrays, for spectrum(); null "
        "without any.",
    )

    def spectrum(self) -> Spectrum | None:
        """Return bands and density of states, if there are any."""
        if self.blob is None:
            return None
        arrays = unpack_arrays(self.blob)
        return Spectrum(
            **{name: arrays[name] for name in Spectrum.__dataclass_fields__}
        )
