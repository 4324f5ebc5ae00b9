"""What crystals of a composition were proposed, and which of them came out lowest."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.schemas.base import WyckflowDoc
from wyckflow.schemas.structures import unpack_structures


class GeneSource(StrEnum):
    """Where a gene came from."""

    GENERATED = "generated"
    ENUMERATED = "enumerated"
    BOTH = "both"


class PolymorphQuestion(BaseModel):
    """What is looked for."""

    model_config = ConfigDict(extra="forbid")

    formula_pretty: str = Field(description="Reduced formula, such as 'CaTiO3'.")
    composition: dict[str, int] = Field(
        description="Atoms of each element in the formula unit."
    )
    space_group_number: int | None = Field(
        default=None,
        ge=1,
        le=230,
        description="Space group wanted; null for the ground state in any.",
    )


class ProposedGene(BaseModel):
    """A gene that is to be relaxed."""

    model_config = ConfigDict(extra="forbid")

    gene: str = Field(description="Gene in text form, in its full symmetry.")
    gene_id: str = Field(description="Hash of the canonical gene.")
    source: GeneSource = Field(description="Where it came from.")
    predicted_rank: int = Field(
        ge=1, description="Place among all proposed genes by the ranking, from 1."
    )
    predicted_formation_energy: FiniteFloat | None = Field(
        default=None,
        description="Formation energy that the model expects, eV/atom, on the scale "
        "of its training data; null without a model.",
    )
    predicted_deviation: FiniteFloat | None = Field(
        default=None, ge=0, description="Its uncertainty, eV/atom."
    )
    n_trials: int = Field(ge=1, description="Relaxations that it will cost.")


class ProposalDoc(WyckflowDoc):
    """Genes of a composition, counted, ranked and cut to a budget."""

    SCHEMA_VERSION: ClassVar[int] = 1

    question: PolymorphQuestion = Field(description="What is looked for.")
    neutrality: str = Field(
        description="Whether charges can balance: 'pass', 'fail' or 'cannot_judge'."
    )
    model_name: str | None = Field(
        default=None, description="Name of the model; null without one."
    )
    model_id: str | None = Field(
        default=None, description="Hash of the model's file; null without one."
    )
    problem: str = Field(
        default="",
        description="Why the generator made no genes, if it did not; else empty.",
    )
    n_starts: int = Field(default=0, ge=0, description="Known crystals like it.")
    n_decoded: int = Field(
        default=0, ge=0, description="Genes that the decoder was run for."
    )
    failures: dict[str, int] = Field(
        default_factory=dict, description="Decoded genes left out, by reason."
    )
    n_generated: int = Field(ge=0, description="Different genes of the generator.")
    n_assignments: int = Field(
        ge=0,
        description="Ways to put the atoms on Wyckoff positions within the limits, "
        "equivalent ones included; 0 if none were enumerated.",
    )
    n_assignments_left_out: int = Field(
        ge=0, description="Of these, those not written down for their number."
    )
    n_enumerated: int = Field(ge=0, description="Different genes written down.")
    n_in_both: int = Field(ge=0, description="Generated genes enumerated as well.")
    n_genes: int = Field(ge=0, description="Different genes in all.")
    n_never_of_group: int = Field(
        default=0,
        ge=0,
        description="Genes passed over since all their crystals have another space "
        "group than the one wanted, as far as the budget was spent.",
    )
    n_of_higher_symmetry: int = Field(
        default=0,
        ge=0,
        description="Genes passed over or renamed since all their crystals have a "
        "higher symmetry, as far as the budget was spent.",
    )
    max_atoms: int = Field(ge=1, description="Most atoms in the primitive cell.")
    max_freedom: int = Field(ge=0, description="Most free coordinates enumerated.")
    max_orbits: int = Field(ge=1, description="Most orbits enumerated.")
    ranked_by: str = Field(description="What the genes were ordered by, in words.")
    budget: int = Field(ge=1, description="Relaxations allowed.")
    n_relaxations: int = Field(ge=0, description="Relaxations that were given out.")
    chosen: list[ProposedGene] = Field(
        description="The genes to relax, the most promising first."
    )
    genes: list[str] = Field(description="The same as text, for RelaxMaker.")


class PhaseDoc(BaseModel):
    """One crystal that was found."""

    model_config = ConfigDict(extra="forbid")

    rank: int = Field(ge=1, description="Place by energy, from 1.")
    gene: str = Field(description="Its gene after relaxation, in its full symmetry.")
    gene_id: str = Field(description="Hash of that gene.")
    space_group_number: int = Field(
        ge=1, le=230, description="Space group after relaxation."
    )
    space_group_symbol: str = Field(description="Hermann-Mauguin symbol.")
    is_in_wanted_group: bool = Field(
        description="Whether it has the space group asked for; true without one."
    )
    energy_per_atom: FiniteFloat = Field(
        description="Energy, eV/atom, on the scale of the document."
    )
    energy_above_best: FiniteFloat = Field(
        ge=0, description="Energy above the best phase, eV/atom."
    )
    energy_above_hull: FiniteFloat | None = Field(
        default=None,
        description="Distance to the hull of known phases, eV/atom; null if it cannot "
        "be judged.",
    )
    lattice_lengths: tuple[FiniteFloat, FiniteFloat, FiniteFloat] = Field(
        description="a, b and c of the conventional cell, A."
    )
    lattice_angles: tuple[FiniteFloat, FiniteFloat, FiniteFloat] = Field(
        description="alpha, beta and gamma of the conventional cell, degrees."
    )
    n_sites: int = Field(ge=1, description="Atoms in the conventional cell.")
    volume_per_atom: FiniteFloat = Field(gt=0, description="Volume, A^3/atom.")
    source: GeneSource = Field(
        description="Where the genes that led to it came from, all taken together."
    )
    predicted_rank: int | None = Field(
        default=None, ge=1, description="Best predicted place of a gene that led to it."
    )
    predicted_formation_energy: FiniteFloat | None = Field(
        default=None,
        description="Formation energy predicted for the gene of that place, eV/atom.",
    )
    relaxed_genes: list[str] = Field(
        description="The genes that relaxed to it, the lowest in energy first."
    )
    relaxed_gene_id: str = Field(
        description="Id of the one whose numbers these are, as in its relaxation."
    )


class StructurePredictionDoc(WyckflowDoc):
    """The different crystals of a composition that were found, by energy."""

    SCHEMA_VERSION: ClassVar[int] = 1

    question: PolymorphQuestion = Field(description="What was looked for.")
    energy_scale: str = Field(
        description="Scale of every energy here, such as 'chgnet-0.3.0'."
    )
    hull_version: str | None = Field(
        default=None, description="Version of the known phases; null if not asked."
    )
    n_known_phases: int | None = Field(
        default=None, ge=0, description="Known phases made of these elements alone."
    )
    n_empty_subsystems: int | None = Field(
        default=None,
        ge=0,
        description="Chemical systems of these elements without a known compound: "
        "above 0, distances to the hull are lower bounds.",
    )
    n_genes: int = Field(ge=0, description="Genes that were relaxed.")
    n_trials: int = Field(ge=0, description="Relaxations that were started.")
    n_evaluations: int = Field(
        ge=0, description="Evaluations of energy, forces and stress."
    )
    outcomes: dict[str, int] = Field(description="Genes by outcome.")
    phases: list[PhaseDoc] = Field(
        description="The different converged crystals, the lowest in energy first."
    )
    best_gene_ids: list[str] = Field(
        description="Ids of the relaxed genes of the first phases, for PhononMaker."
    )
    blob: bytes | None = Field(
        default=None,
        description="The phases as genes, cells (A) and free coordinates, in their "
        "order, for wyckflow.schemas.structures.unpack_structures; null without any.",
    )

    def structures(self) -> list[ReducedStructure]:
        """Return the crystal of every phase, in order."""
        return [] if self.blob is None else unpack_structures(self.blob)
