"""Racing against an exhaustive search: energies reached, and evaluations spent.

    WYCKFLOW_DATA=FOLDER python benchmarks/race.py [--quick] [--json FILE]

Genes of ``peers/cryspr_relaxed_dev.csv.gz``, drawn at random from the half on which no
option of the race was chosen, or well-known ones without that file. The exhaustive
search relaxes 20 starts of every gene to the end; the race has the first of the same
starts, how many by the free coordinates of the gene. One process, one thread.
"""

from __future__ import annotations

import random
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from _bench import Record, make_record, run_script
from _crystal_build import load_genes

from wyckflow.relax.backends import load_backend
from wyckflow.relax.contract import RelaxOptions
from wyckflow.relax.halving import HalvingOptions
from wyckflow.relax.race import MOST_TRIALS, RaceOptions, relax_genes

if TYPE_CHECKING:
    from wyckflow.crystal import WyckoffGene
    from wyckflow.schemas.relaxation import RelaxationDoc

SEED, SPLIT_SEED = 0, 2025
N_PEER = 200
N_GENES, N_QUICK = 60, 6
CLOSE = 0.005  # eV/atom

EXHAUSTIVE = RaceOptions(
    n_trials=MOST_TRIALS, seed=SEED, halving=HalvingOptions(n_coarse_stages=0)
)
RACES = {"race": RaceOptions(seed=SEED)}


def measure(quick: bool) -> list[Record]:
    """Print one line per way, and return the records."""
    source, genes = load_genes(quick=False)
    genes = hold_out(genes)
    random.Random(SEED).shuffle(genes)  # noqa: S311 (a sample)
    genes = genes[: N_QUICK if quick else N_GENES]
    all_out, seconds = search(genes, EXHAUSTIVE)
    n_all = count(all_out)
    free = np.array([gene.positional_degrees_of_freedom for gene in genes])
    print(
        f"{len(genes)} genes, {source}; free coordinates: median {np.median(free):g}, "
        f"most {free.max()}, none in {np.sum(free == 0)}"
    )
    print(f"exhaustive: {n_all} evaluations, {seconds:.0f} CPU s")
    records = []
    for name, options in RACES.items():
        documents, seconds = search(genes, options)
        share = count(documents) / n_all
        excess = np.array(
            [excess_of(*pair) for pair in zip(documents, all_out, strict=True)]
        )
        print(
            f"{name}: {np.mean(excess <= CLOSE):.0%} of genes within {CLOSE * 1e3:g} "
            f"meV/atom ({np.mean(excess < -CLOSE):.0%} below it), {share:.1%} of the "
            f"evaluations, {seconds:.0f} CPU s"
        )
        for low, high in ((0, 0), (1, 3), (4, 6), (7, 999)):
            of = (free >= low) & (free <= high)
            if of.any():
                chosen = np.flatnonzero(of)
                part = count([documents[i] for i in chosen])
                part /= count([all_out[i] for i in chosen])
                print(
                    f"    {low} to {min(high, free.max())} free: {np.sum(of)} genes, "
                    f"{np.mean(excess[of] <= CLOSE):.0%} close, {part:.1%} evaluations"
                )
        record = make_record(
            "racing",
            share * 100,
            f"% of evaluations ({name}, {np.mean(excess <= CLOSE):.0%} of genes close)",
            ("20 starts to the end", 100.0),
            n=len(genes),
            seed=SEED,
            packages=("chgnet", "torch"),
        )
        records.append(record)
    return records


def hold_out(genes: list[WyckoffGene]) -> list[WyckoffGene]:
    """Return the half of the peer's genes on which no option was chosen."""
    if len(genes) < N_PEER:
        return genes
    order = np.random.default_rng(SPLIT_SEED).permutation(len(genes))
    return [genes[place] for place in sorted(order[len(genes) // 2 :])]


def search(
    genes: list[WyckoffGene], options: RaceOptions
) -> tuple[list[RelaxationDoc], float]:
    """Return what was found, and CPU seconds with the making of the starts."""
    backend = load_backend(device="cpu")
    start = time.process_time()
    documents, _ = relax_genes(genes, backend, RelaxOptions(), options)
    return documents, time.process_time() - start


def count(documents: list[RelaxationDoc]) -> int:
    """Return the evaluations of all trials."""
    return sum(item.n_evaluations_of_gene for item in documents)


def excess_of(found: RelaxationDoc, best: RelaxationDoc) -> float:
    """Return how much higher an energy is; infinite if it was not found at all."""
    if found.energy_per_atom is None or best.energy_per_atom is None:
        return 0.0 if found.energy_per_atom == best.energy_per_atom else np.inf
    return found.energy_per_atom - best.energy_per_atom


if __name__ == "__main__":
    sys.exit(run_script(__doc__.splitlines()[0], measure))
