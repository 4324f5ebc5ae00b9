"""From a gene to trial structures, each with an outcome.

A gene says where atoms may sit, not at which coordinates or in which cell: those are
drawn at random, many times, and relaxed later. Every trial has its own seed, so that
trial 7 of a gene is the same structure whether one trial or twenty were asked for.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.build._gene_check import GeneCheck, first_with_gene
from wyckflow.crystal.build._outcome import BuildOutcome, Fault
from wyckflow.crystal.build.sampler import (
    DEFAULT_CONTACT_RATIO,
    Sample,
    sample_structures,
)
from wyckflow.crystal.build.volumes import load_atomic_volumes
from wyckflow.crystal.cell import LAST_SUPPORTED_ATOMIC_NUMBER
from wyckflow.crystal.elements import ATOMIC_NUMBERS
from wyckflow.crystal.encode import Engine
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import nearest_name

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BLOCK_SIZE",
    "BuildEngine",
    "BuildOutcome",
    "Engine",
    "Trial",
    "build_trials",
    "trial_seed",
]

DEFAULT_SYMPREC: Final = 0.01
"""Tolerance in A of the gene check. Trial structures are exact, so this only says how
close to a higher symmetry a draw may come by accident."""

DEFAULT_CPU_LIMIT_S: Final = 10.0
"""PyXtal takes 0.07 s on average; what is not built after some seconds rarely is."""

BLOCK_SIZE: Final = 8
"""Trials that the sampler chooses together, so that they differ."""

# Placements in vain after which a trial of PyXtal ends.
_MAX_PLACEMENTS: Final = 10


class BuildEngine(StrEnum):
    """Who draws the trial structures."""

    PYXTAL = "pyxtal"
    """PyXtal, one at a time."""
    SAMPLER = "sampler"
    """Our own, many at a time."""
    AUTO = "auto"
    """The sampler, and PyXtal where that finds no room."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt to give a gene coordinates.

    Attributes
    ----------
    gene
        What was to be built.
    number
        Of the trial, from 0.
    seed
        Of this trial; derived from gene, campaign and number.
    engine
        Who drew it: `BuildEngine.PYXTAL` or `BuildEngine.SAMPLER`.
    outcome
        Built, or why not.
    reason
        Why not, in words; empty if built.
    structure
        The trial structure, or None. It has the gene by construction, and spglib found
        no higher symmetry.
    cpu_s
        CPU seconds spent on it; a share where several were drawn together. It does
        not count when trials are compared.
    """

    gene: WyckoffGene
    number: int
    seed: int
    engine: BuildEngine
    outcome: BuildOutcome
    reason: str = ""
    structure: ReducedStructure | None = None
    cpu_s: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class _Options:
    """What all trials of one call share; see `build_trials`."""

    seed: int
    min_contact_ratio: float
    cpu_limit_s: float
    check: GeneCheck


def build_trials(
    gene: WyckoffGene,
    n_trials: int,
    *,
    seed: int,
    engine: BuildEngine | str = BuildEngine.AUTO,
    first_trial: int = 0,
    symprec: float = DEFAULT_SYMPREC,
    symmetry_engine: Engine = Engine.SPGLIB,
    min_contact_ratio: float = DEFAULT_CONTACT_RATIO,
    cpu_limit_s: float = DEFAULT_CPU_LIMIT_S,
) -> list[Trial]:
    """Draw trial structures of a gene.

    Parameters
    ----------
    gene
        What to build.
    n_trials
        How many.
    seed
        Of the campaign. The same gene, seed, trial number and engine give the same
        structure, however many trials are asked for at once.
    engine
        Who draws.
    first_trial
        Number of the first trial, to go on where an earlier call ended.
    symprec
        Distance tolerance in A at which the gene must be found again.
    symmetry_engine
        Who looks for it; moyopy, where installed, takes a fifth of spglib's time.
    min_contact_ratio
        Shortest distance between two atoms, over the sum of their contact radii.
    cpu_limit_s
        CPU seconds of this thread after which a trial is given up; the sampler's limit
        for a block of trials.

    Returns
    -------
    list[Trial]
        One per trial, in order. What could not be built has an outcome and a reason.

    Raises
    ------
    TypeError
        If ``gene`` is no gene, or a count or the seed is no integer.
    ValueError
        If the engine is unknown, or a number is out of range.
    """
    engine = _parse_engine(engine)
    _check_gene(gene)
    _check_integers(n_trials=n_trials, first_trial=first_trial, seed=seed)
    _check_positive(
        n_trials=n_trials,
        symprec=symprec,
        min_contact_ratio=min_contact_ratio,
        cpu_limit_s=cpu_limit_s,
    )
    if first_trial < 0:
        raise ValueError(f"{first_trial=} must not be negative; trials count from 0.")
    check = GeneCheck(gene, symprec, symmetry_engine)
    options = _Options(seed, min_contact_ratio, cpu_limit_s, check)
    numbers = range(first_trial, first_trial + n_trials)
    if reason := _unsupported(gene):
        fault = Fault(BuildOutcome.UNSUPPORTED, reason)
        drawn_by = BuildEngine.SAMPLER if engine is BuildEngine.AUTO else engine
        return [_trial(gene, n, drawn_by, fault, seed=seed) for n in numbers]
    if engine is BuildEngine.PYXTAL:
        return [_build_with_pyxtal(gene, number, options) for number in numbers]
    blocks = range(numbers[0] // BLOCK_SIZE, numbers[-1] // BLOCK_SIZE + 1)
    trials = [
        trial
        for block in blocks
        for trial in _build_block(gene, block, numbers, options)
    ]
    if engine is BuildEngine.AUTO:
        trials = [
            _build_with_pyxtal(gene, trial.number, options)
            if trial.outcome is BuildOutcome.TOO_CLOSE
            else trial
            for trial in trials
        ]
    return trials


def trial_seed(gene: WyckoffGene, seed: int, number: int) -> int:
    """Return the seed of one trial: alike for equivalent genes, on every machine.

    Parameters
    ----------
    gene
        What is built.
    seed
        Of the campaign.
    number
        Of the trial.
    """
    return _hash_to_seed(f"{gene.gene_id} {seed} trial {number}")


def _hash_to_seed(text: str) -> int:
    """Hash a text to 63 bits, which a database can store as an integer."""
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1


# --- the engines ---------------------------------------------------------------------


def _build_with_pyxtal(gene: WyckoffGene, number: int, options: _Options) -> Trial:
    """Build one trial with PyXtal."""
    start = time.thread_time()
    rng = np.random.default_rng(trial_seed(gene, options.seed, number))
    result = first_with_gene(_pyxtal_draws(gene, rng, options), options.check)
    if result is None:
        result = Fault(BuildOutcome.TIME_LIMIT, "PyXtal was given no time")
    cpu_s = time.thread_time() - start
    engine = BuildEngine.PYXTAL
    return _trial(gene, number, engine, result, seed=options.seed, cpu_s=cpu_s)


def _pyxtal_draws(
    gene: WyckoffGene, rng: np.random.Generator, options: _Options
) -> Iterator[ReducedStructure | Fault]:
    """Yield what PyXtal draws, until the time or the patience is over."""
    from wyckflow.crystal.build.pyxtal_engine import build_with_pyxtal, prepare_pyxtal

    prepare_pyxtal(gene.space_group_number, options.min_contact_ratio)
    deadline = time.thread_time() + options.cpu_limit_s
    for _ in range(_MAX_PLACEMENTS):
        built = build_with_pyxtal(
            gene,
            rng=rng,
            min_contact_ratio=options.min_contact_ratio,
            cpu_limit_s=deadline - time.thread_time(),
        )
        if isinstance(built, Fault) and built.outcome is BuildOutcome.TIME_LIMIT:
            reason = f"{built.reason} within {options.cpu_limit_s:g} CPU seconds"
            yield Fault(BuildOutcome.TIME_LIMIT, reason)
            return
        if isinstance(built, ReducedStructure):
            ratio = built.contact_ratio()
            if ratio < options.min_contact_ratio:
                built = Fault(
                    BuildOutcome.TOO_CLOSE,
                    f"PyXtal's structure has a contact at {ratio:.2f} of the radii",
                )
        yield built


def _build_block(
    gene: WyckoffGene, block: int, numbers: range, options: _Options
) -> list[Trial]:
    """Build those trials of a block that are asked for with the sampler.

    The block is worked through from its beginning, whatever is asked for, since its
    trials share the structures that were drawn.
    """
    start = time.thread_time()
    deadline = start + options.cpu_limit_s
    seed = _hash_to_seed(f"{gene.gene_id} {options.seed} block {block}")
    sample = sample_structures(
        gene,
        BLOCK_SIZE,
        rng=np.random.default_rng(seed),
        min_contact_ratio=options.min_contact_ratio,
        should_stop=lambda: time.thread_time() > deadline,
    )
    no_more = _fault_of_empty(sample, options)
    draws: Iterator[ReducedStructure | Fault] = iter(sample)
    results: list[ReducedStructure | Fault] = []
    for number in range(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE):
        if number > numbers[-1]:
            break
        result = first_with_gene(draws, options.check) or no_more
        results.append(result)
        if isinstance(result, Fault):
            no_more, draws = result, iter(())
    engine = BuildEngine.SAMPLER
    cpu_s = (time.thread_time() - start) / len(results)
    return [
        _trial(gene, number, engine, result, seed=options.seed, cpu_s=cpu_s)
        for number, result in enumerate(results, block * BLOCK_SIZE)
        if number in numbers
    ]


def _fault_of_empty(sample: Sample, options: _Options) -> Fault:
    """Say why the sampler has no structure, or none any more."""
    if sample.was_interrupted:
        return Fault(
            BuildOutcome.TIME_LIMIT,
            f"The sampler drew {sample.n_draws} cells and was not done within "
            f"{options.cpu_limit_s:g} CPU seconds",
        )
    return Fault(
        BuildOutcome.TOO_CLOSE,
        f"In {sample.n_draws} cells the sampler found {len(sample)} structures with no "
        f"contact below {options.min_contact_ratio:g} of the radii",
    )


def _trial(
    gene: WyckoffGene,
    number: int,
    engine: BuildEngine,
    result: ReducedStructure | Fault,
    *,
    seed: int,
    cpu_s: float = 0.0,
) -> Trial:
    """Write down how a trial ended."""
    common = gene, number, trial_seed(gene, seed, number), engine
    if isinstance(result, Fault):
        return Trial(*common, result.outcome, result.reason, cpu_s=cpu_s)
    return Trial(*common, BuildOutcome.BUILT, structure=result, cpu_s=cpu_s)


# --- arguments -----------------------------------------------------------------------


def _check_gene(gene: Any) -> None:
    if not isinstance(gene, WyckoffGene):
        raise TypeError(
            f"A {type(gene).__name__} came where a gene was expected; make one with "
            "WyckoffGene.from_text('221 Ca:a Ti:b O:c')."
        )


def _check_integers(**values: Any) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"{name}={value!r} must be an integer.")


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name}={value!r} must be positive and finite.")


def _parse_engine(engine: BuildEngine | str) -> BuildEngine:
    try:
        return BuildEngine(engine)
    except ValueError:
        hint = nearest_name(str(engine), [known.value for known in BuildEngine])
        raise ValueError(
            f"{engine=} builds no structures; choose {', '.join(BuildEngine)}.{hint}"
        ) from None


def _unsupported(gene: WyckoffGene) -> str:
    """Say which elements stand in the way, if any."""
    missing = set(load_atomic_volumes().missing(gene.elements))
    missing |= {
        element
        for element in gene.elements
        if ATOMIC_NUMBERS[element] > LAST_SUPPORTED_ATOMIC_NUMBER
    }
    if not missing:
        return ""
    names = ", ".join(sorted(missing))
    return f"No structure is built with {names}: supported are H to Pu"
