"""Queries on a million candidates: seconds each takes, and whether an index answers.

    python benchmarks/query.py [--quick] [--json FILE]

Synthetic candidates with the fields of real ones, in a MongoDB server of its own that
is thrown away. Elements, space groups and numbers are drawn at random. Wall time, since
a person waits for it; one client, documents validated on arrival.
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Record, make_record, run_script
from rich.progress import track

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.store.candidates.builder import CANDIDATES, new_candidate
from wyckflow.store.candidates.query import BEST_FIRST, Candidates
from wyckflow.store.connect import Database
from wyckflow.store.embedded.server import temporary_server
from wyckflow.store.indexes import create_indexes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEED = 0
N_CANDIDATES, N_QUICK = 1_000_000, 50_000
N_CAMPAIGNS = 20
N_QUERIES = 200
PORTION = 20_000
# Enough systems of three that each holds some tens of candidates, as a campaign's do.
METALS = re.findall("[A-Z][a-z]?", "LiNaKRbMgCaSrBaTiZrVNbMnFeCoNiCuZnAlGaInSnPbBi")
ANIONS = re.findall("[A-Z][a-z]?", "OSSeTeNPAsFClBrI")


def measure(quick: bool) -> list[Record]:
    """Fill a database, ask, print, and return the record of P12."""
    n = N_QUICK if quick else N_CANDIDATES
    with (
        tempfile.TemporaryDirectory() as folder,
        temporary_server(Path(folder), ephemeral=False) as server,
    ):
        database = Database.from_uri(server.uri, server.database_name)
        create_indexes(database)
        fill(database, n)
        return [ask(database, n)]


def fill(database: Database, n: int) -> None:
    """Insert candidates."""
    rng = random.Random(SEED)  # noqa: S311 (a sample)
    with database.client() as client:
        collection = client[database.name][CANDIDATES]
        for start in track(range(0, n, PORTION), "inserting"):
            numbers = range(start, min(start + PORTION, n))
            collection.insert_many([make(rng, i) for i in numbers], ordered=False)
        stats = client[database.name].command("collStats", CANDIDATES)
    print(
        f"{n:,} candidates, {stats['size'] / n:.0f} bytes each, indexes "
        f"{stats['totalIndexSize'] / 2**20:.0f} MB"
    )


_TEMPLATE: dict[str, Any] = {}


def make(rng: random.Random, number: int) -> dict[str, Any]:
    """Return one candidate as it is stored."""
    if not _TEMPLATE:  # checked once; a million checks would be the benchmark
        gene = WyckoffGene.from_text("221 Sr:a Ti:b O:c")
        _TEMPLATE.update(new_candidate("c", gene).model_dump())
    elements = sorted([*rng.sample(METALS, 2), rng.choice(ANIONS)])
    return _TEMPLATE | {
        "campaign": f"campaign-{number % N_CAMPAIGNS}",
        "gene_id": f"{number:016x}",
        "elements": elements,
        "chemsys": "-".join(elements),
        "formula_pretty": "".join(elements) + "3",
        "space_group_number": rng.randint(1, 230),
        "nsites": rng.randint(2, 50),
        "band_gap": max(0.0, rng.gauss(0.5, 1.5)),
        "energy_above_hull": max(-0.1, rng.gauss(0.15, 0.1)),
        "formation_energy_per_atom": rng.gauss(-1.5, 1.0),
        "energy_scale": "chgnet-0.3.0",
    }


def questions(rng: random.Random) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return what users ask, drawn anew at each call."""

    def system() -> str:
        return "-".join(sorted([*rng.sample(METALS, 2), rng.choice(ANIONS)]))

    gap = "0.5 < band_gap < 2.0"
    return {
        "chemical system, gap and hull window": lambda: {
            "where": f"chemsys == {system()!r} and {gap} and energy_above_hull < 0.1"
        },
        "best 20 of a campaign": lambda: {
            "campaign": f"campaign-{rng.randrange(N_CAMPAIGNS)}",
            "limit": 20,
        },
        "best 20 of a campaign, gap window, without an element": lambda: {
            "campaign": f"campaign-{rng.randrange(N_CAMPAIGNS)}",
            "where": f"{gap} and not elements == {rng.choice(METALS)!r}",
            "limit": 20,
        },
        "one formula": lambda: {
            "where": f"formula_pretty == {system().replace('-', '') + '3'!r}"
        },
    }


def ask(database: Database, n: int) -> Record:
    """Ask each question many times; print, and return the record of the first."""
    rng = random.Random(SEED + 1)  # noqa: S311 (a sample)
    value, peer = 0.0, 0.0
    for name, draw in questions(rng).items():
        drawn = [draw() for _ in range(N_QUERIES)]
        seconds, n_found = answer(database, drawn)
        p50, p95 = np.quantile(seconds, [0.5, 0.95]) * 1e3
        stages = sorted(set(explain(database, drawn[0])))
        print(
            f"{name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms, {np.mean(n_found):.0f} found "
            f"on average; {', '.join(stages)}"
        )
        if not value:
            value, peer = p95, scan(database, drawn[0]) * 1e3
    return make_record(
        "P12",
        value,
        "ms at p95",
        ("the same query without an index", peer),
        n=n,
        seed=SEED,
        packages=("pymongo",),
    )


def answer(
    database: Database, questions: list[dict[str, Any]]
) -> tuple[list[float], list[int]]:
    """Return the seconds of each question, and how many candidates it found."""
    seconds, n_found = [], []
    with Candidates(database) as candidates:
        candidates.find(limit=1)  # connects
        for question in questions:
            candidates.campaign = question.get("campaign")
            asked = {k: v for k, v in question.items() if k != "campaign"}
            start = time.perf_counter()
            n_found.append(len(candidates.find(**asked)))
            seconds.append(time.perf_counter() - start)
    return seconds, n_found


def to_query(question: dict[str, Any]) -> dict[str, Any]:
    """Return the query of MongoDB behind a question."""
    from wyckflow.store.candidates.where import parse_where

    query = parse_where(question.get("where", ""), list(CandidateDoc.model_fields))
    if campaign := question.get("campaign"):
        query = {"campaign": campaign, "$and": [query]}
    return query


def explain(database: Database, question: dict[str, Any]) -> Iterator[str]:
    """Yield the stages of the server's plan, such as IXSCAN or COLLSCAN."""
    with database.client() as client:
        found = client[database.name][CANDIDATES].find(to_query(question))
        plan = found.sort(list(BEST_FIRST)).explain()["queryPlanner"]["winningPlan"]
    waiting = [plan]
    while waiting:
        stage = waiting.pop()
        yield str(stage["stage"])
        waiting += stage.get("inputStages", [])
        waiting += [stage["inputStage"]] if "inputStage" in stage else []


def scan(database: Database, question: dict[str, Any]) -> float:
    """Return the seconds of a query that may not use an index."""
    with database.client() as client:
        collection = client[database.name][CANDIDATES]
        start = time.perf_counter()
        list(collection.find(to_query(question)).hint([("$natural", 1)]))
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(run_script(__doc__.splitlines()[0], measure))
