"""The collection ``references``: reference sets in chunks, and layers of campaigns."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from wyckflow.schemas.base import WyckflowDoc


class LedgerSetDoc(WyckflowDoc):
    """One reference set; its entries are in chunks beside it."""

    record: Literal["set"] = Field(default="set", description="What this document is.")
    key: str = Field(description="Its identity in the collection: 'set:VERSION'.")
    version: str = Field(description="Hash of scale, kind and entries.")
    name: str = Field(description="For people.")
    scale: str = Field(description="Energy scale, such as 'chgnet-0.3.0'.")
    kind: str = Field(description="Whether energies are total or formation energies.")
    n_entries: int = Field(ge=0, description="Known phases in it.")
    n_elements: int = Field(ge=0, description="Elements with a reference.")
    n_chunks: int = Field(ge=1, description="Chunks that its file was cut into.")
    n_bytes: int = Field(ge=0, description="Size of its file.")
    content: str = Field(description="Hash of its file, by which chunks are found.")


class LedgerChunkDoc(WyckflowDoc):
    """A part of the file of a reference set."""

    record: Literal["chunk"] = Field(
        default="chunk", description="What this document is."
    )
    key: str = Field(description="Its identity: 'chunk:HASH:NUMBER'.")
    content: str = Field(description="Hash of the whole file.")
    number: int = Field(ge=0, description="Place of the chunk, from 0.")
    blob: bytes = Field(description="Its bytes, at most 8 MB.")


class LedgerPhase(BaseModel):
    """One phase that a campaign found."""

    model_config = ConfigDict(extra="forbid")

    entry_id: str = Field(description="Id; for candidates that of their gene.")
    elements: list[str] = Field(description="Chemical symbols.")
    counts: list[int] = Field(description="Atoms of each in the smallest formula.")
    energy_per_atom: FiniteFloat = Field(description="eV/atom on the layer's scale.")
    source: str = Field(default="", description="Where it is from.")
    date: str = Field(default="", description="When it was computed: '2026-01-31'.")
    origin: str = Field(description="Whether it was relaxed or only evaluated.")


class LedgerLayerDoc(WyckflowDoc):
    """One state of a campaign's layer: the phases that it added to the state before.

    The hull of a state is its base set with the phases of this and all earlier states.
    """

    record: Literal["layer"] = Field(
        default="layer", description="What this document is."
    )
    key: str = Field(description="Its identity: 'layer:CAMPAIGN:SCALE:NUMBER'.")
    campaign: str = Field(description="Whose layer.")
    scale: str = Field(description="Energy scale.")
    number: int = Field(
        ge=0, description="Place among the states of the layer, from 0."
    )
    base_version: str = Field(description="Set below the layer.")
    has_new_base: bool = Field(
        description="Whether the base differs from that of the state before."
    )
    phases: list[LedgerPhase] = Field(description="What this state added.")
    systems: list[str] = Field(description="Their chemical systems, each once.")
    n_entries: int = Field(ge=0, description="Entries of the whole hull.")
    hull_version: str = Field(description="Hash of all entries of this state's hull.")
