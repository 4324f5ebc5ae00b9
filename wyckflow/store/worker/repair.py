"""Jobs that a crash left between two states are brought to one of them.

FireWorks changes a launch, then its jobs, then their workflow: three writes. A worker
killed between them leaves a job that is finished and RUNNING, one that is taken and
runs nowhere, one whose children the workflow does not know, or children without a
workflow. None of these would ever end by itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from wyckflow.store.worker.recovery import server_time
from wyckflow.store.worker.tries import FAILED, INTERRUPTED, LOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fireworks import LaunchPad

OPEN_WORKFLOWS = ("RUNNING", "READY", "WAITING", "RESERVED")
GIVEN_BACK = ("given back", LOST, FAILED, INTERRUPTED)
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


class TornWatch:
    """Notices what stands between two states for long, by nobody's clock but its own.

    Parameters
    ----------
    grace_s
        Time that a living worker may take from one state to the next, in seconds.
    clock
        Seconds since whenever.
    """

    def __init__(
        self, *, grace_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._grace_s = grace_s
        self._clock = clock
        self._torn: dict[TornJob, float] = {}
        self._orphans: dict[int, float] = {}

    def look(self, launchpad: LaunchPad) -> list[TornJob]:
        """Return the jobs that were torn in the same way at every look for a while.

        Parameters
        ----------
        launchpad
            Where to look.
        """
        now = self._clock()
        found = find_torn_jobs(launchpad)
        self._torn = {job: self._torn.get(job, now) for job in found}
        return [job for job, since in self._torn.items() if self._is_old(since, now)]

    def look_for_orphans(self, launchpad: LaunchPad) -> list[int]:
        """Return jobs that belonged to no workflow at every look for a while.

        Parameters
        ----------
        launchpad
            Where to look.
        """
        now = self._clock()
        found = find_orphans(launchpad)
        self._orphans = {fw_id: self._orphans.get(fw_id, now) for fw_id in found}
        return [job for job, since in self._orphans.items() if self._is_old(since, now)]

    @property
    def has_orphans(self) -> bool:
        """Whether the last look found some."""
        return bool(self._orphans)

    def _is_old(self, since: float, now: float) -> bool:
        """Return whether something was seen first long enough ago."""
        return now - since >= self._grace_s


def find_torn_jobs(
    launchpad: LaunchPad, *, grace_s: float | None = None
) -> list[TornJob]:
    """Return the jobs that have stood between two states for a while.

    Parameters
    ----------
    launchpad
        Where to look.
    grace_s
        Time that a living worker may take from one state to the next, in seconds, if
        its clock agrees with the server's; none if None.
    """
    before = datetime.max.replace(tzinfo=UTC)
    if grace_s is not None:
        before = server_time(launchpad) - timedelta(seconds=grace_s)
    found = (
        *_torn_at_work(launchpad, before),
        *_torn_when_done(launchpad, before),
        *_failed_in_name_only(launchpad, before),
        *_waiting_for_nobody(launchpad, before),
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
    _drop_children_of_launches(launchpad, job.fw_id)
    if job.reset_to is not None:
        change = {"$set": {"state": job.reset_to}}
        launchpad.fireworks.update_one({"fw_id": job.fw_id}, change)
    launchpad._refresh_wf(job.fw_id)  # noqa: SLF001 (FireWorks has no public one)


def drop_known_children(launchpad: LaunchPad, fw_id: int, action: Any) -> None:
    """Take from the end of a job what its workflow holds already.

    A job whose worker was cut off while it ended may have added its children. To add
    them once more would compute everything behind it twice.

    Parameters
    ----------
    launchpad
        Where the job is.
    fw_id
        The job.
    action
        What FireWorks does at its end; changed in place.
    """
    if action is None or not (action.additions or action.detours):
        return
    workflow = launchpad.workflows.find_one({"nodes": fw_id}, {"nodes": 1})
    nodes = {"fw_id": {"$in": workflow["nodes"] if workflow else []}}
    fields = {"spec._tasks.job.uuid": 1, "spec._tasks.job.index": 1}
    known = {_identity(job["spec"]) for job in launchpad.fireworks.find(nodes, fields)}
    for name in ("additions", "detours"):
        kept = [
            item
            for item in getattr(action, name)
            if not {_identity(job.to_dict()["spec"]) for job in item.fws} <= known
        ]
        setattr(action, name, kept)


def _identity(spec: dict[str, Any]) -> tuple[Any, ...]:
    """Return ids and indices of the jobs of jobflow that a firework runs."""
    jobs = [task.get("job") or {} for task in spec.get("_tasks", ())]
    # What is none of jobflow's is like nothing else.
    return tuple((job.get("uuid", object()), job.get("index")) for job in jobs)


def _drop_children_of_launches(launchpad: LaunchPad, fw_id: int) -> None:
    """Take from the stored ends of a job what its workflow holds already."""
    job = launchpad.fireworks.find_one({"fw_id": fw_id}, {"launches": 1})
    query = {"launch_id": {"$in": job["launches"] if job else []}, "state": "COMPLETED"}
    for item in launchpad.launches.find(query, {"launch_id": 1}):
        launch = launchpad.get_launch_by_id(item["launch_id"])
        drop_known_children(launchpad, fw_id, launch.action)
        changed = {"$set": {"action": launch.to_db_dict()["action"]}}
        launchpad.launches.update_one({"launch_id": item["launch_id"]}, changed)


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
    before = server_time(launchpad) - timedelta(seconds=grace_s)
    orphans = [
        fw_id for fw_id, moment in find_orphans(launchpad).items() if moment < before
    ]
    put_aside(launchpad, orphans)
    return orphans


def find_orphans(launchpad: LaunchPad) -> dict[int, datetime]:
    """Return open jobs that belong to no workflow, and when they were changed last.

    Parameters
    ----------
    launchpad
        Where to look.
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
    found = launchpad.fireworks.aggregate(pipeline)
    return {job["fw_id"]: _moment(job) for job in found}


def put_aside(launchpad: LaunchPad, fw_ids: list[int]) -> None:
    """Archive jobs that belong to no workflow.

    Parameters
    ----------
    launchpad
        Where they are.
    fw_ids
        Which.
    """
    launchpad.fireworks.update_many(
        {"fw_id": {"$in": fw_ids}}, {"$set": {"state": "ARCHIVED"}}
    )


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


def _waiting_for_nobody(launchpad: LaunchPad, before: datetime) -> Iterator[TornJob]:
    """Yield jobs that wait although all that they waited for has ended well."""
    waiting: list[int] = []
    fields = {"fw_states": 1, "parent_links": 1}
    query = {"state": {"$in": list(OPEN_WORKFLOWS)}}
    for workflow in launchpad.workflows.find(query, fields):
        states, parents = workflow["fw_states"], workflow["parent_links"]
        waiting += [
            int(fw_id)
            for fw_id, state in states.items()
            if state == "WAITING"
            and all(states[str(up)] == "COMPLETED" for up in parents.get(fw_id, ()))
        ]
    chosen = {"fw_id": {"$in": waiting}, "state": "WAITING"}
    for job in launchpad.fireworks.find(chosen, {"fw_id": 1, "updated_on": 1}):
        if _moment(job) < before:
            yield TornJob(job["fw_id"], "WAITING, but nothing it waits for is open")


def _moment(job: dict[str, Any]) -> datetime:
    """Return when a job was last changed; FireWorks writes text or a time."""
    found = job["updated_on"]
    moment = datetime.fromisoformat(found) if isinstance(found, str) else found
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
