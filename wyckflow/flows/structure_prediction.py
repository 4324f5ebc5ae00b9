"""From a formula to its crystals, ordered by energy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobflow import Flow, Maker

from wyckflow.makers._identity import identify
from wyckflow.makers.hull import HullMaker
from wyckflow.makers.order_phases import OrderPhasesMaker
from wyckflow.makers.propose import N_TRIALS, ProposeMaker, read_question
from wyckflow.makers.relax import RelaxMaker

if TYPE_CHECKING:
    from pathlib import Path

    from jobflow import OutputReference

    from wyckflow.makers.phonon import PhononMaker


@dataclass
class CrystalStructurePredictionFlowMaker(Maker):
    """Find the ground state of a composition, or its crystal in a space group.

    Genes are proposed and ranked, relaxed in shards under a budget, and ordered by
    energy. The phonons of the best ones can be looked at.

    Attributes
    ----------
    name
        Name of the flow.
    propose_maker
        Makes the job that proposes genes.
    relax_maker
        Makes the jobs that relax, one per shard.
    hull_maker
        Makes the jobs that say how far each is above the hull; no such jobs if None.
    order_maker
        Makes the job that orders.
    phonon_maker
        Makes the jobs that judge the lattices of the best ones; no such jobs if None.
    n_shards
        Number of shards. One that gets no gene ends at once.
    """

    name: str = "structure prediction"
    propose_maker: ProposeMaker = field(default_factory=ProposeMaker)
    relax_maker: RelaxMaker = field(
        default_factory=lambda: RelaxMaker(n_trials=N_TRIALS)
    )
    hull_maker: HullMaker | None = field(default_factory=HullMaker)
    order_maker: OrderPhasesMaker = field(default_factory=OrderPhasesMaker)
    phonon_maker: PhononMaker | None = None
    n_shards: int = 1

    def __post_init__(self) -> None:
        """Refuse a flow without a shard, or with a budget counted in another way."""
        if self.n_shards < 1:
            raise ValueError(f"{self.n_shards=} must be at least 1.")
        if self.propose_maker.n_trials != self.relax_maker.n_trials:
            raise ValueError(
                f"{self.propose_maker.n_trials=} and {self.relax_maker.n_trials=} "
                "differ, so that the budget would not hold; give both the same."
            )

    def make(
        self,
        formula: str,
        space_group_number: int | None = None,
        model: str | Path | OutputReference = "bundled",
        identity: str | None = None,
    ) -> Flow:
        """Return the flow; its output is a `StructurePredictionDoc`.

        Parameters
        ----------
        formula
            Such as ``CaTiO3``.
        space_group_number
            Where the crystal is; its ground state in any group if None.
        model
            ``bundled``, a file that every worker can read, or the reference of a
            registered model.
        identity
            What this is. The same words give the jobs the same ids, so that what is
            submitted twice is stored once.

        Raises
        ------
        TargetError
            If the composition cannot be predicted; see
            :func:`wyckflow.makers.propose.read_question`.
        """
        read_question(
            formula, space_group_number, max_atoms=self.propose_maker.max_atoms
        )
        propose = identify(
            self.propose_maker.make(formula, space_group_number, model), identity
        )
        jobs, relaxed, judged = [propose], [], []
        for shard in range(self.n_shards):
            name = None if identity is None else f"{identity}/{shard}"
            relax = identify(
                self.relax_maker.make(
                    propose.output.genes, shard=shard, n_shards=self.n_shards
                ),
                name,
            )
            jobs.append(relax)
            relaxed.append(relax)
            if self.hull_maker is not None:
                hull = identify(self.hull_maker.make(relax.output), name)
                jobs.append(hull)
                judged.append(hull)
        order = identify(
            self.order_maker.make(
                propose.output,
                [job.output for job in relaxed],
                [job.output for job in judged],
            ),
            identity,
        )
        jobs.append(order)
        if self.phonon_maker is not None:
            jobs += [
                self.phonon_maker.make(job.output, only=order.output.best_gene_ids)
                for job in relaxed
            ]
        return Flow(jobs, output=order.output, name=self.name)
