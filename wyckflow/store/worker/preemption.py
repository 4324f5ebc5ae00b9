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
import traceback
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from fireworks import LaunchPad
from pymongo.errors import AutoReconnect, PyMongoError

from wyckflow.makers._running import begin_job, end_job
from wyckflow.store.embedded.process import list_descendants
from wyckflow.store.worker.failure import (
    gave_up_itself,
    is_lost_connection,
    last_line,
    ran_out_of_room,
    traceback_of,
    was_cut_off,
    was_superseded,
)
from wyckflow.store.worker.recovery import return_to_queue
from wyckflow.store.worker.repair import drop_known_children
from wyckflow.store.worker.tries import FAILED, LOST, MAX_TRIES, count_tries, quarantine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

logger = logging.getLogger(__name__)

NO_ROOM = "given back: no room, "
"""How the note of a launch begins whose worker had no room on a disk."""

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
    launch_id: int | None = None
    gave_back: int | None = None
    lost_to_another: int | None = None
    no_room: str | None = None

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
        try:
            firework, launch_id = super().checkout_fw(*args, **kwargs)
        except RuntimeError as error:
            if not is_lost_connection(traceback.format_exc()):
                raise
            raise AutoReconnect("The database went away as a job was taken.") from error
        if firework is None:
            self.phase = Phase.IDLE
            return None, None
        self.fw_id, self.launch_id = firework.fw_id, launch_id
        begin_job()
        if self.is_leaving:
            self.give_back(firework.fw_id, launch_id)
            return None, None
        return firework, launch_id

    def complete_launch(
        self, launch_id: int, action: Any = None, state: str = "COMPLETED"
    ) -> Any:
        """Store a job's end, unless it has another try, or is another's job by now."""
        self.phase = Phase.UPDATING
        fw_id = self.fw_id
        if fw_id is None:  # not a job that this worker took
            return super().complete_launch(launch_id, action, state)
        done = None
        if was_superseded(action) or not self.is_mine(fw_id, launch_id):
            self.lost_to_another = fw_id
        elif state != "FIZZLED":
            done = self._complete(fw_id, launch_id, action, state)
            end_job(is_stored=True)
        elif not self._try_again(fw_id, launch_id, action):
            n_tries = count_tries(self, fw_id) + 1
            done = super().complete_launch(launch_id, action, state)
            quarantine(self, launch_id, n_tries=n_tries, note=_note_of(action))
        end_job(is_stored=False)
        self.fw_id, self.launch_id, self.phase = None, None, Phase.IDLE
        return done

    def _complete(self, fw_id: int, launch_id: int, action: Any, state: str) -> Any:
        """Store a result; if the database goes away meanwhile, once more."""
        for _ in range(MAX_TRIES):
            drop_known_children(self, fw_id, action)
            try:
                return super().complete_launch(launch_id, action, state)
            except (PyMongoError, RuntimeError) as error:
                if not is_lost_connection(traceback.format_exc()):
                    raise
                logger.warning("storing the end of job %s again: %s", fw_id, error)
                # Whatever it is called by now: only what runs can come to an end, and
                # let its children know.
                again = {"$set": {"state": "RUNNING"}}
                self.fireworks.update_one({"fw_id": fw_id}, again)
        return super().complete_launch(launch_id, action, state)

    def _try_again(self, fw_id: int, launch_id: int, action: Any) -> bool:
        """Give a failed job back, if it was not its fault or has tries left."""
        if self.is_leaving:
            self.give_back(fw_id, launch_id)
            return True
        stored = action.to_db_dict() if action is not None else None
        error = last_line(traceback_of(action))
        if ran_out_of_room(action):
            self.no_room = error
            self.give_back(fw_id, launch_id, note=f"{NO_ROOM}{error}", action=stored)
            return True
        if gave_up_itself(action) or count_tries(self, fw_id) + 1 >= MAX_TRIES:
            return False
        self.give_back(fw_id, launch_id, note=_note_of(action), action=stored)
        return True

    def restore_backup_data(self, launch_id: int, fw_id: int) -> None:
        """Undo a half stored end, but not what others decided about the job."""
        if self.is_mine(fw_id, launch_id):
            super().restore_backup_data(launch_id, fw_id)

    def is_mine(self, fw_id: int, launch_id: int) -> bool:
        """Return whether a job that this worker took was not given to another since.

        Parameters
        ----------
        fw_id
            The job.
        launch_id
            As which launch it was taken.
        """
        launch = self.launches.find_one(
            {"launch_id": launch_id}, {"wyckflow_note": 1, "state": 1}
        )
        if launch is None or "wyckflow_note" in launch:  # noted when it was taken away
            return False
        return (
            self.fireworks.find_one({"fw_id": fw_id, "launches": launch_id}, {"_id": 1})
            is not None
        )

    def still_has_job(self) -> bool:
        """Return whether the job in hand is still this worker's; yes without one."""
        if self.fw_id is None or self.launch_id is None:
            return True
        return self.is_mine(self.fw_id, self.launch_id)

    def return_stale(self, worker: str) -> list[int]:
        """Give back what this worker took and, cut off from the database, never began.

        Parameters
        ----------
        worker
            Name of this worker, which has no job in hand.
        """
        query = {"fworker.name": worker, "state": {"$in": ["RUNNING", "RESERVED"]}}
        stale = list(self.launches.find(query, {"launch_id": 1, "fw_id": 1}))
        for launch in stale:
            note = "given back: the database went away as it was taken"
            return_to_queue(self, launch["fw_id"], launch["launch_id"], note=note)
        return [launch["fw_id"] for launch in stale]

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
        self,
        fw_id: int,
        launch_id: int | None,
        *,
        note: str = "given back on a signal",
        action: dict[str, Any] | None = None,
    ) -> None:
        """Make a job that this worker has taken READY again."""
        self.phase = Phase.UPDATING
        return_to_queue(self, fw_id, launch_id, note=note, action=action)
        self.gave_back, self.fw_id, self.launch_id = fw_id, None, None
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


def _note_of(action: Any) -> str:
    """Return the note of a try that ended in an error."""
    if was_cut_off(action):
        return f"{LOST}database went away"
    return FAILED + last_line(traceback_of(action))


def end_child_processes() -> None:
    """Ask every process that this one started to end (VASP, its MPI launcher)."""
    for pid in list_descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
