"""What an exported campaign says of itself: what was asked, and what ran where."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml

from wyckflow.errors import ModelError
from wyckflow.ml.model_file import BUNDLED_MODELS
from wyckflow.schemas.campaign import CampaignState
from wyckflow.store.candidates.builder import CANDIDATES
from wyckflow.store.exchange import folder as layout
from wyckflow.store.models import fetch_model, find_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pymongo.database import Database as MongoDatabase

    from wyckflow.schemas.campaign import CampaignDoc
    from wyckflow.store.connect import Database


def write_provenance(folder: Path, campaign: CampaignDoc) -> None:
    """Write what was asked, the plans, the jobs, and the software behind them.

    Parameters
    ----------
    folder
        With the outputs of the jobs.
    campaign
        Which.
    """
    (folder / layout.CAMPAIGN_FILE).write_text(_format_file(campaign), "utf-8")
    record = bare_campaign(campaign).model_dump_json(indent=1)
    (folder / layout.CAMPAIGN_RECORD).write_text(record + "\n", "utf-8")
    software: Counter[str] = Counter()
    with (
        (folder / "provenance/jobs.jsonl").open("w", encoding="utf-8") as jobs,
        (folder / "provenance/plans.jsonl").open("w", encoding="utf-8") as plans,
    ):
        for item in layout.read_records(folder, layout.OUTPUT_RECORDS):
            described = _describe_job(item)
            jobs.write(json_line(described))
            software.update(_name_software(described["provenance"] or {}))
            if item.get("name") == "campaign plan":
                plans.write(json_line(item["output"]))
    _write_json(folder / "provenance/software.json", dict(sorted(software.items())))


def write_hulls(folder: Path, mongo: MongoDatabase[Any], name: str) -> None:
    """Write which hulls judged how many candidates.

    Parameters
    ----------
    folder
        Where to.
    mongo
        The database.
    name
        Of the campaign.
    """
    kinds = {"hull_version": "$hull_version", "hull_scale": "$hull_scale"}
    pipeline: list[dict[str, Any]] = [
        {"$match": {"campaign": name, "hull_version": {"$ne": None}}},
        {"$group": {"_id": kinds, "n_candidates": {"$sum": 1}}},
        {"$sort": {"_id": 1}},
    ]
    found = mongo[CANDIDATES].aggregate(pipeline)
    hulls = [{**item["_id"], "n_candidates": item["n_candidates"]} for item in found]
    _write_json(folder / "provenance/hulls.json", hulls)


def write_models(
    database: Database, campaign: CampaignDoc, folder: Path, *, with_files: bool
) -> list[str]:
    """Write the cards of the models, and their files; return the files left out.

    Parameters
    ----------
    database
        Where the models are registered.
    campaign
        Whose models.
    folder
        Where to.
    with_files
        Whether to write the files as well.
    """
    cards, left_out = [], []
    for model_id in sorted({item.model_id for item in campaign.rounds}):
        try:
            card = find_model(database, model_id)
        except ModelError:  # removed from the registry since
            left_out.append(model_id)
            continue
        cards.append(card.model_dump(mode="json", exclude={"chunks"}))
        if not with_files:
            left_out.append(card.name)
            continue
        (folder / layout.MODELS).mkdir(exist_ok=True)
        path = folder / layout.MODELS / f"{model_id}.npz"
        path.write_bytes(fetch_model(database, model_id).to_bytes())
    _write_json(folder / "provenance/models.json", cards)
    return left_out


def bare_campaign(campaign: CampaignDoc) -> CampaignDoc:
    """Return a campaign without what it may do at present in one database.

    Parameters
    ----------
    campaign
        As it is stored.
    """
    return campaign.model_copy(update={"state": CampaignState.ACTIVE, "reason": ""})


def json_line(content: Mapping[str, Any]) -> str:
    """Return a JSON object on a line of its own.

    Parameters
    ----------
    content
        What has words in JSON; anything else becomes text.
    """
    return json.dumps(content, default=str, ensure_ascii=False) + "\n"


def _format_file(campaign: CampaignDoc) -> str:
    """Return a campaign's file that can be submitted from within the folder."""
    spec = campaign.spec
    content: dict[str, Any] = {"name": spec.name}
    content |= spec.model_dump(mode="json", exclude_defaults=True)
    groups = spec.target.conditions().get("space_groups")
    if groups is not None:  # a range is shorter than its numbers
        content["target"]["space_groups"] = groups
    if spec.model not in BUNDLED_MODELS:
        content["model"] = f"{layout.MODELS}/{campaign.rounds[0].model_id}.npz"
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _describe_job(output: dict[str, Any]) -> dict[str, Any]:
    """Return which job made an output, where, when, with what, and at what cost."""
    document = output.get("output")
    fields = document if isinstance(document, dict) else {}
    return {
        "uuid": output["uuid"],
        "index": output["index"],
        "name": output.get("name"),
        "fw_id": (output.get("metadata") or {}).get("fw_id"),
        "completed_at": str(output.get("completed_at")),
        "document": fields.get("@class"),
        "schema_version": fields.get("schema_version"),
        "provenance": fields.get("provenance"),
    }


def _name_software(made_by: Mapping[str, Any]) -> list[str]:
    """Return the packages of a job, with their versions."""
    named = [
        f"{item['name']} {item['version']}" for item in made_by.get("packages", ())
    ]
    version = made_by.get("wyckflow_version")
    return [f"wyckflow {version}", *named] if version else named


def _write_json(path: Path, content: Any) -> None:
    """Write JSON for people."""
    text = json.dumps(content, default=str, ensure_ascii=False, indent=1)
    path.write_text(text + "\n", "utf-8")
