"""Join the outputs of jobs into candidates: incremental, and harmless to repeat.

Jobs know nothing of candidates, so this collection can be dropped and built again at
any time, and comes out the same. The shape is that of a builder in maggma: find what is
new, turn each item into changes without touching the database, write the changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from monty.json import MontyDecoder
from pymongo import ReplaceOne, UpdateOne
from pymongo.errors import PyMongoError

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.store.candidates.joins import JOINS
from wyckflow.store.connect import OUTPUTS, explain
from wyckflow.store.rerank import refresh_campaign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobflow import JobStore
    from pymongo.database import Database as MongoDatabase

    from wyckflow.store.candidates.joins import Part
    from wyckflow.store.connect import Database

CANDIDATES = "candidates"
BUILT = "built"
"""Which outputs, in which state, are part of the candidates already."""

GENES_AT_ONCE: Final = 1000
"""An output may speak of 100,000 genes, whose candidates would take a gigabyte."""

_BULK: Final = frozenset({"structure"})
"""Fields of several kB, which are written but never read here."""

_UNREAD: Final = object()


@dataclass(frozen=True)
class BuildReport:
    """What one run of the builder did."""

    n_outputs: int
    n_candidates: int
    n_ranked_again: int = 0


def build_candidates(
    database: Database, *, campaign: str, from_scratch: bool = False
) -> BuildReport:
    """Bring the candidates of a campaign up to date with the outputs of its jobs.

    Parameters
    ----------
    database
        Where.
    campaign
        Which.
    from_scratch
        Forget the campaign's candidates first and join every output again.
    """
    store = database.job_store()
    store.connect()
    with database.client() as client:
        mongo = client[database.name]
        if from_scratch:
            mongo[CANDIDATES].delete_many({"campaign": campaign})
            mongo[BUILT].delete_many({"campaign": campaign})
        n_outputs = n_candidates = 0
        for output in _new_outputs(mongo, campaign):
            n_candidates += _join(mongo, store, campaign, output)
            n_outputs += 1
    store.close()
    # What was joined may be older than the phases that the campaign has found since.
    n_ranked_again = refresh_campaign(database, campaign)
    return BuildReport(n_outputs, n_candidates, n_ranked_again)


def list_campaigns(database: Database) -> list[str]:
    """Return the campaigns that have outputs, by name.

    Parameters
    ----------
    database
        Where.

    Raises
    ------
    DatabaseError
        If the database does not answer.
    """
    with database.client() as client:
        try:
            found = client[database.name][OUTPUTS].distinct("metadata.campaign")
        except PyMongoError as error:
            raise explain(error, database) from error
    return sorted(str(name) for name in found if name)


def _new_outputs(mongo: MongoDatabase[Any], campaign: str) -> Iterator[dict[str, Any]]:
    """Yield the outputs that were never joined, or changed since."""
    known = {
        item["_id"]: item["completed_at"]
        for item in mongo[BUILT].find({"campaign": campaign})
    }
    fields = {"uuid": 1, "index": 1, "name": 1, "completed_at": 1}
    for join in JOINS:  # in the order of the pipeline
        query = {"metadata.campaign": campaign, "name": {"$regex": f"^{join.job_name}"}}
        for output in mongo[OUTPUTS].find(query, fields).sort("_id"):
            if known.get(_key(output)) != output["completed_at"]:
                yield output


def _join(
    mongo: MongoDatabase[Any], store: JobStore, campaign: str, output: dict[str, Any]
) -> int:
    """Write what one output says about its genes; return how many."""
    join = next(join for join in JOINS if output["name"].startswith(join.job_name))
    stored_output = store.get_output(output["uuid"], which=output["index"], load=True)
    document = MontyDecoder().process_decoded(stored_output)
    writer = _Writer(mongo, campaign, join.job_name, output["uuid"])
    parts = join.parts(document)
    n_genes = 0
    while some := list(islice(parts, GENES_AT_ONCE)):
        n_genes += writer.write(some)
    mark = {"campaign": campaign, "completed_at": output["completed_at"]}
    mongo[BUILT].bulk_write(
        [UpdateOne({"_id": _key(output)}, {"$set": mark}, upsert=True)]
    )
    return n_genes


class _Writer:
    """Puts what one output says into the candidates, some genes at a time."""

    def __init__(
        self, mongo: MongoDatabase[Any], campaign: str, stage: str, job_uuid: str
    ) -> None:
        self.collection = mongo[CANDIDATES]
        self.campaign = campaign
        self.stage = stage
        self.job_uuid = job_uuid
        self.provenance = Provenance.collect()

    def write(self, parts: list[Part]) -> int:
        """Write the candidates of some genes; return how many there are."""
        by_gene = {part.gene_id: part for part in parts}
        chosen = {"campaign": self.campaign, "gene_id": {"$in": list(by_gene)}}
        found = self.collection.find(chosen, dict.fromkeys(_BULK, 0))
        stored = {item["gene_id"]: item for item in found}
        changes = [
            self._change(stored.get(gene_id), part) for gene_id, part in by_gene.items()
        ]
        if changes:
            self.collection.bulk_write(changes, ordered=False)
        return len(changes)

    def _change(
        self, before: dict[str, Any] | None, part: Part
    ) -> ReplaceOne[Any] | UpdateOne:
        """Return what makes a candidate new, or changes what is new of it."""
        if before is None:
            candidate = new_candidate(
                self.campaign,
                WyckoffGene.from_text(part.gene),
                gene_id=part.gene_id,
                provenance=self.provenance,
            )
        else:
            del before["_id"]
            candidate = CandidateDoc.model_validate(before)
        after = part.apply(candidate, stage=self.stage, job_uuid=self.job_uuid)
        after.updated_at = datetime.now(UTC)
        identity = {"campaign": self.campaign, "gene_id": part.gene_id}
        fields = after.model_dump()
        if before is None:
            return ReplaceOne(identity, fields, upsert=True)
        changed = {
            name: value
            for name, value in fields.items()
            if name in part.fields or before.get(name, _UNREAD) != value
        }
        for name in _BULK:
            if fields[name] != part.fields.get(name, _UNREAD):  # not of this output
                changed.pop(name, None)
        return UpdateOne(identity, {"$set": changed})


def new_candidate(
    campaign: str,
    gene: WyckoffGene,
    *,
    gene_id: str | None = None,
    provenance: Provenance | None = None,
) -> CandidateDoc:
    """Return a candidate of which only its gene is known.

    Parameters
    ----------
    campaign
        Where it was found.
    gene
        Its gene.
    gene_id, provenance
        Where they are known: finding them for each of many takes most of the time.
    """
    composition = gene.composition
    return CandidateDoc(
        provenance=provenance or Provenance.collect(),
        campaign=campaign,
        gene_id=gene_id or gene.gene_id,
        gene=gene.to_text(),
        formula_pretty=gene.formula,
        chemsys=gene.chemsys,
        elements=sorted(composition),
        n_elements=len(composition),
        nsites=gene.n_sites,
        space_group_number=gene.space_group_number,
        crystal_system=gene.crystal_system.value,
    )


def _key(output: dict[str, Any]) -> str:
    """Return what identifies an output."""
    return f"{output['uuid']}:{output['index']}"
