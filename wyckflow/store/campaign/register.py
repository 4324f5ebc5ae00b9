"""Campaigns entered by name, with their model, before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import DuplicateKeyError, PyMongoError

from wyckflow.errors import CampaignError, ModelError
from wyckflow.schemas.campaign import CampaignDoc, CampaignState, RoundDoc
from wyckflow.store.campaign.estimate import estimate_round, measure_costs
from wyckflow.store.campaign.file import parse_campaign
from wyckflow.store.campaign.record import (
    CAMPAIGNS,
    find_campaign,
    read_campaign,
    update_campaign,
)
from wyckflow.store.candidates.query import FIELDS
from wyckflow.store.candidates.where import parse_where
from wyckflow.store.connect import OUTPUTS, explain
from wyckflow.store.models import fetch_model, register_model

if TYPE_CHECKING:
    from wyckflow.schemas.campaign import CampaignSpec
    from wyckflow.schemas.model import ModelDoc
    from wyckflow.store.connect import Database

PLAN_JOB: Final = "campaign plan"


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
    first = _describe_round(database, 0, spec, model, spec.budget.relaxations)
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
    spec = parse_campaign(campaign.spec.model_dump() | {"n_genes": n_genes})
    check_campaign(spec, known)
    left = _relaxations_left(database, campaign)
    if left == 0:
        raise CampaignError(
            f"Campaign {name!r} has no relaxation left of the "
            f"{campaign.spec.budget.relaxations} of its budget: submit its file again "
            "with a larger one. What an earlier round may still plan counts as used."
        )
    register_model(database, known)
    # Which ones is stored, so that the round stays the same whenever it is sent.
    planned = [item for item in range(number) if _plan_of(database, name, item)]
    extra = _describe_round(database, number, spec, known, left)
    extra = extra.model_copy(update={"leaves_out": planned})
    if not update_campaign(
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
        That of a bundled model, a file, or name or hash of a registered model.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    from wyckflow.ml.model_file import (
        BUNDLED_MODELS,
        bundled_model_path,
        describe_model,
    )

    path = Path(name).expanduser()
    if name in BUNDLED_MODELS:
        return describe_model(bundled_model_path(name), name=name)
    if path.is_file():
        return describe_model(path, name=path.stem)
    if path.suffix == ".npz" or len(path.parts) > 1:
        raise ModelError(
            f"There is no model's file {name!r}; a path in a campaign's file counts "
            "from its folder, then from where you are."
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
    CampaignError, ModelError, TargetError, QueryError
        With the remedy.
    """
    from wyckflow.flows.campaign import CampaignFlowMaker
    from wyckflow.ml.sampling.matching import check_properties

    maker = CampaignFlowMaker.from_spec(spec)
    if spec.dft is not None and spec.dft.where:
        parse_where(spec.dft.where, FIELDS)
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
    may_change = spec.model_dump(include={"budget", "n_genes", "dft"})
    change = {f"spec.{name}": value for name, value in may_change.items()}
    update_campaign(database, {"name": spec.name}, {"$set": change})
    return read_campaign(database, spec.name)


def _describe_round(
    database: Database,
    number: int,
    spec: CampaignSpec,
    model: ModelDoc,
    max_relaxations: int | None,
) -> RoundDoc:
    """Return a round that begins now, with what it will take."""
    estimate = estimate_round(
        spec,
        measure_costs(database),
        n_genes=spec.n_genes,
        max_relaxations=max_relaxations,
    )
    return RoundDoc(
        number=number,
        n_genes=spec.n_genes,
        model_id=model.model_id,
        model_name=model.name,
        max_relaxations=max_relaxations,
        submitted_at=datetime.now(UTC).replace(microsecond=0),
        estimate=estimate,
    )


def _relaxations_left(database: Database, campaign: CampaignDoc) -> int | None:
    """Return what the budget leaves after what earlier rounds planned, or still may."""
    allowed = campaign.spec.budget.relaxations
    if allowed is None:
        return None
    used = 0
    for item in campaign.rounds:
        plan = _plan_of(database, campaign.name, item.number)
        limits = [item.n_genes, item.max_relaxations]
        most = min(limit for limit in limits if limit is not None)
        used += plan["n_planned"] if plan else most
    return max(allowed - used, 0)


def _plan_of(database: Database, name: str, number: int) -> dict[str, Any] | None:
    """Return numbers of the plan of a round, if it has one."""
    from wyckflow.flows.campaign import uuid_of_stage

    query = {"uuid": uuid_of_stage(name, number, PLAN_JOB)}
    with database.client() as client:
        outputs = client[database.name][OUTPUTS]
        try:
            found = outputs.find_one(query, {"output.n_planned": 1})
        except PyMongoError as error:
            raise explain(error, database) from error
    return None if found is None else dict(found["output"])
