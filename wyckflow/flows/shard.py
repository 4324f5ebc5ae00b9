"""One shard of a campaign: relax genes, judge them by the hull, then by phonons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobflow import Flow, Maker

from wyckflow.makers._identity import identify
from wyckflow.makers.hull import HullMaker
from wyckflow.makers.phonon import PhononMaker
from wyckflow.makers.relax import RelaxMaker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.crystal.gene import WyckoffGene


@dataclass
class ShardFlowMaker(Maker):
    """Relax genes with CHGNet, measure their distance to the hull, look for soft modes.

    Attributes
    ----------
    name
        Name of the flow.
    relax_maker
        Makes the job that relaxes.
    hull_maker
        Makes the job that judges by energy.
    phonon_maker
        Makes the job that judges the lattices of those that the hull passed; no such
        job if None.
    """

    name: str = "shard"
    relax_maker: RelaxMaker = field(default_factory=RelaxMaker)
    hull_maker: HullMaker = field(default_factory=HullMaker)
    phonon_maker: PhononMaker | None = field(default_factory=PhononMaker)

    def make(
        self, genes: Sequence[str | WyckoffGene], identity: str | None = None
    ) -> Flow:
        """Return the flow; its output is what the hull said.

        Parameters
        ----------
        genes
            Genes, or their text such as ``221 Sr:a Ti:b O:c``.
        identity
            What this shard is, such as campaign, round and number. The same words give
            jobs the same ids, so that a shard submitted twice is stored once.
        """
        relax = identify(self.relax_maker.make(list(map(str, genes))), identity)
        hull = identify(self.hull_maker.make(relax.output), identity)
        jobs = [relax, hull]
        if self.phonon_maker is not None:
            phonon = self.phonon_maker.make(relax.output, only=hull.output.passed)
            jobs.append(identify(phonon, identity))
        return Flow(jobs, output=hull.output, name=self.name)
