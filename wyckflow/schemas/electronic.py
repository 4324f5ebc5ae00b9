"""Electrons of a crystal: gap, band edges, masses, pockets, descriptors.

Energies are in eV, masses in units of the free electron's. A carrier's energy rises
away from its edge, so holes have positive masses too; tables that write them negative
mean the curvature of the band. Wave vectors are fractions of the reciprocal vectors of
the cell of the calculation.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from wyckflow.schemas.base import WyckflowDoc


class BandKind(StrEnum):
    """What the bands make of a crystal."""

    SEMICONDUCTOR = "semiconductor"
    """There is a gap, however large."""
    METAL = "metal"
    """Bands cross the Fermi level, or filled and empty ones overlap."""
    HALF_METAL = "half_metal"
    """One spin crosses the Fermi level, the other has a gap."""
    CANNOT_JUDGE = "cannot_judge"
    """The run is not converged, lacks bands, or contradicts itself."""


class Carrier(StrEnum):
    """Who carries charge."""

    HOLE = "hole"
    ELECTRON = "electron"


class FitQuality(StrEnum):
    """How far a mass can be trusted."""

    GOOD = "good"
    """Independent fits agree within 5 %."""
    UNCERTAIN = "uncertain"
    """They agree within 20 %, or it is not all of the zone that speaks."""
    NON_PARABOLIC = "non_parabolic"
    """Strongly non-parabolic: no mass describes the edge."""
    CANNOT_FIT = "cannot_fit"
    """Too few wave vectors, no gap, or no minimum; the reason says which."""


class ElectronicSettings(BaseModel):
    """The options that decided the numbers of a document."""

    model_config = ConfigDict(extra="forbid")

    valley_window: float = Field(
        gt=0, description="Pockets this near to the edge are counted, eV."
    )
    fit_window: float = Field(
        gt=0, description="Largest energy from the edge that a mass is fitted to, eV."
    )
    degeneracy: float = Field(
        gt=0, description="Bands this near to each other at an edge count as one, eV."
    )
    temperature: float = Field(
        gt=0, description="At which pockets above the edge are weighted, K."
    )
    symprec: float = Field(gt=0, description="Tolerance of the crystal's symmetry, A.")


class LineMass(BaseModel):
    """The mass of one band along one direction, by two independent fits."""

    model_config = ConfigDict(extra="forbid")

    direction: str = Field(description="From the pocket along the path, as 'L→Γ'.")
    vector: list[FiniteFloat] = Field(description="Unit vector, Cartesian.")
    band: int = Field(ge=0, description="Index of the band, from zero.")
    quality: FitQuality = Field(description="How far to trust it.")
    reason: str = Field(default="", description="Why it is no better.")
    mass: FiniteFloat | None = Field(
        default=None,
        description="At the edge by Kane's dispersion, hbar^2 k^2 / 2m = E (1 + alpha "
        "E), free electron masses.",
    )
    alpha: FiniteFloat | None = Field(
        default=None, description="Its non-parabolicity, 1/eV."
    )
    polynomial_mass: FiniteFloat | None = Field(
        default=None,
        description="From the curvature of a polynomial in k, free electron masses.",
    )
    mass_error: FiniteFloat | None = Field(
        default=None,
        ge=0,
        description="Largest of what both fits, other windows and the scatter of the "
        "points leave open, relative.",
    )
    residual_mev: FiniteFloat | None = Field(
        default=None, ge=0, description="Root mean square misfit of Kane's form, meV."
    )
    n_points: int = Field(default=0, ge=0, description="Wave vectors fitted.")
    k_range: FiniteFloat | None = Field(
        default=None, ge=0, description="Distance of the farthest from the edge, 1/A."
    )
    energy_range: FiniteFloat | None = Field(
        default=None, ge=0, description="Energy of the farthest from the edge, eV."
    )


class Valley(BaseModel):
    """One kind of carrier pocket, with all its copies by symmetry."""

    model_config = ConfigDict(extra="forbid")

    carrier: Carrier = Field(description="Who lives there.")
    spin: str = Field(description="up, down, or both where they are equal.")
    label: str = Field(description="Name of its wave vector, or its coordinates.")
    kpoint: list[FiniteFloat] = Field(description="Its wave vector, fractional.")
    energy: FiniteFloat = Field(description="Of the extremum, eV.")
    energy_from_edge: FiniteFloat = Field(
        ge=0, description="Distance to the band edge, whichever spin makes it, eV."
    )
    bands: list[int] = Field(description="Indices of its bands, from zero.")
    n_k: int = Field(
        ge=1, description="Pockets in the zone that symmetry makes of it (star of k)."
    )
    n_b: int = Field(ge=1, description="Bands that meet in it.")
    spin_degeneracy: int = Field(
        ge=1, le=2, description="Electrons that each of these bands holds."
    )
    little_group: str = Field(
        description="Point group of the wave vector, such as '-3m'."
    )
    n_directions: int = Field(
        ge=0, description="Directions in which the calculation shows it as extremum."
    )
    lines: list[LineMass] = Field(
        default_factory=list, description="Masses along the path."
    )
    path_mass: FiniteFloat | None = Field(
        default=None,
        description="Harmonic mean over the directions of the path and the bands, free "
        "electron masses; other directions have no say.",
    )
    principal_masses: list[FiniteFloat] = Field(
        default_factory=list,
        description="Along the axes of the ellipsoid, ascending, free electron masses; "
        "empty if it is none or not determined.",
    )
    dos_mass: FiniteFloat | None = Field(
        default=None,
        description="Density-of-states mass of one pocket, its bands together, free "
        "electron masses.",
    )
    conductivity_mass: FiniteFloat | None = Field(
        default=None,
        description="Conductivity mass of one pocket, free electron masses.",
    )
    mass_error: FiniteFloat | None = Field(
        default=None, ge=0, description="Of these two, relative."
    )
    quality: FitQuality = Field(description="How far to trust these two.")
    reason: str = Field(default="", description="Why they are no better, or missing.")

    @property
    def n_valleys(self) -> int:
        """Valley degeneracy, pockets times bands."""
        return self.n_k * self.n_b


class ChannelDoc(BaseModel):
    """The gap of one spin."""

    model_config = ConfigDict(extra="forbid")

    spin: str = Field(description="up, down, or both where they are equal.")
    band_gap: FiniteFloat = Field(
        ge=0, description="Gap of this spin, eV; zero if it is metallic."
    )
    direct_gap: FiniteFloat | None = Field(
        default=None, description="Smallest at one wave vector, eV."
    )
    vbm: FiniteFloat | None = Field(default=None, description="Highest filled, eV.")
    cbm: FiniteFloat | None = Field(default=None, description="Lowest empty, eV.")


class CarrierSummary(BaseModel):
    """What one kind of carrier promises a thermoelectric."""

    model_config = ConfigDict(extra="forbid")

    carrier: Carrier = Field(description="Holes (p-type) or electrons (n-type).")
    label: str = Field(default="", description="Where the band edge is, as 'Γ'.")
    n_k: int | None = Field(default=None, description="Pockets at the edge.")
    n_b: int | None = Field(default=None, description="Bands that meet in each.")
    spin_degeneracy: int | None = Field(
        default=None, description="Electrons that each of these bands holds."
    )
    n_valleys: int | None = Field(
        default=None, description="Valley degeneracy of the edge, n_k times n_b."
    )
    n_valleys_in_window: int | None = Field(
        default=None, description="With all pockets within the window of the edge."
    )
    n_valleys_thermal: FiniteFloat | None = Field(
        default=None,
        description="The same, each pocket weighted by exp(-E/kT) of its distance.",
    )
    band_mass: FiniteFloat | None = Field(
        default=None,
        description="Harmonic mean at the edge over the directions of the path, free "
        "electron masses.",
    )
    dos_mass: FiniteFloat | None = Field(
        default=None,
        description="Density-of-states mass of all pockets at the edge together, "
        "which the Seebeck coefficient follows, free electron masses; of one spin "
        "where spins differ.",
    )
    conductivity_mass: FiniteFloat | None = Field(
        default=None,
        description="Mass that the conductivity follows, free electron masses.",
    )
    valleys_per_mass: FiniteFloat | None = Field(
        default=None,
        description="Valley degeneracy over conductivity mass, to which the power "
        "factor is proportional.",
    )
    complexity: FiniteFloat | None = Field(
        default=None,
        description="Fermi surface complexity N_v K* = (dos_mass / "
        "conductivity_mass)^1.5, for parabolic pockets.",
    )
    mass_error: FiniteFloat | None = Field(
        default=None, ge=0, description="Of the masses, relative."
    )
    quality: FitQuality = Field(description="How far to trust the masses.")
    reason: str = Field(default="", description="Why they are no better, or missing.")


class ElectronicDoc(WyckflowDoc):
    """The electronic structure of one crystal near its gap."""

    SCHEMA_VERSION: ClassVar[int] = 1

    name: str = Field(default="", description="Id of its gene, or another name.")
    gene: str | None = Field(
        default=None, description="Gene in text form; null if it was not given."
    )
    gene_id: str | None = Field(
        default=None, description="Hash of the canonical gene; null without one."
    )
    formula_pretty: str | None = Field(
        default=None, description="Reduced formula; null without atoms."
    )
    kind: BandKind = Field(description="Semiconductor, metal or what else.")
    reason: str = Field(default="", description="Why, or what was put right.")
    band_gap: FiniteFloat | None = Field(
        default=None,
        ge=0,
        description="Fundamental gap at the wave vectors of the calculation, eV; zero "
        "for a metal.",
    )
    is_gap_direct: bool | None = Field(
        default=None,
        description="Whether both edges are at one wave vector, copies by symmetry "
        "included; null without a gap.",
    )
    direct_gap: FiniteFloat | None = Field(
        default=None, description="Smallest at one wave vector, within a spin, eV."
    )
    vbm: FiniteFloat | None = Field(default=None, description="Highest filled, eV.")
    cbm: FiniteFloat | None = Field(default=None, description="Lowest empty, eV.")
    fermi_level: FiniteFloat | None = Field(
        default=None, description="As the calculation gave it, eV."
    )
    channels: list[ChannelDoc] = Field(
        default_factory=list, description="Gap of each spin."
    )
    valleys: list[Valley] = Field(
        default_factory=list,
        description="Pockets of both carriers, by distance from their edge.",
    )
    holes: CarrierSummary = Field(description="What holes promise.")
    electrons: CarrierSummary = Field(description="What electrons promise.")
    max_temperature: FiniteFloat | None = Field(
        default=None,
        description="Highest temperature of a thermoelectric by the rule that the gap "
        "be 10 kT, K.",
    )
    space_group_number: int | None = Field(
        default=None, ge=1, le=230, description="Found in the cell; null without atoms."
    )
    n_kpoints: int = Field(default=0, ge=0, description="Wave vectors that came.")
    n_lines: int = Field(default=0, ge=0, description="Straight lines among them.")
    settings: ElectronicSettings = Field(description="Options of the job.")
    notes: list[str] = Field(
        default_factory=list, description="What to keep in mind, in words."
    )
    is_simulated: bool = Field(
        default=False, description="Whether the bands come from a simulator."
    )
