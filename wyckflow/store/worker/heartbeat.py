"""Workers say that they live, with the server's clock, and end themselves if stuck."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from pymongo.errors import PyMongoError

from wyckflow import __version__
from wyckflow.makers._running import n_steps_kept
from wyckflow.store.embedded.process import list_descendants, start_mark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from wyckflow.store.connect import Database

WORKERS = "workers"

_LOOK_S: Final = 0.5
"""How soon others are told that the job in hand has kept something: who is killed in
between is blamed for a loss that was none."""

_NOTHING_S: Final = 0.005
"""Processor time of the main thread that does not count as work, in seconds."""


class WorkerState(StrEnum):
    """What a worker said last."""

    ALIVE = "alive"
    LEFT = "left"
    STUCK = "stuck"


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
    stuck_after_s
        Ends this process if its job has used no processor time for so many seconds,
        started no program and waits for no database; never if None.
    """

    def __init__(
        self,
        database: Database,
        worker: str,
        category: str,
        *,
        period_s: float,
        current_job: Callable[[], int | None],
        stuck_after_s: float | None = None,
    ) -> None:
        self.worker = worker
        self._mongo = database.open()
        self._period_s = period_s
        self._current_job = current_job
        self._stuck_after_s = stuck_after_s
        self._idle_since: float | None = None
        self._worked: tuple[int | None, float] = (None, 0.0)
        self._n_steps_told = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._known = {
            "host": socket.gethostname(),
            "boot_id": boot_id(),
            "pid": os.getpid(),
            "process_start": start_mark(os.getpid()),
            "category": category,
            "wyckflow_version": __version__,
            "started_at": datetime.now(UTC),
        }

    def __enter__(self) -> Self:
        """Announce the worker and begin."""
        self._write(WorkerState.ALIVE)
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
        with suppress(PyMongoError):  # others will notice the silence instead
            self._write(WorkerState.LEFT)
        self._mongo.client.close()

    def _beat(self) -> None:
        """Write until told to stop; an outage is waited out."""
        while not self._wait():
            try:
                self._write(WorkerState.ALIVE)
            except PyMongoError:
                self._idle_since = None  # the job may wait for the same database
                continue
            if self._is_stuck():
                with suppress(PyMongoError):  # to say why is a courtesy
                    self._write(WorkerState.STUCK)
                os.kill(os.getpid(), signal.SIGKILL)  # nothing less ends such a job

    def _wait(self) -> bool:
        """Wait until the next sign is due; return whether to stop instead."""
        due = time.monotonic() + self._period_s
        while (rest_s := due - time.monotonic()) > 0:
            if self._stop.wait(min(rest_s, _LOOK_S)):
                return True
            if n_steps_kept() != self._n_steps_told:
                break
        return self._stop.is_set()

    def _is_stuck(self) -> bool:
        """Return whether the main thread has stood still in one job for too long."""
        if self._stuck_after_s is None:
            return False
        job, (last_job, last_s) = self._current_job(), self._worked
        worked_s = main_thread_cpu_s()
        self._worked = (job, worked_s)
        is_still = job is not None and job == last_job
        # A job that waits for a program it started, such as VASP, is none of ours.
        if (
            not is_still
            or worked_s - last_s > _NOTHING_S
            or list_descendants(os.getpid())
        ):
            self._idle_since = None
            return False
        now = time.monotonic()
        if self._idle_since is None:
            self._idle_since = now
        return now - self._idle_since >= self._stuck_after_s

    def _write(self, state: WorkerState) -> None:
        """Write one sign of life with the server's clock, and our own beside it."""
        n_steps = n_steps_kept()
        self._mongo[WORKERS].update_one(
            {"_id": self.worker},
            {
                "$set": {
                    **self._known,
                    "state": state,
                    "fw_id": self._current_job(),
                    "n_steps_kept": n_steps,
                    "own_time": datetime.now(UTC),
                },
                "$currentDate": {"seen_at": True},
            },
            upsert=True,
        )
        self._n_steps_told = n_steps


def is_gone_from_here(beat: Mapping[str, Any]) -> bool:
    """Return whether a worker ran on this machine, and its process has ended.

    Parameters
    ----------
    beat
        Its last sign of life.
    """
    if beat["host"] != socket.gethostname() or beat["boot_id"] != boot_id():
        return False
    mark = start_mark(beat["pid"])
    if mark is None:
        return True
    # Another process may have got its number.
    return bool(mark and beat.get("process_start") and mark != beat["process_start"])


def boot_id() -> str:
    """Return what tells this boot of this machine, or container, from every other."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def main_thread_cpu_s() -> float:
    """Return processor seconds of the main thread; where unknown, of all threads."""
    ident = threading.main_thread().ident
    if ident is None or not hasattr(time, "pthread_getcpuclockid"):
        return time.process_time()
    return time.clock_gettime(time.pthread_getcpuclockid(ident))
