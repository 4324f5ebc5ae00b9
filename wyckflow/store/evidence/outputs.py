"""Outputs of jobs as evidence: what a report shows beside a candidate's document."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from monty.json import MontyDecoder
from pymongo.errors import PyMongoError

from wyckflow.crystal.elements import SYMBOLS
from wyckflow.crystal.keys import LETTER_BITS, gene_ids, unpack_genes
from wyckflow.errors import BandsError, DocumentError
from wyckflow.makers._identity import job_uuid
from wyckflow.schemas.report import (
    ElectronicEvidence,
    Evidence,
    GeneSet,
    PhononEvidence,
)
from wyckflow.store.connect import OUTPUTS, explain
from wyckflow.store.evidence.sample import Sampler
from wyckflow.store.gate.approvals import identity_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jobflow import JobStore

    from wyckflow.electronic.bands import Bands
    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.generation import GenerationDoc
    from wyckflow.store.connect import Database
    from wyckflow.store.evidence.sample import GeneSample

    Parts = dict[str, dict[str, Any]]

_GENES_AT_ONCE: Final = 5000


def read_evidence(
    database: Database,
    campaign: str,
    candidates: Sequence[CandidateDoc],
    notes: list[str],
) -> dict[str, Evidence]:
    """Return what jobs say of candidates beyond their documents, by gene id.

    Parameters
    ----------
    database
        Where.
    campaign
        Which.
    candidates
        Of whom.
    notes
        Sentences are added on what could not be read.
    """
    wanted = {item.gene_id for item in candidates}
    parts: Parts = defaultdict(dict)
    with _Outputs(database, campaign) as outputs:
        for document in outputs.load("gene generate"):
            _add_deviations(document, wanted, parts)
        for document in outputs.load("chgnet relax"):
            _add_relaxations(document, wanted, parts)
        for document in outputs.load("chgnet phonon"):
            _add_phonons(document, wanted, parts)
        for document in outputs.load("electronic structure"):
            if document.gene_id in wanted:
                bands = outputs.find_bands(document.gene_id, notes)
                evidence = ElectronicEvidence(document, bands)
                parts[document.gene_id]["electrons"] = evidence
    return {gene_id: Evidence(**found) for gene_id, found in parts.items()}


def read_generated(
    database: Database, campaign: str
) -> tuple[GeneSet, GeneSample] | None:
    """Return all genes that were generated for a campaign; None if there are none.

    Parameters
    ----------
    database
        Where.
    campaign
        Which.
    """
    with _Outputs(database, campaign) as outputs:
        return describe_genes(outputs.load("gene generate"), label="for the target")


def describe_genes(
    documents: Iterable[GenerationDoc], *, label: str
) -> tuple[GeneSet, GeneSample] | None:
    """Return the genes of documents as columns, and a sample; None if there are none.

    Parameters
    ----------
    documents
        Of one origin.
    label
        What to call them.
    """
    sampler = Sampler()
    groups: list[np.ndarray] = []
    columns: dict[str, list[np.ndarray]] = defaultdict(list)
    elements: Counter[str] = Counter()
    for document in documents:
        for arrays in document.iter_rows(_GENES_AT_ONCE):
            sampler.add(arrays)
            groups.append(arrays["space_groups"])
            elements.update(_count_elements(arrays["codes"]))
            for name in document.properties:
                columns[name].append(arrays[name])
    n_genes = sum(map(len, groups))
    if not n_genes:
        return None
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    genes = GeneSet(label, n_genes, whole, np.concatenate(groups), elements)
    return genes, sampler.take()


def _count_elements(codes: np.ndarray) -> Counter[str]:
    """Return in how many genes each element is."""
    counts: Counter[str] = Counter()
    for row in (codes.astype(np.int64) >> LETTER_BITS).tolist():
        counts.update(SYMBOLS[number - 1] for number in set(row) if number)
    return counts


# --- parts ----------------------------------------------------------------------------


def _add_deviations(document: GenerationDoc, wanted: set[str], parts: Parts) -> None:
    """Add how sure the model was of each gene; the first round counts."""
    for arrays in document.iter_rows(_GENES_AT_ONCE):
        ids = gene_ids(unpack_genes(arrays["space_groups"], arrays["codes"]))
        for place, gene_id in enumerate(ids):
            if gene_id in wanted and "deviations" not in parts[gene_id]:
                parts[gene_id]["deviations"] = {
                    name: float(arrays[f"deviation {name}"][place])
                    for name in document.properties
                    if f"deviation {name}" in arrays
                }


def _add_relaxations(document: Any, wanted: set[str], parts: Parts) -> None:
    """Add how each gene was relaxed, and its part of the shard's time."""
    all_of = sum(item.n_evaluations_of_gene for item in document.results)
    seconds = document.provenance.cpu_s
    trials = document.list_trials()
    for item in document.results:
        if item.gene_id not in wanted:
            continue
        parts[item.gene_id]["relaxation"] = item
        parts[item.gene_id]["n_trials"] = len(trials[item.gene_id])
        if seconds is not None and all_of:
            share = item.n_evaluations_of_gene / all_of
            parts[item.gene_id]["relaxation_cpu_s"] = seconds * share


def _add_phonons(document: Any, wanted: set[str], parts: Parts) -> None:
    """Add the phonons of each crystal with what can be drawn of them."""
    for item in document.results:
        if item.gene_id not in wanted:
            continue
        try:
            spectrum = document.spectrum(item.name)
        except DocumentError:
            spectrum = None
        evidence = PhononEvidence(item, document.settings, spectrum)
        parts[item.gene_id]["phonons"] = evidence


class _Outputs:
    """The outputs of a campaign, read one after the other."""

    def __init__(self, database: Database, campaign: str) -> None:
        self.database = database
        self.campaign = campaign
        self.store: JobStore = database.job_store()

    def __enter__(self) -> Self:
        self.store.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def load(self, job: str) -> Iterator[Any]:
        """Yield the documents of one kind of job, the oldest first."""
        query = {"metadata.campaign": self.campaign, "name": {"$regex": f"^{job}"}}
        fields = {"uuid": 1, "index": 1}
        with self.database.client() as client:
            outputs = client[self.database.name][OUTPUTS]
            try:
                found = list(outputs.find(query, fields).sort("_id"))
            except PyMongoError as error:
                raise explain(error, self.database) from error
        for item in found:
            output = self.store.get_output(item["uuid"], which=item["index"], load=True)
            yield MontyDecoder().process_decoded(output)

    def find_bands(self, gene_id: str, notes: list[str]) -> Bands | None:
        """Return the bands that VASP left of a crystal; a note says why not."""
        from wyckflow.makers.electronic import take_bands

        uuid = job_uuid(identity_of(self.campaign, gene_id), "vasp bands")
        try:
            run = self.store.get_output(uuid, load=True)
            bands = run["vasp_objects"]["bandstructure"]
            return take_bands(bands, run["structure"])
        except (KeyError, TypeError, ValueError, BandsError) as error:
            notes.append(
                f"The bands of {gene_id} cannot be drawn: its run left none that can "
                f"be read ({type(error).__name__})."
            )
            return None
