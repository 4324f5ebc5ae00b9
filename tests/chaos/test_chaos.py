"""A campaign under kills, stops and cuts ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import wyckflow
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.store.monitor import read_status, read_traceback
from wyckflow.store.submit import submit

HERE = Path(__file__).parent
BENCHMARKS = Path(wyckflow.__file__).parents[1] / "benchmarks"
sys.path[:0] = [str(HERE), str(BENCHMARKS)]

import _aftermath  # noqa: E402
import _chaos  # noqa: E402
import toy_campaign  # noqa: E402

pytestmark = [pytest.mark.mongo, pytest.mark.timeout(900)]

QUICK = "lost_after_s: 2.0\nrerun_after_s: 3.0\nrecovery_period_s: 1.0\n"
PATIENCE_S = 400


@pytest.fixture
def make_storm(mongo_server, project, tmp_path):
    """Two workers in a storm that is about to begin; ended with the test."""
    made = []

    def make(seed, *, is_far):
        path = project.path("wyckflow.yaml")
        kept = [line for line in path.read_text().splitlines() if "_s:" not in line]
        timing = f"idle_poll_s: 0.2\nheartbeat_s: 0.5\n{QUICK}"
        path.write_text("\n".join(kept) + f"\n{timing}")
        logs = tmp_path / "logs"
        logs.mkdir()
        words = [str(HERE), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, **project.environment()}
        environment["PYTHONPATH"] = os.pathsep.join(words)
        slots = (_chaos.Slot("a", "gpu"), _chaos.Slot("b", "gpu", is_far=is_far))
        storm = _chaos.Storm(
            mongo_server,
            project,
            slots,
            random.Random(seed),  # noqa: S311
            logs,
            environment,
            hang_s=6.0,
        )
        made.append(storm)
        return storm

    yield make
    for storm in made:
        storm.stop_workers()
        if storm.disk is not None:
            _chaos.unmount(storm.disk)
        for log in sorted(storm.folder.glob("*.log")):
            print(f"== {log.name}\n{log.read_text(errors='replace')}")


def survive(storm, database, *, kinds, between_s):
    """Send the campaign, disturb it, and wait until nothing can run any more."""
    plan = toy_campaign.ToyPlanMaker().make(toy_campaign.make_genes())
    submit(plan, campaign="toy", database=database, overrides={"campaign plan": "gpu"})
    storm.start_workers()
    for kind in kinds:
        until = time.monotonic() + storm.rng.uniform(*between_s)
        while time.monotonic() < until:
            storm.tend()
            time.sleep(0.1)
        storm.disturb(kind)
    examine(storm.project)
    deadline = time.monotonic() + PATIENCE_S
    while storm.n_open() or storm.is_busy:
        assert time.monotonic() < deadline, "the campaign did not end"
        storm.tend()
        time.sleep(0.2)
    storm.stop_workers()
    examine(storm.project)


def examine(project):
    """As a person would."""
    command = [sys.executable, "-m", "wyckflow.cli.main", "doctor", "--fix"]
    subprocess.run([*command, "-p", str(project.folder)], capture_output=True)


def check(database):
    """Everything is there, once, and what always fails is in quarantine."""
    genes = toy_campaign.make_genes()
    wanted = {
        WyckoffGene.from_text(text).gene_id: toy_campaign.energy_of(text)
        for text in genes
    }
    found = _aftermath.read_candidates(database, "toy")
    assert {key: item["energy_per_atom"] for key, item in found.items()} == (
        pytest.approx(wanted, abs=_aftermath.ENERGY_TOLERANCE)
    )
    assert {
        (item["stage"], item["outcome"])
        for candidate in found.values()
        for item in candidate["outcomes"]
    } == {("chgnet relax", "converged")}
    status = read_status(database)
    assert status.n_open == 0
    (failure,) = status.failures
    assert "is poison" in failure.message
    assert "Traceback" in read_traceback(database, failure.fw_id)
    with database.client() as client:
        mongo = client[database.name]
        assert mongo.workflows.count_documents({"locked": {"$exists": True}}) == 0
        assert mongo.launches.count_documents({"state": "RUNNING"}) == 0
        outputs = [(item["uuid"], item["index"]) for item in mongo.outputs.find()]
        assert len(outputs) == len(set(outputs)) == 1 + 5
        live = {"name": "chgnet relax", "state": {"$ne": "ARCHIVED"}}
        assert mongo.fireworks.count_documents(live) == 5 + 1


def test_a_short_storm_changes_nothing(make_storm, database):
    storm = make_storm(5, is_far=True)
    kinds = ["kill the server", "kill a worker", "pause the server", "hang a worker"]
    survive(storm, database, kinds=kinds, between_s=(1.5, 2.5))
    check(database)
    assert storm.done.keys() >= set(kinds)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_long_storm_changes_nothing(make_storm, database, seed):
    storm = make_storm(seed, is_far=True)
    storm.disk = _chaos.mount_small_disk(storm.project.launch_folder)
    survive(storm, database, kinds=[None] * 25, between_s=(0.3, 3.0))
    check(database)
    work = _aftermath.read_work(storm.folder)
    assert work.n_relaxed >= 80
