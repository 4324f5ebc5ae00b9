"""What screening says of each gene, and how many pass each filter."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from wyckflow.schemas.base import WyckflowDoc


class Verdict(StrEnum):
    """What a filter can say."""

    PASS = "pass"  # noqa: S105  (a verdict, not a password)
    FAIL = "fail"
    CANNOT_JUDGE = "cannot_judge"


class Judgement(BaseModel):
    """One verdict with the numbers and the words behind it."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict = Field(description="Pass, fail, or cannot judge.")
    value: FiniteFloat | None = Field(
        default=None,
        description="Quantity that was compared, in the unit that the filter states.",
    )
    threshold: FiniteFloat | None = Field(
        default=None, description="Limit it was compared with, in the same unit."
    )
    reason: str = Field(
        default="", description="Why, in words; empty where a gene simply passes."
    )


class GeneVerdict(Judgement):
    """The verdict on one gene: that of the filter which decided it."""

    gene: str = Field(description="Gene in text form, such as '221 Sr:a Ti:b O:c'.")
    gene_id: str = Field(description="Hash of the canonical gene.")
    filter: str | None = Field(
        default=None,
        description="Filter that did not pass the gene; none if it passed them all.",
    )


class FunnelStep(BaseModel):
    """How many genes one filter saw, passed and stopped."""

    model_config = ConfigDict(extra="forbid")

    filter: str = Field(description="Name of the filter.")
    rule: str = Field(description="What it asks, with its options and their units.")
    n_in: int = Field(ge=0, description="Genes that reached it.")
    n_pass: int = Field(ge=0, description="Genes that passed it.")
    n_fail: int = Field(ge=0, description="Genes that failed it.")
    n_cannot_judge: int = Field(ge=0, description="Genes that it could not judge.")


class ScreeningDoc(WyckflowDoc):
    """The screening of one list of genes."""

    n_genes: int = Field(ge=0, description="Genes that came in.")
    n_accepted: int = Field(ge=0, description="Genes that passed every filter.")
    verdicts: list[GeneVerdict] = Field(
        description="One verdict per gene, in the order of the input."
    )
    funnel: list[FunnelStep] = Field(
        description="Counts per filter, in the order in which they were asked."
    )
    accepted: list[str] = Field(
        description="Genes in text form that passed every filter, in input order."
    )
