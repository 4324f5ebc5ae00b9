"""P11: what it costs to run a campaign, beside the science, per structure.

    python benchmarks/orchestration.py [--quick] [--json FILE]

10,000 genes of the bundled model go through a campaign's jobs in a real worker process,
one after the other, on a MongoDB server of their own: generate, screen, plan, shards of
relaxation and hull, with their outputs and blobs, until the builder has joined them.
Two things are stood in for: relaxation is `_toy_relax.ToyRelaxMaker`, which draws its
numbers and writes documents of the usual size, and the screen asks for uniqueness
alone, so that every gene goes on. Of the elapsed time, that of the jobs' own work is
taken out for generation, screen and hull; what the stand-in and the plan take stays
in, since writing documents is orchestration. So it is with CPU seconds, of all
processes and the server together, which say the same on a busy machine. The peer is the
usual way: one firework for each structure and stage, the same documents, on fewer
structures, scaled.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from _bench import Record, make_record, run_script
from _toy_relax import ToyRelaxMaker
from _workers import (
    EVERY_KIND,
    Cost,
    count_open,
    count_states,
    cpu_of_server,
    measure_collections,
    own_project,
    run_command,
    run_workers,
    sum_science,
)

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.flows.campaign import CampaignFlowMaker, identity_of
from wyckflow.flows.shard import ShardFlowMaker
from wyckflow.makers.hull import HullMaker
from wyckflow.schemas.campaign import CampaignSpec
from wyckflow.store.candidates.query import find_candidates
from wyckflow.store.submit import submit

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database as MongoDatabase

    from wyckflow.store.connect import Database
    from wyckflow.store.project import Project

SEED = 0
SIZES, SIZES_QUICK = (100, 1_000, 10_000), (100,)
PEER, PEER_QUICK = 200, 20
FLOWS = (100, 1_000, 10_000)
FLOWS_QUICK = (20,)
PORTION = 1_000
CAMPAIGN = "orchestration"
SCIENCE = ("gene generate", "gene screen", "hull distance")
MB = 2**20


def main() -> int:
    """Measure structures in shards, structures one by one, and many small workflows."""
    return run_script(__doc__.splitlines()[0], measure_structures, measure_growth)


# --- P11 ------------------------------------------------------------------------------


def measure_structures(quick: bool) -> list[Record]:
    """Run campaigns of growing size and the peer; return the record of the largest."""
    print("structures in shards, one worker, then the builder")
    values = [0.0, 0.0]
    for n in SIZES_QUICK if quick else SIZES:
        values = run_and_print(n, "shards", send_campaign)
    n_peer = PEER_QUICK if quick else PEER
    print("one firework for each structure and stage, then the builder")
    peers = run_and_print(n_peer, "structures", send_one_by_one)
    name = f"one firework per structure and stage, of {n_peer} structures, scaled"
    return [
        make_record(
            "P11",
            value,
            f"{unit}/structure",
            (name, peer),
            n=(SIZES_QUICK if quick else SIZES)[-1],
            seed=SEED,
            packages=("fireworks", "jobflow", "pymongo"),
        )
        for unit, value, peer in zip(("ms", "CPU ms"), values, peers, strict=True)
    ]


def run_and_print(
    n: int, what: str, send: Callable[[Database, int], None]
) -> list[float]:
    """Run something to its end; return ms and CPU ms per structure beside science."""
    with own_project() as project, project.database().client() as client:
        mongo = client[project.database().name]
        began, server_s = time.perf_counter(), cpu_of_server(project)
        own_s = time.process_time()
        send(project.database(), n)
        sent_s, own_s = time.perf_counter() - began, time.process_time() - own_s
        worked = work(project, mongo)
        built = run_command(project, "build", ["build", "--campaign", CAMPAIGN])
        wall_s = time.perf_counter() - began
        science = sum_science(mongo)
        parts = [science[name] for name in SCIENCE if name in science]
        server_s = cpu_of_server(project) - server_s
        cpu_s = own_s + worked.cpu_s + built.cpu_s + server_s
        check(project.database(), mongo, n)
        wall = 1e3 * (wall_s - sum(part[1] for part in parts)) / n
        cpu = 1e3 * (cpu_s - sum(part[2] for part in parts)) / n
        print(
            f"{n:>6} {what}: {wall:.2f} ms/structure of {1e3 * wall_s / n:.2f} in all, "
            f"{cpu:.2f} CPU ms of {1e3 * cpu_s / n:.2f}; sent in {sent_s:.1f} s, "
            f"workers {worked.wall_s:.1f} s, builder {built.wall_s:.1f} s; "
            f"CPU s: workers {worked.cpu_s:.1f}, builder {built.cpu_s:.1f}, "
            f"server {server_s:.1f}; {count_states(mongo)}",
            flush=True,
        )
        for name, (n_jobs, job_s, job_cpu_s) in science.items():
            text = f"{n_jobs} jobs, {job_s:.2f} s, {job_cpu_s:.2f} CPU s"
            print(f"         {name}: {text}")
        for name, (n_docs, size, largest) in measure_collections(mongo).items():
            if size > MB:
                print(
                    f"         {name}: {n_docs} documents, {size / n:.0f} bytes per "
                    f"structure, largest {largest / MB:.3f} MB"
                )
        return [wall, cpu]


def send_campaign(database: Database, n: int) -> None:
    """Send a campaign whose relaxation is stood in for."""
    spec = CampaignSpec(
        name=CAMPAIGN, n_genes=n, seed=SEED, screen={"filters": ["uniqueness"]}
    )
    maker = CampaignFlowMaker.from_spec(spec)
    shard = replace(maker.plan_maker.shard_maker, relax_maker=ToyRelaxMaker())
    maker = replace(maker, plan_maker=replace(maker.plan_maker, shard_maker=shard))
    flow = maker.make("bundled", identity_of(CAMPAIGN, 0))
    submit(flow, campaign=CAMPAIGN, database=database)


def send_one_by_one(database: Database, n: int) -> None:
    """Send a workflow of two jobs for each gene."""
    maker = ShardFlowMaker(
        relax_maker=ToyRelaxMaker(), hull_maker=HullMaker(), phonon_maker=None
    )
    for gene in make_genes(n):
        submit(maker.make([gene]), campaign=CAMPAIGN, database=database)


def make_genes(n: int) -> list[WyckoffGene]:
    """Return different genes: rock salts and perovskites of any elements."""
    rng = random.Random(SEED)  # noqa: S311 (a sample)
    cations = ["Li", "Na", "K", "Rb", "Mg", "Ca", "Sr", "Ba", "Ti", "Zr", "V", "Mn"]
    anions = ["O", "S", "Se", "F", "Cl", "Br", "N", "P"]
    texts = [
        f"{group} {a}:a {b}:b {c}:c"
        for group in (221, 123, 47)
        for a in cations
        for b in cations
        for c in anions
        if a != b
    ]
    return [WyckoffGene.from_text(text) for text in rng.sample(texts, n)]


def check(database: Database, mongo: MongoDatabase[Any], n: int) -> None:
    """Refuse to report what was not done."""
    n_joined = mongo["candidates"].count_documents({"energy_above_hull": {"$ne": None}})
    n_judged = sum(
        len(item["output"]["results"])
        for item in mongo["outputs"].find({"name": "hull distance"})
    )
    if n_judged < 0.99 * n or n_joined == 0:
        raise RuntimeError(f"of {n} structures, only {n_judged} were judged")
    found = find_candidates(database, campaign=CAMPAIGN, limit=1)
    if not found or found[0].structure is None:
        raise RuntimeError("the candidates hold no structure")


# --- growth ---------------------------------------------------------------------------


def measure_growth(quick: bool) -> list[Record]:
    """Print what a job costs, by the number of workflows that ended before."""
    print("workflows of one structure, relaxation and hull, by how many ended before")
    n_run = 10 if quick else 50
    with own_project() as project, project.database().client() as client:
        mongo = client[project.database().name]
        send_one_by_one(project.database(), 1)
        work(project, mongo)
        for n in FLOWS_QUICK if quick else FLOWS:
            copy_finished(mongo, n - mongo["workflows"].count_documents({}))
            began = time.perf_counter()
            send_one_by_one(project.database(), n_run)
            sent_s = time.perf_counter() - began
            server_s = cpu_of_server(project)
            cost = work(project, mongo)
            server_s = cpu_of_server(project) - server_s
            pulled = 2 * n_run
            print(
                f"{n:>6} before: {1e3 * sent_s / n_run:.1f} ms to send one; per job "
                f"{1e3 * between_launches(mongo, pulled):.1f} ms, server "
                f"{1e3 * server_s / pulled:.1f} CPU ms; worker {cost.cpu_s:.1f} CPU s "
                f"for {pulled}, start included",
                flush=True,
            )
    return []


def between_launches(mongo: MongoDatabase[Any], n: int) -> float:
    """Return the median seconds from the start of one job to that of the next."""
    last = mongo["launches"].find().sort("launch_id", -1).limit(n)
    starts = sorted(datetime.fromisoformat(item["time_start"]) for item in last)
    gaps = [(after - before).total_seconds() for before, after in pairwise(starts)]
    return statistics.median(gaps)


def copy_finished(mongo: MongoDatabase[Any], n: int) -> None:
    """Add copies of the first workflow with ids of their own, and of its outputs."""
    counters = mongo["fw_id_assigner"].find_one({}) or {}
    first = counters["next_fw_id"], counters["next_launch_id"]
    flow = mongo["workflows"].find_one({"nodes": 1}) or {}
    jobs = list(mongo["fireworks"].find({"fw_id": {"$in": flow["nodes"]}}))
    launches = list(mongo["launches"].find({"fw_id": {"$in": flow["nodes"]}}))
    uuids = [job["spec"]["_tasks"][0]["job"]["uuid"] for job in jobs]
    outputs = list(mongo["outputs"].find({"uuid": {"$in": uuids}}))
    blobs = list(mongo["blobs"].find({"job_uuid": {"$in": uuids}}))
    for start in range(0, n, PORTION):
        numbers = range(start, min(start + PORTION, n))
        for name, documents in (
            ("workflows", [flow]),
            ("fireworks", jobs),
            ("launches", launches),
            ("outputs", outputs),
            ("blobs", blobs),
        ):
            copies = [
                renumber(document, number, first, len(jobs))
                for number in numbers
                for document in documents
            ]
            mongo[name].insert_many(copies, ordered=False)
    step = {"next_fw_id": n * len(jobs), "next_launch_id": n * len(jobs)}
    mongo["fw_id_assigner"].update_one({}, {"$inc": step})


def renumber(
    document: dict[str, Any], number: int, first: tuple[int, int], width: int
) -> dict[str, Any]:
    """Return a copy of a document whose ids are those of the copy of this number."""
    fw, launch = (start + number * width - 1 for start in first)
    copy = deepcopy({key: value for key, value in document.items() if key != "_id"})
    for key in ("uuid", "blob_uuid", "job_uuid"):
        if key in copy:
            copy[key] = f"{fw}-{copy[key]}"
    if "nodes" in copy:
        copy["nodes"] = [fw + item for item in copy["nodes"]]
        for key in ("links", "parent_links"):
            copy[key] = {
                str(fw + int(one)): [fw + item for item in others]
                for one, others in copy[key].items()
            }
        states = copy["fw_states"].items()
        copy["fw_states"] = {str(fw + int(one)): state for one, state in states}
    if "fw_id" in copy:
        copy["fw_id"] += fw
    if "launches" in copy:
        copy["launches"] = [launch + item for item in copy["launches"]]
    if "launch_id" in copy:
        copy["launch_id"] += launch
    return copy


def work(project: Project, mongo: MongoDatabase[Any]) -> Cost:
    """Let one worker that takes every kind do all there is."""
    cost = run_workers(project, [EVERY_KIND], is_done=lambda: not count_open(mongo))
    if left := count_open(mongo):
        print((project.folder / f"worker-0-{EVERY_KIND}.log").read_text()[-2000:])
        raise RuntimeError(f"{left} jobs were not done")
    return cost


if __name__ == "__main__":
    sys.exit(main())
