"""A campaign: what a user asks for, in one file, and what became of it."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    field_validator,
    model_validator,
)

from wyckflow.errors import CampaignError, nearest_name
from wyckflow.schemas.base import UtcDatetime, WyckflowDoc
from wyckflow.schemas.target import Target

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

MOST_GENES: Final = 1_000_000
"""Genes of one round: ten jobs make them and ten screen them, beside the 270 of its
shards, and one workflow takes 300. More are asked for by more rounds."""


class _Strict(BaseModel):
    """A part of a campaign's file: unknown keys are refused with the nearest one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, content: Any) -> Any:
        if isinstance(content, dict):
            for name in content:
                if name not in cls.model_fields:
                    raise CampaignError(
                        f"A campaign's file has no key {name!r} here; it knows "
                        f"{', '.join(cls.model_fields)}."
                        f"{nearest_name(str(name), cls.model_fields)}"
                    )
        return content


class Budget(_Strict):
    """What a campaign may cost; a limit that is left out is none."""

    relaxations: int | None = Field(
        default=None, ge=0, description="Genes that may be relaxed, in all rounds."
    )
    cpu_hours: float | None = Field(
        default=None, gt=0, description="Processor hours of jobs on cpu workers."
    )
    gpu_hours: float | None = Field(
        default=None,
        gt=0,
        description="Hours of jobs on gpu workers, whether or not these have one.",
    )
    vasp_jobs: int = Field(
        default=0,
        ge=0,
        description="VASP jobs that the gate may begin by itself; a user may approve "
        "more.",
    )


class DftRequest(_Strict):
    """When the gate before VASP opens by itself, and what VASP then computes."""

    opens_below: float | None = Field(
        default=None,
        gt=-10,
        lt=10,
        description="Largest energy above the hull, by CHGNet, at which it opens by "
        "itself, eV/atom; only 'wyckflow approve' opens it if null.",
    )
    where: str = Field(
        default="",
        description="Further conditions, as 'wyckflow candidates --where' takes them.",
    )
    max_atoms: int | None = Field(
        default=None, ge=1, description="Atoms of the largest primitive cell; any."
    )
    without: tuple[Literal["bands", "vibrations", "hull"], ...] = Field(
        default=(), description="Branches that are left out."
    )
    dispersion: bool = Field(
        default=False,
        description="Whether displaced supercells give the phonons of the whole zone.",
    )
    reference: str | None = Field(
        default=None,
        description="Known phases for the hull by DFT: a version, or a file that every "
        "cpu worker can read.",
    )
    threshold: float = Field(
        default=0.1, gt=-10, lt=10, description="Energy above it that passes, eV/atom."
    )


class CampaignSpec(_Strict):
    """Everything that decides what a campaign computes.

    The sections ``generate``, ``screen``, ``relax``, ``hull`` and ``phonon`` hold
    options of the makers of those jobs; what is left out keeps its default.
    """

    name: str = Field(description="Name, unique in the database.")
    target: Target = Field(
        default=Target(), description="Conditions that a crystal has to meet."
    )
    model: str = Field(
        default="bundled",
        description="Generator: 'bundled', 'bundled-transformer', a file, or "
        "the name of a registered model.",
    )
    n_genes: int = Field(
        default=1000, ge=1, le=MOST_GENES, description="Genes per round."
    )
    seed: int = Field(default=0, ge=0, description="Seed of everything random.")
    generate: dict[str, Any] = Field(
        default_factory=dict, description="Options of GenerateMaker."
    )
    screen: str | dict[str, Any] = Field(
        default="published", description="Name of a screen, or a screen of your own."
    )
    relax: dict[str, Any] = Field(
        default_factory=dict, description="Options of RelaxMaker."
    )
    hull: dict[str, Any] = Field(
        default_factory=dict, description="Options of HullMaker."
    )
    phonon: dict[str, Any] | None = Field(
        default=None, description="Options of PhononMaker; no phonons if null."
    )
    dft: DftRequest | None = Field(
        default=None,
        description="The gate before VASP; opened by 'wyckflow approve' alone if null.",
    )
    shard_minutes: float = Field(
        default=10, gt=0, description="Minutes that one shard should take on one core."
    )
    budget: Budget = Field(default=Budget(), description="What it may cost.")

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise CampaignError(
                f"{name!r} is no name of a campaign: use up to 64 letters, digits, "
                "dots, dashes and underscores, a letter or digit first."
            )
        return name

    @property
    def content(self) -> dict[str, Any]:
        """What must not differ between two campaigns of one name.

        The number of genes, the budget and the gate before VASP may change, since
        rounds and crystals can be added. Which model the words in ``model`` mean is
        told by its hash, see `RoundDoc`.
        """
        may_change = {"n_genes", "budget", "model", "dft"}
        return self.model_dump(mode="json", exclude=may_change)


class CampaignState(StrEnum):
    """What a campaign is allowed to do."""

    ACTIVE = "active"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class StageEstimate(BaseModel):
    """What one stage of a round will take, estimated before it began."""

    model_config = ConfigDict(extra="forbid")

    job: str = Field(description="Name of the job, such as 'chgnet relax'.")
    category: str = Field(description="Kind of worker: cpu, gpu or vasp.")
    n_items: int = Field(ge=0, description="Genes or crystals that it will see.")
    hours: FiniteFloat | None = Field(
        default=None,
        ge=0,
        description="Processor hours on cpu workers, hours on others; null if nothing "
        "is known of it.",
    )
    n_measured: int = Field(
        default=0,
        ge=0,
        description="Genes or crystals of this database that the costs were measured "
        "on; 0 for those that come with wyckflow.",
    )


class RoundDoc(BaseModel):
    """One round of a campaign: a workflow that generates, screens and relaxes."""

    model_config = ConfigDict(extra="forbid")

    number: int = Field(ge=0, description="From 0.")
    n_genes: int = Field(ge=1, description="Genes asked for.")
    model_id: str = Field(description="Hash of the model that proposed them.")
    model_name: str = Field(description="Name of that model.")
    max_relaxations: int | None = Field(
        default=None,
        ge=0,
        description="Genes that the budget left for it; null without a limit.",
    )
    leaves_out: list[int] = Field(
        default_factory=list,
        description="Earlier rounds whose planned genes it does not relax again: those "
        "that had a plan when it was submitted.",
    )
    submitted_at: UtcDatetime = Field(description="When it was submitted (UTC).")
    estimate: list[StageEstimate] = Field(
        default_factory=list,
        description="What it was expected to take, stage by stage; empty before "
        "estimates were made.",
    )


class CampaignDoc(WyckflowDoc):
    """A campaign in the collection ``campaigns``."""

    name: str = Field(description="Name, unique in the database.")
    spec: CampaignSpec = Field(description="What was asked for.")
    state: CampaignState = Field(
        default=CampaignState.ACTIVE, description="What it is allowed to do."
    )
    reason: str = Field(default="", description="Why it is paused or cancelled.")
    rounds: list[RoundDoc] = Field(
        default_factory=list, description="Its rounds, in order."
    )

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if self.name != self.spec.name:
            raise CampaignError(
                f"Campaign {self.name!r} holds the request for {self.spec.name!r}: the "
                "document is damaged."
            )
        return self
