"""The collection ``campaigns``: read, marked, changed in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import PyMongoError

from wyckflow.errors import CampaignError, nearest_name
from wyckflow.schemas.campaign import CampaignDoc, CampaignState
from wyckflow.store.connect import explain

if TYPE_CHECKING:
    from wyckflow.store.connect import Database

CAMPAIGNS: Final = "campaigns"


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
    update_campaign(
        database, {"name": name}, {"$set": {"state": state, "reason": reason}}
    )


def update_campaign(
    database: Database, query: dict[str, Any], change: dict[str, Any]
) -> bool:
    """Change a campaign; return whether one fitted.

    Parameters
    ----------
    database
        Where.
    query
        Which.
    change
        How, as MongoDB says it.
    """
    with database.client() as client:
        try:
            done = client[database.name][CAMPAIGNS].update_one(query, change)
        except PyMongoError as error:
            raise explain(error, database) from error
    return bool(done.matched_count)
