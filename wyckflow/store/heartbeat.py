"""Workers say that they live; jobs of those that died are found and rerun.

FireWorks notices a dead worker after half an hour at best. Every worker of ours
therefore writes a heartbeat with the server's clock, and every worker looks, now and
then, for jobs whose worker is gone.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pymongo.errors import PyMongoError

from wyckflow.store.preemption import return_to_queue

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from fireworks import LaunchPad

    from wyckflow.store.connect import Database

WORKERS = "workers"
FORGET_AFTER = timedelta(days=7)
MAX_LOSSES = 3
"""A job that took this many workers down with it is not tried again."""


class Heartbeat:
    """A thread that writes this worker's sign of life.

    Parameters
    ----------
    database
        Where to.
    worker
        Unique name of the worker.
    category
        What it pulls.
    period_s
        Seconds between two signs.
    current_job
        Returns the id of the job in hand, if any.
    """

    def __init__(
        self,
        database: Database,
        worker: str,
        category: str,
        *,
        period_s: float,
        current_job: Callable[[], int | None],
    ) -> None:
        self.worker = worker
        self._mongo = database.open()
        self._period_s = period_s
        self._current_job = current_job
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._known = {
            "host": socket.gethostname(),
            "boot_id": boot_id(),
            "pid": os.getpid(),
            "category": category,
            "started_at": datetime.now(UTC),
        }

    def __enter__(self) -> Self:
        """Announce the worker and begin."""
        self._write("alive")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say that the worker leaves."""
        self._stop.set()
        with suppress(PyMongoError):
            self._write("left")
        self._mongo.client.close()

    def _beat(self) -> None:
        """Write until told to stop; an outage is waited out."""
        while not self._stop.wait(self._period_s):
            with suppress(PyMongoError):
                self._write("alive")

    def _write(self, state: str) -> None:
        """Write one sign of life with the server's clock."""
        self._mongo[WORKERS].update_one(
            {"_id": self.worker},
            {
                "$set": {
                    **self._known,
                    "state": state,
                    "fw_id": self._current_job(),
                },
                "$currentDate": {"seen_at": True},
            },
            upsert=True,
        )


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
    losses = launchpad.launches.count_documents(
        {"fw_id": job.fw_id, "wyckflow_note": {"$regex": "^lost"}}
    )
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


def boot_id() -> str:
    """Return what tells this boot of this machine from every other."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


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
