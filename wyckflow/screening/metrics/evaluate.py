"""The evaluation of a generated set against real crystals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.errors import DatasetError
from wyckflow.schemas.evaluation import (
    EvaluationDoc,
    KnownSet,
    Metric,
    Population,
    ReferenceSet,
)
from wyckflow.screening.metrics.definitions import (
    DEFINITIONS,
    HULL_DISTANCES,
    energy_name,
)
from wyckflow.screening.metrics.gene_set import GeneSet
from wyckflow.screening.metrics.judged import judge_genes
from wyckflow.screening.metrics.profile import Profile, find_neutral
from wyckflow.screening.metrics.resampling import Estimate, estimate, find_floor
from wyckflow.screening.neutrality import DEFAULT_RULE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.schemas.target import Window
    from wyckflow.screening.metrics.judged import JudgedGenes
    from wyckflow.screening.novelty import KnownGenes

N_RESAMPLES: Final = 200
_N_EXAMPLES: Final = 10
_DISTANCES: Final = ("ks_", "chi2_")


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How to evaluate.

    Attributes
    ----------
    n
        Genes that the metrics are for; None takes all. Sets are comparable at equal
        ``n`` alone.
    population
        Genes that distributions and chemistry are taken over; None takes the novel
        ones where it is known what is known, else all different ones.
    n_resamples
        Random draws behind every interval.
    seed
        Of the draws.
    """

    n: int | None = None
    population: Population | None = None
    n_resamples: int = N_RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be met."""
        if (self.n is not None and self.n < 1) or self.n_resamples < 1 or self.seed < 0:
            raise ValueError(
                f"{self.n=} and {self.n_resamples=} must be at least 1, {self.seed=} "
                "at least 0."
            )


def evaluate_set(
    genes: Any,
    reference: Any,
    *,
    known: KnownGenes | None = None,
    energies: ArrayLike | None = None,
    target: Mapping[str, Window] | None = None,
    n_attempts: int | None = None,
    name: str = "genes",
    options: EvaluationOptions | None = None,
) -> EvaluationDoc:
    """Measure a generated set.

    Parameters
    ----------
    genes
        A `GeneSet`, a dataset, a list of genes, or the arrays that
        `wyckflow.crystal.keys.pack_genes` makes of them.
    reference
        Real crystals, in any of these forms.
    known
        What counts as known; without it novelty is not judged.
    energies
        Energy above the hull in eV/atom per gene, not-a-number where it is not known;
        None looks for a column ``energy_above_hull`` of the set.
    target
        Ranges of columns of the set, such as predictions.
    n_attempts
        Genes that the generator tried to make, if the set does not say it.
    name
        What to call the set, where it has no name.
    options
        How to evaluate.

    Raises
    ------
    DatasetError
        If there are no genes, energies do not fit them, or the target names no column.
    """
    options = options or EvaluationOptions()
    own = GeneSet.of(genes, name=name)
    real = GeneSet.of(reference, name="reference")
    for one in (own, real):
        if not len(one):
            raise DatasetError(
                f"{one.name} holds no gene; there is nothing to measure."
            )
    judged = judge_genes(own, known=known, energies=energies, target=target)
    population, rows = choose_population(judged, options.population)
    n = min(options.n or len(rows), len(rows))
    profile = _profile(judged, rows)
    real_profile = Profile.of(real.table)
    n_attempts = n_attempts or own.n_attempts
    estimates = _estimate_population(profile, real_profile, n, options)
    metrics = [
        *_validity(own, n_attempts),
        _uniqueness(own, options),
        *_novelty(judged, options),
        *_energies(judged),
        *estimates,
    ]
    order = list(DEFINITIONS)
    return EvaluationDoc(
        name=own.name,
        content_id=own.content_id,
        n_rows=own.n_rows,
        n_attempts=n_attempts,
        unreadable=own.reasons,
        unreadable_examples=[
            f"row {row.row}: {row.message}" for row in own.unreadable[:_N_EXAMPLES]
        ],
        n_valid=len(own),
        n_unique=len(own.first_rows),
        novelty_levels=judged.count_levels(),
        population=population,
        n_population=len(rows),
        n_sampled=n,
        n_resamples=options.n_resamples,
        seed=options.seed,
        neutrality_rule=str(DEFAULT_RULE),
        n_cannot_judge_neutrality=int(find_neutral(own.table.take(rows))[1].sum()),
        n_with_energy=int(np.isfinite(judged.energies[judged.is_first]).sum()),
        target={column: str(window) for column, window in (target or {}).items()},
        known=None
        if known is None
        else KnownSet(name=known.name, known_id=known.known_id, n_genes=len(known)),
        reference=ReferenceSet(
            name=real.name,
            content_id=real.content_id,
            n_genes=len(real),
            distributions=real_profile.distributions(np.arange(len(real))),
        ),
        metrics=sorted(metrics, key=lambda metric: order.index(metric.name)),
        distributions=profile.distributions(np.arange(len(rows))),
    )


def evaluate_sets(
    sets: Sequence[GeneSet],
    reference: Any,
    *,
    known: KnownGenes | None = None,
    target: Mapping[str, Window] | None = None,
    options: EvaluationOptions | None = None,
) -> list[EvaluationDoc]:
    """Measure several sets at equal size, so that they may be compared.

    Parameters
    ----------
    sets
        Generated sets, with energies and predictions in their columns.
    reference
        Real crystals.
    known
        What counts as known.
    target
        Ranges of columns of the sets.
    options
        How to evaluate; without ``n`` the size of the smallest population is taken.
    """
    options = options or EvaluationOptions()
    if options.n is None:
        judged = (judge_genes(one, known=known) for one in sets)
        sizes = [len(choose_population(one, options.population)[1]) for one in judged]
        options = replace(options, n=min(sizes, default=None))
    return [
        evaluate_set(one, reference, known=known, target=target, options=options)
        for one in sets
    ]


def choose_population(
    judged: JudgedGenes, population: Population | None
) -> tuple[Population, NDArray[np.int64]]:
    """Return the genes that distributions are taken over.

    Parameters
    ----------
    judged
        A set that was looked at.
    population
        Which ones; None takes the novel ones where novelty was judged.

    Raises
    ------
    DatasetError
        If there are none, or the novel ones are asked for and nothing is known.
    """
    if population is None:
        population = Population.UNIQUE if judged.novelty is None else Population.NOVEL
    if population is Population.NOVEL and judged.novelty is None:
        raise DatasetError(
            "The novel genes were asked for, but nothing says what is known; give a "
            "set of known genes, or take the unique ones."
        )
    chosen = {
        Population.ALL: np.ones(len(judged.genes), bool),
        Population.UNIQUE: judged.is_first,
        Population.NOVEL: judged.is_novel,
    }[population]
    if not chosen.any():
        raise DatasetError(
            f"None of the {len(judged.genes)} genes of {judged.genes.name} is "
            f"{population.value}; choose another population."
        )
    return population, np.flatnonzero(chosen)


def _profile(judged: JudgedGenes, rows: NDArray[np.int64]) -> Profile:
    profile = Profile.of(judged.genes.table.take(rows))
    if judged.in_target is None:
        return profile
    flags = {**profile.flags, "in_target": judged.in_target[rows]}
    return replace(profile, flags=flags)


# --- the numbers ----------------------------------------------------------------------


def _estimate_population(
    profile: Profile, real: Profile, n: int, options: EvaluationOptions
) -> Iterator[Metric]:
    """Measure distributions and chemistry, and what chance alone would give."""
    draws = {"n_resamples": options.n_resamples, "seed": options.seed}
    found = estimate(
        lambda rows: profile.statistics(rows, real), len(profile), n, **draws
    )
    floors = find_floor(lambda rows: real.statistics(rows, real), len(real), n, **draws)
    everything = real.statistics(np.arange(len(real)), real)
    for name, value in found.items():
        if not np.isfinite(value.value):
            continue  # nothing in common with the reference: there is no distance
        is_distance = name.startswith(_DISTANCES)
        floor = floors[name] if is_distance else (None, None)
        yield _metric(
            name,
            value,
            n,
            floor=floor[0],
            floor_high=floor[1],
            reference=None if is_distance else everything.get(name),
        )


def _validity(genes: GeneSet, n_attempts: int | None) -> Iterator[Metric]:
    if n_attempts is None:
        return
    if n_attempts < len(genes):
        raise DatasetError(
            f"{genes.name} holds {len(genes)} valid genes, more than the "
            f"{n_attempts} attempts that it is said to be made of; count the failed "
            "ones, too."
        )
    is_valid = np.arange(n_attempts) < len(genes)
    yield from _share_metrics({"validity_share": is_valid}, n_attempts)


def _uniqueness(genes: GeneSet, options: EvaluationOptions) -> Metric:
    """Count different genes in samples; repetitions are the rarer the smaller those."""
    keys = genes.table.keys
    n = min(options.n or len(keys), len(keys))
    of_all = len(genes.first_rows) / len(keys)
    if n == len(keys):
        return _metric("uniqueness_share", Estimate(of_all, np.nan, np.nan, of_all), n)
    rng = np.random.default_rng(options.seed)
    shares = [
        len(np.unique(rng.choice(keys, n, replace=False))) / n
        for _ in range(options.n_resamples)
    ]
    low, high = np.percentile(shares, (2.5, 97.5)).tolist()
    return _metric(
        "uniqueness_share", Estimate(float(np.mean(shares)), low, high, of_all), n
    )


def _novelty(judged: JudgedGenes, options: EvaluationOptions) -> Iterator[Metric]:
    """Take the shares of what is new among the different genes."""
    if judged.novelty is None:
        return
    first = judged.is_first
    levels = judged.novelty.level[first]
    flags = {
        "new_gene_share": levels >= 1,
        "new_formula_share": ~judged.novelty.known_formula[first],
        "new_prototype_share": levels >= 2,  # noqa: PLR2004 - a level
        "new_parent_share": levels >= 3,  # noqa: PLR2004 - a level
    }
    yield from _share_metrics(flags, min(options.n or len(levels), len(levels)))


def _energies(judged: JudgedGenes) -> Iterator[Metric]:
    """Take the shares of what is stable, and of what is stable, unique and novel."""
    has_energy = judged.is_first & np.isfinite(judged.energies)
    for distance in HULL_DISTANCES:
        is_low = judged.energies <= distance
        if has_energy.any():
            flags = {energy_name("metastable", distance): is_low[has_energy]}
            yield from _share_metrics(flags, int(has_energy.sum()))
        both = has_energy & judged.is_novel
        if judged.novelty is not None and both.any():
            name = energy_name("sun", distance)
            share = judged.is_novel.sum() / len(judged.genes)
            for metric in _share_metrics({name: is_low[both]}, int(both.sum())):
                scaled = {
                    side: getattr(metric, side) * share
                    for side in ("value", "low", "high")
                }
                yield metric.model_copy(update=scaled)


def _share_metrics(flags: Mapping[str, NDArray[np.bool_]], n: int) -> Iterator[Metric]:
    """Take shares with the 95 % interval that samples of ``n`` have (Wilson)."""
    z = 1.959964
    for name, flag in flags.items():
        share = float(flag.mean())
        centre = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        half /= 1 + z * z / n
        low, high = max(float(centre - half), 0.0), min(float(centre + half), 1.0)
        yield _metric(name, Estimate(share, low, high, share), n)


def _metric(
    name: str,
    found: Estimate,
    n: int,
    *,
    floor: float | None = None,
    floor_high: float | None = None,
    reference: float | None = None,
) -> Metric:
    """Write a number down; a share is not above 1."""
    has_interval = not np.isnan(found.low)
    high = min(found.high, 1.0) if name.endswith("_share") else found.high
    return Metric(
        name=name,
        description=DEFINITIONS[name].description,
        value=found.value,
        low=found.low if has_interval else None,
        high=high if has_interval else None,
        n=n,
        value_of_all=None
        if found.of_all == found.value or not np.isfinite(found.of_all)
        else found.of_all,
        floor=floor,
        floor_high=floor_high,
        reference=reference,
    )
