"""What the relaxation of a gene will cost, known before it begins.

Measured with ``benchmarks/_measure_relax_cost.py``: 40 genes drawn from those of the
CrySPR paper were relaxed one by one with the default race on one core of an x86-64
machine (32 CPU s, median 0.35, most 5.7), and all together (25 CPU s, to which the law
is scaled, since shards are relaxed so). Each gene predicted by a law fitted to the
others is off by a factor of 1.65 (one standard deviation of the logarithm; 2.7 if all
genes cost the same), and their sum by 3 %. The number of atoms in the cell did not
matter beside the number of orbits, and a trial of a gene with more freedom costs a
little less, since more of its trials are dropped early. Other machines and accelerators
differ by a factor; shards stay alike.
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
    """Processor seconds of one trial: a factor and powers of what a gene has.

    Attributes
    ----------
    factor
        In seconds.
    orbits
        Power of the number of orbits.
    freedom
        Power of the number of degrees of freedom, those of the cell included, plus one.
    """

    factor: float
    orbits: float
    freedom: float

    def seconds_per_trial(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the seconds of one trial of each gene.

        Parameters
        ----------
        table
            What :func:`describe_gene` returns of each gene.
        """
        powers = np.array([self.orbits, self.freedom])
        seconds: NDArray[np.float64] = self.factor * np.prod(table**powers, axis=1)
        return seconds


LAW: Final = CostLaw(factor=0.0251, orbits=0.902, freedom=-0.221)
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
    trials = np.array([race.n_trials_of(gene) for gene in genes], float)
    table = np.array([describe_gene(gene) for gene in genes], float)
    return trials * LAW.seconds_per_trial(table)
