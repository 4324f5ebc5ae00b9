"""A stand-in for relaxation that costs next to nothing, for workers to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.crystal.tables import CrystalSystem
from wyckflow.makers._job import wyckflow_job
from wyckflow.makers.relax import RelaxMaker
from wyckflow.schemas.relaxation import (
    Outcome,
    RelaxationBatchDoc,
    RelaxationDoc,
    TrialDoc,
    TrialTable,
)
from wyckflow.schemas.structures import pack_structures

if TYPE_CHECKING:
    from collections.abc import Sequence

N_TRIALS: Final = 6
_HEXAGONAL: Final = (CrystalSystem.TRIGONAL, CrystalSystem.HEXAGONAL)


@dataclass
class ToyRelaxMaker(RelaxMaker):
    """Write what relaxation would, with numbers drawn at random.

    Documents, blobs and trials are of the size of real ones; no potential is asked.
    """

    @wyckflow_job(RelaxationBatchDoc)
    def make(
        self, genes: Sequence[str | WyckoffGene], shard: int = 0, n_shards: int = 1
    ) -> RelaxationBatchDoc:
        """Draw energies and crystals."""
        random = np.random.default_rng(len(genes))
        mine = [WyckoffGene.from_text(str(gene)) for gene in genes]
        results = [draw_result(gene, place, random) for place, gene in enumerate(mine)]
        return RelaxationBatchDoc(
            energy_scale="chgnet-0.3.0",
            settings=self._settings(relaxer="none: a stand-in"),
            shard=shard,
            n_shards=n_shards,
            n_converged=len(results),
            results=[item.model_copy(update={"trials": []}) for item in results],
            blob=pack_structures([draw_structure(gene, random) for gene in mine]),
            trials=TrialTable.pack([item.trials for item in results]),
        )


def draw_result(
    gene: WyckoffGene, place: int, random: np.random.Generator
) -> RelaxationDoc:
    """Return the document of a gene that was not relaxed."""
    numbers = {
        "outcome": Outcome.CONVERGED,
        "energy_per_atom": float(random.normal(-6, 1)),
        "max_force": float(random.uniform(0, 0.01)),
        "max_stress_gpa": float(random.uniform(0, 0.1)),
        "n_steps": 15,
        "n_evaluations": 16,
        "volume_per_atom": float(random.uniform(10, 30)),
        "space_group_number_after": gene.space_group_number,
    }
    return RelaxationDoc(
        **numbers,
        gene=gene.to_text(),
        gene_id=gene.gene_id,
        formula_pretty=gene.formula,
        space_group_number_before=gene.space_group_number,
        space_group_number_after_tight=gene.space_group_number,
        is_symmetry_kept=True,
        n_evaluations_of_gene=16 * N_TRIALS,
        best_trial=0,
        magnetic_moments_mu_b=random.random(gene.n_orbits).tolist(),
        structure_index=place,
        trials=[
            TrialDoc(
                **numbers,
                trial=trial,
                seed=int(random.integers(2**62)),
                engine="sampler",
                stage=3,
            )
            for trial in range(N_TRIALS)
        ],
    )


def draw_structure(gene: WyckoffGene, random: np.random.Generator) -> ReducedStructure:
    """Return a cell of the right form and coordinates anywhere."""
    lattice = np.eye(3) * (20.0 * gene.n_sites) ** (1 / 3)
    if gene.crystal_system in _HEXAGONAL:
        lattice[1] = lattice[0, 0] * np.array([-0.5, np.sqrt(0.75), 0])
    return ReducedStructure(gene, lattice, random.random((gene.n_orbits, 3)))
