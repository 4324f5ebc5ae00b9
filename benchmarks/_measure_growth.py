"""What grows with genes, jobs and workers: queries, indexes, connections, memory.

    python benchmarks/_measure_growth.py [--quick]

Filled databases on a MongoDB server of their own, thrown away. Printed are the time and
the commands of what workers and people ask for all the time, by how much the database
holds, and the connections of one idle worker. The figures stand in
``docs/dev/scaling.md``; there is no peer, and no record.
"""

from __future__ import annotations

import resource
import sys
import time
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymongo
from _bench import Record, run_script
from _toy_relax import ToyRelaxMaker
from _workers import EVERY_KIND, cpu_of_server, own_project, run_workers, server_pid
from monty.json import jsanitize
from orchestration import make_genes
from pymongo.monitoring import CommandListener

from wyckflow.store.campaign.funnel import read_funnel
from wyckflow.store.campaign.progress import read_usage
from wyckflow.store.candidates.builder import build_candidates
from wyckflow.store.worker.recovery import Watch

if TYPE_CHECKING:
    from pymongo.database import Database as MongoDatabase

    from wyckflow.store.project import Project

CAMPAIGN, OTHER = "growth", "joined"
GENES_PER_SHARD = 500
SHARDS, SHARDS_QUICK = (20, 200), (2,)
OUTPUTS, OUTPUTS_QUICK = (1_000, 20_000), (100,)
RUNNING, RUNNING_QUICK = (10, 100, 1_000), (10,)
MB = 2**20


def measure(quick: bool) -> list[Record]:
    """Print everything."""
    with own_project() as project, project.database().client() as client:
        mongo = client[project.database().name]
        print_summaries(project, mongo, SHARDS_QUICK if quick else SHARDS)
        print_builder(project, mongo, OUTPUTS_QUICK if quick else OUTPUTS)
        print_watch(project, mongo, RUNNING_QUICK if quick else RUNNING)
        print_connections(project)
    return []


def print_summaries(
    project: Project, mongo: MongoDatabase[Any], sizes: tuple[int, ...]
) -> None:
    """Print what the funnel and the usage of a campaign cost, by its shards."""
    database = project.database()
    maker = ToyRelaxMaker()
    genes = [gene.to_text() for gene in make_genes(GENES_PER_SHARD)]
    document = maker.make.original(maker, genes)
    output = jsanitize(document, strict=True, enum_values=True, allow_bson=True)
    del output["blob"]
    entry = {"index": 1, "name": "chgnet relax", "output": output, "hosts": []}
    entry |= {"metadata": {"campaign": CAMPAIGN}, "completed_at": "2026-01-01"}
    n_before = 0
    for n in sizes:
        for number in range(n_before, n):
            mongo["outputs"].insert_one({**deepcopy(entry), "uuid": f"shard {number}"})
        n_before = n
        for name, ask in (
            ("funnel", lambda: read_funnel(database, CAMPAIGN)),
            ("usage", lambda: read_usage(database, CAMPAIGN)),
        ):
            start, server_s = time.perf_counter(), cpu_of_server(project)
            cpu_s = time.process_time()
            ask()
            print(
                f"{name} of {n * GENES_PER_SHARD:,} relaxed genes in {n} outputs: "
                f"{time.perf_counter() - start:.2f} s, "
                f"{time.process_time() - cpu_s:.2f} CPU s here, "
                f"{cpu_of_server(project) - server_s:.2f} in the server; peak memory "
                f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
            )


def print_builder(
    project: Project, mongo: MongoDatabase[Any], sizes: tuple[int, ...]
) -> None:
    """Print what the builder takes to see that nothing is new, by joined outputs."""
    n_before = 0
    for n in sizes:
        numbers = range(n_before, n)
        entry = {"index": 1, "name": "hull distance", "completed_at": "2026-01-01"}
        entry |= {"metadata": {"campaign": OTHER}, "output": {}}
        mongo["outputs"].insert_many([{**entry, "uuid": f"old {i}"} for i in numbers])
        mark = {"campaign": OTHER, "completed_at": "2026-01-01"}
        mongo["built"].insert_many([{**mark, "_id": f"old {i}:1"} for i in numbers])
        n_before = n
        start, server_s = time.perf_counter(), cpu_of_server(project)
        cpu_s = time.process_time()
        built = build_candidates(project.database(), campaign=OTHER)
        wall_s = time.perf_counter() - start
        print(
            f"builder, nothing new, {n:,} outputs: {wall_s:.2f} s, "
            f"{time.process_time() - cpu_s:.2f} CPU s here, "
            f"{cpu_of_server(project) - server_s:.2f} in the server; {built.n_outputs}"
        )


def print_watch(
    project: Project, mongo: MongoDatabase[Any], sizes: tuple[int, ...]
) -> None:
    """Print what one look for lost jobs costs, by the number of running jobs."""
    launchpad = project.database().launchpad()
    launchpad.connection.close()
    counter = _Counter()
    listening = pymongo.MongoClient(project.database().uri, event_listeners=[counter])
    launchpad.connection = listening
    launchpad.db = listening[project.database().name]
    launchpad.launches = launchpad.db.launches
    launchpad.fireworks = launchpad.db.fireworks
    for n in sizes:
        mongo["launches"].delete_many({})
        mongo["workers"].delete_many({})
        now = datetime.now(UTC)
        mongo["launches"].insert_many([_running_launch(i, now) for i in range(n)])
        mongo["workers"].insert_many([_worker(i, now) for i in range(n)])
        watch = Watch(lost_after_s=1800, period_s=30)
        watch.look(launchpad)
        counter.n_commands = 0
        start, server_s = time.perf_counter(), cpu_of_server(project)
        lost = watch.look(launchpad)
        print(
            f"look for lost jobs, {n:,} running: {counter.n_commands} commands, "
            f"{1e3 * (time.perf_counter() - start):.0f} ms, server "
            f"{1e3 * (cpu_of_server(project) - server_s):.0f} CPU ms; {len(lost)} lost"
        )
    mongo["launches"].delete_many({})
    mongo["workers"].delete_many({})
    listening.close()


def _running_launch(number: int, now: datetime) -> dict[str, Any]:
    """Return a launch as FireWorks stores a running one."""
    text = now.replace(tzinfo=None).isoformat()
    return {
        "launch_id": 10**6 + number,
        "fw_id": 10**6 + number,
        "state": "RUNNING",
        "host": "elsewhere",
        "fworker": {"name": f"elsewhere-gpu-{number}"},
        "launch_dir": "nowhere",
        "time_start": text,
        "state_history": [
            {"state": "RUNNING", "created_on": text, "updated_on": text},
        ],
    }


def _worker(number: int, now: datetime) -> dict[str, Any]:
    """Return the sign of life of a worker on another machine."""
    return {
        "_id": f"elsewhere-gpu-{number}",
        "host": "elsewhere",
        "boot_id": "another",
        "pid": number,
        "state": "alive",
        "seen_at": now,
        "fw_id": 10**6 + number,
    }


class _Counter(CommandListener):
    """Counts commands."""

    n_commands = 0

    def started(self, event: Any) -> None:  # noqa: ARG002 (pymongo's signature)
        """Count one."""
        self.n_commands += 1

    def succeeded(self, event: Any) -> None:
        """Nothing."""

    def failed(self, event: Any) -> None:
        """Nothing."""


def print_connections(project: Project) -> None:
    """Print the sockets that the server holds for one idle worker, and its memory."""
    before = _count_sockets(project)
    found: list[int] = []

    def look() -> bool:
        found.append(_count_sockets(project))
        return False

    cost = run_workers(project, [EVERY_KIND], ["--idle", "6"], is_done=look)
    (peak,) = cost.max_rss_mb.values()
    print(
        f"an idle worker: {max(found) - before} connections, {peak:.0f} MB, "
        f"{cost.cpu_s:.1f} CPU s from start to end"
    )


def _count_sockets(project: Project) -> int:
    """Return the open sockets of the server (Linux)."""
    links = Path(f"/proc/{server_pid(project)}/fd").iterdir()
    return sum("socket" in str(_read_link(link)) for link in links)


def _read_link(link: Path) -> Path | str:
    """Return where a link leads, if it still is there."""
    try:
        return link.readlink()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(run_script(__doc__.splitlines()[0], measure))
