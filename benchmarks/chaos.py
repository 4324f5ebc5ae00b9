"""R1: a campaign that is killed, stopped, cut off and starved of disk, and a calm one.

    python benchmarks/chaos.py [--quick] [--json FILE] [--seed N] [--genes N]
        [--disturbances N] [--every SECONDS] [--minutes N] [--storm N]
        [--keep FOLDER] [--calm FOLDER]

Both run the same campaign with CHGNet, through real workers and a real MongoDB. In the
second, workers and the server are killed (SIGKILL) and stopped (SIGSTOP) at random
moments, a disk of 48 MB below the launches is filled, and one of the workers believes
to be on another machine, whose clock is an hour behind. At the end, after ``wyckflow
doctor --fix``, the candidates of both are compared. Several seeds make a long test of
parts that each take minutes. With ``--disturbances 0 --keep FOLDER`` the calm campaign
is run alone, for storms that name it by ``--calm FOLDER``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _aftermath
import _chaos
from _bench import Record, make_record
from pymongo.errors import PyMongoError

from wyckflow.settings import WyckflowSettings
from wyckflow.store.campaign.file import parse_campaign
from wyckflow.store.campaign.rounds import submit_campaign
from wyckflow.store.connect import Database
from wyckflow.store.embedded.server import temporary_server
from wyckflow.store.indexes import create_indexes
from wyckflow.store.project import Project, load_project
from wyckflow.store.worker.tries import LAST_CHANCE

if TYPE_CHECKING:
    from wyckflow.schemas.campaign import CampaignSpec
    from wyckflow.store.embedded.server import EmbeddedServer

CAMPAIGN = "storm"
NOTICED_WITHIN_S = 120
PATIENCE_S = 600
LONGEST_MINUTES = 30
EVERY_S = 9.0
SPREAD = 5 / 9
MOST_VISITS = 3


def main() -> int:
    """Run both campaigns, print what happened, and return 0 if they agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small campaign")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write records here")
    parser.add_argument("--seed", type=int, default=0, help="of genes and disturbances")
    parser.add_argument("--genes", type=int, help="genes of the campaign")
    parser.add_argument(
        "--disturbances", type=int, help="how many at most; with 0, the calm run alone"
    )
    parser.add_argument(
        "--every", type=float, default=EVERY_S, help="seconds between two, on average"
    )
    parser.add_argument("--minutes", type=float, help="calm down after about so many")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep logs here")
    parser.add_argument(
        "--calm", type=Path, metavar="FOLDER", help="kept by a run of the same seed"
    )
    parser.add_argument("--storm", type=int, help="seed of disturbances, if another")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        plan = Plan(
            folder=options.keep or Path(temporary),
            calm_before=options.calm,
            n_genes=options.genes or (60 if options.quick else 500),
            n_most=(
                (5 if options.quick else 25)
                if options.disturbances is None
                else options.disturbances
            ),
            seed=options.seed,
            storm_seed=options.seed if options.storm is None else options.storm,
            every_s=options.every,
            until=time.monotonic() + 60 * (options.minutes or LONGEST_MINUTES),
        )
        plan.folder.mkdir(parents=True, exist_ok=True)
        if not plan.n_most:
            run_calm(plan)
            return 0
        report = run_both(plan)
    print(json.dumps(report, indent=1))
    if options.json:
        options.json.write_text(json.dumps([_record(report)], indent=1))
    return 0 if report["is_same"] else 1


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes
    ----------
    folder
        For everything.
    calm_before
        Where a calm campaign of this seed was run before; None to run it.
    n_genes
        Genes of the campaign.
    n_most
        Disturbances at most; fewer if the campaign is done before.
    seed, storm_seed
        Of genes, and of disturbances.
    every_s
        Seconds between two disturbances, on average.
    until
        When to end disturbing at the latest.
    """

    folder: Path
    calm_before: Path | None
    n_genes: int
    n_most: int
    seed: int
    storm_seed: int
    every_s: float
    until: float


def run_both(plan: Plan) -> dict[str, Any]:
    """Run a calm campaign and a disturbed one; return what there is to say.

    Parameters
    ----------
    plan
        Sizes, seeds and folders.
    """
    calm_s = run_calm(plan) if plan.calm_before is None else None
    quiet_folder = plan.calm_before or plan.folder
    with temporary_server(plan.folder / "stormy-server", ephemeral=False) as server:
        stormy_s, storm = run_storm(server, plan)
        doctor = examine(storm.project)
        with temporary_server(quiet_folder / "calm-server", ephemeral=False) as quiet:
            calm = prepare(quiet, quiet_folder / "calm")
            found = report_on(storm, quiet_folder / "calm-logs", calm, storm.project)
        return found | {
            "n_genes": plan.n_genes,
            "seed": plan.seed,
            "storm_seed": plan.storm_seed,
            "calm_s": calm_s,
            "stormy_s": stormy_s,
            "has_small_disk": storm.disk is not None,
            "other_clock": bool(_chaos.shifted_clock(storm.folder)),
            "other_host": _chaos.can_unshare(),
            "doctor": doctor,
        }


def run_calm(plan: Plan) -> float:
    """Run the undisturbed campaign, leave it for later, and return its seconds.

    Parameters
    ----------
    plan
        Sizes, seeds and folders.
    """
    with temporary_server(plan.folder / "calm-server", ephemeral=False) as server:
        project = prepare(server, plan.folder / "calm")
        logs = plan.folder / "calm-logs"
        weather = make_storm(server, project, logs, 0, is_far=False)
        calm_s = run_one(weather, plan, n_most=0)
    print(f"calm: {calm_s} s", flush=True)
    return calm_s


def run_storm(server: EmbeddedServer, plan: Plan) -> tuple[float, _chaos.Storm]:
    """Run the disturbed campaign; return its seconds, and what was done to it.

    Parameters
    ----------
    server
        That will be killed.
    plan
        Sizes, seeds and folders.
    """
    project = prepare(server, plan.folder / "stormy")
    logs = plan.folder / "stormy-logs"
    storm = make_storm(server, project, logs, plan.storm_seed, is_far=True)
    storm.disk = _chaos.mount_small_disk(project.launch_folder)
    if storm.disk is not None:
        storm.environment["WYCKFLOW_SCRATCH"] = str(storm.disk / "scratch")
    try:
        return run_one(storm, plan, n_most=plan.n_most), storm
    finally:
        if storm.disk is not None:
            _chaos.unmount(storm.disk)


def run_one(storm: _chaos.Storm, plan: Plan, *, n_most: int) -> float:
    """Run a campaign to its end; return the seconds that it took.

    Parameters
    ----------
    storm
        Its workers.
    plan
        Sizes and seeds.
    n_most
        Disturbances at most.
    """
    started = time.monotonic()
    submit_campaign(storm.database, make_spec(plan.n_genes, plan.seed))
    storm.start_workers()
    try:
        rage(storm, n_most, plan.every_s, plan.until)
        wait_for_end(storm)
        for _ in range(MOST_VISITS if n_most else 0):
            # What the doctor makes ready still needs somebody to run it.
            examine(storm.project)
            if not is_open(storm):
                break
            wait_for_end(storm)
    finally:
        storm.stop_workers()
    return round(time.monotonic() - started, 1)


def make_spec(n_genes: int, seed: int) -> CampaignSpec:
    """Return a campaign of small cells and few starts, with heats enough per shard.

    Parameters
    ----------
    n_genes, seed
        Of the campaign.
    """
    return parse_campaign(
        {
            "name": CAMPAIGN,
            "seed": seed,
            "n_genes": n_genes,
            "target": {"n_elements": {"max": 3}},
            "generate": {"max_atoms": 10, "keep_known": True},
            "screen": {"name": "easy", "filters": ["uniqueness"]},
            "relax": {"n_trials": 6, "max_steps": 20, "n_coarse_stages": 1},
            "shard_minutes": 0.4,
        }
    )


def prepare(server: EmbeddedServer, folder: Path) -> Project:
    """Make a project with the settings that everybody has.

    Parameters
    ----------
    server, folder
        Where.
    """
    database = Database.from_uri(server.uri, server.database_name)
    create_indexes(database)
    Project(folder, WyckflowSettings()).write_files(database, store_password=True)
    return load_project(folder)


def make_storm(
    server: EmbeddedServer, project: Project, logs: Path, seed: int, *, is_far: bool
) -> _chaos.Storm:
    """Return two gpu workers and a cpu worker, one of the former on another machine.

    Parameters
    ----------
    server, project, logs, seed
        Of the campaign.
    is_far
        Whether there is another machine.
    """
    logs.mkdir(exist_ok=True)
    slots = (
        _chaos.Slot("gpu-1", "gpu"),
        _chaos.Slot("gpu-2", "gpu", is_far=is_far),
        _chaos.Slot("cpu-1", "cpu"),
    )
    environment = {**os.environ, **project.environment(), "OMP_NUM_THREADS": "1"}
    rng = random.Random(seed)  # noqa: S311 (no secret)
    return _chaos.Storm(server, project, slots, rng, logs, environment)


def rage(storm: _chaos.Storm, n_most: int, every_s: float, until: float) -> None:
    """Disturb as long as there is somebody to disturb.

    Parameters
    ----------
    storm
        The campaign.
    n_most
        Disturbances at most.
    every_s
        Seconds between two of them, on average.
    until
        When to end at the latest.
    """
    lengths = every_s * (1 - SPREAD), every_s * (1 + SPREAD)
    for number in range(n_most):
        next_one = time.monotonic() + storm.rng.uniform(*lengths)
        while time.monotonic() < next_one:
            storm.tend()
            time.sleep(0.5)
        if not is_open(storm):  # done, or waiting for a job that only lost its workers
            examine(storm.project)
        if not is_open(storm) or time.monotonic() > until:
            return
        print(f"{number + 1}: {storm.disturb()}", flush=True)


def wait_for_end(storm: _chaos.Storm) -> None:
    """Wait until no job can run any more, as long as some come to an end.

    Parameters
    ----------
    storm
        The campaign.
    """
    deadline = time.monotonic() + PATIENCE_S
    n_ended = -1
    while is_open(storm) or storm.is_busy:
        with suppress(PyMongoError):
            n_before, n_ended = n_ended, storm.n_ended()
            if n_ended != n_before:
                deadline = time.monotonic() + PATIENCE_S
        if time.monotonic() > deadline:
            print("the campaign stands still", flush=True)
            return
        storm.tend()
        time.sleep(0.5)


def is_open(storm: _chaos.Storm) -> bool:
    """Return whether a job may still run; yes if nobody answers.

    Parameters
    ----------
    storm
        The campaign.
    """
    with suppress(PyMongoError):
        return storm.n_open() > 0
    return True


def examine(project: Project) -> str:
    """Run ``wyckflow doctor --fix``; return its last line.

    Parameters
    ----------
    project
        Whose.
    """
    command = [sys.executable, "-m", "wyckflow.cli.main", "doctor", "--fix"]
    done = subprocess.run(  # noqa: S603 (our own command)
        [*command, "--project", str(project.folder)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )
    print(done.stdout, flush=True)
    return (done.stdout.strip().splitlines() or ["nothing"])[-1]


def read_shards(project: Project) -> list[list[str]]:
    """Return the genes of each shard, as they were planned.

    Parameters
    ----------
    project
        Whose campaign.
    """
    database = project.database()
    with database.client() as client:
        jobs = client[database.name].fireworks.find(
            {"name": "chgnet relax", "state": {"$ne": "ARCHIVED"}}
        )
        found = [job["spec"]["_tasks"][0]["job"]["function_args"][0] for job in jobs]
    return sorted(found)


def report_on(
    storm: _chaos.Storm, calm_logs: Path, calm: Project, stormy: Project
) -> dict[str, Any]:
    """Compare the two runs, and sum up what was lost and how it came back.

    Parameters
    ----------
    storm
        The disturbed run.
    calm_logs
        What the workers of the calm one said.
    calm, stormy
        The projects.
    """
    if read_shards(calm) != read_shards(stormy):
        # Genes that share a batch decide the last digits of each other's energies.
        raise SystemExit("The campaigns were cut into other shards: run both anew.")
    found = _aftermath.compare(calm.database(), stormy.database(), campaign=CAMPAIGN)
    far = [loss for loss in storm.losses if loss.is_far or loss.how == "hung"]
    near = [loss for loss in storm.losses if loss not in far]
    needed = _aftermath.read_work(calm_logs)
    work = _aftermath.read_work(storm.folder)
    database = stormy.database()
    with database.client() as client:
        mongo = client[database.name]
        states = {
            state: mongo.fireworks.count_documents({"state": state})
            for state in sorted(mongo.fireworks.distinct("state"))
        }
        n_locked = mongo.workflows.count_documents({"locked": {"$exists": True}})
        n_launches = mongo.launches.count_documents({})
        last_chance = {"wyckflow_note": {"$regex": f"^{LAST_CHANCE}"}}
        n_last_chances = mongo.launches.count_documents(last_chance)
    return {
        "is_same": (
            found.is_none
            and found.n_candidates > 0
            and not n_locked
            and states.keys() <= {"COMPLETED", "ARCHIVED"}
        ),
        **asdict(found),
        "disturbances": dict(storm.done),
        "jobs_by_state": states,
        "n_launches": n_launches,
        "n_locked": n_locked,
        "n_last_chances": n_last_chances,
        "n_workers_started": sum(slot.n_started for slot in storm.slots),
        "noticed_near_s": _summary([loss.noticed_s for loss in near]),
        "noticed_far_s": _summary([loss.noticed_s for loss in far]),
        "resumed_s": _summary([loss.resumed_s for loss in storm.losses]),
        "genes_relaxed_calm": needed.n_relaxed,
        "genes_relaxed_stormy": work.n_relaxed,
        "genes_resumed": work.n_resumed,
    }


def _summary(values: list[float | None]) -> dict[str, float | int]:
    """Return number, median and largest of what is known."""
    known = [value for value in values if value is not None]
    found: dict[str, float | int] = {"n": len(values), "unknown": values.count(None)}
    if known:
        found |= {"median": round(statistics.median(known), 1)}
        found |= {"largest": round(max(known), 1)}
    return found


def _record(report: dict[str, Any]) -> Record:
    """Write how long a lost worker went unnoticed at most, beside what is allowed."""
    parts = (report["noticed_near_s"], report["noticed_far_s"])
    longest = max((part.get("largest", 0.0) for part in parts), default=0.0)
    record = make_record(
        "R1",
        max(longest, 0.1),
        "s until a lost worker is noticed",
        ("allowed", NOTICED_WITHIN_S),
        n=report["n_genes"],
        seed=report["seed"],
        packages=("fireworks", "jobflow", "pymongo", "chgnet", "torch"),
    )
    return record | {"report": report}


if __name__ == "__main__":
    raise SystemExit(main())
