"""What the hull says of each gene: distance, products, and how much is known."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from wyckflow.schemas.base import WyckflowDoc
from wyckflow.schemas.screening import Judgement


class DecompositionProduct(BaseModel):
    """One of the stable phases that a composition separates into."""

    model_config = ConfigDict(extra="forbid")

    formula_pretty: str = Field(description="Reduced formula, such as 'SrO'.")
    entry_id: str = Field(
        description="Its entry in the reference; the symbol of an element that is zero "
        "by definition."
    )
    fraction: float = Field(gt=0, description="Share of the atoms that are in it.")


class ReferenceCompleteness(BaseModel):
    """How much the reference knows of one chemical system.

    The less it knows, the more competing phases may be missing: the distance to a
    partial reference is a lower bound.
    """

    model_config = ConfigDict(extra="forbid")

    n_entries: int = Field(
        ge=0, description="Entries made of its elements alone, the elements included."
    )
    n_entries_by_size: list[int] = Field(
        description="The same by number of elements: of one element, of two, and so on."
    )
    n_subsystems: int = Field(
        ge=0,
        description="Chemical systems of two or more of its elements, itself included.",
    )
    n_empty_subsystems: int = Field(
        ge=0, description="Of these, how many have no compound in the reference."
    )
    missing_elements: list[str] = Field(
        default_factory=list, description="Its elements without a reference."
    )


class StabilityVerdict(Judgement):
    """The verdict of the hull with the numbers behind it, of any gene."""

    energy_per_atom: FiniteFloat | None = Field(
        default=None, description="Energy that was judged, eV/atom."
    )
    energy_above_hull: FiniteFloat | None = Field(
        default=None,
        description="Energy above the hull of competing phases, eV/atom; negative "
        "where it would lower the hull; a lower bound if phases are missing.",
    )
    formation_energy_per_atom: FiniteFloat | None = Field(
        default=None, description="Energy relative to the elements, eV/atom."
    )
    decomposition: list[DecompositionProduct] = Field(
        default_factory=list,
        description="Stable phases of the same composition, most atoms first.",
    )
    completeness: ReferenceCompleteness | None = Field(
        default=None,
        description="How much the reference knows of its chemical system; null if it "
        "was not asked.",
    )
    probability_within_0_mev: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Probability of lying on the DFT hull or below it; null where no "
        "calibration says.",
    )
    probability_within_50_mev: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Probability of lying within 0.05 eV/atom of the DFT hull; null "
        "without a calibration.",
    )
    probability_within_100_mev: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Probability of lying within 0.1 eV/atom of the DFT hull; null "
        "without a calibration.",
    )


class StabilityDoc(StabilityVerdict):
    """One gene and its distance to the hull."""

    gene: str = Field(description="Gene in text form, such as '221 Sr:a Ti:b O:c'.")
    gene_id: str = Field(description="Hash of the canonical gene.")
    formula_pretty: str = Field(description="Reduced formula, such as 'SrTiO3'.")
    chemsys: str = Field(description="Elements, sorted, joined by '-': 'O-Sr-Ti'.")


class StabilityBatchDoc(WyckflowDoc):
    """The distances to the hull of one job, in the order of its input."""

    energy_scale: str = Field(
        description="Scale of every energy here and of the reference, such as "
        "'chgnet-0.3.0'; energies of different scales must not be compared."
    )
    reference_name: str = Field(description="Name of the reference set.")
    hull_version: str = Field(
        description="Hash of the entries of the reference: the same version gives the "
        "same distances."
    )
    n_reference_entries: int = Field(ge=0, description="Entries of the reference.")
    threshold: float = Field(
        description="Largest distance to the hull that passes, eV/atom."
    )
    calibration: str | None = Field(
        default=None,
        description="Calibration that gave the probabilities; null without one.",
    )
    calibration_reference_version: str | None = Field(
        default=None,
        description="Version of the reference that the calibration was fitted with; "
        "for distances to another its probabilities are less sure.",
    )
    passed: list[str] = Field(
        description="Ids of the genes within the threshold, in the order of the input."
    )
    n_pass: int = Field(ge=0, description="Genes within the threshold.")
    n_fail: int = Field(ge=0, description="Genes above it.")
    n_cannot_judge: int = Field(ge=0, description="Genes that could not be judged.")
    results: list[StabilityDoc] = Field(
        description="One entry per gene, in the order of the input."
    )
