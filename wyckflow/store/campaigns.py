"""Campaigns by name: registered once, sent round by round, safe to send again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import DuplicateKeyError, PyMongoError

from wyckflow.errors import CampaignError, ModelError, nearest_name
from wyckflow.schemas.campaign import CampaignDoc, CampaignState, RoundDoc
from wyckflow.store.campaign_file import BUNDLED
from wyckflow.store.connect import OUTPUTS, explain
from wyckflow.store.models import fetch_model, model_reference, register_model
from wyckflow.store.submit import submit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobflow import Flow

    from wyckflow.schemas.campaign import CampaignSpec
    from wyckflow.schemas.model import ModelDoc
    from wyckflow.store.connect import Database

CAMPAIGNS: Final = "campaigns"
PLAN_JOB: Final = "campaign plan"
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


def read_campaign(database: Database, name: str) -> CampaignDoc:
    """Return a campaign.

    Parameters
    ----------
    database
        Where.
    name
        Its name.

    Raises
    ------
    CampaignError
        If there is none, naming the nearest.
    """
    if (found := find_campaign(database, name)) is not None:
        return found
    known = campaign_names(database)
    raise CampaignError(
        f"No campaign {name!r} was submitted to {database.name!r}."
        f"{nearest_name(name, known)} Known: {', '.join(known) or 'none'}."
    )


def find_campaign(database: Database, name: str) -> CampaignDoc | None:
    """Return a campaign, or None if there is none of this name.

    Parameters
    ----------
    database
        Where.
    name
        Its name.
    """
    with database.client() as client:
        try:
            found = client[database.name][CAMPAIGNS].find_one({"name": name})
        except PyMongoError as error:
            raise explain(error, database) from error
    if found is None:
        return None
    found.pop("_id")
    return CampaignDoc.model_validate(found)


def campaign_names(database: Database) -> list[str]:
    """Return the names of all campaigns that were submitted, sorted.

    Parameters
    ----------
    database
        Where.
    """
    with database.client() as client:
        try:
            return sorted(client[database.name][CAMPAIGNS].distinct("name"))
        except PyMongoError as error:
            raise explain(error, database) from error


def mark_campaign(
    database: Database, name: str, state: CampaignState, *, reason: str = ""
) -> None:
    """Note what a campaign is allowed to do; nothing if it was not submitted as one.

    Parameters
    ----------
    database
        Where.
    name
        Its name.
    state
        What it may do.
    reason
        Why, for people.
    """
    _update(database, {"name": name}, {"$set": {"state": state, "reason": reason}})


# --- registering ----------------------------------------------------------------------


def register_campaign(database: Database, spec: CampaignSpec) -> CampaignDoc:
    """Store a campaign with its first round, and its model, without sending anything.

    Parameters
    ----------
    database
        Where.
    spec
        What to do.

    Raises
    ------
    CampaignError, ModelError, TargetError
        As in :func:`submit_campaign`.
    """
    model = take_model(database, spec.model)
    check_campaign(spec, model)
    if find_campaign(database, spec.name) is not None:
        return _compare(database, spec, model.model_id)
    register_model(database, model)
    first = _describe_round(0, spec, model, spec.budget.relaxations)
    campaign = CampaignDoc(name=spec.name, spec=spec, rounds=[first])
    with database.client() as client:
        try:
            client[database.name][CAMPAIGNS].insert_one(campaign.model_dump())
        except DuplicateKeyError:  # somebody else, at the same moment
            return _compare(database, spec, model.model_id)
        except PyMongoError as error:
            raise explain(error, database) from error
    return campaign


def add_round(
    database: Database, name: str, n_genes: int, *, model: str | None = None
) -> CampaignDoc:
    """Store another round of a campaign without sending it.

    Parameters
    ----------
    database, name, n_genes, model
        As in :func:`extend_campaign`.

    Raises
    ------
    CampaignError, ModelError, TargetError
        As in :func:`extend_campaign`.
    """
    campaign = read_campaign(database, name)
    if campaign.state is CampaignState.CANCELLED:
        raise CampaignError(
            f"Campaign {name!r} was cancelled; submit one of another name."
        )
    number = len(campaign.rounds)
    known = take_model(database, model or campaign.rounds[-1].model_id)
    spec = campaign.spec.model_validate(
        campaign.spec.model_dump() | {"n_genes": n_genes}
    )
    check_campaign(spec, known)
    left = _relaxations_left(database, campaign)
    if left == 0:
        raise CampaignError(
            f"Campaign {name!r} has no relaxation left of the "
            f"{campaign.spec.budget.relaxations} of its budget: submit its file again "
            "with a larger one. What an earlier round may still plan counts as used."
        )
    register_model(database, known)
    extra = _describe_round(number, spec, known, left)
    if not _update(
        database,
        {"name": name, "rounds": {"$size": number}},
        {"$push": {"rounds": extra.model_dump()}},
    ):
        raise CampaignError(
            f"Campaign {name!r} was extended by somebody else at the same moment; look "
            f"at 'wyckflow campaign show {name}' and extend it again if it should be."
        )
    return read_campaign(database, name)


def take_model(database: Database, name: str) -> ModelDoc:
    """Return a model with its file, registered or not.

    Parameters
    ----------
    database
        Where.
    name
        ``bundled``, a file, or name or hash of a registered model.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    from wyckflow.ml.model_file import bundled_model_path, describe_model

    path = Path(name).expanduser()
    if name == BUNDLED:
        return describe_model(bundled_model_path(), name=BUNDLED)
    if path.is_file():
        return describe_model(path, name=path.stem)
    if path.suffix or len(path.parts) > 1:
        raise ModelError(
            f"There is no model's file {name!r}; a path in a campaign's file counts from "
            "its folder, then from where you are."
        )
    return fetch_model(database, name)


def check_campaign(spec: CampaignSpec, model: ModelDoc) -> None:
    """Refuse what would fail on a worker: options, and a target the model cannot meet.

    Without PyTorch on this machine, only the names of the properties are looked at.

    Parameters
    ----------
    spec
        What to do.
    model
        With its file.

    Raises
    ------
    CampaignError, ModelError, TargetError
        With the remedy.
    """
    from wyckflow.flows.campaign import CampaignFlowMaker
    from wyckflow.ml.sampling.matching import check_properties

    maker = CampaignFlowMaker.from_spec(spec)
    check_properties(spec.target, model.card.get("scalers", {}))
    if find_spec("torch") is not None:
        maker.generate_maker.check(model)


def _compare(database: Database, spec: CampaignSpec, model_id: str) -> CampaignDoc:
    """Return the campaign that has this name, if it is this one."""
    present = read_campaign(database, spec.name)
    asked, stored = spec.content, present.spec.content
    differing = [name for name in asked if asked[name] != stored[name]]
    if present.rounds[0].model_id != model_id:
        differing.append("model")
    if differing:
        raise CampaignError(
            f"There is another campaign {spec.name!r} in {database.name!r}: it differs "
            f"in {', '.join(sorted(differing))}. Nothing was changed; give this one "
            "another name."
        )
    budget = {"spec.budget": spec.budget.model_dump(), "spec.n_genes": spec.n_genes}
    _update(database, {"name": spec.name}, {"$set": budget})
    return read_campaign(database, spec.name)


def _describe_round(
    number: int, spec: CampaignSpec, model: ModelDoc, max_relaxations: int | None
) -> RoundDoc:
    """Return a round that begins now."""
    return RoundDoc(
        number=number,
        n_genes=spec.n_genes,
        model_id=model.model_id,
        model_name=model.name,
        max_relaxations=max_relaxations,
        submitted_at=datetime.now(UTC),
    )


def _relaxations_left(database: Database, campaign: CampaignDoc) -> int | None:
    """Return what the budget leaves after what earlier rounds planned, or still may."""
    from wyckflow.flows.campaign import uuid_of_stage

    allowed = campaign.spec.budget.relaxations
    if allowed is None:
        return None
    used = 0
    with database.client() as client:
        outputs = client[database.name][OUTPUTS]
        for item in campaign.rounds:
            uuid = uuid_of_stage(campaign.name, item.number, PLAN_JOB)
            plan = outputs.find_one({"uuid": uuid}, {"output.n_planned": 1})
            limits = [item.n_genes, item.max_relaxations]
            most = min(limit for limit in limits if limit is not None)
            used += plan["output"]["n_planned"] if plan else most
    return max(allowed - used, 0)


def _update(
    database: Database, query: dict[str, Any], change: dict[str, Any]
) -> bool:
    """Change a campaign; return whether one fitted."""
    with database.client() as client:
        try:
            done = client[database.name][CAMPAIGNS].update_one(query, change)
        except PyMongoError as error:
            raise explain(error, database) from error
    return bool(done.matched_count)


# --- sending --------------------------------------------------------------------------


def flow_of_round(campaign: CampaignDoc, item: RoundDoc) -> Flow:
    """Return the flow of a round, the same each time.

    Parameters
    ----------
    campaign
        A registered campaign.
    item
        One of its rounds.
    """
    from wyckflow.flows.campaign import CampaignFlowMaker, identity_of

    maker = CampaignFlowMaker.from_spec(
        campaign.spec.model_copy(update={"n_genes": item.n_genes}),
        number=item.number,
        max_genes=item.max_relaxations,
    )
    return maker.make(
        model_reference(item.model_id), identity_of(campaign.name, item.number)
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
    from wyckflow.flows.campaign import uuid_of_stage

    uuid = uuid_of_stage(campaign.name, item.number, _FIRST_JOB)
    query = {"spec.campaign": campaign.name, _UUID: uuid}
    with database.client() as client:
        try:
            is_there = client[database.name]["fireworks"].find_one(query, {"_id": 1})
        except PyMongoError as error:
            raise explain(error, database) from error
    if is_there:
        return Sent(campaign, item, ())
    fw_ids = submit(
        flow_of_round(campaign, item),
        campaign=campaign.name,
        database=database,
        overrides=overrides,
        priority=priority,
    )
    return Sent(campaign, item, tuple(fw_ids))
