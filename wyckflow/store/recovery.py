"""Jobs that run in the database and nowhere else are found and run again.

FireWorks notices a dead worker after half an hour at best. Here the heartbeat of its
worker tells at once, and every worker looks, now and then.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

from wyckflow.store.heartbeat import WORKERS, boot_id

if TYPE_CHECKING:
    from fireworks import LaunchPad

MAX_LOSSES = 3
"""A job that took this many workers down with it is not tried again."""


class Loss(StrEnum):
    """How sure it is that a running job has lost its worker."""

    GONE = "gone"  # its worker left, or its process no longer exists
    SILENT = "silent"  # nothing heard for a while: dead, or cut off


@dataclass(frozen=True)
class LostJob:
    """A job that is RUNNING in the database and, it seems, nowhere else."""

    fw_id: int
    launch_id: int
    name: str
    worker: str
    silent_s: float
    loss: Loss


def find_lost_jobs(launchpad: LaunchPad, *, lost_after_s: float) -> list[LostJob]:
    """Return the running jobs whose worker is gone or silent.

    Parameters
    ----------
    launchpad
        Where to look.
    lost_after_s
        Silence that counts, in seconds; time when the server itself was down does not.
    """
    status = launchpad.connection.admin.command("hello")
    now = status["localTime"].replace(tzinfo=UTC)
    server_started = now - timedelta(seconds=_uptime_s(launchpad))
    lost = []
    for launch in launchpad.launches.find({"state": "RUNNING"}, {"action": 0}):
        worker = launch["fworker"]["name"]
        beat = launchpad.db[WORKERS].find_one({"_id": worker})
        heard = max(_last_sign(launch, beat), server_started)
        silent_s = (now - heard).total_seconds()
        if beat is not None and _is_gone(beat):
            loss = Loss.GONE
        elif silent_s > lost_after_s:
            loss = Loss.SILENT
        else:
            continue
        job = launchpad.fireworks.find_one({"fw_id": launch["fw_id"]}, {"name": 1})
        name = job["name"] if job else "(deleted)"
        lost.append(
            LostJob(launch["fw_id"], launch["launch_id"], name, worker, silent_s, loss)
        )
    return lost


def rerun_lost_job(launchpad: LaunchPad, job: LostJob) -> bool:
    """Make a lost job READY again; give up on one that keeps killing its worker.

    Returns
    -------
    bool
        ``False`` if it was marked FIZZLED instead.
    """
    losses = count_losses(launchpad, job.fw_id)
    if losses + 1 >= MAX_LOSSES:
        launchpad.launches.update_one(
            {"launch_id": job.launch_id},
            {"$set": {"wyckflow_note": f"lost {losses + 1} times, given up"}},
        )
        launchpad.mark_fizzled(job.launch_id)
        return False
    note = f"lost: worker {job.worker} {job.loss}"
    return_to_queue(launchpad, job.fw_id, job.launch_id, note=note)
    return True


def count_losses(launchpad: LaunchPad, fw_id: int) -> int:
    """Return how often a job was lost before.

    Parameters
    ----------
    launchpad
        Any LaunchPad.
    fw_id
        The job.
    """
    query = {"fw_id": fw_id, "wyckflow_note": {"$regex": "^lost"}}
    return int(launchpad.launches.count_documents(query))


def return_to_queue(
    launchpad: LaunchPad, fw_id: int, launch_id: int | None, *, note: str
) -> None:
    """End a launch and make its job READY again.

    Parameters
    ----------
    launchpad
        Any LaunchPad.
    fw_id
        The job.
    launch_id
        Its launch, ended first so that nobody takes it for a lost one.
    note
        Why, kept in the launch.
    """
    if launch_id is not None:
        launchpad.launches.update_one(
            {"launch_id": launch_id, "state": {"$in": ["RUNNING", "RESERVED"]}},
            {"$set": {"state": "FIZZLED", "wyckflow_note": note}},
        )
    launchpad.rerun_fw(fw_id)


def _uptime_s(launchpad: LaunchPad) -> float:
    """Return how long the server has been up; unknown without the right to ask."""
    try:
        status = launchpad.connection.admin.command("serverStatus", repl=0, metrics=0)
        return float(status["uptime"])
    except PyMongoError:
        return timedelta(days=3650).total_seconds()


def _last_sign(launch: dict[str, Any], beat: dict[str, Any] | None) -> datetime:
    """Return when a launch or its worker was last heard."""
    signs = [
        datetime.fromisoformat(state["updated_on"]).replace(tzinfo=UTC)
        for state in launch["state_history"]
        if state["state"] == "RUNNING"
    ]
    # A living worker that does something else has lost this job all the same.
    if beat is not None and beat["fw_id"] == launch["fw_id"]:
        signs.append(beat["seen_at"].replace(tzinfo=UTC))
    return max(signs)


def _is_gone(beat: dict[str, Any]) -> bool:
    """Whether a worker has said so, or its process on this machine has ended."""
    if beat["state"] == "left":
        return True
    if beat["host"] != socket.gethostname() or beat["boot_id"] != boot_id():
        return False
    try:
        os.kill(beat["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
