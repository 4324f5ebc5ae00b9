"""A small campaign under random kill -9: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
from jobflow import Flow
from toy_jobs import FanMaker, ToyMaker

from wyckflow.store.submit import submit

pytestmark = [pytest.mark.mongo, pytest.mark.slow, pytest.mark.timeout(900)]

ENDED = {"COMPLETED", "ARCHIVED"}  # put aside: children that belong to no workflow
N_KILLS = 10
N_FLOWS = 6


def n_open(database):
    with database.client(timeout_ms=10_000) as client:
        jobs = client[database.name].fireworks
        return jobs.count_documents({"state": {"$nin": sorted(ENDED)}})


def test_kills_at_random_moments_change_nothing_of_the_result(
    mongo_server, database, start_worker
):
    rng = random.Random(7)  # noqa: S311
    for value in range(N_FLOWS):
        part = ToyMaker(name="chgnet relax", seconds=0.3)
        fan = FanMaker(part=part, n_parts=3).make()
        last = ToyMaker(seconds=0.3).make(value)
        submit(Flow([fan, last]), campaign="c", database=database)
    workers = {kind: start_worker(kind) for kind in ("gpu", "cpu")}
    for _ in range(N_KILLS):
        time.sleep(rng.uniform(0.5, 3.0))
        victim = rng.choice(["gpu", "cpu", "mongod"])
        if victim == "mongod":
            os.kill(mongo_server.status().pid, signal.SIGKILL)
            time.sleep(rng.uniform(0.0, 1.0))
            mongo_server.start(die_with_parent=True)
        else:
            workers[victim].kill()
            workers[victim].wait()
            workers[victim] = start_worker(victim)
    deadline = time.monotonic() + 600
    while n_open(database) and time.monotonic() < deadline:
        time.sleep(1)
    with database.client() as client:
        mongo = client[database.name]
        states = set(mongo.fireworks.distinct("state"))
        workflows = mongo.workflows.distinct("state")
        outputs = list(mongo.outputs.find({"output.value": {"$exists": True}}))
        gathered = list(mongo.outputs.find({"name": "hull distance"}))
    assert states <= ENDED
    assert workflows == ["COMPLETED"]
    parts = [doc for doc in outputs if doc["name"] == "chgnet relax"]
    screens = [doc for doc in outputs if doc["name"] == "gene screen"]
    assert sorted(doc["output"]["value"] for doc in screens) == [
        10 * value for value in range(N_FLOWS)
    ]
    assert len({(doc["uuid"], doc["index"]) for doc in outputs}) == len(outputs)
    # A job that had created its children when it was killed creates them anew, so there
    # may be more children than three per flow, but never fewer, and all complete.
    assert len(parts) >= 3 * N_FLOWS
    assert len(gathered) >= N_FLOWS
    assert all(doc["output"]["values"] == [0, 10, 20] for doc in gathered)
