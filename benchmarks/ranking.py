"""Genes ranked before any coordinates exist: how many of the best are stable.

Every candidate is ranked by what networks expect of its gene alone, against the bundled
DFT reference, once by the ensemble of the bundled generator, which learned from known
crystals alone, and once by the bundled ranker, which saw hypothetical ones as well.
None of the candidates was learned from. Three judges:

- the rows of WBM (hypothetical crystals, relaxed with DFT) whose formulas the ranker
  has not seen, by the bundled reference, which is partial: what it calls stable may not
  be, and what it calls unstable is;
- those of them of which the bounds of the full hull say for certain on which side of
  0.08 eV/atom they are;
- 200 genes that CrySPR relaxed with CHGNet, above the full hull.

Needs ``WYCKFLOW_DATA``.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from _bench import Record, make_record, run_script
from _generator_rows import load_data
from _ranker_bundle import HYPOTHETICAL, is_held_out

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import key_genes, pack_genes
from wyckflow.makers._ranking import (
    lack_of_promise,
    load_predicted_hull,
    measure_distances,
)
from wyckflow.makers.models import load_generator
from wyckflow.ml.ranker import load_bundled_ranker
from wyckflow.thermo.bundled import find_exact_entries, load_bundled_reference
from wyckflow.thermo.hull_bounds import bound_energies_above_hull

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SEED = 0
SHARE = 0.1
LIMIT = 0.08
SCALE = "mp2020-gga-u"
ENERGY = "formation_energy_per_atom"
N_RESAMPLES = 1000
N_DESCRIPTIONS = 2
QUICK_ROWS = 400


@dataclass(frozen=True, eq=False)
class Candidates:
    """Genes, and what judges say of some of them: the rows, and which are stable."""

    genes: Sequence[WyckoffGene]
    judges: dict[str, tuple[NDArray[np.int64], NDArray[np.bool_]]]


def measure(quick: bool) -> list[Record]:
    """Rank, and count the stable ones among the first tenth."""
    if not os.environ.get("WYCKFLOW_DATA"):
        print("left out: needs WYCKFLOW_DATA, the folder of the public data")
        return []
    torch.set_num_threads(1)
    _, model = load_generator("bundled")
    ranker = load_bundled_ranker()
    records = []
    for candidates in (read_hypothetical(quick=quick), read_relaxed()):
        numbers, codes = pack_genes(candidates.genes)
        start = time.process_time()
        by_ranker = ranker.predict(numbers, codes)
        seconds = (time.process_time() - start) / len(numbers)
        print(f"ranker: {1e6 * seconds:.0f} CPU us per gene")
        found = model.predict_codes(numbers, codes, n_descriptions=N_DESCRIPTIONS)
        place = found.names.index(ENERGY)
        error = np.hypot(found.spread[:, place], found.expected_error[:, place])
        scores = {
            **score("ensemble", candidates.genes, found[ENERGY], error),
            **score("ranker", candidates.genes, *by_ranker),
        }
        is_new = ~model.memory.is_known(key_genes(candidates.genes))
        for title, (rows, verdicts) in candidates.judges.items():
            own, is_stable = rows[is_new[rows]], verdicts[is_new[rows]]
            print(
                f"{title}: {len(own):,} genes, {100 * is_stable.mean():.1f} % stable = "
                "random order"
            )
            for by, values in scores.items():
                records.append(rank(title, by, values[own], is_stable))
    return records


def score(
    who: str,
    genes: Sequence[WyckoffGene],
    energy: NDArray[np.float64],
    error: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """Return what genes could be ordered by, the lowest first."""
    distance = measure_distances(genes, energy, load_predicted_hull())
    return {
        f"{who}: formation energy": energy,
        f"{who}: distance to the hull": distance,
        f"{who}: distance / error": (distance - LIMIT) / error,
        f"{who}: distance, not below 0, + error": lack_of_promise(distance, error),
    }


def read_hypothetical(*, quick: bool) -> Candidates:
    """Read rows of WBM, judged by the bundled hull, and by the bounds of the full one.

    The rows without an element in the reference cannot be judged.
    """
    data = load_data(HYPOTHETICAL)
    data = data.select(np.flatnonzero(is_held_out(data)))
    if quick:
        rows = np.random.default_rng(SEED).permutation(len(data))[:QUICK_ROWS]
        data = data.select(np.sort(rows))
    genes, energies = data.genes, data.properties[ENERGY]
    distance = measure_distances(genes, energies, load_predicted_hull())
    every = np.flatnonzero(np.isfinite(distance))
    reference = load_bundled_reference(SCALE)
    compositions = [gene.composition for gene in genes]
    bounds = bound_energies_above_hull(
        reference, find_exact_entries(reference), compositions, energies, scale=SCALE
    )
    is_stable, is_not = bounds.upper <= LIMIT, bounds.lower > LIMIT
    certain = np.flatnonzero(is_stable | is_not)
    judges = {
        "WBM, bundled hull": (every, distance[every] <= LIMIT),
        "WBM, where bounds are certain": (certain, is_stable[certain]),
    }
    return Candidates(genes, judges)


def read_relaxed() -> Candidates:
    """Read the genes that CrySPR relaxed, with their distances to the full hull."""
    path = Path(os.environ["WYCKFLOW_DATA"]) / "peers" / "cryspr_relaxed_dev.csv.gz"
    genes, distances = [], []
    csv.field_size_limit(sys.maxsize)
    with gzip.open(path, "rt") as stream:
        for row in csv.DictReader(stream):
            arguments = (
                json.loads(row[key]) for key in ("species", "numIons", "sites")
            )
            genes.append(WyckoffGene.from_pyxtal(int(row["group"]), *arguments))
            distances.append(float(row["chgnet_e_above_hull_corrected"]))
    is_stable = np.array(distances) <= LIMIT
    every = np.arange(len(genes))
    return Candidates(genes, {"CrySPR's genes, CHGNet": (every, is_stable)})


def rank(
    title: str, by: str, scores: NDArray[np.float64], is_stable: NDArray[np.bool_]
) -> Record:
    """Count the stable ones among the best, with an interval over resamples."""
    share, base = share_of_best(scores, is_stable), float(is_stable.mean())
    generator = np.random.default_rng(SEED)
    drawn = []
    for _ in range(N_RESAMPLES):
        some = generator.integers(len(scores), size=len(scores))
        own = share_of_best(scores[some], is_stable[some])
        drawn.append((own, own / max(is_stable[some].mean(), 1e-9)))
    (low, low_gain), (high, high_gain) = np.quantile(drawn, [0.025, 0.975], axis=0)
    print(
        f"  {by:42s} {100 * share:5.1f} % of the best tenth "
        f"({100 * low:.1f} to {100 * high:.1f}), {share / base:.2f}x random "
        f"({low_gain:.2f} to {high_gain:.2f})"
    )
    # In a record less is better: relaxations per stable crystal.
    return make_record(
        "ranking",
        1 / max(share, 1e-9),
        f"relaxations per crystal within {LIMIT} eV/atom: {title}, by {by}",
        ("random order", 1 / base),
        n=len(scores),
        seed=SEED,
        packages=("numpy", "torch"),
    )


def share_of_best(score: NDArray[np.float64], is_stable: NDArray[np.bool_]) -> float:
    """Return the share of stable ones among the lowest tenth of the scores."""
    n = max(int(SHARE * len(score)), 1)
    return float(is_stable[np.argsort(score, kind="stable")[:n]].mean())


if __name__ == "__main__":
    sys.exit(run_script(__doc__.splitlines()[0], measure))
