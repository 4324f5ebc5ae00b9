"""What a campaign has cost, and what happens when its budget is used up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import PyMongoError

from wyckflow.resources import Category
from wyckflow.schemas.campaign import CampaignState
from wyckflow.store.campaign.control import Controlled, pause_campaign
from wyckflow.store.campaign.costs import JobCost, read_costs
from wyckflow.store.campaign.funnel import outputs_of
from wyckflow.store.campaign.record import mark_campaign, read_campaign
from wyckflow.store.campaign.register import PLAN_JOB
from wyckflow.store.campaign.rounds import is_sent
from wyckflow.store.candidates.builder import BuildReport, build_candidates
from wyckflow.store.connect import explain
from wyckflow.store.gate.approvals import APPROVALS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymongo.database import Database as MongoDatabase

    from wyckflow.schemas.campaign import Budget, CampaignDoc
    from wyckflow.store.connect import Database

_S_PER_HOUR: Final = 3600


@dataclass(frozen=True)
class Usage:
    """What the finished jobs of a campaign have cost.

    Attributes
    ----------
    n_planned
        Genes in the shards of all rounds.
    n_relaxed
        Of these, how many were relaxed.
    cpu_hours
        Processor hours of finished jobs that run on cpu workers.
    gpu_hours
        Hours of finished jobs that run on gpu workers.
    rest_hours
        Estimated processor hours of the relaxations to come; by what the finished
        shards took, once there are any.
    n_vasp_jobs
        VASP jobs of the crystals that were let through, whether they ran yet or not.
    jobs
        What the finished jobs took, by name, in the order of the pipeline.
    """

    n_planned: int = 0
    n_relaxed: int = 0
    cpu_hours: float = 0.0
    gpu_hours: float = 0.0
    rest_hours: float = 0.0
    n_vasp_jobs: int = 0
    jobs: Mapping[str, JobCost] = field(default_factory=dict)

    def exceeded(self, budget: Budget) -> str:
        """Say in words which hours of a budget are used up; empty if none.

        Relaxations are not looked at: a plan never holds more than the budget leaves.

        Parameters
        ----------
        budget
            What is allowed.
        """
        pairs = (
            ("cpu", self.cpu_hours, budget.cpu_hours),
            ("gpu", self.gpu_hours, budget.gpu_hours),
        )
        return ", ".join(
            f"{used:.3g} of {limit:g} {kind} hours are used"
            for kind, used, limit in pairs
            if limit is not None and used >= limit
        )


@dataclass(frozen=True)
class Advance:
    """What was done for a campaign.

    Attributes
    ----------
    built
        What the builder of candidates did.
    usage
        What the campaign has cost.
    held
        The jobs that were held, if the budget is used up.
    reason
        Why they were.
    """

    built: BuildReport
    usage: Usage
    held: Controlled | None = None
    reason: str = ""


def advance_campaign(
    database: Database, name: str, *, from_scratch: bool = False
) -> Advance:
    """Bring candidates up to date, and hold what the budget does not cover.

    Harmless to repeat, and worth it while workers run: a job that is created later
    than its campaign was held is held the next time.

    Parameters
    ----------
    database
        Where.
    name
        Of a campaign that was submitted.
    from_scratch
        Forget the campaign's candidates first and join every output again.

    Raises
    ------
    CampaignError
        If there is no such campaign.
    """
    campaign = read_campaign(database, name)
    built = build_candidates(database, campaign=name, from_scratch=from_scratch)
    usage = read_usage(database, name)
    held, reason = hold_beyond_budget(database, campaign, usage)
    return Advance(built, usage, held, reason)


def hold_beyond_budget(
    database: Database, campaign: CampaignDoc, usage: Usage
) -> tuple[Controlled | None, str]:
    """Hold the open jobs of a campaign whose hours are used up, and note why.

    Harmless to repeat: jobs that were created since are held as well.

    Parameters
    ----------
    database
        Where.
    campaign
        Which.
    usage
        What it has cost.

    Returns
    -------
    tuple
        The jobs that were held and the reason; None and nothing within the budget.
    """
    reason = usage.exceeded(campaign.spec.budget)
    if not reason or campaign.state is CampaignState.CANCELLED:
        return None, ""
    if not any(is_sent(database, campaign, item) for item in campaign.rounds):
        return None, ""  # what ran without workers has no job to hold
    held = pause_campaign(database, campaign.name)
    mark_campaign(database, campaign.name, CampaignState.PAUSED, reason=reason)
    return held, reason


def read_hours(database: Database, name: str) -> Usage:
    """Return the hours of the finished jobs of a campaign, and nothing else.

    Parameters
    ----------
    database
        Where.
    name
        Of the campaign.
    """
    with database.client() as client:
        try:
            jobs = read_costs(client[database.name], name)
        except PyMongoError as error:
            raise explain(error, database) from error
    return Usage(
        cpu_hours=_sum_hours(jobs, Category.CPU),
        gpu_hours=_sum_hours(jobs, Category.GPU),
        jobs=jobs,
    )


def read_usage(database: Database, name: str) -> Usage:
    """Sum what the finished jobs of a campaign took.

    Tries that failed or were given back leave no output and are not counted.

    Parameters
    ----------
    database
        Where.
    name
        Of the campaign.
    """
    with database.client() as client:
        mongo = client[database.name]
        try:
            jobs = read_costs(mongo, name)
            plans = outputs_of(mongo, name, PLAN_JOB, "n_planned", "shards")
            done = {
                item["uuid"]: item["output"]
                for item in outputs_of(
                    mongo, name, "chgnet relax", "provenance.cpu_s", "results.gene_id"
                )
            }
            return Usage(
                n_planned=sum(item["output"]["n_planned"] for item in plans),
                n_relaxed=sum(len(item["results"]) for item in done.values()),
                cpu_hours=_sum_hours(jobs, Category.CPU),
                gpu_hours=_sum_hours(jobs, Category.GPU),
                rest_hours=rest_hours(
                    [shard for item in plans for shard in item["output"]["shards"]],
                    {key: item["provenance"]["cpu_s"] for key, item in done.items()},
                ),
                n_vasp_jobs=_count_vasp_jobs(mongo, name),
                jobs=jobs,
            )
        except PyMongoError as error:
            raise explain(error, database) from error


# --- costs ----------------------------------------------------------------------------


def _sum_hours(jobs: Mapping[str, JobCost], category: Category) -> float:
    """Return the hours of one kind of worker."""
    return sum(item.hours for item in jobs.values() if item.category == category)


def _count_vasp_jobs(mongo: MongoDatabase[Any], name: str) -> int:
    """Return the VASP jobs that were approved."""
    group = {"_id": None, "n": {"$sum": "$n_vasp_jobs"}}
    pipeline: list[dict[str, Any]] = [{"$match": {"campaign": name}}, {"$group": group}]
    return sum(int(item["n"]) for item in mongo[APPROVALS].aggregate(pipeline))


def rest_hours(shards: list[dict[str, Any]], done: Mapping[str, float | None]) -> float:
    """Estimate the processor hours of the shards to come.

    Parameters
    ----------
    shards
        Of all plans, as documents.
    done
        Processor seconds of the finished relaxations, by the id of their job.
    """
    open_s = finished_s = took_s = 0.0
    for shard in shards:
        took = [done[uuid] or 0.0 for uuid in shard["job_uuids"] if uuid in done]
        if took:
            finished_s += shard["estimated_cpu_s"]
            took_s += sum(took)
        else:
            open_s += shard["estimated_cpu_s"]
    pace = took_s / finished_s if finished_s and took_s else 1.0
    return open_s * pace / _S_PER_HOUR
