"""The law by which shards are cut: processor seconds of a gene, before it is relaxed.

    WYCKFLOW_DATA=FOLDER python benchmarks/_measure_relax_cost.py [--quick]

Genes of ``peers/cryspr_relaxed_dev.csv.gz``, or well-known ones without that file, are
relaxed as a campaign does it, many at a time, with their usual starts and with 2 and 6.
The numbers of evaluations are fitted by powers of freedom and starts, and the seconds
are those of an evaluation times the orbits. Both the fit and the law that the package
holds are printed. One process, one thread.
"""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import asdict, dataclass, replace
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
STARTS = (None, 6, 2)


def measure(quick: bool) -> list[Record]:
    """Print the law and its scatter; there is no peer, and no record."""
    source, genes = load_genes(quick=False)
    random.Random(SEED).shuffle(genes)  # noqa: S311 (a sample)
    genes = genes[: N_QUICK if quick else N_GENES]
    backend = load_backend(device="cpu")
    relax(genes[:1], None, backend)  # the first one pays for loading
    runs = [relax(genes, n_trials, backend) for n_trials in STARTS]
    law = fit(runs)
    print(f"{len(genes)} genes, {source}")
    for run in runs:
        print(
            f"starts {run.n_trials or 'as usual'}: {run.cpu_s:.1f} CPU s, "
            f"{run.evaluations.sum():.0f} evaluations, {1e3 * run.s_per_orbit:.3f} ms "
            "for each, per orbit"
        )
    for name, item in (("fitted", law), ("held", LAW)):
        print(f"{name}: {json.dumps(asdict(item))}")
        for run in runs:
            found = item.seconds(run.table, run.starts)
            ratio = np.log(found / (run.evaluations * run.table[:, 0]))
            print(
                f"  starts {run.n_trials or 'as usual'}: scatter a factor of "
                f"{np.exp(np.std(ratio)):.2f}, sum off by "
                f"{found.sum() / run.cpu_s - 1:+.0%}"
            )
    return []


@dataclass(frozen=True)
class Run:
    """Some genes, relaxed together.

    Attributes
    ----------
    n_trials
        Starts of each, the usual ones if None.
    cpu_s
        What they took together, with the making of the starts.
    table
        Orbits and freedom of each that was evaluated.
    starts, evaluations
        Of each of these.
    """

    n_trials: int | None
    cpu_s: float
    table: NDArray[np.float64]
    starts: NDArray[np.float64]
    evaluations: NDArray[np.float64]

    @property
    def s_per_orbit(self) -> float:
        """Seconds of one evaluation of one orbit."""
        return self.cpu_s / float((self.evaluations * self.table[:, 0]).sum())


def relax(genes: list[WyckoffGene], n_trials: int | None, backend: Any) -> Run:
    """Relax genes together, and count."""
    options = RaceOptions(n_trials=n_trials)
    start = time.process_time()
    documents, _ = relax_genes(genes, backend, RelaxOptions(), options)
    cpu_s = time.process_time() - start
    rows = [
        (*describe_gene(gene), options.n_trials_of(gene), item.n_evaluations_of_gene)
        for gene, item in zip(genes, documents, strict=True)
        if item.n_evaluations_of_gene
    ]
    table = np.array(rows, float)
    return Run(n_trials, cpu_s, table[:, :2], table[:, 2], table[:, 3])


def fit(runs: list[Run]) -> CostLaw:
    """Fit powers to evaluations, then scale to the seconds with the usual starts."""
    freedom = np.log(np.concatenate([run.table[:, 1] for run in runs]))
    starts = np.log(np.concatenate([run.starts for run in runs]))
    evaluations = np.log(np.concatenate([run.evaluations for run in runs]))
    design = np.column_stack([np.ones(len(freedom)), freedom, starts])
    found, *_ = np.linalg.lstsq(design, evaluations, rcond=None)
    shape = CostLaw(1.0, 1.0, *found[1:].tolist())
    scale = runs[0].cpu_s / shape.seconds(runs[0].table, runs[0].starts).sum()
    return replace(shape, factor=float(scale))


if __name__ == "__main__":
    sys.exit(run_script(__doc__.splitlines()[0], measure))
