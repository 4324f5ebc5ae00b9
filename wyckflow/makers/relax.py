"""The job that gives genes coordinates and an energy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from jobflow import Maker

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.makers._job import wyckflow_job
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.relaxation import Outcome, RelaxationBatchDoc, RelaxationSettings
from wyckflow.schemas.structures import pack_structures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.relax.contract import RelaxOptions
    from wyckflow.relax.race import RaceOptions


@dataclass
class RelaxMaker(Maker):
    """Build start structures of genes and relax them with CHGNet.

    Atoms and cell relax under the space group of the gene. What does not converge is
    a result with its outcome, not an error.

    Attributes
    ----------
    name
        Name of the job.
    n_trials
        Start structures per gene.
    seed
        Seed of the start structures, not negative. A gene gets the same starts in any
        shard.
    engine
        What makes the starts: ``pyxtal``, ``sampler`` or ``auto``.
    fmax
        Converged if no atom feels a larger force, in eV/A.
    max_stress_gpa
        Converged if no component of the stress is larger, in GPa.
    max_steps
        Steps after which a relaxation is stopped.
    symprec
        Tolerance for the space group after relaxation, in A.
    weights
        CHGNet's weights: ``0.3.0``, ``0.2.0`` or ``r2scan``. They set the energy scale.
    """

    name: str = "chgnet relax"
    n_trials: int = 3
    seed: int = 0
    engine: str = "pyxtal"
    fmax: float = 0.01
    max_stress_gpa: float = 0.1
    max_steps: int = 300
    symprec: float = 0.01
    weights: str = "0.3.0"

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker."""
        from wyckflow.relax.potential import check_weights

        check_weights(self.weights)
        self._relax_options()
        self._race_options()

    @wyckflow_job(RelaxationBatchDoc)
    def make(
        self, genes: Sequence[str | WyckoffGene], shard: int = 0, n_shards: int = 1
    ) -> RelaxationBatchDoc:
        """Relax one shard of a list of genes.

        Parameters
        ----------
        genes
            The whole list: genes, or their text such as ``221 Sr:a Ti:b O:c``.
        shard
            Which part of the list: every ``n_shards``-th gene from this place on.
        n_shards
            How many parts there are.
        """
        from wyckflow.relax import reference
        from wyckflow.relax.potential import load_potential
        from wyckflow.relax.race import relax_genes
        from wyckflow.settings import WyckflowSettings

        mine = take_shard(genes, shard=shard, n_shards=n_shards)
        settings = WyckflowSettings.load()
        potential = load_potential(
            self.weights, device=settings.device, threads=settings.threads
        )
        relaxer = partial(
            reference.relax_structure,
            potential=potential,
            options=self._relax_options(),
        )
        results, structures = relax_genes(
            [WyckoffGene.from_text(str(gene)) for gene in mine],
            relaxer,
            self._race_options(),
        )
        return RelaxationBatchDoc(
            provenance=Provenance.collect(
                model=potential.identity, device=potential.device
            ),
            energy_scale=potential.energy_scale,
            settings=self._settings(relaxer=reference.NAME),
            shard=shard,
            n_shards=n_shards,
            n_converged=sum(item.outcome is Outcome.CONVERGED for item in results),
            results=results,
            blob=pack_structures(structures) if structures else None,
        )

    def _relax_options(self) -> RelaxOptions:
        """Return the options of one relaxation."""
        from wyckflow.relax.contract import RelaxOptions

        return RelaxOptions(
            fmax=self.fmax,
            max_stress_gpa=self.max_stress_gpa,
            max_steps=self.max_steps,
            symprec=self.symprec,
        )

    def _race_options(self) -> RaceOptions:
        """Return the options of the starts."""
        from wyckflow.crystal.build.trials import BuildEngine
        from wyckflow.relax.race import RaceOptions

        return RaceOptions(
            n_trials=self.n_trials, seed=self.seed, engine=BuildEngine(self.engine)
        )

    def _settings(self, *, relaxer: str) -> RelaxationSettings:
        """Return what decided the numbers, for the document."""
        return RelaxationSettings(
            relaxer=relaxer,
            engine=self.engine,
            n_trials=self.n_trials,
            seed=self.seed,
            fmax=self.fmax,
            max_stress_gpa=self.max_stress_gpa,
            max_steps=self.max_steps,
            symprec=self.symprec,
        )


def take_shard(
    genes: Sequence[str | WyckoffGene], *, shard: int, n_shards: int
) -> Sequence[str | WyckoffGene]:
    """Return every ``n_shards``-th gene, so that shards of a sorted list are alike.

    Parameters
    ----------
    genes
        The whole list.
    shard
        From 0.
    n_shards
        How many parts.

    Raises
    ------
    ValueError
        If there is no such shard.
    """
    if not 0 <= shard < n_shards:
        raise ValueError(
            f"{shard=} of {n_shards=} does not exist; shards count from 0."
        )
    return genes[shard::n_shards]
