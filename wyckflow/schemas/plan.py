"""How the accepted genes of a round were cut into shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from wyckflow.schemas.base import WyckflowDoc
from wyckflow.schemas.blob import pack_arrays, unpack_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ShardDoc(BaseModel):
    """One shard, before it runs."""

    model_config = ConfigDict(extra="forbid")

    number: int = Field(ge=0, description="From 0, the most promising genes first.")
    n_genes: int = Field(ge=1, description="Genes in it.")
    estimated_cpu_s: FiniteFloat = Field(
        ge=0, description="Estimated processor seconds of its relaxations."
    )
    job_uuids: list[str] = Field(description="Its jobs, in order.")


class PlanDoc(WyckflowDoc):
    """The shards of one round, and what was left out for the budget."""

    identity: str = Field(description="Campaign and round, from which job ids follow.")
    ranked_by: str = Field(description="What the genes were ordered by, in words.")
    n_accepted: int = Field(ge=0, description="Genes that the screen accepted.")
    n_repeated: int = Field(
        default=0,
        ge=0,
        description="Of these, how many are the same arrangement as another.",
    )
    n_planned_before: int = Field(
        default=0,
        ge=0,
        description="Accepted genes left out since a shard of an earlier round holds "
        "the same arrangement.",
    )
    n_planned: int = Field(ge=0, description="Genes in the shards.")
    n_over_budget: int = Field(
        ge=0,
        description="Accepted genes left out as the least promising, since the budget "
        "was used up or a round holds no more.",
    )
    estimated_cpu_s: FiniteFloat = Field(
        ge=0, description="Estimated processor seconds of all shards."
    )
    shards: list[ShardDoc] = Field(description="The shards, in order of promise.")
    blob: bytes | None = Field(
        default=None,
        description="Packed array 'keys': one number per planned arrangement, by which "
        "later rounds leave it out; null before rounds did.",
    )

    def planned_keys(self) -> NDArray[np.uint64]:
        """Return the keys of the planned genes; none where they were not kept."""
        if self.blob is None:
            return np.empty(0, np.uint64)
        return unpack_arrays(self.blob)["keys"]


def pack_keys(keys: NDArray[np.uint64]) -> bytes:
    """Return the blob of a plan.

    Parameters
    ----------
    keys
        Of the planned genes, see `wyckflow.crystal.keys.canonical_keys`.
    """
    return pack_arrays({"keys": keys})
