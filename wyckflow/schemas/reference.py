"""What a job that computes a reference set returns."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from wyckflow.schemas.base import WyckflowDoc


class ReferenceSettings(BaseModel):
    """What decided the energies of a reference set."""

    model_config = ConfigDict(extra="forbid")

    evaluate_only: bool = Field(
        description="Whether structures were taken as they came, not relaxed."
    )
    max_freedom: int | None = Field(
        default=None,
        ge=0,
        description="Free parameters above which one was taken as it came; null for "
        "no such limit.",
    )
    fmax: float = Field(gt=0, description="Force at which one was relaxed, eV/A.")
    max_stress_gpa: float = Field(
        gt=0, description="Stress at which one was relaxed, GPa."
    )
    max_steps: int = Field(ge=1, description="Steps after which one was stopped.")
    symprec: float = Field(gt=0, description="Tolerance of the symmetry, A.")
    with_elements: bool = Field(
        description="Whether the packaged structures of the elements are in it."
    )


class ReferenceInput(BaseModel):
    """A file that structures came from."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Name of the file, without its folder.")
    sha256: str = Field(description="Hash of its content, or id of a dataset.")
    n_rows: int = Field(ge=0, description="Structures in it.")


class OutcomeCount(BaseModel):
    """How many structures came to one end."""

    model_config = ConfigDict(extra="forbid")

    outcome: str = Field(
        description="'converged', 'evaluated', 'refused' or another end."
    )
    n: int = Field(ge=0, description="How many.")


class ReferenceBatchDoc(WyckflowDoc):
    """A reference set, or one shard of it."""

    SCHEMA_VERSION: ClassVar[int] = 1

    name: str = Field(description="Name of the set, for people.")
    energy_scale: str = Field(
        description="Scale of every energy in it, such as 'chgnet-0.3.0'."
    )
    version: str = Field(description="Version of the set: a hash of its content.")
    settings: ReferenceSettings = Field(description="Options of the job.")
    inputs: list[ReferenceInput] = Field(description="Files the structures are from.")
    shard: int = Field(default=0, ge=0, description="Number of this shard, from 0.")
    n_shards: int = Field(default=1, ge=1, description="Shards of the whole set.")
    n_entries: int = Field(ge=0, description="Entries, the elements among them.")
    n_without_energy: int = Field(ge=0, description="Structures that gave no entry.")
    outcomes: list[OutcomeCount] = Field(description="How the structures ended.")
    blob: bytes = Field(
        description="The set, for wyckflow.thermo.reference.ReferenceSet.from_bytes."
    )
