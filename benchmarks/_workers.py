"""Real worker processes on a project of their own, and what they cost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wyckflow.cli.init import prepare_own_project
from wyckflow.settings import SETTINGS_FILE
from wyckflow.store.embedded.server import EmbeddedServer
from wyckflow.store.project import Project, load_project, write_private_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymongo.database import Database as MongoDatabase

HERE = Path(__file__).parent
EVERY_KIND = "every"
"""A kind of worker that pulls all jobs: one process does one after the other."""

OPEN = ("READY", "WAITING", "RUNNING", "RESERVED")
_POLL_S = 0.1
_ASK_S = 1.0
"""Between two questions whether all is done, which cost the server something, too."""


@dataclass
class Cost:
    """What some processes took together."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_mb: dict[str, float] = field(default_factory=dict)
    """Peak memory of each process, by its name."""


@contextmanager
def own_project(folder: Path | None = None) -> Iterator[Project]:
    """Yield a project with a running server; one in no folder is thrown away.

    Parameters
    ----------
    folder
        Where it is, or will be and stay.
    """
    home = folder or Path(tempfile.mkdtemp(prefix="wyckflow-bench-"))
    home = home.resolve()
    server = EmbeddedServer(home / "database")
    try:
        if (home / SETTINGS_FILE).is_file():
            server.start()
            yield load_project(home)
        else:
            project = prepare_own_project(home)
            pulls = {"name": "every-worker", "category": ["gpu", "cpu", None]}
            write_private_yaml(project.worker_file(EVERY_KIND), pulls | {"query": "{}"})
            yield project
    finally:
        server.stop()
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)


def run_workers(
    project: Project,
    kinds: Sequence[str],
    options: Sequence[str] = (),
    *,
    is_done: Callable[[], bool] | None = None,
    seconds: float = 3600,
) -> Cost:
    """Run workers until they leave or all is done, and return what they took.

    Parameters
    ----------
    project
        Whose jobs.
    kinds
        One worker of each.
    options
        Of ``wyckflow worker start``.
    is_done
        Asked all the time; the workers are then told to leave.
    seconds
        After which they are told to leave in any case.
    """
    began = time.perf_counter()
    processes = {
        f"{number}-{kind}": _start(
            project,
            f"worker-{number}-{kind}.log",
            [*("-m", "wyckflow.cli.main", "worker", "start", "--category", kind)],
            [*options, "--project", str(project.folder)],
        )
        for number, kind in enumerate(kinds)
    }
    return _await(processes, began, is_done, seconds)


def run_command(
    project: Project, name: str, arguments: Sequence[str], *, seconds: float = 3600
) -> Cost:
    """Run ``wyckflow`` with arguments in a process of its own; return what it took.

    Parameters
    ----------
    project
        Whose.
    name
        For its log.
    arguments
        Those of the command line.
    seconds
        After which it is told to leave.
    """
    began = time.perf_counter()
    process = _start(
        project,
        f"{name}.log",
        ["-m", "wyckflow.cli.main", *arguments],
        ["--project", str(project.folder)],
    )
    return _await({name: process}, began, None, seconds)


def count_open(mongo: MongoDatabase[Any]) -> int:
    """Return how many jobs can still run, or do; raise if one has failed."""
    failed = mongo["fireworks"].find_one({"state": "FIZZLED"})
    if failed is not None:
        raise RuntimeError(f"the job {failed['name']!r} failed: see the workers' logs")
    return mongo["fireworks"].count_documents({"state": {"$in": list(OPEN)}})


def count_states(mongo: MongoDatabase[Any]) -> dict[str, int]:
    """Return the number of jobs in each state."""
    groups = mongo["fireworks"].aggregate(
        [{"$group": {"_id": "$state", "n": {"$sum": 1}}}]
    )
    return {group["_id"]: group["n"] for group in groups}


def sum_science(mongo: MongoDatabase[Any]) -> dict[str, tuple[int, float, float]]:
    """Return number, wall and CPU seconds of the jobs' own work, by job name."""
    group = {
        "_id": "$name",
        "n": {"$sum": 1},
        "wall_s": {"$sum": "$output.provenance.wall_s"},
        "cpu_s": {"$sum": "$output.provenance.cpu_s"},
    }
    found = mongo["outputs"].aggregate([{"$group": group}, {"$sort": {"_id": 1}}])
    return {item["_id"]: (item["n"], item["wall_s"], item["cpu_s"]) for item in found}


def measure_collections(mongo: MongoDatabase[Any]) -> dict[str, tuple[int, int, int]]:
    """Return number, bytes in all, and bytes of the largest document, by collection."""
    found = {}
    for name in sorted(mongo.list_collection_names()):
        size = {"$bsonSize": "$$ROOT"}
        group = {"_id": None, "n": {"$sum": 1}, "all": {"$sum": size}}
        group["max"] = {"$max": size}
        rows = list(mongo[name].aggregate([{"$group": group}]))
        if rows:
            found[name] = (rows[0]["n"], rows[0]["all"], rows[0]["max"])
    return found


def peak_of_server(project: Project) -> float:
    """Return the peak memory of the server since it started, in MB (Linux)."""
    status = Path(f"/proc/{server_pid(project)}/status").read_text()
    (peak,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peak.split()[1]) / 1024


def cpu_of_server(project: Project) -> float:
    """Return the CPU seconds of the server since it started (Linux)."""
    text = Path(f"/proc/{server_pid(project)}/stat").read_text()
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def server_pid(project: Project) -> int:
    """Return the process of the project's server."""
    return int(EmbeddedServer(project.database_folder).status().pid or 0)


def _start(
    project: Project, log: str, command: list[str], options: list[str]
) -> subprocess.Popen[bytes]:
    """Start one process with one thread, which may import what stands here."""
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    with (project.folder / log).open("a") as stream:
        return subprocess.Popen(  # noqa: S603 (our own command)
            [sys.executable, *command, *options],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        )


def _await(
    processes: dict[str, subprocess.Popen[bytes]],
    began: float,
    is_done: Callable[[], bool] | None,
    seconds: float,
) -> Cost:
    """Wait for processes, telling them to leave when it is time."""
    try:
        return _watch(processes, began, is_done, seconds)
    finally:
        for process in processes.values():
            if process.returncode is None:
                process.kill()
                process.wait()


def _watch(
    processes: dict[str, subprocess.Popen[bytes]],
    began: float,
    is_done: Callable[[], bool] | None,
    seconds: float,
) -> Cost:
    """Wait for processes, and add up what each took when it ends."""
    cost, has_told = Cost(), False
    asked = began
    waiting = dict(processes)
    while waiting:
        for name, process in list(waiting.items()):
            pid, _, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = 0  # it is waited for, and Popen must not try
                cost.cpu_s += usage.ru_utime + usage.ru_stime
                cost.max_rss_mb[name] = usage.ru_maxrss / 1024
                del waiting[name]
        now = time.perf_counter()
        is_over = now - began > seconds
        if not has_told and not is_over and is_done is not None:
            if now - asked < _ASK_S:
                time.sleep(_POLL_S)
                continue
            asked = now
            is_over = is_done()
        if is_over and not has_told:
            cost.wall_s = time.perf_counter() - began
            has_told = True
            for process in waiting.values():
                process.terminate()
        time.sleep(_POLL_S)
    cost.wall_s = cost.wall_s or time.perf_counter() - began
    return cost
