"""A short campaign on known genes: screen them, then relax what passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobflow import Flow, Maker

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.makers.relax import RelaxMaker
from wyckflow.makers.screen import ScreenMaker

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class DemoFlowMaker(Maker):
    """Screen genes on a CPU worker and relax the accepted ones in shards.

    Attributes
    ----------
    name
        Name of the flow.
    screen_maker
        Makes the one job that screens.
    relax_maker
        Makes the jobs that relax, one per shard.
    n_shards
        Number of these jobs. A shard that gets no gene ends at once.
    """

    name: str = "demo"
    screen_maker: ScreenMaker = field(default_factory=ScreenMaker)
    relax_maker: RelaxMaker = field(default_factory=RelaxMaker)
    n_shards: int = 1

    def __post_init__(self) -> None:
        """Refuse a flow without a shard."""
        if self.n_shards < 1:
            raise ValueError(f"{self.n_shards=} must be at least 1.")

    def make(self, genes: Sequence[str | WyckoffGene]) -> Flow:
        """Return the flow; its output lists the documents of the shards.

        Parameters
        ----------
        genes
            Genes, or their text such as ``221 Sr:a Ti:b O:c``.

        Raises
        ------
        GeneError
            If a gene cannot be read or cannot exist.
        """
        texts = [WyckoffGene.from_text(str(gene)).to_text() for gene in genes]
        screen = self.screen_maker.make(texts)
        shards = [
            self.relax_maker.make(
                screen.output.accepted, shard=shard, n_shards=self.n_shards
            )
            for shard in range(self.n_shards)
        ]
        return Flow(
            [screen, *shards], output=[job.output for job in shards], name=self.name
        )
