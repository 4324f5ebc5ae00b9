"""What the relaxation of a gene will cost, known before it begins.

An evaluation takes 1.05 ms per orbit of the gene, on one core of an x86-64 machine: so
in 40 genes of the CrySPR paper (25 CPU s together; 6 orbits, on average over their
evaluations), and 0.8 to 1.2 ms in shards of a campaign with half as many orbits. How
many evaluations the default race takes was fitted to these 40 genes with their usual
starts, and to 24 of them with 2 and with 6: more with the freedom of a gene, since its
trials arrive later, and less than in proportion to its starts, since most are dropped
early. Scaled to the usual starts, the law is 8 % too low for 6 starts and 24 % for 2;
of single genes it is off by a factor of 1.2 to 1.3 (one standard deviation of the
logarithm). ``benchmarks/_measure_relax_cost.py`` does it again.

A law before this one was fitted to the seconds of genes that were relaxed one by one.
In such small batches freedom seems to cost nothing, and the law promised 1.6 times too
much for shards of genes with little of it. Other machines and accelerators differ by a
factor; shards stay alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.relax.race import RaceOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wyckflow.crystal.gene import WyckoffGene


@dataclass(frozen=True, slots=True)
class CostLaw:
    """Processor seconds of a gene: a factor and powers of what it has.

    Attributes
    ----------
    factor
        In seconds.
    orbits
        Power of the number of orbits.
    freedom
        Power of the number of degrees of freedom, those of the cell included, plus one.
    starts
        Power of the number of starts.
    """

    factor: float
    orbits: float
    freedom: float
    starts: float

    def seconds(
        self, table: NDArray[np.float64], starts: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the seconds of each gene.

        Parameters
        ----------
        table
            What :func:`describe_gene` returns of each gene.
        starts
            Of each gene.
        """
        powers = np.array([self.orbits, self.freedom])
        found: NDArray[np.float64] = self.factor * np.prod(table**powers, axis=1)
        return found * starts**self.starts


LAW: Final = CostLaw(factor=0.00342, orbits=1.0, freedom=0.824, starts=0.709)
"""As fitted; see the head of this module."""


def describe_gene(gene: WyckoffGene) -> tuple[int, int]:
    """Return orbits, and degrees of freedom plus one.

    Parameters
    ----------
    gene
        Any gene.
    """
    return gene.n_orbits, gene.degrees_of_freedom + 1


def estimate_cpu_s(
    genes: Sequence[WyckoffGene], n_trials: int | None = None
) -> NDArray[np.float64]:
    """Estimate the processor seconds that relaxing each gene takes.

    Parameters
    ----------
    genes
        Any genes.
    n_trials
        Starts per gene; by its free coordinates if None.
    """
    if not len(genes):
        return np.empty(0)
    race = RaceOptions(n_trials=n_trials)
    starts = np.array([race.n_trials_of(gene) for gene in genes], float)
    table = np.array([describe_gene(gene) for gene in genes], float)
    return LAW.seconds(table, starts)
