"""Several starts per gene, and the best of where they lead."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from wyckflow.crystal.build.trials import BuildEngine, build_trials
from wyckflow.relax.guards import find_unsupported_elements
from wyckflow.relax.halving import Entrant, HalvingOptions, run_race
from wyckflow.relax.moments import ask_for_moments
from wyckflow.relax.quarantine import describe_failure
from wyckflow.relax.symmetry import TIGHT_SYMPREC, find_space_group
from wyckflow.schemas.relaxation import Outcome, RelaxationDoc, RelaxedState, TrialDoc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from wyckflow.crystal.build.trials import Trial
    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.backends import Backend
    from wyckflow.relax.contract import RelaxOptions

logger = logging.getLogger(__name__)

TRIALS_BY_FREEDOM: Final = ((0, 2), (3, 8), (6, 12))
"""Largest number of free coordinates, and the trials of a gene that has no more.

Counting the free shape of the cell as well was tried on 200 genes and found the same
share of the best energies."""

MOST_TRIALS: Final = 20
"""Trials of a gene with more free coordinates than that."""

_BATCHES_PER_HEAT: Final = 4
"""Full batches that one heat starts with: the larger, the less its end is thin, and the
more is lost with it when the job is killed."""

_RANKS: Final = {outcome: rank for rank, outcome in enumerate(Outcome)}


@dataclass(frozen=True, slots=True)
class RaceOptions:
    """How many starts, which, and how they compete.

    Attributes
    ----------
    n_trials
        Start structures per gene. If None, by its free coordinates: 2 if it has none,
        8 up to three, 12 up to six, else 20.
    seed
        The same seed gives the same starts for a gene, whatever stands beside it.
    engine
        What makes the starts.
    halving
        Which trials go on.

    Raises
    ------
    ValueError
        If a number is out of range or the engine is unknown.
    """

    n_trials: int | None = None
    seed: int = 0
    engine: BuildEngine = BuildEngine.AUTO
    halving: HalvingOptions = field(default_factory=HalvingOptions)

    def __post_init__(self) -> None:
        """Refuse races without a start."""
        if self.n_trials is not None and self.n_trials < 1:
            raise ValueError(f"{self.n_trials=} must be at least 1, or None.")
        if self.seed < 0:
            raise ValueError(f"{self.seed=} must not be negative.")
        object.__setattr__(self, "engine", BuildEngine(self.engine))

    def n_trials_of(self, gene: WyckoffGene) -> int:
        """Return how many starts a gene gets.

        Parameters
        ----------
        gene
            Any gene.
        """
        if self.n_trials is not None:
            return self.n_trials
        freedom = gene.positional_degrees_of_freedom
        fitting = (n for most, n in TRIALS_BY_FREEDOM if freedom <= most)
        return next(fitting, MOST_TRIALS)


@dataclass(frozen=True, slots=True)
class RelaxedGene:
    """What a race found for one gene.

    Attributes
    ----------
    document
        Its numbers; ``structure_index`` is not set.
    structure
        The structure of the best trial, if that has one.
    """

    document: RelaxationDoc
    structure: ReducedStructure | None = None


def relax_genes(
    genes: Sequence[WyckoffGene],
    backend: Backend,
    relax_options: RelaxOptions,
    options: RaceOptions,
    *,
    finished: Mapping[str, RelaxedGene] | None = None,
    on_heat: Callable[[Mapping[str, RelaxedGene]], None] | None = None,
) -> tuple[list[RelaxationDoc], list[ReducedStructure]]:
    """Relax every gene from several starts.

    Genes run in heats, many at a time, so that the batches of the backend are full.

    Parameters
    ----------
    genes
        Any genes; one that comes twice is relaxed once.
    backend
        What relaxes.
    relax_options
        When a trial is done.
    options
        How many starts, which, and how they compete.
    finished
        Genes that need not be relaxed again, by their text.
    on_heat
        Told the genes of each heat as soon as it is over.

    Returns
    -------
    tuple
        One document per gene in the order of the input, and the structures that
        their ``structure_index`` points to.
    """
    found = dict(finished or {})
    unique = {gene.to_text(): gene for gene in genes}
    start = time.monotonic()
    for heat in _split_into_heats(unique.values(), backend.n_at_once, options):
        missing = [gene for gene in heat if gene.to_text() not in found]
        if not missing:
            continue
        relaxed = _run_heat(missing, backend, relax_options, options)
        found |= relaxed
        if on_heat is not None:
            on_heat(relaxed)
        _log_progress(found, len(unique), time.monotonic() - start)
    return _line_up([found[gene.to_text()] for gene in genes])


def relax_gene(
    gene: WyckoffGene,
    backend: Backend,
    relax_options: RelaxOptions,
    options: RaceOptions,
) -> RelaxedGene:
    """Relax one gene from several starts and keep the best.

    Parameters
    ----------
    gene
        Any gene.
    backend, relax_options, options
        As in :func:`relax_genes`.
    """
    (found,) = _run_heat([gene], backend, relax_options, options).values()
    return found


def choose_best(states: Sequence[RelaxedState]) -> int:
    """Return the place of the lowest energy among those with the best outcome.

    Parameters
    ----------
    states
        At least one; of equals, the first wins.
    """

    def key(index: int) -> tuple[int, float]:
        energy = states[index].energy_per_atom
        return _RANKS[states[index].outcome], 0.0 if energy is None else energy

    return min(range(len(states)), key=key)


# --- heats ----------------------------------------------------------------------------


def _split_into_heats(
    genes: Iterable[WyckoffGene], n_at_once: int, options: RaceOptions
) -> Iterator[list[WyckoffGene]]:
    """Yield neighbouring genes with trials enough for some batches.

    The heats of a shard do not depend on which of its genes are finished, so that a
    gene keeps its company when a job is run again.
    """
    heat: list[WyckoffGene] = []
    n_trials = 0
    for gene in genes:
        heat.append(gene)
        n_trials += options.n_trials_of(gene)
        if n_trials >= _BATCHES_PER_HEAT * n_at_once:
            yield heat
            heat, n_trials = [], 0
    if heat:
        yield heat


def _run_heat(
    genes: Sequence[WyckoffGene],
    backend: Backend,
    relax_options: RelaxOptions,
    options: RaceOptions,
) -> dict[str, RelaxedGene]:
    """Let the trials of some genes compete."""
    found: dict[str, RelaxedGene] = {}
    fields: dict[WyckoffGene, list[Entrant]] = {}
    for gene in genes:
        started = _build(gene, backend, options)
        if isinstance(started, RelaxedState):
            found[gene.to_text()] = RelaxedGene(_document(gene, started))
        else:
            fields[gene] = [Entrant(trial) for trial in started]
    able = [
        [entrant for entrant in entrants if entrant.trial.structure is not None]
        for entrants in fields.values()
    ]
    run_race(able, backend, relax_options, options.halving)
    for gene, entrants in fields.items():
        found[gene.to_text()] = _judge_guardedly(gene, entrants)
    return _add_moments(found, backend)


def _add_moments(
    found: Mapping[str, RelaxedGene], backend: Backend
) -> dict[str, RelaxedGene]:
    """Ask for the magnetic moments of what is kept."""
    moments = ask_for_moments([item.structure for item in found.values()], backend)
    return {
        name: replace(
            item,
            document=item.document.model_copy(update={"magnetic_moments_mu_b": sizes}),
        )
        for (name, item), sizes in zip(found.items(), moments, strict=True)
    }


def _build(
    gene: WyckoffGene, backend: Backend, options: RaceOptions
) -> list[Trial] | RelaxedState:
    """Return the starts of a gene, or why it gets none."""
    supported = backend.supported_atomic_numbers
    problem = find_unsupported_elements(gene.elements, supported)
    if problem:  # before the work of building starts
        return RelaxedState(outcome=problem.outcome, reason=problem.reason)
    try:
        return build_trials(
            gene, options.n_trials_of(gene), seed=options.seed, engine=options.engine
        )
    except Exception as error:  # one gene must not take the others with it
        logger.exception("Building starts of %s failed", gene)
        return describe_failure(error)


def _log_progress(
    found: Mapping[str, RelaxedGene], n_genes: int, seconds: float
) -> None:
    """Say how far the shard is."""
    documents = [item.document for item in found.values()]
    logger.info(
        "%d of %d genes done, %d converged, %d evaluations, %.0f s",
        len(found),
        n_genes,
        sum(item.outcome is Outcome.CONVERGED for item in documents),
        sum(item.n_evaluations_of_gene for item in documents),
        seconds,
    )


# --- documents ------------------------------------------------------------------------


def _judge_guardedly(gene: WyckoffGene, entrants: Sequence[Entrant]) -> RelaxedGene:
    """Write a document in any case."""
    try:
        return _judge(gene, entrants)
    except Exception as error:  # a bug, but the other genes are done
        logger.exception("Judging the trials of %s failed", gene)
        return RelaxedGene(_document(gene, describe_failure(error)))


def _judge(gene: WyckoffGene, entrants: Sequence[Entrant]) -> RelaxedGene:
    """Choose the best trial of a gene and write its document."""
    states = [_end_of(entrant) for entrant in entrants]
    best = choose_best(states)
    trials = [
        TrialDoc(
            **state.model_dump(),
            trial=entrant.trial.number,
            seed=entrant.trial.seed,
            engine=entrant.trial.engine,
            stage=entrant.stage,
        )
        for entrant, state in zip(entrants, states, strict=True)
    ]
    structure = entrants[best].end.structure
    document = _document(
        gene, states[best], trials=trials, best=best, structure=structure
    )
    return RelaxedGene(document, structure)


def _end_of(entrant: Entrant) -> RelaxedState:
    """Return how a trial ended, also one without a start."""
    trial = entrant.trial
    if trial.structure is not None:
        return entrant.state()
    reason = f"{trial.outcome}: {trial.reason}"
    return RelaxedState(outcome=Outcome.BUILD_FAILED, reason=reason)


def _document(
    gene: WyckoffGene,
    state: RelaxedState,
    *,
    trials: Sequence[TrialDoc] = (),
    best: int | None = None,
    structure: ReducedStructure | None = None,
) -> RelaxationDoc:
    """Write the document of one gene from the end of its best trial."""
    after = state.space_group_number_after
    tight = find_space_group(structure, TIGHT_SYMPREC) if structure else None
    return RelaxationDoc(
        **state.model_dump(),
        gene=gene.to_text(),
        gene_id=gene.gene_id,
        formula_pretty=gene.formula,
        space_group_number_before=gene.space_group_number,
        space_group_number_after_tight=tight,
        is_symmetry_kept=None if after is None else after == gene.space_group_number,
        n_evaluations_of_gene=sum(item.n_evaluations for item in trials),
        best_trial=best,
        trials=list(trials),
    )


def _line_up(
    found: Iterable[RelaxedGene],
) -> tuple[list[RelaxationDoc], list[ReducedStructure]]:
    """Put structures in one list, and their places into copies of the documents."""
    documents: list[RelaxationDoc] = []
    structures: list[ReducedStructure] = []
    for item in found:
        index = None
        if item.structure is not None:
            index = len(structures)
            structures.append(item.structure)
        update = {"structure_index": index}
        documents.append(item.document.model_copy(update=update))
    return documents, structures
