"""Jobs that run in the database and nowhere else are found and run again.

FireWorks notices a dead worker after half an hour at best. Here every worker looks at
the heartbeats of the others, now and then, and at nobody's clock but its own: what
counts is that a sign of life changes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import PyMongoError

from wyckflow.store.worker.heartbeat import WORKERS, WorkerState, is_gone_from_here
from wyckflow.store.worker.tries import (
    INTERRUPTED,
    LOST,
    MAX_INTERRUPTIONS,
    MAX_TRIES,
    count_interruptions,
    count_tries,
    quarantine,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fireworks import LaunchPad

PLAIN_LOST_AFTER_S: Final = 1800.0
"""Silence of a worker without heartbeat, FireWorks' own ``rlaunch``: its pings come
every minute, and an outage ends them for ever though the job goes on."""


SILENCE: Final = "wyckflow_silence"
"""Field of a launch: how long its worker was silent, as a watch has counted."""


class Loss(StrEnum):
    """How sure it is that a running job has lost its worker."""

    GONE = "gone"  # its worker left, or its process no longer exists
    STUCK = "stuck"  # its worker ended itself, since the job had stopped working
    SILENT = "silent"  # nothing heard for a while: dead, or cut off


class Fate(StrEnum):
    """What became of a lost job."""

    READY = "made ready again"
    QUARANTINED = "quarantined, since it keeps being lost"
    ENDED = "left alone, since it ended meanwhile"


@dataclass(frozen=True)
class LostJob:
    """A job that is RUNNING in the database and, it seems, nowhere else."""

    fw_id: int
    launch_id: int
    name: str
    worker: str
    silent_s: float
    loss: Loss
    has_heartbeat: bool
    got_on: bool = False
    """Whether it kept something, in this try, that need not be done again."""

    def patience_s(self, lost_after_s: float) -> float:
        """Return the silence that its worker may keep, in seconds.

        Parameters
        ----------
        lost_after_s
            That of a worker with a heartbeat.
        """
        return lost_after_s if self.has_heartbeat else PLAIN_LOST_AFTER_S

    def is_sure(self, lost_after_s: float) -> bool:
        """Return whether the job may be given to another worker.

        Parameters
        ----------
        lost_after_s
            As in `patience_s`.
        """
        is_long = self.silent_s >= self.patience_s(lost_after_s)
        return is_long or self.loss is not Loss.SILENT


class Watch:
    """Notices workers that fell silent: looks often, and remembers what it saw.

    A sign of life is a change between two looks. How long a worker has been silent is
    counted in looks that the server answered, so that neither clocks that differ nor a
    server that stood still make a living worker look dead. What one watch has counted
    is told to the next, since whoever watches may be killed as well.

    Parameters
    ----------
    lost_after_s
        Silence after which a worker is lost, in seconds.
    period_s
        Usual time between two looks, in seconds; a longer one counts as two of these.
    clock
        Seconds since whenever.
    """

    def __init__(
        self,
        *,
        lost_after_s: float,
        period_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lost_after_s = lost_after_s
        self._longest_step_s = 2 * period_s
        self._clock = clock
        self._looked_at: float | None = None
        self._seen: dict[int, tuple[Any, float]] = {}

    def look(self, launchpad: LaunchPad) -> list[LostJob]:
        """Return the running jobs whose worker is gone, or was silent for too long.

        Parameters
        ----------
        launchpad
            Where to look.
        """
        now, before = self._clock(), self._looked_at
        running = list(_running(launchpad))
        step_s = 0.0 if before is None else min(now - before, self._longest_step_s)
        self._looked_at, known, self._seen = now, self._seen, {}
        lost = []
        for launch, beat in running:
            sign, key = _sign(launch, beat), launch["launch_id"]
            last_sign, silent_s = known.get(key, (None, 0.0))
            silent_s = silent_s + step_s if sign == last_sign else 0.0
            silent_s = self._share(launchpad, launch, sign, silent_s)
            self._seen[key] = (sign, silent_s)
            loss = _sure_loss(beat) or Loss.SILENT
            job = _lost_job(launch, beat, silent_s, loss)
            if job.is_sure(self._lost_after_s):
                lost.append(job)
        return _name(launchpad, lost)

    def _share(
        self,
        launchpad: LaunchPad,
        launch: dict[str, Any],
        sign: tuple[Any, ...],
        silent_s: float,
    ) -> float:
        """Return the longest silence that any watch has counted, and tell it others."""
        told = launch.get(SILENCE) or {}
        # Counts of one and the same time: the longer one holds, never their sum.
        told_s = float(told["seconds"]) if told.get("sign") == str(sign) else 0.0
        if silent_s > told_s and silent_s >= self._longest_step_s:  # else it may live
            change = {SILENCE: {"sign": str(sign), "seconds": silent_s}}
            query = {"launch_id": launch["launch_id"], "state": "RUNNING"}
            launchpad.launches.update_one(query, {"$set": change})
        return max(silent_s, told_s)


def find_lost_jobs(launchpad: LaunchPad, *, lost_after_s: float) -> list[LostJob]:
    """Return the running jobs whose worker is gone or silent, at one look.

    For people; see `Watch` for what may be acted upon.

    Parameters
    ----------
    launchpad
        Where to look.
    lost_after_s
        Silence that counts, in seconds; time when the server itself was down does not.
    """
    now = server_time(launchpad)
    server_started = now - timedelta(seconds=_uptime_s(launchpad))
    lost = []
    for launch, beat in _running(launchpad):
        heard = max(_last_heard(launch, beat), server_started)
        silent_s = (now - heard).total_seconds()
        loss = _sure_loss(beat) or Loss.SILENT
        if loss is not Loss.SILENT or silent_s > lost_after_s:
            lost.append(_lost_job(launch, beat, silent_s, loss))
    return _name(launchpad, lost)


def rerun_lost_job(launchpad: LaunchPad, job: LostJob) -> Fate:
    """Make a lost job READY again; give up on one that keeps killing its worker.

    Parameters
    ----------
    launchpad
        Any LaunchPad.
    job
        From `Watch.look` or `find_lost_jobs`.
    """
    note = f"{INTERRUPTED if job.got_on else LOST}worker {job.worker} {job.loss}"
    n_tries = count_tries(launchpad, job.fw_id) + (not job.got_on)
    if job.got_on:  # no matter how many tries there were before
        may_try = count_interruptions(launchpad, job.fw_id) < MAX_INTERRUPTIONS
    else:
        may_try = n_tries < MAX_TRIES
    if may_try:
        returned = return_to_queue(launchpad, job.fw_id, job.launch_id, note=note)
        return Fate.READY if returned else Fate.ENDED
    if not _end_launch(launchpad, job.launch_id, note=note):
        return Fate.ENDED
    launchpad.mark_fizzled(job.launch_id)
    quarantine(launchpad, job.launch_id, n_tries=n_tries, note=note)
    return Fate.QUARANTINED


def return_to_queue(
    launchpad: LaunchPad,
    fw_id: int,
    launch_id: int | None,
    *,
    note: str,
    action: dict[str, Any] | None = None,
) -> bool:
    """End a launch and make its job READY again, unless it has ended meanwhile.

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
    action
        What FireWorks stores about its end, such as the traceback.

    Returns
    -------
    bool
        Whether the job was made ready.
    """
    if launch_id is not None and not _end_launch(
        launchpad, launch_id, note=note, action=action
    ):
        return False
    query: dict[str, Any] = {"fw_id": fw_id}
    if launch_id is not None:
        query["launches"] = launch_id  # else another launch stands for the job by now
    if launchpad.fireworks.find_one(query, {"_id": 1}) is None:
        return False
    launchpad.rerun_fw(fw_id)
    return True


def server_time(launchpad: LaunchPad) -> datetime:
    """Return the time by the server's clock.

    Parameters
    ----------
    launchpad
        On which server.
    """
    found: datetime = launchpad.connection.admin.command("hello")["localTime"]
    return found.replace(tzinfo=UTC)


# --- signs of life --------------------------------------------------------------------


def _running(
    launchpad: LaunchPad,
) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Yield the launches that run, each with the heartbeat of its worker."""
    launches = list(launchpad.launches.find({"state": "RUNNING"}, {"action": 0}))
    names = [launch["fworker"]["name"] for launch in launches]
    found = launchpad.db[WORKERS].find({"_id": {"$in": names}})
    beats = {beat["_id"]: beat for beat in found}
    for launch, name in zip(launches, names, strict=True):
        yield launch, beats.get(name)


def _sign(launch: dict[str, Any], beat: dict[str, Any] | None) -> tuple[Any, ...]:
    """Return what changes as long as a job lives."""
    # A living worker that does something else has lost this job all the same.
    is_at_it = beat is not None and beat["fw_id"] == launch["fw_id"]
    return _last_ping(launch), beat["seen_at"] if beat and is_at_it else None


def _last_ping(launch: dict[str, Any]) -> str:
    """Return when a launch said last that it runs, by its worker's clock."""
    history = launch["state_history"]
    return str(
        max(item["updated_on"] for item in history if item["state"] == "RUNNING")
    )


def _last_heard(launch: dict[str, Any], beat: dict[str, Any] | None) -> datetime:
    """Return when a launch or its worker was last heard, by the server's clock."""
    pinged = datetime.fromisoformat(_last_ping(launch)).replace(tzinfo=UTC)
    if beat is None:
        return pinged
    seen_at = beat["seen_at"].replace(tzinfo=UTC)
    if beat.get("own_time") is not None:  # the same moment, by the worker's clock
        pinged += seen_at - beat["own_time"].replace(tzinfo=UTC)
    return max(pinged, seen_at) if beat["fw_id"] == launch["fw_id"] else pinged


def _sure_loss(beat: dict[str, Any] | None) -> Loss | None:
    """Return the loss that needs no waiting: said by the worker, or seen from here."""
    if beat is None:
        return None
    if beat["state"] == WorkerState.STUCK:
        return Loss.STUCK
    if beat["state"] == WorkerState.LEFT or is_gone_from_here(beat):
        return Loss.GONE
    return None


def _lost_job(
    launch: dict[str, Any], beat: dict[str, Any] | None, silent_s: float, loss: Loss
) -> LostJob:
    """Describe a launch that has lost its worker, or may have."""
    is_at_it = beat is not None and beat["fw_id"] == launch["fw_id"]
    return LostJob(
        fw_id=launch["fw_id"],
        launch_id=launch["launch_id"],
        name="(deleted)",
        worker=launch["fworker"]["name"],
        silent_s=silent_s,
        loss=loss,
        has_heartbeat=beat is not None,
        got_on=bool(beat and is_at_it and beat.get("n_steps_kept")),
    )


def _name(launchpad: LaunchPad, lost: list[LostJob]) -> list[LostJob]:
    """Return jobs with their names."""
    query = {"fw_id": {"$in": [job.fw_id for job in lost]}}
    found = launchpad.fireworks.find(query, {"fw_id": 1, "name": 1}) if lost else ()
    names = {job["fw_id"]: job["name"] for job in found}
    return [replace(job, name=names.get(job.fw_id, job.name)) for job in lost]


def _end_launch(
    launchpad: LaunchPad,
    launch_id: int,
    *,
    note: str,
    action: dict[str, Any] | None = None,
) -> bool:
    """End a launch that runs; of two who try it at once, one succeeds."""
    change: dict[str, Any] = {"state": "FIZZLED", "wyckflow_note": note}
    if action is not None:
        change["action"] = action
    done = launchpad.launches.update_one(
        {"launch_id": launch_id, "state": {"$in": ["RUNNING", "RESERVED"]}},
        {"$set": change},
    )
    return bool(done.modified_count)


def _uptime_s(launchpad: LaunchPad) -> float:
    """Return how long the server has been up; unknown without the right to ask."""
    try:
        status = launchpad.connection.admin.command("serverStatus", repl=0, metrics=0)
        return float(status["uptime"])
    except PyMongoError:
        return timedelta(days=3650).total_seconds()
