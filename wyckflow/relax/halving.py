"""Successive halving: all trials take a few steps, and only the promising go on.

Trials of a gene are compared with each other alone; trials of all genes move together,
so that batches stay full.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from wyckflow.relax.contract import Relaxed
from wyckflow.relax.likeness import take_fingerprint
from wyckflow.relax.quarantine import relax_guardedly
from wyckflow.schemas.relaxation import Outcome, RelaxedState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from wyckflow.crystal.build.trials import Trial
    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.backends import Backend
    from wyckflow.relax.contract import RelaxOptions
    from wyckflow.relax.likeness import Fingerprint

logger = logging.getLogger(__name__)

WINDOW_FACTOR: Final = 4.0
"""How much wider the energy window is one stage earlier."""

MIN_SURVIVORS: Final = 2
"""Trials of a gene that are not dropped for their rank alone."""

ALIKE: Final = 0.1
"""Relative difference of all distances below which two trials are taken to go to one
minimum. After five steps 99 % of such pairs do."""

_NOISE: Final = 1e-3
"""Energy in eV/atom by which a trial may lie below a converged one it is alike."""

_COARSE_GRAIN: Final = 10
"""Limits that a budget sets are multiples of it, so that genes still share batches."""


@dataclass(frozen=True, slots=True)
class HalvingOptions:
    """Who goes on.

    Attributes
    ----------
    n_coarse_stages
        Stages after which trials are dropped; with 0 all go on to the end.
    coarse_steps
        Steps of a trial at the end of the first stage; each stage doubles them.
    energy_window
        Trials farther above the best of their gene, in eV/atom, are dropped after the
        last coarse stage; after each earlier one the window is four times as wide.
    keep_fraction
        Share of the trials of a gene that each stage lets through at most, but two
        always may.
    max_evaluations
        Evaluations that the trials of a gene may cost together; no limit if None.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    n_coarse_stages: int = 4
    coarse_steps: int = 5
    energy_window: float = 0.1
    keep_fraction: float = 0.5
    max_evaluations: int | None = None

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning."""
        if self.n_coarse_stages < 0:
            raise ValueError(f"{self.n_coarse_stages=} must not be negative.")
        if self.coarse_steps < 1:
            raise ValueError(f"{self.coarse_steps=} must be at least 1.")
        if not (self.energy_window > 0 and math.isfinite(self.energy_window)):
            raise ValueError(f"{self.energy_window=} eV/atom must be positive.")
        if not 0 < self.keep_fraction <= 1:
            raise ValueError(f"{self.keep_fraction=} must be above 0 and at most 1.")
        if self.max_evaluations is not None and self.max_evaluations < 1:
            raise ValueError(
                f"{self.max_evaluations=} must be at least 1, or None for no limit."
            )

    def steps_until(self, stage: int) -> int:
        """Return the steps of a trial at the end of a coarse stage.

        Parameters
        ----------
        stage
            From 0.
        """
        return self.coarse_steps << stage

    def window_after(self, stage: int) -> float:
        """Return the energy window after a coarse stage, in eV/atom.

        Parameters
        ----------
        stage
            From 0.
        """
        window: float = WINDOW_FACTOR ** (self.n_coarse_stages - 1 - stage)
        return self.energy_window * window

    def n_survivors(self, n_trials: int, stage: int) -> int:
        """Return how many trials of a gene a coarse stage lets through at most.

        Parameters
        ----------
        n_trials
            Trials of the gene.
        stage
            From 0.
        """
        share = math.ceil(n_trials * self.keep_fraction ** (stage + 1) - 1e-9)
        return max(share, MIN_SURVIVORS)


@dataclass(eq=False)
class Entrant:
    """A trial on its way.

    Attributes
    ----------
    trial
        Its number, seed and start structure.
    end
        How far it came.
    stage
        Stages that it ran in.
    n_granted
        Steps that it was allowed.
    drop_reason
        Why it was given up; empty if it was not.
    budget_reason
        The same, if the reason is not in the trial.
    """

    trial: Trial
    end: Relaxed = field(
        default_factory=lambda: Relaxed(RelaxedState(outcome=Outcome.STEP_LIMIT))
    )
    stage: int = 0
    n_granted: int = 0
    drop_reason: str = ""
    budget_reason: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it may go on."""
        is_open = self.end.state.outcome is Outcome.STEP_LIMIT
        return is_open and not (self.drop_reason or self.budget_reason)

    @property
    def structure(self) -> ReducedStructure | None:
        """Where it is, or where it starts."""
        return self.end.structure if self.stage else self.trial.structure

    @property
    def energy(self) -> float:
        """Its energy in eV/atom; infinite before it has one."""
        energy = self.end.state.energy_per_atom
        return math.inf if energy is None else energy

    @property
    def is_converged(self) -> bool:
        """Whether it is where it should come to."""
        return self.end.state.outcome is Outcome.CONVERGED

    def take(self, end: Relaxed) -> None:
        """Go on to where another stage led.

        Parameters
        ----------
        end
            Of that stage alone.
        """
        before = self.end.state
        spent = {
            "n_steps": before.n_steps + end.state.n_steps,
            "n_evaluations": before.n_evaluations + end.state.n_evaluations,
        }
        self.end = replace(end, state=end.state.model_copy(update=spent))
        self.stage += 1
        self.__dict__.pop("fingerprint", None)

    def state(self) -> RelaxedState:
        """Return how it ended, dropped ones as such."""
        reason = self.drop_reason or self.budget_reason
        if not reason:
            return self.end.state
        is_step_limit = self.stage and not self.drop_reason
        outcome = Outcome.STEP_LIMIT if is_step_limit else Outcome.DROPPED
        return self.end.state.model_copy(update={"outcome": outcome, "reason": reason})

    @cached_property
    def fingerprint(self) -> Fingerprint | None:
        """What its atoms see now, if it has a structure."""
        if self.structure is None:
            return None
        try:
            return take_fingerprint(self.structure)
        except Exception:  # a bug, but without a twin a trial just goes on
            logger.exception("The distances in %s were not found", self.structure.gene)
            return None


def run_race(
    fields: Sequence[Sequence[Entrant]],
    backend: Backend,
    relax_options: RelaxOptions,
    options: HalvingOptions,
    on_stage: Callable[[int], None] | None = None,
) -> None:
    """Take all trials as far as they deserve.

    Parameters
    ----------
    fields
        The trials of each gene that have a start structure; changed in place.
    backend
        What relaxes.
    relax_options
        When a trial is done.
    options
        Who goes on.
    on_stage
        Told after each coarse stage how many trials still run.
    """
    for stage in range(options.n_coarse_stages):
        n_steps = min(options.steps_until(stage), relax_options.max_steps)
        _advance(fields, n_steps, backend, relax_options, options)
        for entrants in fields:
            _drop_after(stage, entrants, options)
        if on_stage is not None:
            on_stage(sum(len(_running(entrants)) for entrants in fields))
    while _advance(fields, relax_options.max_steps, backend, relax_options, options):
        for entrants in fields:
            _readmit(entrants)


# --- one stage ------------------------------------------------------------------------


def _advance(
    fields: Sequence[Sequence[Entrant]],
    steps_until: int,
    backend: Backend,
    relax_options: RelaxOptions,
    options: HalvingOptions,
) -> bool:
    """Move those who run on, up to a number of steps; return whether any did."""
    groups: dict[int, list[Entrant]] = defaultdict(list)
    for entrants in fields:
        budget = _Budget(entrants, options.max_evaluations)
        for entrant in _running(entrants):
            missing = steps_until - entrant.n_granted
            if missing <= 0:
                continue
            n_steps = budget.grant(missing, anew=entrant.end.pause is None)
            entrant.n_granted += n_steps
            if n_steps:
                groups[n_steps].append(entrant)
            else:
                entrant.budget_reason = (
                    f"the gene's {options.max_evaluations} evaluations are spent"
                )
    for n_steps, group in sorted(groups.items(), reverse=True):
        _relax_group(group, backend, replace(relax_options, max_steps=n_steps))
    return bool(groups)


def _relax_group(
    group: Sequence[Entrant], backend: Backend, relax_options: RelaxOptions
) -> None:
    """Relax trials with the same limit of steps."""
    starts = [item.structure for item in group if item.structure is not None]
    pauses = [item.end.pause for item in group if item.structure is not None]
    ends = relax_guardedly(starts, backend, relax_options, pauses)
    for entrant, end in zip(group, ends, strict=True):
        entrant.take(end)
    logger.info(
        "%d trials took up to %d steps, %d evaluations",
        len(group),
        relax_options.max_steps,
        sum(end.state.n_evaluations for end in ends),
    )


class _Budget:
    """What the trials of a gene may still cost in this stage, the best first."""

    def __init__(self, entrants: Sequence[Entrant], limit: int | None) -> None:
        spent = sum(item.end.state.n_evaluations for item in entrants)
        self._rest = None if limit is None else limit - spent

    def grant(self, n_steps: int, *, anew: bool) -> int:
        """Return how many steps are allowed; who begins anew evaluates its start."""
        if self._rest is None:
            return n_steps
        affordable = self._rest - anew
        if affordable < n_steps and affordable > _COARSE_GRAIN:
            affordable -= affordable % _COARSE_GRAIN
        granted = max(min(n_steps, affordable), 0)
        if granted:
            self._rest -= granted + anew
        return granted


def _running(entrants: Iterable[Entrant]) -> list[Entrant]:
    """Return those who run, the best first."""
    running = (item for item in entrants if item.is_running)
    return sorted(running, key=lambda item: (item.energy, item.trial.number))


# --- who goes on ----------------------------------------------------------------------


def _drop_after(
    stage: int, entrants: Sequence[Entrant], options: HalvingOptions
) -> None:
    """Drop the trials of a gene that need not go on."""
    arrived = [item for item in entrants if item.is_converged]
    running = _running(entrants)
    best = min((item.energy for item in (*arrived, *running)), default=math.inf)
    window = options.window_after(stage)
    n_survivors = options.n_survivors(len(entrants), stage)
    kept: list[Entrant] = []
    for entrant in running:
        above = entrant.energy - best
        if above > window:
            reason = f"{above:.3g} eV/atom above the best, the window is {window:.3g}"
        elif twin := _find_twin(entrant, [*arrived, *kept]):
            reason = f"on the way to where trial {twin.trial.number} is"
        elif len(kept) + len(arrived) >= n_survivors:
            reason = f"{above:.3g} eV/atom above the best, and {n_survivors} are enough"
        else:
            kept.append(entrant)
            continue
        entrant.drop_reason = f"stage {stage + 1}: {reason}"


def _find_twin(entrant: Entrant, others: Iterable[Entrant]) -> Entrant | None:
    """Return a trial, as good or better, that goes to the same minimum."""
    mine = entrant.fingerprint
    for other in others:
        theirs = other.fingerprint
        is_lower = entrant.energy < other.energy - _NOISE
        if mine is None or theirs is None or is_lower:
            continue
        if mine.difference(theirs) < ALIKE:
            return other
    return None


def _readmit(entrants: Sequence[Entrant]) -> None:
    """Let the best dropped trial run on where what was better was lost later."""
    remaining = (item for item in entrants if item.is_converged or item.is_running)
    best = min((item.energy for item in remaining), default=math.inf)
    dropped = [item for item in entrants if item.drop_reason and item.energy < best]
    if dropped:
        lowest = min(dropped, key=lambda item: (item.energy, item.trial.number))
        lowest.drop_reason = ""
