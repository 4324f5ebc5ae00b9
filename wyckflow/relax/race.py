"""Several starts per gene, and the best of where they lead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wyckflow.crystal.build.trials import BuildEngine, build_trials
from wyckflow.relax.contract import Relaxed
from wyckflow.relax.guards import find_unsupported_elements
from wyckflow.relax.potential import SUPPORTED_ATOMIC_NUMBERS
from wyckflow.schemas.relaxation import Outcome, RelaxationDoc, RelaxedState, TrialDoc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wyckflow.crystal.build.trials import Trial
    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.contract import Relaxer

_RANKS = {outcome: rank for rank, outcome in enumerate(Outcome)}


@dataclass(frozen=True, slots=True)
class RaceOptions:
    """How many starts, and which.

    Attributes
    ----------
    n_trials
        Start structures per gene.
    seed
        The same seed gives the same starts for a gene, whatever stands beside it.
    engine
        What makes the starts.

    Raises
    ------
    ValueError
        If a number is out of range or the engine is unknown.
    """

    n_trials: int = 3
    seed: int = 0
    engine: BuildEngine = BuildEngine.PYXTAL

    def __post_init__(self) -> None:
        """Refuse races without a start."""
        if self.n_trials < 1:
            raise ValueError(f"{self.n_trials=} must be at least 1.")
        if self.seed < 0:
            raise ValueError(f"{self.seed=} must not be negative.")
        object.__setattr__(self, "engine", BuildEngine(self.engine))


def relax_genes(
    genes: Iterable[WyckoffGene], relaxer: Relaxer, options: RaceOptions
) -> tuple[list[RelaxationDoc], list[ReducedStructure]]:
    """Relax every gene from several starts.

    Parameters
    ----------
    genes
        Any genes.
    relaxer
        What relaxes one start.
    options
        How many starts, and which.

    Returns
    -------
    tuple
        One document per gene in the order of the input, and the structures that
        their ``structure_index`` points to.
    """
    documents: list[RelaxationDoc] = []
    structures: list[ReducedStructure] = []
    for gene in genes:
        document, structure = relax_gene(gene, relaxer, options)
        if structure is not None:
            document.structure_index = len(structures)
            structures.append(structure)
        documents.append(document)
    return documents, structures


def relax_gene(
    gene: WyckoffGene, relaxer: Relaxer, options: RaceOptions
) -> tuple[RelaxationDoc, ReducedStructure | None]:
    """Relax one gene from several starts and keep the best.

    Parameters
    ----------
    gene
        Any gene.
    relaxer, options
        As in :func:`relax_genes`.

    Returns
    -------
    tuple
        The document, and the structure of its best trial if that has one.
    """
    problem = find_unsupported_elements(gene.elements, SUPPORTED_ATOMIC_NUMBERS)
    if problem:  # before the work of building starts
        state = RelaxedState(outcome=problem.outcome, reason=problem.reason)
        return _document(gene, Relaxed(state), trials=[], best=None), None
    trials = build_trials(
        gene, options.n_trials, seed=options.seed, engine=options.engine
    )
    ends = [_relax_trial(trial, relaxer) for trial in trials]
    best = choose_best([end.state for end in ends])
    documents = [
        TrialDoc(
            trial=trial.number,
            seed=trial.seed,
            engine=trial.engine,
            **end.state.model_dump(),
        )
        for trial, end in zip(trials, ends, strict=True)
    ]
    document = _document(gene, ends[best], trials=documents, best=best)
    return document, ends[best].structure


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


def _relax_trial(trial: Trial, relaxer: Relaxer) -> Relaxed:
    """Relax a start, or say why there was none."""
    if trial.structure is not None:
        return relaxer(trial.structure)
    reason = f"{trial.outcome}: {trial.reason}"
    return Relaxed(RelaxedState(outcome=Outcome.BUILD_FAILED, reason=reason))


def _document(
    gene: WyckoffGene, end: Relaxed, *, trials: list[TrialDoc], best: int | None
) -> RelaxationDoc:
    """Write the document of one gene from the end of its best trial."""
    after = end.state.space_group_number_after
    return RelaxationDoc(
        **end.state.model_dump(),
        gene=gene.to_text(),
        gene_id=gene.gene_id,
        formula_pretty=gene.formula,
        space_group_number_before=gene.space_group_number,
        is_symmetry_kept=None if after is None else after == gene.space_group_number,
        best_trial=best,
        trials=trials,
    )
