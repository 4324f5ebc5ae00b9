"""Many crystals through a relaxer, in portions: each with its end, none in the way."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from wyckflow.crystal.build.trials import BuildEngine, BuildOutcome, Trial, build_trials
from wyckflow.relax.contract import Relaxed, RelaxOptions
from wyckflow.relax.free import FreeCheck, FreeOptions, check_symmetry
from wyckflow.relax.guards import find_unsupported_elements
from wyckflow.relax.halving import Entrant, HalvingOptions, run_race
from wyckflow.relax.moments import ask_for_moments
from wyckflow.relax.quarantine import relax_guardedly
from wyckflow.relax.race import RaceOptions, choose_best
from wyckflow.schemas.relaxation import Outcome, RelaxedState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.backends import Backend
    from wyckflow.relax.contract import Progress
    from wyckflow.relax.intake import Entry

_Place: TypeAlias = tuple[int, int]
"""Of an entry in its portion, and of a start among those of the entry."""

_BATCHES_PER_PORTION: Final = 16
"""Full batches in a portion: enough that its thin end does not count, and few enough
that little is lost when a run is stopped."""


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """What is done with every crystal.

    Attributes
    ----------
    relax
        When a relaxation stops.
    n_trials
        Starts of a bare gene; if None, by its free coordinates.
    seed
        Of those starts.
    free
        How the symmetry is checked afterwards; None if it is not.
    halving
        How the starts of a bare gene race; None if all are relaxed to the end.
    """

    relax: RelaxOptions = field(default_factory=RelaxOptions)
    n_trials: int | None = None
    seed: int = 0
    free: FreeOptions | None = None
    halving: HalvingOptions | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of an entry.

    Attributes
    ----------
    entry
        What came.
    best
        End of its best start; None if the entry was refused.
    n_starts
        Starts that were asked for.
    best_start
        Place of the best among them.
    n_evaluations
        Of energy, forces and stress, of all starts and of the check.
    cpu_s
        Its share of the processor time: by evaluations, weighted with their size.
    check
        Whether the symmetry holds, where that was asked.
    magnetic_moments
        Size of the moment of an atom of each orbit in mu_B, in the order of the gene;
        None without a structure, or if the backend predicts none.
    """

    entry: Entry
    best: Relaxed | None = None
    n_starts: int = 0
    best_start: int = 0
    n_evaluations: int = 0
    cpu_s: float = 0.0
    check: FreeCheck | None = None
    magnetic_moments: list[float] | None = None


def relax_entries(
    entries: Iterable[Entry],
    backend: Backend,
    options: BulkOptions,
    report: Callable[[float], None] | None = None,
) -> Iterator[Finished]:
    """Relax crystals from the structure they have, or from several trial structures.

    Parameters
    ----------
    entries
        As read; those refused are passed on.
    backend
        What relaxes.
    options
        What is done with every crystal.
    report
        Told how many entries are done, with fractions.

    Yields
    ------
    Finished
        One per entry, in order, portion by portion.
    """
    n_done = 0
    for portion in _split(entries, backend.n_at_once, options):
        yield from _run_portion(portion, backend, options, report, n_done)
        n_done += len(portion)
        if report is not None:
            report(n_done)


def count_starts(entry: Entry, options: BulkOptions) -> int:
    """Return from how many structures an entry is relaxed.

    Parameters
    ----------
    entry
        Any entry.
    options
        What is done with every crystal.
    """
    if entry.gene is None:
        return 0
    if entry.structure is not None:
        return 1
    return RaceOptions(n_trials=options.n_trials).n_trials_of(entry.gene)


def _split(
    entries: Iterable[Entry], n_at_once: int, options: BulkOptions
) -> Iterator[list[Entry]]:
    """Yield entries that fill some batches together."""
    portion: list[Entry] = []
    n_starts = 0
    for entry in entries:
        portion.append(entry)
        n_starts += max(count_starts(entry, options), 1)
        if n_starts >= _BATCHES_PER_PORTION * n_at_once:
            yield portion
            portion, n_starts = [], 0
    if portion:
        yield portion


def _run_portion(
    portion: Sequence[Entry],
    backend: Backend,
    options: BulkOptions,
    report: Callable[[float], None] | None,
    n_before: int,
) -> Iterator[Finished]:
    """Relax all starts of a portion together, then take it apart again."""
    clock = time.process_time()
    starts = [_make_starts(entry, backend, options) for entry in portion]
    places = [
        (owner, number)
        for owner, of_entry in enumerate(starts)
        for number, start in enumerate(of_entry)
        if not isinstance(start, Relaxed)
    ]
    todo = [cast("ReducedStructure", starts[o][n]) for o, n in places]
    meter = _Meter(backend, options.relax.max_steps, len(todo))
    if report is not None and todo:
        share = len(portion) / len(todo)
        meter.note = lambda n_done: report(n_before + share * n_done)
    starts_at = dict(zip(places, todo, strict=True))
    ends = _relax_starts(portion, starts_at, meter, options)
    results: list[Finished] = []
    for owner, (entry, of_entry) in enumerate(zip(portion, starts, strict=True)):
        trials = [
            start if isinstance(start, Relaxed) else ends[owner, number]
            for number, start in enumerate(of_entry)
        ]
        results.append(_finish(entry, trials))
    kept = [result.best.structure if result.best else None for result in results]
    results = [
        replace(result, magnetic_moments=moments)
        for result, moments in zip(results, ask_for_moments(kept, backend), strict=True)
    ]
    if options.free is not None:
        results = _check(results, backend, options.free)
    yield from _share_cpu(results, time.process_time() - clock)


def _relax_starts(
    portion: Sequence[Entry],
    starts: Mapping[_Place, ReducedStructure],
    meter: _Meter,
    options: BulkOptions,
) -> dict[_Place, Relaxed]:
    """Relax given structures to the end, and let the starts of bare genes race."""
    backend = cast("Backend", meter)
    races: dict[int, list[Entrant]] = defaultdict(list)
    if options.halving is not None:
        for (owner, number), start in starts.items():
            if portion[owner].structure is None:
                races[owner].append(Entrant(_describe_start(start, number, options)))
    alone = {place: start for place, start in starts.items() if place[0] not in races}
    relaxed = relax_guardedly(list(alone.values()), backend, options.relax)
    ends = dict(zip(alone, relaxed, strict=True))
    if options.halving is not None and races:
        fields = list(races.values())
        run_race(fields, backend, options.relax, options.halving, meter.settle)
    for owner, entrants in races.items():
        for entrant in entrants:
            end = Relaxed(entrant.state(), entrant.end.structure)
            ends[owner, entrant.trial.number] = end
    return ends


def _describe_start(
    start: ReducedStructure, number: int, options: BulkOptions
) -> Trial:
    """Return a start as a race knows it."""
    return Trial(
        gene=start.gene,
        number=number,
        seed=options.seed,
        engine=BuildEngine.AUTO,
        outcome=BuildOutcome.BUILT,
        structure=start,
    )


def _make_starts(
    entry: Entry, backend: Backend, options: BulkOptions
) -> list[ReducedStructure | Relaxed]:
    """Return the structures to begin with; the end of those that cannot be made."""
    if entry.gene is None:
        return []
    if entry.structure is not None:
        return [entry.structure]
    known = backend.supported_atomic_numbers
    problem = find_unsupported_elements(entry.gene.elements, known)
    if problem:
        return [_failed(problem.outcome, problem.reason)]
    n_trials = count_starts(entry, options)
    return [
        trial.structure
        or _failed(Outcome.BUILD_FAILED, f"{trial.outcome}: {trial.reason}")
        for trial in build_trials(entry.gene, n_trials, seed=options.seed)
    ]


def _failed(outcome: Outcome, reason: str) -> Relaxed:
    return Relaxed(RelaxedState(outcome=outcome, reason=reason))


def _finish(entry: Entry, trials: Sequence[Relaxed]) -> Finished:
    """Choose the best end of an entry."""
    if not trials:
        return Finished(entry)
    best = choose_best([trial.state for trial in trials])
    return Finished(
        entry=entry,
        best=trials[best],
        n_starts=len(trials),
        best_start=best,
        n_evaluations=sum(trial.state.n_evaluations for trial in trials),
    )


def _check(
    results: Sequence[Finished], backend: Backend, options: FreeOptions
) -> list[Finished]:
    """Let the relaxed ones go."""
    relaxed = [result for result in results if result.best is not None]
    minima = [result.best for result in relaxed if result.best is not None]
    checks = iter(check_symmetry(minima, backend, options))
    checked = []
    for result in results:
        if result.best is None:
            checked.append(result)
            continue
        check = next(checks)
        n_evaluations = result.n_evaluations + check.n_evaluations
        checked.append(replace(result, check=check, n_evaluations=n_evaluations))
    return checked


def _share_cpu(results: Sequence[Finished], cpu_s: float) -> Iterator[Finished]:
    """Divide the time of a portion among its entries."""
    weights = [
        result.n_evaluations * (result.entry.gene.n_orbits if result.entry.gene else 0)
        for result in results
    ]
    total = sum(weights) or 1
    for result, weight in zip(results, weights, strict=True):
        yield replace(result, cpu_s=cpu_s * weight / total)


class _Meter:
    """A backend that counts the structures that have come to their end."""

    def __init__(self, backend: Backend, max_steps: int, n_structures: int) -> None:
        self.note: Callable[[int], None] = lambda _: None
        self._backend = backend
        self._max_steps = max_steps
        self._n_structures = n_structures
        self._n_done = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def relax(
        self,
        starts: Sequence[ReducedStructure],
        options: RelaxOptions,
        progress: Progress | None = None,
        *,
        pauses: Sequence[object | None] = (),
    ) -> list[Relaxed]:
        def count(place: int, end: Relaxed) -> None:
            is_pause = end.state.outcome is Outcome.STEP_LIMIT
            if not is_pause or options.max_steps >= self._max_steps:
                self._set(self._n_done + 1)
            if progress is not None:
                progress(place, end)

        more = {"pauses": pauses} if pauses else {}
        return self._backend.relax(starts, options, count, **more)

    def settle(self, n_running: int) -> None:
        """Count those that a stage of a race dropped."""
        self._set(max(self._n_structures - n_running, self._n_done))

    def _set(self, n_done: int) -> None:
        self._n_done = min(n_done, self._n_structures)
        self.note(self._n_done)
