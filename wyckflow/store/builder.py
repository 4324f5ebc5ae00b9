"""Join the outputs of jobs into candidates: incremental, and harmless to repeat.

Jobs know nothing of candidates, so this collection can be dropped and built again at
any time, and comes out the same. The shape is that of a builder in maggma: find what is
new, turn each item into changes without touching the database, write the changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from monty.json import MontyDecoder
from pymongo import ReplaceOne, UpdateOne
from pymongo.errors import PyMongoError

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.store.connect import OUTPUTS, explain
from wyckflow.store.joins import JOINS
from wyckflow.store.rerank import refresh_campaign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobflow import JobStore
    from pymongo.database import Database as MongoDatabase

    from wyckflow.store.connect import Database

CANDIDATES = "candidates"
BUILT = "built"
"""Which outputs, in which state, are part of the candidates already."""


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
    parts = {part.gene_id: part for part in join.parts(document)}
    chosen = {"campaign": campaign, "gene_id": {"$in": list(parts)}}
    stored = {item["gene_id"]: item for item in mongo[CANDIDATES].find(chosen)}
    changes = []
    for gene_id, part in parts.items():
        before = stored.get(gene_id)
        candidate = (
            CandidateDoc.model_validate({k: v for k, v in before.items() if k != "_id"})
            if before
            else new_candidate(campaign, WyckoffGene.from_text(part.gene))
        )
        after = part.apply(candidate, stage=join.job_name, job_uuid=output["uuid"])
        after.updated_at = datetime.now(UTC)
        identity = {"campaign": campaign, "gene_id": gene_id}
        changes.append(ReplaceOne(identity, after.model_dump(), upsert=True))
    if changes:
        mongo[CANDIDATES].bulk_write(changes, ordered=False)
    mark = {"campaign": campaign, "completed_at": output["completed_at"]}
    mongo[BUILT].bulk_write(
        [UpdateOne({"_id": _key(output)}, {"$set": mark}, upsert=True)]
    )
    return len(changes)


def new_candidate(campaign: str, gene: WyckoffGene) -> CandidateDoc:
    """Return a candidate of which only its gene is known.

    Parameters
    ----------
    campaign
        Where it was found.
    gene
        Its gene.
    """
    return CandidateDoc(
        campaign=campaign,
        gene_id=gene.gene_id,
        gene=gene.to_text(),
        formula_pretty=gene.formula,
        chemsys=gene.chemsys,
        elements=sorted(gene.composition),
        n_elements=len(gene.composition),
        nsites=gene.n_sites,
        space_group_number=gene.space_group_number,
        crystal_system=gene.crystal_system.value,
    )


def _key(output: dict[str, Any]) -> str:
    """Return what identifies an output."""
    return f"{output['uuid']}:{output['index']}"
