"""The jobs behind one candidate: which, where, when, and what it cost of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wyckflow.store.campaign.costs import PIPELINE, SEEN
from wyckflow.store.connect import OUTPUTS

if TYPE_CHECKING:
    from pymongo.database import Database as MongoDatabase

    from wyckflow.schemas.candidate import CandidateDoc

_EVALUATIONS: Final = "n_evaluations_of_gene"


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job that spoke of a candidate.

    Attributes
    ----------
    uuid
        Id of the job.
    name
        Its name, which is that of the stage.
    fw_id
        Its number in FireWorks; None if it ran without.
    host
        Machine that ran it.
    ended_at
        When it ended, as jobflow noted it.
    n_items
        Genes or crystals that it looked at; None where they are not counted.
    wall_s, cpu_s
        Elapsed and processor seconds that this candidate took of it: by evaluations for
        a relaxation, in equal parts for others. None where the job does not tell.
    job_cpu_s
        Processor seconds of the whole job.
    """

    uuid: str
    name: str
    fw_id: int | None = None
    host: str = ""
    ended_at: str = ""
    n_items: int | None = None
    wall_s: float | None = None
    cpu_s: float | None = None
    job_cpu_s: float | None = None


def read_jobs(mongo: MongoDatabase[Any], candidate: CandidateDoc) -> list[JobRecord]:
    """Return the jobs whose outputs a candidate was joined from, in order of time.

    Parameters
    ----------
    mongo
        The database.
    candidate
        Which.
    """
    own = {
        "$filter": {
            "input": {"$ifNull": ["$output.results", []]},
            "cond": {"$eq": ["$$this.gene_id", candidate.gene_id]},
        }
    }
    fields: dict[str, Any] = {
        "uuid": 1,
        "name": 1,
        "completed_at": 1,
        "fw_id": "$metadata.fw_id",
        "provenance": "$output.provenance",
        "all": {"$sum": f"$output.results.{_EVALUATIONS}"},
        "own": {"$sum": {"$map": {"input": own, "in": f"$$this.{_EVALUATIONS}"}}},
        "n_items": {
            "$switch": {
                "branches": [
                    {"case": {"$eq": ["$name", name]}, "then": then}
                    for name, then in SEEN.items()
                ],
                "default": None,
            }
        },
    }
    chosen = {"uuid": {"$in": candidate.job_uuids}}
    steps = ({"$match": chosen}, {"$sort": {"_id": 1}}, {"$project": fields})
    pipeline: list[dict[str, Any]] = [*steps]
    found = [_describe(item) for item in mongo[OUTPUTS].aggregate(pipeline)]
    order = {name: place for place, name in enumerate(PIPELINE)}
    return sorted(found, key=lambda item: order.get(item.name, len(order)))


def _describe(item: dict[str, Any]) -> JobRecord:
    """Return a job with what one candidate took of it."""
    made_by = item.get("provenance") or {}
    n_items = item["n_items"]
    share = 1.0
    if item["all"] and item["own"]:
        share = item["own"] / item["all"]
    elif n_items:
        share = 1.0 / n_items
    wall_s, cpu_s = made_by.get("wall_s"), made_by.get("cpu_s")
    return JobRecord(
        uuid=item["uuid"],
        name=item["name"],
        fw_id=item.get("fw_id"),
        host=made_by.get("host", ""),
        ended_at=str(item.get("completed_at") or ""),
        n_items=n_items,
        wall_s=None if wall_s is None else wall_s * share,
        cpu_s=None if cpu_s is None else cpu_s * share,
        job_cpu_s=cpu_s,
    )
