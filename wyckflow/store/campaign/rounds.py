"""Campaigns sent round by round to the workers, safe to send again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pymongo.errors import PyMongoError

from wyckflow.store.campaign.register import PLAN_JOB, add_round, register_campaign
from wyckflow.store.connect import OUTPUTS, explain
from wyckflow.store.models import model_reference
from wyckflow.store.submit import submit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobflow import Flow

    from wyckflow.schemas.campaign import CampaignDoc, CampaignSpec, RoundDoc
    from wyckflow.store.connect import Database

_FIRST_JOB: Final = "gene generate"
_UUID: Final = "spec._tasks.0.job.uuid"


@dataclass(frozen=True)
class Sent:
    """A round of a campaign that is in the database now.

    Attributes
    ----------
    campaign
        The campaign, this round included.
    round
        The round.
    fw_ids
        Jobs that were added; none if the round was there already.
    """

    campaign: CampaignDoc
    round: RoundDoc
    fw_ids: tuple[int, ...]


def submit_campaign(
    database: Database,
    spec: CampaignSpec,
    *,
    overrides: Mapping[str, str] | None = None,
    priority: int = 0,
) -> Sent:
    """Register a campaign and send its first round; harmless to repeat.

    A campaign that is there already, with the same content, keeps its rounds and gets
    the budget that is asked for now.

    Parameters
    ----------
    database
        Where.
    spec
        What to do.
    overrides, priority
        As in :func:`wyckflow.store.submit.submit`.

    Raises
    ------
    CampaignError
        If another campaign has this name, or an option is impossible.
    ModelError
        If there is no such model, or it does not predict what the target asks for.
    TargetError
        If the model knows nothing within the target.
    DatabaseError
        If the database does not take it.
    """
    campaign = register_campaign(database, spec)
    return send_round(
        database, campaign, campaign.rounds[0], overrides=overrides, priority=priority
    )


def extend_campaign(
    database: Database,
    name: str,
    n_genes: int,
    *,
    model: str | None = None,
    overrides: Mapping[str, str] | None = None,
    priority: int = 0,
) -> Sent:
    """Add a round with other random numbers, and another model if wanted, and send it.

    Parameters
    ----------
    database
        Where.
    name
        Of a campaign that was submitted.
    n_genes
        Genes of the round.
    model
        As in a campaign's file; that of the last round if None.
    overrides, priority
        As in :func:`wyckflow.store.submit.submit`.

    Raises
    ------
    CampaignError
        If there is no such campaign, it was cancelled, or its budget is used up.
    ModelError, TargetError, DatabaseError
        As in :func:`submit_campaign`.
    """
    campaign = add_round(database, name, n_genes, model=model)
    return send_round(
        database, campaign, campaign.rounds[-1], overrides=overrides, priority=priority
    )


def flow_of_round(campaign: CampaignDoc, item: RoundDoc) -> Flow:
    """Return the flow of a round, the same each time.

    Parameters
    ----------
    campaign
        A registered campaign.
    item
        One of its rounds.
    """
    from wyckflow.flows.campaign import CampaignFlowMaker, identity_of, plan_reference

    maker = CampaignFlowMaker.from_spec(
        campaign.spec.model_copy(update={"n_genes": item.n_genes}),
        number=item.number,
        max_genes=item.max_relaxations,
    )
    return maker.make(
        model_reference(item.model_id),
        identity_of(campaign.name, item.number),
        earlier=[plan_reference(campaign.name, number) for number in item.leaves_out],
    )


def send_round(
    database: Database,
    campaign: CampaignDoc,
    item: RoundDoc,
    *,
    overrides: Mapping[str, str] | None = None,
    priority: int = 0,
) -> Sent:
    """Add the workflow of a round, unless it is there.

    Parameters
    ----------
    database
        Where.
    campaign
        A registered campaign.
    item
        One of its rounds.
    overrides, priority
        As in :func:`wyckflow.store.submit.submit`.
    """
    if is_sent(database, campaign, item) or has_run(database, campaign, item):
        return Sent(campaign, item, ())
    fw_ids = submit(
        flow_of_round(campaign, item),
        campaign=campaign.name,
        database=database,
        overrides=overrides,
        priority=priority,
    )
    return Sent(campaign, item, tuple(fw_ids))


def has_run(database: Database, campaign: CampaignDoc, item: RoundDoc) -> bool:
    """Return whether every job of a round has an output, wherever it ran.

    So is a round that ran without workers, or came from another database.

    Parameters
    ----------
    database
        Where.
    campaign
        A registered campaign.
    item
        One of its rounds.
    """
    from wyckflow.flows.campaign import uuid_of_stage

    uuid = uuid_of_stage(campaign.name, item.number, PLAN_JOB)
    with database.client() as client:
        outputs = client[database.name][OUTPUTS]
        try:
            plan = outputs.find_one({"uuid": uuid}, {"output.shards.job_uuids": 1})
            if plan is None:
                return False
            shards = plan["output"]["shards"]
            planned = [uuid for shard in shards for uuid in shard["job_uuids"]]
            done = outputs.distinct("uuid", {"uuid": {"$in": planned}})
        except PyMongoError as error:
            raise explain(error, database) from error
    return set(planned) <= set(done)


def is_sent(database: Database, campaign: CampaignDoc, item: RoundDoc) -> bool:
    """Return whether the LaunchPad holds a round.

    Parameters
    ----------
    database
        Where.
    campaign
        A registered campaign.
    item
        One of its rounds.
    """
    from wyckflow.flows.campaign import uuid_of_stage

    uuid = uuid_of_stage(campaign.name, item.number, _FIRST_JOB)
    query = {"spec.campaign": campaign.name, _UUID: uuid}
    with database.client() as client:
        try:
            found = client[database.name]["fireworks"].find_one(query, {"_id": 1})
        except PyMongoError as error:
            raise explain(error, database) from error
    return found is not None
