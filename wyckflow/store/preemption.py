"""A LaunchPad that can give a running job back, and the signals that ask for it.

A queue ends a job by SIGTERM (or SIGUSR1 ahead of the time limit), a person by Ctrl-C.
FireWorks' own launcher would lose the job, or mark it failed and take the next one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fireworks import LaunchPad
from pymongo.errors import PyMongoError

from wyckflow.store.recovery import MAX_LOSSES, count_losses, return_to_queue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

logger = logging.getLogger(__name__)

CONNECTION_ERRORS = ("AutoReconnect", "NetworkTimeout", "ServerSelectionTimeoutError")
REPEAT_AFTER_S = 0.1
WORKFLOW_FOLLOWS_S = 10.0
"""FireWorks stores the jobs of a new workflow first, and the workflow then."""

LEAVE_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Preempted(BaseException):
    """Raised inside a job by a signal, through any ``except Exception``."""


class Phase(StrEnum):
    """What a worker is doing, as far as an interruption is concerned."""

    IDLE = "idle"
    UPDATING = "updating"  # the database is between two states: finish first
    WORKING = "working"  # inside the job's own code


class PreemptibleLaunchPad(LaunchPad):  # type: ignore[misc]
    """A LaunchPad that knows its worker's phase.

    Interrupted work is READY again in one step: at no moment is it FIZZLED, so that no
    child that tolerates failed parents starts without it.
    """

    phase: Phase = Phase.IDLE
    signal_number: int | None = None
    fw_id: int | None = None
    gave_back: int | None = None

    def __repr__(self) -> str:
        """Name the class only: FireWorks would show the password."""
        return f"{type(self).__name__}({self.name!r})"

    @property
    def is_leaving(self) -> bool:
        """Whether a signal has asked the worker to leave."""
        return self.signal_number is not None

    def listen(self) -> None:
        """Let the leave signals reach this LaunchPad (main thread only)."""
        for number in LEAVE_SIGNALS:
            signal.signal(number, self._on_signal)

    def _get_a_fw_to_run(
        self, query: Any = None, fw_id: int | None = None, *, checkout: bool = True
    ) -> Any:
        """Find a job; one without a workflow could never end, so it is put aside."""
        firework = super()._get_a_fw_to_run(query, fw_id, checkout)
        if firework is None or not checkout:
            return firework
        deadline = time.monotonic() + WORKFLOW_FOLLOWS_S
        while not self.workflows.find_one({"nodes": firework.fw_id}, {"_id": 1}):
            if time.monotonic() > deadline:
                aside = {"$set": {"state": "ARCHIVED"}}
                self.fireworks.update_one({"fw_id": firework.fw_id}, aside)
                return None
            time.sleep(0.2)
        return firework

    def checkout_fw(self, *args: Any, **kwargs: Any) -> tuple[Any, int | None]:
        """Take a job; hand it straight back if a signal came meanwhile."""
        self.phase = Phase.UPDATING
        firework, launch_id = super().checkout_fw(*args, **kwargs)
        if firework is None:
            self.phase = Phase.IDLE
            return None, None
        self.fw_id = firework.fw_id
        if self.is_leaving:
            self.give_back(firework.fw_id, launch_id)
            return None, None
        return firework, launch_id

    def complete_launch(
        self, launch_id: int, action: Any = None, state: str = "COMPLETED"
    ) -> Any:
        """Store a job's end; one that was only interrupted is given back instead."""
        self.phase = Phase.UPDATING
        if state == "FIZZLED" and self.fw_id is not None:
            if self.is_leaving:
                self.give_back(self.fw_id, launch_id)
                return None
            if was_cut_off(action) and count_losses(self, self.fw_id) < MAX_LOSSES - 1:
                self.give_back(self.fw_id, launch_id, note="lost: database went away")
                return None
        done = super().complete_launch(launch_id, action, state)
        self.fw_id, self.phase = None, Phase.IDLE
        return done

    def ping_launch(
        self, launch_id: int, ptime: Any = None, checkpoint: Any = None
    ) -> None:
        """Tell that the job lives; a missed ping must not end the pinging thread.

        FireWorks' main thread pings right before the job's code (with a checkpoint) and
        right after it, which is how this LaunchPad knows when it may interrupt.
        """
        is_main = threading.current_thread() is threading.main_thread()
        if is_main:
            self.phase = Phase.UPDATING
        try:
            super().ping_launch(launch_id, ptime=ptime, checkpoint=checkpoint)
        except PyMongoError as error:
            logger.warning("ping of launch %s failed: %s", launch_id, error)
        if is_main and checkpoint is not None:
            self._begin_work()

    def _begin_work(self) -> None:
        """Let signals through; repeat one that came too early to act on."""
        self.phase = Phase.WORKING
        if self.signal_number is not None:
            again = (os.getpid(), self.signal_number)
            threading.Timer(REPEAT_AFTER_S, os.kill, again).start()

    def give_back(
        self, fw_id: int, launch_id: int | None, *, note: str = "given back on a signal"
    ) -> None:
        """Make a job that this worker has taken READY again."""
        self.phase = Phase.UPDATING
        return_to_queue(self, fw_id, launch_id, note=note)
        self.gave_back, self.fw_id = fw_id, None
        self.phase = Phase.IDLE

    @contextlib.contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Put signals off while the database is between two states."""
        before, self.phase = self.phase, Phase.UPDATING
        try:
            yield
        finally:
            self.phase = before

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Remember to leave; interrupt at once where nothing is half written."""
        self.signal_number = number
        if self.phase is Phase.WORKING:
            end_child_processes()
            raise Preempted(signal.Signals(number).name)
        if self.phase is Phase.IDLE:
            raise Preempted(signal.Signals(number).name)


def was_cut_off(action: Any) -> bool:
    """Whether a job failed because the database went away, not because of itself.

    Parameters
    ----------
    action
        What FireWorks stores about the end of the job.
    """
    stored = getattr(action, "stored_data", None) or {}
    trace = (stored.get("_exception") or {}).get("_stacktrace") or ""
    return any(f"pymongo.errors.{name}" in trace for name in CONNECTION_ERRORS)


def end_child_processes() -> None:
    """Ask every process that this one started to end (VASP, its MPI launcher)."""
    for pid in _descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)


def _descendants(pid: int) -> list[int]:
    """Return the processes below one, deepest first (Linux; elsewhere none)."""
    found: list[int] = []
    try:
        lists = Path(f"/proc/{pid}/task").glob("*/children")
        children = [int(child) for path in lists for child in path.read_text().split()]
    except OSError:
        return found
    for child in children:
        found += [*_descendants(child), child]
    return found
