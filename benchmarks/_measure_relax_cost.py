"""The law by which shards are cut: processor seconds of a gene, before it is relaxed.

    WYCKFLOW_DATA=FOLDER python benchmarks/_measure_relax_cost.py [--quick]

Genes of ``peers/cryspr_relaxed_dev.csv.gz``, or well-known ones without that file, are
relaxed one by one as a campaign does it, then all together, since a full batch costs
less. The law of `wyckflow.relax.cost` is fitted to the first and scaled to the second;
each gene is also predicted by a law that was fitted without it. Both the fit and the
law that the package holds are printed. One process, one thread.
"""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Record, run_script
from _crystal_build import load_genes

from wyckflow.relax.backends import load_backend
from wyckflow.relax.contract import RelaxOptions
from wyckflow.relax.cost import LAW, CostLaw, describe_gene
from wyckflow.relax.race import RaceOptions, relax_genes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.crystal import WyckoffGene

SEED = 7
N_GENES, N_QUICK = 40, 5


def measure(quick: bool) -> list[Record]:
    """Print the law and its scatter; there is no peer, and no record."""
    source, genes = load_genes(quick=False)
    random.Random(SEED).shuffle(genes)  # noqa: S311 (a sample)
    genes = genes[: N_QUICK if quick else N_GENES]
    backend = load_backend(device="cpu")
    relax(genes[:1], backend)  # the first one pays for loading
    alone = np.array([relax([gene], backend) for gene in genes])
    together = relax(genes, backend)
    print(
        f"{len(genes)} genes, {source}: {alone.sum():.1f} CPU s one by one (median "
        f"{np.median(alone):.2f}, most {alone.max():.2f}), {together:.1f} together"
    )
    trials = [RaceOptions().n_trials_of(gene) for gene in genes]
    seconds = alone / trials * together / alone.sum()
    table = np.array([describe_gene(gene) for gene in genes], float)
    law = fit(table, seconds)
    print(f"fitted: {json.dumps(asdict(law))}")
    print(f"held:   {json.dumps(asdict(LAW))}")
    places = range(len(genes))
    left_out = np.array([predict_without(place, table, seconds) for place in places])
    for name, found in (
        ("each by the others", left_out * trials),
        ("by the law held", LAW.seconds_per_trial(table) * trials),
        ("all alike", np.full(len(genes), together / len(genes))),
    ):
        ratio = np.log(found / (seconds * trials))
        print(
            f"{name}: scatter a factor of {np.exp(np.std(ratio)):.2f}, sum off by "
            f"{found.sum() / together - 1:+.0%}"
        )
    return []


def relax(genes: list[WyckoffGene], backend: Any) -> float:
    """Return the CPU seconds of a relaxation, with the making of the starts."""
    start = time.process_time()
    relax_genes(genes, backend, RelaxOptions(), RaceOptions())
    return time.process_time() - start


def fit(table: NDArray[np.float64], seconds: NDArray[np.float64]) -> CostLaw:
    """Fit logarithms, then scale so that the sum is right."""
    design = np.column_stack([np.ones(len(table)), np.log(table)])
    found, *_ = np.linalg.lstsq(design, np.log(seconds), rcond=None)
    law = CostLaw(*np.exp(found[:1]).tolist(), *found[1:].tolist())
    scale = seconds.sum() / law.seconds_per_trial(table).sum()
    return CostLaw(law.factor * float(scale), *found[1:].tolist())


def predict_without(
    place: int, table: NDArray[np.float64], seconds: NDArray[np.float64]
) -> float:
    """Predict one gene by a law that does not know it."""
    keep = np.arange(len(table)) != place
    law = fit(table[keep], seconds[keep])
    return float(law.seconds_per_trial(table[place : place + 1])[0])


if __name__ == "__main__":
    sys.exit(run_script(__doc__.splitlines()[0], measure))
