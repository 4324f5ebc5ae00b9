"""A reference set for the hull, computed in shards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobflow import Flow, Maker

from wyckflow.makers.reference import CollectReferenceMaker, HullReferenceMaker

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class HullReferenceFlowMaker(Maker):
    """Compute the energies of known phases on several workers and join them.

    Attributes
    ----------
    name
        Name of the flow.
    reference_maker
        Makes the jobs that compute, one per shard.
    collect_maker
        Makes the one job that joins them.
    n_shards
        Number of the former. One of 1,000 structures takes some minutes on one core.
    """

    name: str = "hull reference build"
    reference_maker: HullReferenceMaker = field(default_factory=HullReferenceMaker)
    collect_maker: CollectReferenceMaker = field(default_factory=CollectReferenceMaker)
    n_shards: int = 1

    def __post_init__(self) -> None:
        """Refuse a flow without a shard."""
        if self.n_shards < 1:
            raise ValueError(f"{self.n_shards=} must be at least 1.")

    def make(self, files: Sequence[str]) -> Flow:
        """Return the flow; its output is the document of the joined set.

        Parameters
        ----------
        files
            Paths that every worker can read, with the same content: datasets of
            wyckflow, or tables of structures.
        """
        shards = [
            self.reference_maker.make(list(files), shard=shard, n_shards=self.n_shards)
            for shard in range(self.n_shards)
        ]
        collect = self.collect_maker.make([job.output for job in shards])
        return Flow([*shards, collect], output=collect.output, name=self.name)
