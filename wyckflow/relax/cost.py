"""What the relaxation of a gene will cost, known before it begins.

Measured with ``benchmarks/relax_cost.py``: to be filled in.
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
    sites
        Power of the number of atoms in the conventional cell.
    freedom
        Power of the number of degrees of freedom, those of the cell included, plus one.
    """

    factor: float
    orbits: float
    sites: float
    freedom: float

    def seconds_per_trial(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the seconds of one trial of each gene.

        Parameters
        ----------
        table
            What :func:`describe_gene` returns of each gene.
        """
        powers = np.array([self.orbits, self.sites, self.freedom])
        return self.factor * np.prod(table**powers, axis=1)


LAW: Final = CostLaw(factor=0.02, orbits=0.5, sites=0.3, freedom=0.5)
"""As fitted; see above."""


def describe_gene(gene: WyckoffGene) -> tuple[float, float, float]:
    """Return orbits, atoms, and degrees of freedom plus one.

    Parameters
    ----------
    gene
        Any gene.
    """
    return gene.n_orbits, gene.n_sites, gene.degrees_of_freedom + 1


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
