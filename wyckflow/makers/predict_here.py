"""A structure prediction in this process: the makers' own work, without jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from wyckflow.makers.hull import HullMaker
from wyckflow.makers.order_phases import OrderPhasesMaker
from wyckflow.makers.propose import N_TRIALS, ProposeMaker
from wyckflow.makers.relax import RelaxMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jobflow import Maker

    from wyckflow.ml.mpvae.generator import MultiPropertyVAE
    from wyckflow.ml.sampling.proposal import Proposal
    from wyckflow.schemas.relaxation import RelaxationBatchDoc
    from wyckflow.schemas.stability import StabilityBatchDoc
    from wyckflow.schemas.structure_prediction import (
        PolymorphQuestion,
        ProposalDoc,
        ProposedGene,
        StructurePredictionDoc,
    )

_TRIALS_AT_ONCE: Final = 64
"""Relaxations between two reports: enough to fill a batch on a processor."""


@dataclass(frozen=True)
class PredictionSteps:
    """Who does what; see `CrystalStructurePredictionFlowMaker`.

    Attributes
    ----------
    propose_maker, relax_maker, hull_maker, order_maker
        As of the flow.
    """

    propose_maker: ProposeMaker = field(default_factory=ProposeMaker)
    relax_maker: RelaxMaker = field(
        default_factory=lambda: RelaxMaker(n_trials=N_TRIALS)
    )
    hull_maker: HullMaker | None = field(default_factory=HullMaker)
    order_maker: OrderPhasesMaker = field(default_factory=OrderPhasesMaker)


@dataclass(frozen=True)
class Prediction:
    """All that came of a question.

    Attributes
    ----------
    ranking
        All genes in order of promise.
    proposal
        Their counts, and those that were relaxed.
    relaxations, stabilities
        What became of them, by portion.
    answer
        The different crystals by energy.
    """

    ranking: Proposal
    proposal: ProposalDoc
    relaxations: tuple[RelaxationBatchDoc, ...]
    stabilities: tuple[StabilityBatchDoc, ...]
    answer: StructurePredictionDoc


def predict_structure(
    question: PolymorphQuestion,
    model_name: str,
    model: MultiPropertyVAE,
    *,
    steps: PredictionSteps | None = None,
    report: Callable[[str, float], None] | None = None,
) -> Prediction:
    """Propose genes, relax them, and order what comes out.

    Parameters
    ----------
    question
        From `wyckflow.makers.propose.read_question`.
    model_name, model
        A generator, from `wyckflow.makers.propose.load_proposer`.
    steps
        Who does what.
    report
        Told what is done, and the share of it.
    """
    steps = steps or PredictionSteps()
    tell = report or (lambda _what, _share: None)
    proposal, ranking = steps.propose_maker.propose(
        question, model_name, model, report=report
    )
    relaxed: list[RelaxationBatchDoc] = []
    judged: list[StabilityBatchDoc] = []
    n_done = 0
    tell("relaxing", 0.0)
    for portion in _cut(proposal.chosen):
        batch = _work(steps.relax_maker, [item.gene for item in portion])
        relaxed.append(batch)
        n_done += sum(item.n_trials for item in portion)
        tell("relaxing", n_done / proposal.n_relaxations)
        if steps.hull_maker is not None:
            judged.append(_work(steps.hull_maker, batch))
    if not relaxed:
        relaxed.append(_work(steps.relax_maker, []))
    tell("ordering", 0.0)
    answer = steps.order_maker.order(proposal, relaxed, judged)
    tell("ordering", 1.0)
    return Prediction(ranking, proposal, tuple(relaxed), tuple(judged), answer)


def _work(maker: Maker, *arguments: Any) -> Any:
    """Do what the job of a maker would do."""
    return type(maker).make.original(maker, *arguments)


def _cut(genes: Sequence[ProposedGene]) -> Iterator[list[ProposedGene]]:
    """Yield neighbouring genes with relaxations enough to be worth a batch."""
    portion: list[ProposedGene] = []
    for gene in genes:
        portion.append(gene)
        if sum(item.n_trials for item in portion) >= _TRIALS_AT_ONCE:
            yield portion
            portion = []
    if portion:
        yield portion
