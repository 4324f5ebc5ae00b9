"""Trial structures from genes: CPU milliseconds per structure, ours and PyXtal's.

The genes are those of ``peers/cryspr_relaxed_dev.csv.gz`` where ``WYCKFLOW_DATA`` names
a folder with it, and a dozen well-known ones otherwise. The peer is PyXtal called once
per structure, as pipelines do, at the same clearance (0.65 of the covalent radii).
Ours is measured alone, and with the search for the gene in every structure.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import time
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _bench import Record, make_record

from wyckflow.crystal import WyckoffGene
from wyckflow.crystal.build.sampler import DEFAULT_CONTACT_RATIO, sample_structures
from wyckflow.crystal.build.trials import (
    BuildEngine,
    BuildOutcome,
    Engine,
    build_trials,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 0
N_TRIALS = 8
N_PEER_TRIALS = 2  # per gene; PyXtal's structures do not depend on each other

WELL_KNOWN = (
    "14 Zr:e O:e2",
    "62 Ca:c Ti:b O:c,d",
    "62 Fe:c,d C:c",
    "129 Fe:a Se:c",
    "136 Ti:a O:f",
    "141 Ti:a O:e",
    "152 Si:a O:c",
    "166 Bi:c Te:a,c",
    "186 Zn:b S:b",
    "194 Mo:c S:f",
    "205 Fe:a S:c",
    "227 Mg:a Al:d O:e",
)


def measure(quick: bool) -> list[Record]:
    """Print one line per way, and return the records."""
    source, genes = load_genes(quick=quick)
    build_trials(genes[0], 1, seed=SEED)  # tables and packages are loaded
    build_with_peer(genes[0], 1)

    peer, n_peer = clock(genes, N_PEER_TRIALS, build_with_peer)
    ways: dict[str, Callable[[WyckoffGene, int], int]] = {"sampler": build_alone}
    ways["sampler, gene found again by spglib"] = build_checked(Engine.SPGLIB)
    if find_spec("moyopy"):
        ways["sampler, gene found again by moyopy"] = build_checked(Engine.MOYOPY)
    print(f"{len(genes)} genes, {source}")
    print(f"PyXtal: {peer:.1f} ms, {n_peer} of {len(genes) * N_PEER_TRIALS} built")
    records = []
    for name, build in ways.items():
        value, n_built = clock(genes, N_TRIALS, build)
        records.append(record(value, peer, len(genes), name))
        print(
            f"{name}: {value:.2f} ms ({peer / value:.0f}x), "
            f"{n_built} of {len(genes) * N_TRIALS} built"
        )
    return records


def clock(
    genes: list[WyckoffGene], n_trials: int, build: Callable[[WyckoffGene, int], int]
) -> tuple[float, int]:
    """Return CPU milliseconds per structure asked for, and how many were built."""
    start = time.process_time()
    n_built = sum(build(gene, n_trials) for gene in genes)
    seconds = time.process_time() - start
    return seconds * 1e3 / (len(genes) * n_trials), n_built


def build_alone(gene: WyckoffGene, n_trials: int) -> int:
    """Draw structures, nothing more; return how many came out."""
    sample = sample_structures(gene, n_trials, rng=np.random.default_rng(SEED))
    return len(list(islice(sample, n_trials)))


def build_checked(engine: Engine) -> Callable[[WyckoffGene, int], int]:
    """Return a function that draws structures and finds the gene in each again."""

    def build(gene: WyckoffGene, n_trials: int) -> int:
        trials = build_trials(
            gene,
            n_trials,
            seed=SEED,
            engine=BuildEngine.SAMPLER,
            symmetry_engine=engine,
        )
        return sum(trial.outcome is BuildOutcome.BUILT for trial in trials)

    return build


def build_with_peer(gene: WyckoffGene, n_trials: int) -> int:
    """Draw structures with PyXtal, as its users call it."""
    from pyxtal import pyxtal

    number, species, n_ions, sites = gene.to_pyxtal()
    n_built = 0
    for trial in range(n_trials):
        crystal = pyxtal()
        try:
            crystal.from_random(
                3,
                number,
                species,
                n_ions,
                sites=sites,
                t_factor=2 * DEFAULT_CONTACT_RATIO,
                max_count=1,
                random_state=trial,
            )
        except RuntimeError:
            continue
        n_built += bool(crystal.valid)
    return n_built


def load_genes(*, quick: bool) -> tuple[str, list[WyckoffGene]]:
    """Return where the genes are from, and the genes."""
    folder = os.environ.get("WYCKFLOW_DATA")
    path = Path(folder or "") / "peers" / "cryspr_relaxed_dev.csv.gz"
    if not folder or not path.exists():
        return "well-known", [WyckoffGene.from_text(text) for text in WELL_KNOWN]
    csv.field_size_limit(10_000_000)
    with gzip.open(path, "rt") as stream:
        genes = [
            WyckoffGene.from_pyxtal(
                int(row["group"]),
                *(json.loads(row[key]) for key in ("species", "numIons", "sites")),
            )
            for row in csv.DictReader(stream)
        ]
    return path.name, genes[: 40 if quick else None]


def record(value: float, peer: float, n_genes: int, name: str) -> Record:
    """Write one figure in the form that the runner reads."""
    return make_record(
        "build",
        value,
        f"ms/structure ({name})",
        ("PyXtal, once per structure", peer),
        n=n_genes,
        seed=SEED,
        packages=("numpy", "pyxtal", "spglib"),
    )
