"""P10: the funnel of the paper before DFT, 900 genes with 6 trials each, on 2 cores.

    python benchmarks/funnel.py [--quick] [--json FILE]

A campaign for the paper's target through FireWorks and a MongoDB server of its own: the
bundled model proposes genes, the paper's filters choose, the 900 most promising are
relaxed from 6 starts each and held against the hull, and the builder joins them. Two
workers that take every kind of job share two cores, one thread each. The starts of a
gene race, as in every campaign: those that fall behind are dropped. What it would cost
to relax all of them to the end is measured on a few genes. The peer is not run, since
it takes half a day: CrySPR's measured 17.5 CPU s per trial, times the trials, on 2
cores.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Record, make_record, run_script
from _workers import (
    EVERY_KIND,
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
from wyckflow.schemas.campaign import CampaignSpec
from wyckflow.schemas.target import PAPER_TARGET
from wyckflow.store.campaign.funnel import read_funnel
from wyckflow.store.submit import submit

if TYPE_CHECKING:
    from pymongo.database import Database as MongoDatabase

CAMPAIGN = "funnel"
SEED = 0
N_RELAXED, N_QUICK = 900, 16
N_PROPOSED, PROPOSED_QUICK = 4_000, 100
N_TRIALS = 6
N_WORKERS = 2
N_WITHOUT_RACE, WITHOUT_QUICK = 24, 3
PEER_CPU_S_PER_TRIAL = 17.5
S_PER_MIN = 60
MB = 2**20


def measure(quick: bool) -> list[Record]:
    """Run the funnel, print what it took, and return the record."""
    n_genes = N_QUICK if quick else N_RELAXED
    n_proposed = PROPOSED_QUICK if quick else N_PROPOSED
    with own_project() as project, project.database().client() as client:
        mongo = client[project.database().name]
        began, server_s = time.perf_counter(), cpu_of_server(project)
        flow = make_maker(n_proposed, n_genes).make("bundled", identity_of(CAMPAIGN, 0))
        submit(flow, campaign=CAMPAIGN, database=project.database())
        workers = run_workers(
            project, [EVERY_KIND] * N_WORKERS, is_done=lambda: not count_open(mongo)
        )
        built = run_command(project, "build", ["build", "--campaign", CAMPAIGN])
        wall_s = time.perf_counter() - began
        server_s = cpu_of_server(project) - server_s
        print(
            f"{wall_s:.0f} s in all: workers {workers.wall_s:.0f} s "
            f"({workers.cpu_s:.0f} CPU s), builder {built.wall_s:.0f} s "
            f"({built.cpu_s:.0f} CPU s), server {server_s:.0f} CPU s; "
            f"{count_states(mongo)}"
        )
        for step in read_funnel(project.database(), CAMPAIGN):
            print(f"  {step.filter}: {step.n_in} in, {step.n_pass} passed")
        for name, (n, job_s, cpu_s) in sum_science(mongo).items():
            print(f"  {name}: {n} jobs, {job_s:.0f} s, {cpu_s:.0f} CPU s")
        for name, (n, _, largest) in measure_collections(mongo).items():
            print(f"  {name}: {n} documents, largest {largest / MB:.3f} MB")
        n_relaxed = print_shards(mongo)
        print_tail(mongo)
        compare_with_all_trials(mongo, WITHOUT_QUICK if quick else N_WITHOUT_RACE)
    peer = n_relaxed * N_TRIALS * PEER_CPU_S_PER_TRIAL / N_WORKERS / S_PER_MIN
    name = f"CrySPR, {PEER_CPU_S_PER_TRIAL} CPU s per trial, derived, not run"
    return [
        make_record(
            "P10",
            wall_s / S_PER_MIN,
            f"min of wall time; {workers.cpu_s + built.cpu_s + server_s:.0f} CPU s",
            (name, peer),
            n=n_relaxed,
            seed=SEED,
            packages=("chgnet", "torch", "fireworks", "pymongo"),
        )
    ]


def make_maker(n_proposed: int, n_genes: int) -> CampaignFlowMaker:
    """Return the maker of the round."""
    spec = CampaignSpec(
        name=CAMPAIGN,
        target=PAPER_TARGET,
        n_genes=n_proposed,
        seed=SEED,
        relax={"n_trials": N_TRIALS},
    )
    return CampaignFlowMaker.from_spec(spec, max_genes=n_genes)


def print_shards(mongo: MongoDatabase[Any]) -> int:
    """Print how well the costs of shards were estimated; return the genes relaxed."""
    (plan,) = mongo["outputs"].find({"name": "campaign plan"})
    fields = {"uuid": 1, "output.provenance.cpu_s": 1, "output.results.outcome": 1}
    relaxed = {
        item["uuid"]: item["output"]
        for item in mongo["outputs"].find({"name": "chgnet relax"}, fields)
    }
    shards = plan["output"]["shards"]
    guessed = np.array([shard["estimated_cpu_s"] for shard in shards])
    took = np.array(
        [relaxed[shard["job_uuids"][0]]["provenance"]["cpu_s"] for shard in shards]
    )
    ratios, ratio = took / guessed, took.sum() / guessed.sum()
    outcomes = [r["outcome"] for item in relaxed.values() for r in item["results"]]
    print(
        f"  {len(shards)} shards of {min(guessed):.0f} to {max(guessed):.0f} CPU s by "
        f"estimate took {min(took):.0f} to {max(took):.0f}; sum {took.sum():.0f} "
        f"against {guessed.sum():.0f}, ratio {ratio:.2f}; of single shards "
        f"{ratios.min():.2f} to {ratios.max():.2f}, median {np.median(ratios):.2f}"
    )
    print(f"  {outcomes.count('converged')} of {len(outcomes)} genes converged")
    return len(outcomes)


def print_tail(mongo: MongoDatabase[Any]) -> None:
    """Print how long one worker had nothing to do at the end while the other worked."""
    ends: dict[str, datetime] = {}
    for launch in mongo["launches"].find({"state": "COMPLETED"}):
        name = launch["fworker"]["name"]
        end = datetime.fromisoformat(launch["time_end"])
        ends[name] = max(end, ends.get(name, end))
    tail_s = (max(ends.values()) - min(ends.values())).total_seconds()
    print(f"  {len(ends)} workers; the first was idle for the last {tail_s:.1f} s")


def compare_with_all_trials(mongo: MongoDatabase[Any], n: int) -> None:
    """Relax some of the genes again, in this process, with the race and without."""
    from wyckflow.makers.relax import RelaxMaker

    fields = {"output.results.gene": 1}
    texts = [
        result["gene"]
        for item in mongo["outputs"].find({"name": "chgnet relax"}, fields)
        for result in item["output"]["results"]
    ]
    rng = np.random.default_rng(SEED)
    drawn = rng.choice(sorted(texts), n, replace=False)
    genes = [WyckoffGene.from_text(text) for text in drawn]
    first = RelaxMaker(n_trials=1)
    first.make.original(first, genes[:1])  # everything is loaded
    seconds = {}
    for name, stages in (("with the race", 4), ("all trials to the end", 0)):
        maker = RelaxMaker(n_trials=N_TRIALS, n_coarse_stages=stages)
        start = time.process_time()
        maker.make.original(maker, genes)
        seconds[name] = (time.process_time() - start) / n
    text = ", ".join(f"{name} {value:.2f}" for name, value in seconds.items())
    print(f"  CPU s per gene, {n} genes again in one process: {text}")


if __name__ == "__main__":
    sys.exit(run_script(__doc__.splitlines()[0], measure))
