"""Disturb a running campaign in every way that happens to people, and keep a record.

Used by ``benchmarks/chaos.py`` and by ``tests/chaos``. Real workers, a real server,
real signals; another machine is one whose host has another name and whose clock is an
hour behind, and a full disk is a small file system of its own that is filled.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wyckflow.store.connect import Database
    from wyckflow.store.embedded.server import EmbeddedServer
    from wyckflow.store.project import Project

CLOCK_SHIFT_S = -3600
FULL_DISK_MB = 48
CLONE_NEWNS, MS_REC, MS_PRIVATE, MNT_DETACH = 0x00020000, 0x4000, 1 << 18, 2

_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *found) {
    static int (*ask)(clockid_t, struct timespec *);
    if (!ask) ask = dlsym(RTLD_NEXT, "clock_gettime");
    int code = ask(id, found);
    const char *shift = getenv("CHAOS_CLOCK_SHIFT_S");
    if (id == CLOCK_REALTIME && shift) found->tv_sec += atol(shift);
    return code;
}
"""


@dataclass
class Slot:
    """A place for one worker; whoever is killed there is followed by another."""

    name: str
    category: str
    is_far: bool = False
    process: subprocess.Popen[bytes] | None = None
    n_started: int = 0

    @property
    def pid(self) -> int:
        """The process that works there."""
        if self.process is None:
            raise RuntimeError(f"No worker was started as {self.name}.")
        return self.process.pid


@dataclass
class Loss:
    """A job whose worker was killed or stopped, and what came of it."""

    fw_id: int
    launch_id: int
    at: float
    is_far: bool
    how: str
    noticed_s: float | None = None
    resumed_s: float | None = None


@dataclass
class Storm:
    """A campaign's workers and server, and what is done to them.

    Attributes
    ----------
    server, project
        Where the campaign runs.
    slots
        Its workers.
    rng
        Decides what happens when.
    folder
        For logs.
    environment
        Of every worker.
    hang_s
        How long a worker is stopped that hangs.
    disk
        A small file system below the launches, if there is one.
    """

    server: EmbeddedServer
    project: Project
    slots: Sequence[Slot]
    rng: random.Random
    folder: Path
    environment: dict[str, str]
    hang_s: float = 110.0
    disk: Path | None = None
    done: Counter[str] = field(default_factory=Counter)
    losses: list[Loss] = field(default_factory=list)
    _ends: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    @property
    def database(self) -> Database:
        """That of the project."""
        return self.project.database()

    # --- workers ----------------------------------------------------------------------

    def start_workers(self) -> None:
        """Start a worker in every slot."""
        for slot in self.slots:
            self.start(slot)

    def start(self, slot: Slot) -> None:
        """Start a worker in a slot."""
        command = [sys.executable, "-m", "wyckflow.cli.main", "worker", "start"]
        command += ["--category", slot.category]
        environment = dict(self.environment)
        if slot.is_far:
            if can_unshare():
                rename = 'hostname far-away && exec "$@"'
                command = ["unshare", "--uts", "sh", "-c", rename, "sh", *command]
            environment |= shifted_clock(self.folder)
        slot.n_started += 1
        log = self.folder / f"{slot.name}-{slot.n_started}.log"
        with log.open("wb") as stream:
            slot.process = subprocess.Popen(  # noqa: S603 (our own command)
                command,
                env=environment,
                cwd=self.project.folder,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    def stop_workers(self) -> None:
        """End every worker, and undo what still lasts."""
        self.calm_down()
        for slot in self.slots:
            if slot.process is not None:
                slot.process.terminate()
        for slot in self.slots:
            if slot.process is not None:
                try:
                    slot.process.wait(60)
                except subprocess.TimeoutExpired:
                    slot.process.kill()
                    slot.process.wait()

    # --- disturbances -----------------------------------------------------------------

    def disturb(self, kind: str | None = None) -> str:
        """Do one thing to somebody; return what."""
        actions = {
            "kill a worker": (40, self._kill_worker),
            "kill the server": (20, self._kill_server),
            "pause the server": (20, self._pause_server),
            "hang a worker": (0 if self.is_busy else 6, self._hang_worker),
            "fill the disk": (10 if self.disk is not None else 0, self._fill_disk),
        }
        if kind is None:
            weights = [weight for weight, _ in actions.values()]
            (kind,) = self.rng.choices(list(actions), weights)
        actions[kind][1]()
        self.done[kind] += 1
        return kind

    def tend(self) -> None:
        """End what has lasted long enough, restart who left, follow what was lost."""
        now = time.monotonic()
        for end in [item for item in self._ends if item[0] <= now]:
            self._ends.remove(end)
            end[1]()
        for slot in self.slots:
            if slot.process is not None and slot.process.poll() is not None:
                self.done["worker left by itself"] += 1
                self.start(slot)
        with suppress(PyMongoError):
            self._follow(time.monotonic())

    def calm_down(self) -> None:
        """End everything that lasts."""
        for _, end in self._ends:
            end()
        self._ends.clear()

    def _kill_worker(self) -> None:
        slot = self.rng.choice(self.slots)
        self._remember(slot, "killed")
        if slot.process is not None:
            slot.process.kill()
            slot.process.wait()
        self.start(slot)

    def _hang_worker(self) -> None:
        slot = self.rng.choice([s for s in self.slots if s.category == "gpu"])
        pid = slot.pid
        os.kill(pid, signal.SIGSTOP)
        self._remember(slot, "hung")

        def go_on() -> None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

        self._ends.append((time.monotonic() + self.hang_s, go_on))

    @property
    def is_busy(self) -> bool:
        """Whether a disturbance still lasts."""
        return bool(self._ends)

    def _kill_server(self) -> None:
        pid = self._server_pid()
        os.kill(pid, signal.SIGKILL)
        time.sleep(self.rng.uniform(0.0, 3.0))
        self.server.start(die_with_parent=True)

    def _pause_server(self) -> None:
        pid = self._server_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(self.rng.uniform(0.5, 6.0))
        finally:
            os.kill(pid, signal.SIGCONT)

    def _server_pid(self) -> int:
        pid = self.server.status().pid
        if pid is None:
            raise RuntimeError("The server does not run.")
        return pid

    def _fill_disk(self) -> None:
        if self.disk is None:
            return
        ballast = self.disk / f"ballast-{time.monotonic_ns()}"
        with suppress(OSError), ballast.open("wb") as stream:
            while True:
                stream.write(bytes(1 << 20))
        end = time.monotonic() + self.rng.uniform(5, 15)
        self._ends.append((end, lambda: ballast.unlink(missing_ok=True)))

    # --- record -----------------------------------------------------------------------

    def _remember(self, slot: Slot, how: str) -> None:
        """Note which job a worker has in hand."""
        query = {"state": "RUNNING", "fworker.name": {"$regex": f"-{slot.pid}$"}}
        with suppress(PyMongoError), self.database.client() as client:
            launch = client[self.database.name].launches.find_one(query)
            if launch is not None:
                now = time.monotonic()
                self.losses.append(
                    Loss(launch["fw_id"], launch["launch_id"], now, slot.is_far, how)
                )

    def _follow(self, now: float) -> None:
        """See which lost jobs were noticed, and which run again."""
        waiting = [loss for loss in self.losses if loss.resumed_s is None]
        if not waiting:
            return
        with self.database.client() as client:
            launches = client[self.database.name].launches
            for loss in waiting:
                old = launches.find_one({"launch_id": loss.launch_id}, {"state": 1})
                if loss.noticed_s is None and old and old["state"] != "RUNNING":
                    loss.noticed_s = now - loss.at
                later = {"fw_id": loss.fw_id, "launch_id": {"$gt": loss.launch_id}}
                if launches.find_one(later, {"_id": 1}) is not None:
                    loss.resumed_s = now - loss.at

    def n_open(self) -> int:
        """Jobs that may still run."""
        with self.database.client(timeout_ms=30_000) as client:
            return count_open(client[self.database.name])

    def n_ended(self) -> int:
        """Jobs that came to an end, good or bad."""
        ended = {"state": {"$in": ["COMPLETED", "FIZZLED"]}}
        with self.database.client(timeout_ms=30_000) as client:
            return int(client[self.database.name].fireworks.count_documents(ended))


def count_open(mongo: Any) -> int:
    """Return the jobs that run, may run, or wait for one that may.

    Parameters
    ----------
    mongo
        The database.
    """
    states = {"$in": ["READY", "RESERVED", "RUNNING"]}
    return int(mongo.fireworks.count_documents({"state": states}))


# --- means ----------------------------------------------------------------------------


@cache
def can_unshare() -> bool:
    """Return whether this process may make namespaces."""
    if shutil.which("unshare") is None:
        return False
    done = subprocess.run(
        ["unshare", "--uts", "--mount", "true"],  # noqa: S607
        check=False,
        capture_output=True,
    )
    return done.returncode == 0


@cache
def shifted_clock(folder: Path) -> dict[str, str]:
    """Return the variables by which a process sees another time; none if impossible.

    Parameters
    ----------
    folder
        Where the library goes that tells it.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        return {}
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(_CLOCK)
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    if subprocess.run(command, check=False, capture_output=True).returncode:  # noqa: S603
        return {}
    return {"LD_PRELOAD": str(library), "CHAOS_CLOCK_SHIFT_S": str(CLOCK_SHIFT_S)}


def mount_small_disk(folder: Path) -> Path | None:
    """Put a small file system at a folder, seen by this process and its children only.

    Parameters
    ----------
    folder
        Made if missing.

    Returns
    -------
    Path | None
        The folder; None where the system does not allow it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not can_unshare():
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(
        b"none", b"/", None, MS_REC | MS_PRIVATE, None
    ):
        return None
    options = f"size={FULL_DISK_MB}m".encode()
    where = os.fsencode(folder)
    return None if libc.mount(b"tmpfs", where, b"tmpfs", 0, options) else folder


def unmount(folder: Path) -> None:
    """Take a small file system away again.

    Parameters
    ----------
    folder
        From `mount_small_disk`.
    """
    ctypes.CDLL(None).umount2(os.fsencode(folder), MNT_DETACH)


# --- comparison -----------------------------------------------------------------------
