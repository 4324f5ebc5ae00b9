"""MetaSUN per 1,000 relaxations: genes in order of promise against genes at random.

    [WYCKFLOW_DATA=FOLDER] python benchmarks/metasun.py [--quick] [--json FILE]

The bundled generator proposes genes for no target. Of those that are new and different
some are relaxed as in a campaign (a race of six starts, CHGNet) and held against
CHGNet's bundled hull: once the best by the campaign's ranker, once as many at random,
once the best of the 30 % that surprise the generator least. What counts is metastable,
and new and different also as the gene of the *relaxed* crystal. Known and repeated
draws are not relaxed: they could not count.

With the folder of the data it also says how many of them are of an unknown prototype.
What was relaxed is kept in the temporary folder, so that a stopped run goes on.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from _bench import Record, make_record, run_script
from _generator_rows import TRAIN, load_data
from _relaxed_genes import QUANTILE, relax, wilson

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import canonical_keys, key_genes, unpack_genes
from wyckflow.makers._ranking import (
    lack_of_promise,
    load_predicted_hull,
    measure_distances,
)
from wyckflow.makers.models import load_generator
from wyckflow.ml.ranker import load_bundled_ranker
from wyckflow.screening.novelty import KnownGenes, judge_novelty

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _relaxed_genes import Row
    from numpy.typing import NDArray

    from wyckflow.ml.memory import Memory

SEED = 0
N_PROPOSED, PROPOSED_QUICK = 5_000, 200
N_RELAXED, N_QUICK = 300, 6
LIMITS = (0.1, 0.08, 0.0)  # eV/atom
LEAST_SURPRISING = 0.3
RANDOM, RANKED = "new, at random", "new, ranked"
LIKELY = "new, the least surprising 30 %, ranked"
RIVAL = {RANDOM: 0.549, RANKED: 0.629, LIKELY: 0.758}
RIVAL_AS_DRAWN = 0.382


@dataclass(frozen=True, eq=False)
class Proposed:
    """New and different genes, in the order in which they were drawn.

    Attributes
    ----------
    genes
        The genes.
    order
        Places, the most promising first.
    log_probability
        By the generator, as written.
    share
        Of all that was drawn.
    memory
        Of what the generator has learned from.
    identity
        Of the generator.
    """

    genes: list[WyckoffGene]
    order: NDArray[np.int64]
    log_probability: NDArray[np.float64]
    share: float
    memory: Memory
    identity: str


def measure(quick: bool) -> list[Record]:
    """Propose, choose, relax, count."""
    torch.set_num_threads(1)
    proposed = propose(PROPOSED_QUICK if quick else N_PROPOSED)
    arms = choose(proposed, N_QUICK if quick else N_RELAXED)
    # Interleaved, so that a run that was stopped has something of each.
    wanted = dict.fromkeys(
        gene for row in zip(*arms.values(), strict=True) for gene in row
    )
    rows = relax([str(gene) for gene in wanted], proposed.identity)
    of_arms = {title: [rows[str(g)] for g in genes] for title, genes in arms.items()}
    for title, found in of_arms.items():
        report(title, found, proposed)
    return compare(of_arms, proposed.memory)


def propose(n: int) -> Proposed:
    """Draw genes, leave out the known and the repeated, and rank the others."""
    _, model = load_generator("bundled")
    batch = model.sample(n, seed=SEED)
    keys = canonical_keys(batch.space_group_numbers, batch.codes)
    _, first = np.unique(keys, return_index=True)
    rows = np.sort(first[~model.memory.is_known(keys[first])])
    numbers, codes = batch.space_group_numbers[rows], batch.codes[rows]
    genes = unpack_genes(numbers, codes)
    energies, errors = load_bundled_ranker().predict(numbers, codes)
    distances = measure_distances(genes, energies, load_predicted_hull())
    order = np.lexsort((distances, lack_of_promise(distances, errors)))
    print(f"{n:,} drawn, {len(rows):,} new and different")
    return Proposed(
        genes=genes,
        order=order,
        log_probability=batch.log_probability[rows],
        share=len(rows) / n,
        memory=model.memory,
        identity=model.to_checkpoint().identity,
    )


def choose(proposed: Proposed, n: int) -> dict[str, list[WyckoffGene]]:
    """Return what is relaxed in each way, ``n`` genes each."""
    drawn = np.random.default_rng(SEED).permutation(len(proposed.genes))[:n]
    floor = np.quantile(proposed.log_probability, 1 - LEAST_SURPRISING)
    is_likely = proposed.log_probability >= floor
    likely = proposed.order[is_likely[proposed.order]][:n]
    places = {RANDOM: drawn, RANKED: proposed.order[:n], LIKELY: likely}
    return {
        title: [proposed.genes[at] for at in chosen.tolist()]
        for title, chosen in places.items()
    }


@cache
def known_crystals() -> KnownGenes:
    """Return what the generator has learned from, with its prototypes."""
    return KnownGenes.from_codes(load_data(TRAIN).codes, name=TRAIN)


def count(rows: Sequence[Row], limit: float, memory: Memory) -> int:
    """Count what is within a limit, and new and different after its relaxation."""
    good = [r for r in rows if r["distance"] is not None and r["distance"] <= limit]
    genes = [WyckoffGene.from_text(row["after"] or row["gene"]) for row in good]
    if not genes:
        return 0
    keys = np.unique(key_genes(genes))
    return int((~memory.is_known(keys)).sum())


def report(title: str, rows: Sequence[Row], proposed: Proposed) -> None:
    """Print what one way has found."""
    n = len(rows)
    distances = [row["distance"] for row in rows if row["distance"] is not None]
    n_converged = sum(row["outcome"] == "converged" for row in rows)
    print(
        f"{title}: {n} relaxed, {n_converged} converged, {n - len(distances)} without "
        f"a distance, median {np.median(distances):.3f} eV/atom; "
        f"{np.mean([row['n_evaluations'] for row in rows]):.0f} evaluations, "
        f"{np.mean([row['cpu_s'] for row in rows]):.2f} CPU s per gene"
    )
    genes = [WyckoffGene.from_text(row["gene"]) for row in rows]
    after = [WyckoffGene.from_text(row["after"] or row["gene"]) for row in rows]
    n_other = int((key_genes(genes) != key_genes(after)).sum())
    print(f"    {n_other} have another gene after their relaxation")
    if os.environ.get("WYCKFLOW_DATA"):
        is_known = judge_novelty(genes, known_crystals()).known_prototype
        print(f"    {1 - is_known.mean():.2f} of a prototype that is not known")
    likely = np.array([row["likely"] or 0.0 for row in rows])
    print(
        f"    by the calibration, share within 0.1 eV/atom by DFT and the full hull: "
        f"{likely.mean():.3f} +- {likely.std() / np.sqrt(n):.3f}"
    )
    for limit in LIMITS:
        found = count(rows, limit, proposed.memory)
        n_plain = sum(distance <= limit for distance in distances)
        low, high = wilson(found, n)
        print(
            f"    <= {limit} eV/atom: {1000 * found / n:.0f} per 1,000 relaxations "
            f"({1000 * low:.0f} to {1000 * high:.0f}); {n_plain - found} of {n_plain} "
            "became known or the same as another"
        )
        if title == RANDOM:
            print(f"      as drawn: {1000 * found / n * proposed.share:.0f}")


def compare(arms: dict[str, list[Row]], memory: Memory) -> list[Record]:
    """Print gains over random order with intervals, and write records."""
    n, records = len(arms[RANDOM]), []
    for limit in LIMITS:
        base = max(count(arms[RANDOM], limit, memory), 0.5)
        for title in (RANKED, LIKELY):
            found = max(count(arms[title], limit, memory), 0.5)
            # Katz's interval of a ratio of two shares.
            error = np.sqrt(max(1 / found + 1 / base - 2 / n, 0))
            low, high = found / base * np.exp(np.array([-1, 1]) * QUANTILE * error)
            print(
                f"within {limit} eV/atom, {title}: {found / base:.2f}x random "
                f"({low:.2f} to {high:.2f})"
            )
            # In a record less is better: relaxations per crystal.
            records.append(
                make_record(
                    "ranking",
                    n / found,
                    f"relaxations per new crystal within {limit} eV/atom: {title}",
                    (RANDOM, n / base),
                    n=n,
                    seed=SEED,
                    packages=("chgnet", "torch", "numpy"),
                )
            )
    print(
        f"WyFormer-LeMat (ORB v3, <= 0.1 eV/atom): as drawn {RIVAL_AS_DRAWN}, "
        + ", ".join(f"{title} {share}" for title, share in RIVAL.items())
    )
    return records


if __name__ == "__main__":
    sys.exit(run_script(__doc__.splitlines()[0], measure))
