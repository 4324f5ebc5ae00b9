"""Jobs that a crash left between two states are brought to one of them.

FireWorks changes a launch, then its jobs, then their workflow: three writes. A worker
killed between them leaves a job that is finished and RUNNING, one that is taken and
runs nowhere, one whose children the workflow does not know, or children without a
workflow. None of these would ever end by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fireworks import LaunchPad

OPEN_WORKFLOWS = ("RUNNING", "READY", "WAITING", "RESERVED")
GIVEN_BACK = ("given back", "lost:")
"""How the note of a launch begins whose job was to be READY again."""


@dataclass(frozen=True)
class TornJob:
    """A job between two states.

    Attributes
    ----------
    fw_id
        The job.
    what
        What is torn, in words.
    must_rerun
        Whether it was to be run again, rather than to be finished.
    reset_to
        State that the job must be set back to, so that finishing it has its effects.
    """

    fw_id: int
    what: str
    must_rerun: bool = False
    reset_to: str | None = None


def find_torn_jobs(launchpad: LaunchPad, *, grace_s: float) -> list[TornJob]:
    """Return the jobs that have stood between two states for a while.

    Parameters
    ----------
    launchpad
        Where to look.
    grace_s
        Time that a living worker may take from one state to the next, in seconds.
    """
    now = launchpad.connection.admin.command("hello")["localTime"]
    before = now.replace(tzinfo=UTC) - timedelta(seconds=grace_s)
    found = (
        *_torn_at_work(launchpad, before),
        *_torn_when_done(launchpad, before),
        *_failed_in_name_only(launchpad, before),
    )
    return list({job.fw_id: job for job in found}.values())


def mend(launchpad: LaunchPad, job: TornJob) -> None:
    """Bring a torn job, and everything behind it, to the state that was meant.

    Parameters
    ----------
    launchpad
        Where it is.
    job
        From `find_torn_jobs`.
    """
    if job.must_rerun:
        launchpad.rerun_fw(job.fw_id)
        return
    if job.reset_to is not None:
        change = {"$set": {"state": job.reset_to}}
        launchpad.fireworks.update_one({"fw_id": job.fw_id}, change)
    launchpad._refresh_wf(job.fw_id)  # noqa: SLF001 (FireWorks has no public one)


def archive_orphans(launchpad: LaunchPad, *, grace_s: float) -> list[int]:
    """Put aside open jobs that belong to no workflow; return their ids.

    They are children of a job that was torn while they were added, and it adds them
    again when it is mended.

    Parameters
    ----------
    launchpad
        Where to look.
    grace_s
        Age below which a job may still be waiting for its workflow, in seconds.
    """
    pipeline = [
        {"$match": {"state": {"$in": ["WAITING", "READY"]}}},
        {"$project": {"fw_id": 1, "updated_on": 1}},
        {
            "$lookup": {
                "from": launchpad.workflows.name,
                "localField": "fw_id",
                "foreignField": "nodes",
                "as": "workflow",
            }
        },
        {"$match": {"workflow": []}},
    ]
    now = launchpad.connection.admin.command("hello")["localTime"]
    before = now.replace(tzinfo=UTC) - timedelta(seconds=grace_s)
    found = launchpad.fireworks.aggregate(pipeline)
    orphans = [job["fw_id"] for job in found if _moment(job) < before]
    launchpad.fireworks.update_many(
        {"fw_id": {"$in": orphans}}, {"$set": {"state": "ARCHIVED"}}
    )
    return orphans


def _torn_at_work(launchpad: LaunchPad, before: datetime) -> Iterator[TornJob]:
    """Yield jobs that are RUNNING or RESERVED without a launch that is."""
    query = {"state": {"$in": ["RUNNING", "RESERVED"]}}
    fields = {"fw_id": 1, "state": 1, "updated_on": 1, "launches": 1}
    for job in launchpad.fireworks.find(query, fields):
        if _moment(job) > before:
            continue
        launches = list(
            launchpad.launches.find(
                {"fw_id": job["fw_id"], "launch_id": {"$in": job["launches"]}},
                {"state": 1, "wyckflow_note": 1},
            ).sort("launch_id", -1)
        )
        states = {launch["state"] for launch in launches}
        if job["state"] in states or "RUNNING" in states:
            continue
        note = launches[0].get("wyckflow_note", "") if launches else ""
        what = (
            f"{job['state']}, but its launch is {', '.join(sorted(states)) or 'none'}"
        )
        is_given_back = states == {"FIZZLED"} and note.startswith(GIVEN_BACK)
        yield TornJob(job["fw_id"], what, must_rerun=is_given_back)


def _torn_when_done(launchpad: LaunchPad, before: datetime) -> Iterator[TornJob]:
    """Yield jobs that have ended, which their workflow has not heard of."""
    believed: dict[int, str] = {}
    query = {"state": {"$in": list(OPEN_WORKFLOWS)}}
    for workflow in launchpad.workflows.find(query, {"fw_states": 1}):
        believed |= {int(k): state for k, state in workflow["fw_states"].items()}
    at_work = [k for k, state in believed.items() if state in ("RUNNING", "RESERVED")]
    ended = {"fw_id": {"$in": at_work}, "state": {"$in": ["COMPLETED", "FIZZLED"]}}
    fields = {"fw_id": 1, "state": 1, "updated_on": 1}
    for job in launchpad.fireworks.find(ended, fields):
        if _moment(job) < before:
            what = f"{job['state']}, but its workflow believes {believed[job['fw_id']]}"
            yield TornJob(job["fw_id"], what, reset_to="RUNNING")


def _failed_in_name_only(launchpad: LaunchPad, before: datetime) -> Iterator[TornJob]:
    """Yield jobs that completed, but were called FIZZLED as the update broke off."""
    fields = {"fw_id": 1, "updated_on": 1, "launches": 1}
    failed = {
        job["fw_id"]: job
        for job in launchpad.fireworks.find({"state": "FIZZLED"}, fields)
        if _moment(job) < before
    }
    launches = [number for job in failed.values() for number in job["launches"]]
    done = {"launch_id": {"$in": launches}, "state": "COMPLETED"}
    for fw_id in launchpad.launches.distinct("fw_id", done):
        what = "FIZZLED, but its launch is COMPLETED"
        yield TornJob(fw_id, what, reset_to="RUNNING")


def _moment(job: dict[str, Any]) -> datetime:
    """Return when a job was last changed; FireWorks writes text or a time."""
    found = job["updated_on"]
    moment = datetime.fromisoformat(found) if isinstance(found, str) else found
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
