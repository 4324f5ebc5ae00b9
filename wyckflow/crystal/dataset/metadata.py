"""The story of a dataset: sources, settings, units, refused rows, how it was split."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from wyckflow.crystal.cell import RefusalReason
from wyckflow.crystal.encode import Engine

FORMAT_VERSION: Final = 1


class Part(StrEnum):
    """A part of a dataset that was split."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


PARTS: Final = tuple(Part)
"""The parts in the order of their codes, 0 for train."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceInfo(_Record):
    """A file or folder that rows came from."""

    name: str = Field(description="Name of the file or folder, without its path.")
    sha256: str = Field(description="Hash of its content.")
    n_records: int = Field(description="Rows that it has.")
    licence: str | None = Field(
        default=None, description="What it says of its licence."
    )


class RefusedRow(_Record):
    """A row that could not be taken."""

    source: int = Field(description="Index of the source.")
    record: int = Field(description="Place in the source, counted from 1.")
    label: str = Field(description="Name of the row, where it has one.")
    reason: RefusalReason = Field(description="Kind of fault.")
    message: str = Field(description="What was found.")


class SplitInfo(_Record):
    """How a dataset was split."""

    by: str = Field(description="What must not be in two parts.")
    seed: int = Field(description="Seed of the order of the groups.")
    fractions: tuple[float, float, float] = Field(
        description="Shares of train, validation and test that were asked for."
    )
    n_groups: int = Field(description="Groups that were handed out.")


class DatasetMetadata(_Record):
    """Where a dataset came from and what its numbers mean."""

    format_version: int = Field(default=FORMAT_VERSION, description="Of the file.")
    engine: Engine = Field(description="Package that found the symmetry.")
    symprec: float = Field(description="Distance tolerance of the symmetry in A.")
    angle_tolerance: float | None = Field(
        default=None, description="Angle tolerance in degrees; null: the engine's own."
    )
    units: dict[str, str] = Field(
        default_factory=dict, description="Unit of each property; empty: unknown, none."
    )
    energy_scale: str | None = Field(
        default=None, description="What the energies are measured against."
    )
    licence: str | None = Field(default=None, description="Licence of the data.")
    packages: dict[str, str] = Field(
        default_factory=dict, description="Versions of the packages that made it."
    )
    sources: tuple[SourceInfo, ...] = Field(default=(), description="Origin of rows.")
    has_duplicates: bool = Field(
        default=False, description="Whether rows with the same gene were all kept."
    )
    n_duplicates: int = Field(
        default=0, description="Rows left out because another has the same gene."
    )
    refused: tuple[RefusedRow, ...] = Field(default=(), description="Rows not taken.")
    split: SplitInfo | None = Field(default=None, description="How it was split.")
    parent_id: str | None = Field(
        default=None, description="Dataset that this one was made from."
    )

    @property
    def n_records(self) -> int:
        """Rows of all sources."""
        return sum(source.n_records for source in self.sources)

    def identity(self) -> str:
        """Return what, apart from the rows, makes one dataset another."""
        names = {"format_version", "engine", "symprec", "angle_tolerance", "units"}
        names |= {"energy_scale", "split"}
        return json.dumps(self.model_dump(mode="json", include=names), sort_keys=True)
