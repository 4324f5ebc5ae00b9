"""Hold, free, end or repeat the jobs of a campaign.

Works on whatever carries the campaign's name, however it was submitted. Running jobs
are left to finish: a worker cannot be made to stop in the middle of one from afar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import PyMongoError

from wyckflow.errors import CampaignError, nearest_name
from wyckflow.store.connect import PROBE_TIMEOUT_MS, explain
from wyckflow.store.worker.tries import forgive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fireworks import LaunchPad

    from wyckflow.store.connect import Database

NOT_STARTED: Final = ("WAITING", "READY", "RESERVED")
UNFINISHED: Final = (*NOT_STARTED, "PAUSED", "FIZZLED")


@dataclass(frozen=True)
class Controlled:
    """What was done to the jobs of a campaign."""

    n_changed: int
    """Jobs that are in another state now."""

    n_running: int
    """Jobs that run at this moment, and will finish."""


def pause_campaign(database: Database, campaign: str) -> Controlled:
    """Hold every job that has not begun; the same as never having been ready.

    Jobs that a running one creates meanwhile are not held: pause again.

    Parameters
    ----------
    database
        Where.
    campaign
        Which.

    Raises
    ------
    CampaignError
        If no job carries this name.
    DatabaseError
        If the database does not answer.
    """
    return _each(database, campaign, NOT_STARTED, lambda pad, job: pad.pause_fw(job))


def resume_campaign(database: Database, campaign: str) -> Controlled:
    """Free the jobs that were held.

    Parameters
    ----------
    database, campaign
        As in :func:`pause_campaign`.
    """
    return _each(database, campaign, ("PAUSED",), lambda pad, job: pad.resume_fw(job))


def cancel_campaign(database: Database, campaign: str) -> Controlled:
    """End every job that has not begun or has failed. What is finished stays.

    Parameters
    ----------
    database, campaign
        As in :func:`pause_campaign`.
    """

    def defuse(launchpad: LaunchPad, job: int) -> Any:
        # A reserved job waits in a queue and would be rerun by a plain defuse.
        launchpad.pause_fw(job)
        return launchpad.defuse_fw(job)

    return _each(database, campaign, UNFINISHED, defuse)


def retry_campaign(database: Database, campaign: str) -> Controlled:
    """Run the quarantined jobs again, with all their tries, and what waits for them.

    Parameters
    ----------
    database, campaign
        As in :func:`pause_campaign`.
    """

    def free(launchpad: LaunchPad, job: int) -> Any:
        forgive(launchpad, job)
        return launchpad.rerun_fw(job)

    return _each(database, campaign, ("FIZZLED",), free)


def set_priority(database: Database, campaign: str, priority: int) -> Controlled:
    """Say how soon the jobs that have not begun run: higher first, 0 is usual.

    Parameters
    ----------
    database, campaign
        As in :func:`pause_campaign`.
    priority
        Any whole number.
    """

    def prefer(launchpad: LaunchPad, job: int) -> bool:
        launchpad.set_priority(job, priority)
        return True

    return _each(database, campaign, (*NOT_STARTED, "PAUSED"), prefer)


def _each(
    database: Database,
    campaign: str,
    states: tuple[str, ...],
    act: Callable[[LaunchPad, int], Any],
) -> Controlled:
    """Do something to each job of a campaign that is in one of some states."""
    launchpad = database.launchpad(timeout_ms=PROBE_TIMEOUT_MS)
    launchpad.m_logger.disabled = True  # it reports jobs that moved on meanwhile
    try:
        _refuse_unknown(launchpad, campaign)
        changed = [act(launchpad, job) for job in _jobs(launchpad, campaign, states)]
        running = {"spec.campaign": campaign, "state": "RUNNING"}
        n_running = launchpad.fireworks.count_documents(running)
        return Controlled(sum(1 for item in changed if item), n_running)
    except PyMongoError as error:
        raise explain(error, database) from error
    finally:
        launchpad.m_logger.disabled = False
        launchpad.connection.close()


def _jobs(
    launchpad: LaunchPad, campaign: str, states: tuple[str, ...]
) -> Iterator[int]:
    """Yield the numbers of jobs, read before any of them is changed."""
    query = {"spec.campaign": campaign, "state": {"$in": list(states)}}
    found = launchpad.fireworks.find(query, {"fw_id": 1}).sort("fw_id", 1)
    yield from [item["fw_id"] for item in found]


def _refuse_unknown(launchpad: LaunchPad, campaign: str) -> None:
    """Refuse a name that no job carries."""
    fireworks = launchpad.fireworks
    if launchpad.db["campaigns"].find_one({"name": campaign}, {"_id": 1}) is not None:
        return  # it may have run without FireWorks, or come from another database
    if fireworks.find_one({"spec.campaign": campaign}, {"_id": 1}) is None:
        known = [str(name) for name in fireworks.distinct("spec.campaign") if name]
        raise CampaignError(
            f"No job belongs to a campaign {campaign!r}."
            f"{nearest_name(campaign, known)} 'wyckflow status' shows what there is."
        )
