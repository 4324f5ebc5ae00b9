"""Many crystals through a relaxer, in portions: each with its end, none in the way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

from wyckflow.crystal.build.trials import build_trials
from wyckflow.relax.contract import Relaxed, RelaxOptions
from wyckflow.relax.free import FreeCheck, FreeOptions, check_symmetry
from wyckflow.relax.guards import find_unsupported_elements
from wyckflow.relax.quarantine import relax_guardedly
from wyckflow.relax.race import RaceOptions, choose_best
from wyckflow.schemas.relaxation import Outcome, RelaxedState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.backends import Backend
    from wyckflow.relax.contract import Progress
    from wyckflow.relax.intake import Entry

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
    """

    relax: RelaxOptions = field(default_factory=RelaxOptions)
    n_trials: int | None = None
    seed: int = 0
    free: FreeOptions | None = None


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
    """

    entry: Entry
    best: Relaxed | None = None
    n_starts: int = 0
    best_start: int = 0
    n_evaluations: int = 0
    cpu_s: float = 0.0
    check: FreeCheck | None = None


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
    watched = backend
    if report is not None and todo:
        share = len(portion) / len(todo)
        watched = _watch(
            backend, lambda n: report(n_before + share * min(n, len(todo)))
        )
    ends = dict(zip(places, relax_guardedly(todo, watched, options.relax), strict=True))
    results: list[Finished] = []
    for owner, (entry, of_entry) in enumerate(zip(portion, starts, strict=True)):
        trials = [
            start if isinstance(start, Relaxed) else ends[owner, number]
            for number, start in enumerate(of_entry)
        ]
        results.append(_finish(entry, trials))
    if options.free is not None:
        results = _check(results, backend, options.free)
    yield from _share_cpu(results, time.process_time() - clock)


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


class _Watched:
    """A backend whose ends are counted."""

    def __init__(self, backend: Backend, note: Callable[[int], None]) -> None:
        self._backend = backend
        self._note = note
        self._n_ended = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def relax(
        self,
        starts: Sequence[ReducedStructure],
        options: RelaxOptions,
        progress: Progress | None = None,
    ) -> list[Relaxed]:
        def count(place: int, end: Relaxed) -> None:
            self._n_ended += 1
            self._note(self._n_ended)
            if progress is not None:
                progress(place, end)

        return self._backend.relax(starts, options, count)


def _watch(backend: Backend, note: Callable[[int], None]) -> Backend:
    return cast("Backend", _Watched(backend, note))
