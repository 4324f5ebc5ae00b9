"""The job that gives genes coordinates and an energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobflow import Maker

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.makers._job import wyckflow_job
from wyckflow.makers._running import got_on, when_stored
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.relaxation import (
    Outcome,
    RelaxationBatchDoc,
    RelaxationSettings,
    TrialTable,
)
from wyckflow.schemas.structures import pack_structures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wyckflow.relax.contract import RelaxOptions
    from wyckflow.relax.race import RaceOptions, RelaxedGene


@dataclass
class RelaxMaker(Maker):
    """Build start structures of genes and relax them with CHGNet.

    Atoms and cell relax under the space group of the gene. The starts of a gene race:
    after a few steps only the promising go on. What does not converge is a result with
    its outcome, not an error. A job that was killed goes on where it was, see the
    setting ``scratch``.

    Attributes
    ----------
    name
        Name of the job.
    n_trials
        Start structures per gene. If None, by its free coordinates: 2 if it has none,
        8 up to three, 12 up to six, else 20.
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
    backend
        What relaxes: ``chgnet-quotient``, or the slow reference ``ase-chgnet``.
    n_coarse_stages
        Stages after which trials are dropped; with 0 all go on to the end.
    coarse_steps
        Steps of a trial at the end of the first stage; each stage doubles them.
    energy_window
        Trials farther above the best of their gene, in eV/atom, are dropped after the
        last coarse stage; after each earlier one the window is four times as wide.
    keep_fraction
        Share of the trials of a gene that each stage lets through at most, but two
        always may.
    max_evaluations
        Evaluations that a gene may cost; no limit if None.
    """

    name: str = "chgnet relax"
    n_trials: int | None = None
    seed: int = 0
    engine: str = "auto"
    fmax: float = 0.01
    max_stress_gpa: float = 0.1
    max_steps: int = 300
    symprec: float = 0.01
    weights: str = "0.3.0"
    backend: str = "chgnet-quotient"
    n_coarse_stages: int = 4
    coarse_steps: int = 5
    energy_window: float = 0.1
    keep_fraction: float = 0.5
    max_evaluations: int | None = None

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker."""
        from wyckflow.relax.backends import parse_backend_name
        from wyckflow.relax.potential import check_weights

        check_weights(self.weights)
        parse_backend_name(self.backend)
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
        from wyckflow.relax.backends import load_backend
        from wyckflow.relax.race import relax_genes
        from wyckflow.relax.scratch import Scratch
        from wyckflow.settings import WyckflowSettings

        texts = take_shard(genes, shard=shard, n_shards=n_shards)
        mine = [WyckoffGene.from_text(str(gene)) for gene in texts]
        here = WyckflowSettings.load()
        backend = load_backend(
            self.backend,
            weights=self.weights,
            device=here.device,
            threads=here.threads,
        )
        settings = self._settings(relaxer=backend.name)
        scratch = Scratch.of_job(here.scratch_folder(), mine, settings, backend)

        def keep(relaxed: Mapping[str, RelaxedGene]) -> None:
            if scratch.add(relaxed):
                got_on()

        results, structures = relax_genes(
            mine,
            backend,
            self._relax_options(),
            self._race_options(),
            finished=scratch.load(),
            on_heat=keep,
        )
        document = RelaxationBatchDoc(
            provenance=Provenance.collect(
                model=backend.identity, device=backend.device
            ),
            energy_scale=backend.energy_scale,
            settings=settings,
            shard=shard,
            n_shards=n_shards,
            n_converged=sum(item.outcome is Outcome.CONVERGED for item in results),
            results=[item.model_copy(update={"trials": []}) for item in results],
            blob=pack_structures(structures) if structures else None,
            trials=TrialTable.pack([item.trials for item in results]),
        )
        when_stored(scratch.remove)
        return document

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
        """Return the options of the starts and of their race."""
        from wyckflow.crystal.build.trials import BuildEngine
        from wyckflow.relax.halving import HalvingOptions
        from wyckflow.relax.race import RaceOptions

        return RaceOptions(
            n_trials=self.n_trials,
            seed=self.seed,
            engine=BuildEngine(self.engine),
            halving=HalvingOptions(
                n_coarse_stages=self.n_coarse_stages,
                coarse_steps=self.coarse_steps,
                energy_window=self.energy_window,
                keep_fraction=self.keep_fraction,
                max_evaluations=self.max_evaluations,
            ),
        )

    def _settings(self, *, relaxer: str) -> RelaxationSettings:
        """Return what decided the numbers, for the document."""
        names = RelaxationSettings.model_fields.keys() - {"relaxer"}
        own = {name: getattr(self, name) for name in names}
        return RelaxationSettings(relaxer=relaxer, **own)


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
