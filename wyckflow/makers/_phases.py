"""Energies of known phases: what the command and the job of a reference set share."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from wyckflow import __version__
from wyckflow.errors import ConfigurationError
from wyckflow.relax.backends import QuotientBackend
from wyckflow.relax.bulk import BulkOptions, relax_entries
from wyckflow.relax.contract import RelaxOptions
from wyckflow.relax.guards import find_unsupported_elements
from wyckflow.relax.intake import Entry
from wyckflow.schemas.relaxation import Outcome
from wyckflow.thermo.elements import SOURCE, choose_prototypes
from wyckflow.thermo.entry import EnergyKind, EnergyOrigin, ReferenceEntry
from wyckflow.thermo.reference import ReferenceSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from wyckflow.relax.backends import Backend
    from wyckflow.relax.bulk import Finished
    from wyckflow.schemas.reference import ReferenceInput, ReferenceSettings

    Report = Callable[[float], None]

T = TypeVar("T")

REFUSED: Final = "refused"
"""Outcome of a row of which no structure could be made."""

EVALUATED: Final = "evaluated"
"""Outcome of a structure that was not relaxed, as asked."""

_CHUNK: Final = 256
"""Structures between two lines of progress that survive a kill."""


@dataclass(frozen=True, slots=True)
class PhaseOptions:
    """How the energies of known phases are computed.

    Attributes
    ----------
    relaxation
        When a relaxation stops, and the tolerance at which symmetry is found.
    evaluate_only
        Take every structure as it is, which costs a tenth and gives energies that are
        a little too high, so a hull that is too high.
    max_freedom
        Take those structures as they are that have more free parameters, of cell and
        coordinates together: a third of them may take four fifths of the time.
    """

    relaxation: RelaxOptions = field(default_factory=RelaxOptions)
    evaluate_only: bool = False
    max_freedom: int | None = None

    def takes_as_is(self, entry: Entry) -> bool:
        """Whether a structure is evaluated only.

        Elements of the packaged table never are, being starts.

        Parameters
        ----------
        entry
            Any.
        """
        if entry.source == SOURCE or entry.gene is None:
            return False
        if self.max_freedom is None:
            return self.evaluate_only
        is_large = entry.gene.degrees_of_freedom > self.max_freedom
        return self.evaluate_only or is_large


@dataclass(frozen=True, slots=True)
class Phase:
    """A known phase with its energy, or why it has none.

    Attributes
    ----------
    id
        What its source calls it.
    source
        The file that it is from.
    composition
        Atoms by symbol; empty if it was refused.
    energy_per_atom
        eV/atom on the scale of the backend; None if there is none.
    outcome
        How the relaxation ended, ``evaluated``, or ``refused``.
    reason
        Why it has no energy, or is not converged.
    """

    id: str
    source: str
    composition: dict[str, int]
    energy_per_atom: float | None
    outcome: str
    reason: str = ""

    def to_entry(self, date: str) -> ReferenceEntry | None:
        """Return it as an entry, if it has an energy.

        Parameters
        ----------
        date
            When the energy was computed, as ``2026-01-31``.
        """
        if self.energy_per_atom is None:
            return None
        is_evaluated = self.outcome == EVALUATED
        origin = EnergyOrigin.EVALUATED if is_evaluated else EnergyOrigin.RELAXED
        return ReferenceEntry(
            composition=self.composition,
            energy_per_atom=self.energy_per_atom,
            id=self.id,
            source=self.source,
            date=date,
            origin=origin,
        )


def element_entries(elements: Iterable[str] | None = None) -> list[Entry]:
    """Return the start structures of elements as what a relaxer takes.

    Parameters
    ----------
    elements
        Chemical symbols; all that CHGNet knows if not given.
    """
    return [
        Entry(form.id, SOURCE, form.structure.gene, form.structure)
        for form in choose_prototypes(elements)
    ]


def compute_phases(
    entries: Iterable[Entry],
    backend: Backend,
    options: PhaseOptions,
    report: Report | None = None,
) -> Iterator[list[Phase]]:
    """Compute the energies of crystals, some hundred at a time.

    Parameters
    ----------
    entries
        As read; each needs a structure.
    backend
        What relaxes.
    options
        How.
    report
        Told how many are done, with fractions.

    Yields
    ------
    list[Phase]
        In the order of the entries.
    """
    n_done = 0
    for chunk in _chunks(entries, _CHUNK):

        def tell(n_of_chunk: float, n_before: int = n_done) -> None:
            if report is not None:
                report(n_before + n_of_chunk)

        yield _compute_chunk(chunk, backend, options, tell)
        n_done += len(chunk)
        tell(len(chunk))


def collect_phases(
    phases: Iterable[Phase],
    *,
    name: str,
    scale: str,
    date: str,
    provenance: Mapping[str, str],
) -> ReferenceSet:
    """Make a reference set of phases that have an energy.

    Parameters
    ----------
    phases
        In any order.
    name
        Of the set.
    scale
        Scale of their energies.
    date
        When they were computed, as ``2026-01-31``.
    provenance
        How the set came about.
    """
    entries = (phase.to_entry(date) for phase in phases)
    made = ReferenceSet.from_entries(
        name,
        [entry for entry in entries if entry is not None],
        scale=scale,
        kind=EnergyKind.TOTAL,
        provenance=provenance,
    )
    return keep_lowest_elements(made)


def keep_lowest_elements(reference: ReferenceSet) -> ReferenceSet:
    """Return a set with the lowest only of the packaged structures of each element.

    Parameters
    ----------
    reference
        Any set.
    """
    lowest: dict[int, int] = {}
    starts = np.flatnonzero(reference.sources == SOURCE)
    for place in starts.tolist():
        number = int(reference.compositions.pairs[place][0][0])
        best = lowest.setdefault(number, place)
        if reference.energies[place] < reference.energies[best]:
            lowest[number] = place
    keep = reference.sources != SOURCE
    keep[list(lowest.values())] = True
    return reference.take(keep)


def describe_work(
    settings: ReferenceSettings, inputs: Sequence[ReferenceInput], network: str
) -> dict[str, Any]:
    """Return what decides the energies of a set, as plain values.

    Parameters
    ----------
    settings
        Options.
    inputs
        Files.
    network
        Identity of the potential.
    """
    return {
        "settings": settings.model_dump(mode="json"),
        "inputs": [item.model_dump(mode="json") for item in inputs],
        "network": network,
        "wyckflow": __version__,
    }


def describe_origin(
    settings: ReferenceSettings, inputs: Sequence[ReferenceInput], network: str
) -> dict[str, str]:
    """Return how a set came about, in words by heading.

    Parameters
    ----------
    settings
        Options.
    inputs
        Files.
    network
        Identity of the potential.
    """
    how = (
        "energies of the structures as they came"
        if settings.evaluate_only
        else f"relaxed under their symmetry to {settings.fmax} eV/A and "
        f"{settings.max_stress_gpa} GPa, at most {settings.max_steps} steps"
    )
    if settings.max_freedom is not None and not settings.evaluate_only:
        how += f"; as they came above {settings.max_freedom} free parameters"
    files = [f"{item.name} ({item.n_rows} rows, {item.sha256})" for item in inputs]
    return {
        "potential": network,
        "method": how,
        "elements": "lowest of the packaged structures"
        if settings.with_elements
        else "none added",
        "files": "; ".join(files),
        "wyckflow": __version__,
    }


def _compute_chunk(
    chunk: Sequence[Entry], backend: Backend, options: PhaseOptions, report: Report
) -> list[Phase]:
    """Compute some phases together."""
    as_is = [options.takes_as_is(entry) for entry in chunk]
    large = [entry for entry, is_large in zip(chunk, as_is, strict=True) if is_large]
    others = [
        entry for entry, is_large in zip(chunk, as_is, strict=True) if not is_large
    ]
    evaluated = iter(_evaluate(large, backend) if large else [])
    relaxed = iter(_relax(others, backend, options, report))
    return [next(evaluated if is_large else relaxed) for is_large in as_is]


def _relax(
    entries: Sequence[Entry], backend: Backend, options: PhaseOptions, report: Report
) -> list[Phase]:
    bulk = BulkOptions(relax=options.relaxation)
    # A bare gene would be relaxed from random starts, which are no known phase.
    known = [entry for entry in entries if entry.structure or entry.refusal]
    ends = iter(relax_entries(known, backend, bulk, report))
    return [
        _phase_of(next(ends))
        if entry.structure or entry.refusal
        else _refuse(entry, "it is a gene without a structure")
        for entry in entries
    ]


def _phase_of(result: Finished) -> Phase:
    """Write down the end of a relaxation."""
    entry = result.entry
    if result.best is None or entry.gene is None:
        return _refuse(entry, entry.refusal)
    state = result.best.state
    return Phase(
        id=entry.name,
        source=file_of(entry),
        composition=dict(entry.gene.composition),
        energy_per_atom=state.energy_per_atom,
        outcome=str(state.outcome),
        reason=state.reason,
    )


def _evaluate(entries: Sequence[Entry], backend: Backend) -> list[Phase]:
    """Evaluate structures as they are."""
    from wyckflow.relax.evaluate import evaluate_structures

    if not isinstance(backend, QuotientBackend):
        raise ConfigurationError(
            f"{backend.name} only relaxes; structures are evaluated as they are with "
            "the backend 'chgnet-quotient'."
        )
    phases: dict[int, Phase] = {}
    known = backend.supported_atomic_numbers
    for place, entry in enumerate(entries):
        if entry.structure is None or entry.gene is None:
            reason = entry.refusal or "it is a gene without a structure"
            phases[place] = _refuse(entry, reason)
        elif problem := find_unsupported_elements(entry.gene.elements, known):
            phases[place] = _without_energy(entry, problem.outcome, problem.reason)
    places = [place for place in range(len(entries)) if place not in phases]
    able = [entries[place] for place in places]
    structures = [entry.structure for entry in able if entry.structure is not None]
    predictions = evaluate_structures(structures, backend.potential)
    for place, entry, found in zip(places, able, predictions, strict=True):
        if math.isfinite(found.energy_per_atom):
            composition = dict(entry.gene.composition) if entry.gene else {}
            phases[place] = Phase(
                id=entry.name,
                source=file_of(entry),
                composition=composition,
                energy_per_atom=found.energy_per_atom,
                outcome=EVALUATED,
            )
        else:
            reason = "the network answered with no number"
            phases[place] = _without_energy(entry, Outcome.NON_FINITE, reason)
    return [phases[place] for place in range(len(entries))]


def _refuse(entry: Entry, reason: str) -> Phase:
    return Phase(entry.name, file_of(entry), {}, None, REFUSED, reason)


def _without_energy(entry: Entry, outcome: Outcome, reason: str) -> Phase:
    composition = dict(entry.gene.composition) if entry.gene else {}
    return Phase(entry.name, file_of(entry), composition, None, str(outcome), reason)


def file_of(entry: Entry) -> str:
    """Return the file of an entry without the row.

    Parameters
    ----------
    entry
        Any.
    """
    return entry.source.rpartition(":")[0] or entry.source


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
