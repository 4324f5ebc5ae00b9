"""How a generated set compares with a reference of real crystals."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from wyckflow.schemas.base import WyckflowDoc


class Population(StrEnum):
    """Which genes of a set the distributions are taken over."""

    ALL = "all"
    UNIQUE = "unique"
    NOVEL = "novel"


class Metric(BaseModel):
    """One number about a set, how sure it is, and what it is held against."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Name, such as ks_sites.")
    description: str = Field(description="What it is, in words.")
    value: FiniteFloat = Field(
        description="Its value for n genes: the mean over random subsets where the "
        "set has more. Shares are between 0 and 1."
    )
    low: FiniteFloat | None = Field(
        default=None, description="Lower end of the 95 % bootstrap interval."
    )
    high: FiniteFloat | None = Field(
        default=None, description="Upper end of the 95 % bootstrap interval."
    )
    n: int = Field(ge=0, description="Genes that the value is for.")
    value_of_all: FiniteFloat | None = Field(
        default=None, description="The value for all genes, if they are more than n."
    )
    floor: FiniteFloat | None = Field(
        default=None,
        description="Mean value of random draws of n crystals from the reference: what "
        "chance alone gives.",
    )
    floor_high: FiniteFloat | None = Field(
        default=None, description="97.5 % quantile of the same draws."
    )
    reference: FiniteFloat | None = Field(
        default=None, description="The same quantity of the whole reference."
    )


class Distribution(BaseModel):
    """How often each value of a quantity occurs."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Quantity, such as sites.")
    values: list[int] = Field(description="Values that occur, ascending.")
    shares: list[float] = Field(description="Share of each value; they add up to 1.")


class KnownSet(BaseModel):
    """What counted as known."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Name of the set.")
    known_id: str = Field(description="Hash of its genes.")
    n_genes: int = Field(ge=0, description="Different genes in it.")


class ReferenceSet(BaseModel):
    """The real crystals that the distributions are held against."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Name of the set.")
    content_id: str = Field(description="Hash of its genes.")
    n_genes: int = Field(ge=0, description="Genes in it, repetitions included.")
    distributions: list[Distribution] = Field(description="Its distributions.")


class EvaluationDoc(WyckflowDoc):
    """The evaluation of one generated set."""

    name: str = Field(description="Name of the set.")
    content_id: str = Field(description="Hash of its genes.")
    n_rows: int = Field(ge=0, description="Rows that were read.")
    n_attempts: int | None = Field(
        default=None,
        description="Genes that the generator tried to make; null if not known.",
    )
    unreadable: dict[str, int] = Field(
        description="Rows that hold no possible gene, by reason."
    )
    unreadable_examples: list[str] = Field(
        description="The first such rows, with what was wrong."
    )
    n_valid: int = Field(ge=0, description="Genes that can exist.")
    n_unique: int = Field(ge=0, description="Different genes among them.")
    novelty_levels: dict[str, int] | None = Field(
        default=None,
        description="Different genes by how new they are: known_gene, known_prototype, "
        "known_parent or new; null without a set of known genes.",
    )
    population: Population = Field(
        description="Genes that distributions and chemistry are taken over."
    )
    n_population: int = Field(ge=0, description="How many these are.")
    n_sampled: int = Field(
        ge=1, description="Size of the samples that the metrics are for."
    )
    n_resamples: int = Field(ge=1, description="Random draws behind every interval.")
    seed: int = Field(ge=0, description="Seed of the draws.")
    neutrality_rule: str = Field(description="What counted as neutral.")
    n_cannot_judge_neutrality: int = Field(
        ge=0,
        description="Genes of the population with an element that the rule has no data "
        "of; they count as not neutral.",
    )
    n_with_energy: int = Field(
        default=0, ge=0, description="Genes that came with an energy above the hull."
    )
    target: dict[str, str] = Field(
        default_factory=dict, description="Ranges of predicted properties, in words."
    )
    known: KnownSet | None = Field(
        default=None, description="What counted as known, if anything did."
    )
    reference: ReferenceSet = Field(description="Real crystals to compare with.")
    metrics: list[Metric] = Field(description="The numbers.")
    distributions: list[Distribution] = Field(
        description="Distributions of the population."
    )

    def metric(self, name: str) -> Metric | None:
        """Return a metric by name, or nothing if it was not taken."""
        return next((metric for metric in self.metrics if metric.name == name), None)
