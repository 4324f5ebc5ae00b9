"""The jobs that compute a reference set on the scale of a potential, and join it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobflow import Maker

from wyckflow.errors import ReferenceDataError
from wyckflow.makers._job import wyckflow_job
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.reference import (
    OutcomeCount,
    ReferenceBatchDoc,
    ReferenceInput,
    ReferenceSettings,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wyckflow.makers._phases import Phase, PhaseOptions


@dataclass
class HullReferenceMaker(Maker):
    """Compute the energies of known phases, so that others can be judged by them.

    Structures are relaxed under their symmetry, or only evaluated. What gives no energy
    is counted and left out. A job that was killed goes on where it was, see the setting
    ``scratch``.

    Attributes
    ----------
    name
        Name of the job.
    reference_name
        Name of the set, for people.
    evaluate_only
        Take every structure as it is: a tenth of the cost, energies a little too high.
    max_freedom
        Take those structures as they are that have more free parameters of cell and
        coordinates; no such limit if None.
    fmax
        Converged if no atom feels a larger force, in eV/A.
    max_stress_gpa
        Converged if no component of the stress is larger, in GPa.
    max_steps
        Steps after which a relaxation is stopped; its energy counts all the same.
    symprec
        Tolerance in A at which the symmetry of a structure is found.
    with_elements
        Whether the packaged structures of all elements are added. Without the elements
        of a chemical system nothing in it can be judged.
    weights
        CHGNet's weights: ``0.3.0``, ``0.2.0`` or ``r2scan``. They set the energy scale.
    """

    name: str = "hull reference"
    reference_name: str = "reference"
    evaluate_only: bool = False
    max_freedom: int | None = None
    fmax: float = 0.01
    max_stress_gpa: float = 0.1
    max_steps: int = 300
    symprec: float = 0.01
    with_elements: bool = True
    weights: str = "0.3.0"

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker."""
        from wyckflow.relax.potential import check_weights

        check_weights(self.weights)
        self._options()

    @wyckflow_job(ReferenceBatchDoc)
    def make(
        self, files: Sequence[str], shard: int = 0, n_shards: int = 1
    ) -> ReferenceBatchDoc:
        """Compute one shard of the phases in some files.

        Parameters
        ----------
        files
            Paths that the worker can read: datasets, or tables of structures. The
            elements are shared among the shards like everything else.
        shard
            Which part: every ``n_shards``-th structure from this place on.
        n_shards
            How many parts there are.
        """
        from wyckflow.makers._journal import Journal
        from wyckflow.makers._phase_sources import open_phase_source
        from wyckflow.makers._phases import (
            collect_phases,
            describe_origin,
            describe_work,
            element_entries,
        )
        from wyckflow.relax.backends import load_backend
        from wyckflow.settings import WyckflowSettings

        if not 0 <= shard < n_shards:
            raise ValueError(
                f"{shard=} of {n_shards=} does not exist; shards count from 0."
            )
        sources = [open_phase_source(Path(file)) for file in files]
        inputs = [
            ReferenceInput(name=item.name, sha256=item.sha256, n_rows=item.n_rows)
            for item in sources
        ]
        here = WyckflowSettings.load()
        backend = load_backend(
            weights=self.weights, device=here.device, threads=here.threads
        )
        elements = element_entries() if self.with_elements else []
        streams = [item.entries(symprec=self.symprec) for item in sources]
        mine = islice(chain(elements, *streams), shard, None, n_shards)
        work = describe_work(self._settings(), inputs, backend.identity) | {
            "shard": [shard, n_shards]
        }
        journal = Journal.of_work(here.scratch_folder(), work)
        phases = list(journal.run(mine, backend, self._options()))
        reference = collect_phases(
            phases,
            name=self.reference_name,
            scale=backend.energy_scale,
            date=datetime.now(UTC).date().isoformat(),
            provenance=describe_origin(self._settings(), inputs, backend.identity),
        )
        document = ReferenceBatchDoc(
            provenance=Provenance.collect(
                model=backend.identity, device=backend.device
            ),
            name=reference.name,
            energy_scale=backend.energy_scale,
            version=reference.version,
            settings=self._settings(),
            inputs=inputs,
            shard=shard,
            n_shards=n_shards,
            n_entries=len(reference),
            n_without_energy=sum(item.energy_per_atom is None for item in phases),
            outcomes=count_outcomes(phases),
            blob=reference.to_bytes(),
        )
        journal.remove()
        return document

    def _options(self) -> PhaseOptions:
        """Return what is done with every structure."""
        from wyckflow.makers._phases import PhaseOptions
        from wyckflow.relax.contract import RelaxOptions

        relaxation = RelaxOptions(
            fmax=self.fmax,
            max_stress_gpa=self.max_stress_gpa,
            max_steps=self.max_steps,
            symprec=self.symprec,
        )
        return PhaseOptions(
            relaxation,
            evaluate_only=self.evaluate_only,
            max_freedom=self.max_freedom,
        )

    def _settings(self) -> ReferenceSettings:
        """Return what decided the numbers, for the document."""
        names = ReferenceSettings.model_fields
        return ReferenceSettings(**{name: getattr(self, name) for name in names})


@dataclass
class CollectReferenceMaker(Maker):
    """Join the shards of a reference set.

    Attributes
    ----------
    name
        Name of the job.
    max_failed_fraction
        Share of structures that may be without an energy; above it the set is refused,
        since a hull with holes calls too much stable.
    """

    name: str = "hull collect"
    max_failed_fraction: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        if not 0 <= self.max_failed_fraction <= 1:
            raise ValueError(f"{self.max_failed_fraction=} must be between 0 and 1.")

    @wyckflow_job(ReferenceBatchDoc)
    def make(self, shards: Sequence[Any]) -> ReferenceBatchDoc:
        """Join shards that were computed alike.

        Parameters
        ----------
        shards
            Documents of `HullReferenceMaker`, all of one set.

        Raises
        ------
        ReferenceDataError
            If they are not all shards of one set, or too many structures failed.
        """
        from wyckflow.makers._phases import keep_lowest_elements
        from wyckflow.thermo.reference import ReferenceSet

        documents = [read_document(shard) for shard in shards]
        first = documents[0] if documents else None
        if first is None or any(not _is_alike(first, item) for item in documents):
            raise ReferenceDataError(
                f"{len(documents)} shards came that are not all of one set: files, "
                "options, network or number of shards differ. Run them again."
            )
        if sorted(item.shard for item in documents) != list(range(first.n_shards)):
            raise ReferenceDataError(
                f"The shards {[item.shard for item in documents]} came, and "
                f"{first.n_shards} were computed; give each once."
            )
        sets = [ReferenceSet.from_bytes(item.blob) for item in documents]
        merged = keep_lowest_elements(reduce(lambda a, b: a.merge(b), sets))
        counts: Counter[str] = Counter()
        for item in documents:
            counts.update({count.outcome: count.n for count in item.outcomes})
        n_failed = sum(item.n_without_energy for item in documents)
        if n_failed > self.max_failed_fraction * max(counts.total(), 1):
            raise ReferenceDataError(
                f"{n_failed} of {counts.total()} structures gave no energy "
                f"({dict(counts)}), above {self.max_failed_fraction:.0%}; look at the "
                "files, or raise max_failed_fraction."
            )
        provenance = Provenance.collect(model=first.provenance.model)
        return first.model_copy(
            update={
                "provenance": provenance,
                "version": merged.version,
                "shard": 0,
                "n_shards": 1,
                "n_entries": len(merged),
                "n_without_energy": n_failed,
                "outcomes": _list_counts(counts),
                "blob": merged.to_bytes(),
            }
        )


def read_document(stored: Any) -> ReferenceBatchDoc:
    """Return a document as it came through a store.

    Parameters
    ----------
    stored
        The document, or its fields.
    """
    if isinstance(stored, ReferenceBatchDoc):
        return stored
    fields = {name: value for name, value in stored.items() if name[0] != "@"}
    return ReferenceBatchDoc.model_validate(fields)


def count_outcomes(phases: Iterable[Phase]) -> list[OutcomeCount]:
    """Return how many phases came to each end, the most frequent first.

    Parameters
    ----------
    phases
        Any.
    """
    return _list_counts(Counter(phase.outcome for phase in phases))


def _list_counts(counts: Counter[str]) -> list[OutcomeCount]:
    return [OutcomeCount(outcome=name, n=n) for name, n in counts.most_common()]


def _is_alike(one: ReferenceBatchDoc, other: ReferenceBatchDoc) -> bool:
    """Whether two shards can be of one set."""
    names = ("energy_scale", "settings", "inputs", "n_shards")
    return one.provenance.model == other.provenance.model and all(
        getattr(one, name) == getattr(other, name) for name in names
    )
