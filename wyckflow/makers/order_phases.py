"""The job that orders the crystals of a composition by their energy."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobflow import Maker

from wyckflow.errors import ScaleMismatchError
from wyckflow.makers._job import wyckflow_job
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.relaxation import Outcome, RelaxationBatchDoc
from wyckflow.schemas.structure_prediction import (
    GeneSource,
    PhaseDoc,
    ProposalDoc,
    ProposedGene,
    StructurePredictionDoc,
)
from wyckflow.schemas.structures import pack_structures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.distinct import DistinctCrystal
    from wyckflow.schemas.relaxation import RelaxationDoc
    from wyckflow.schemas.stability import StabilityBatchDoc, StabilityDoc


@dataclass
class OrderPhasesMaker(Maker):
    """Join relaxed crystals that are the same, and order the others by energy.

    Only converged crystals count. Each is described in the full symmetry that it has
    after relaxation.

    Attributes
    ----------
    name
        Name of the job.
    energy_window
        Crystals farther apart than this, in eV/atom, are different without a look.
    symprec
        Tolerance of the space group of what is shown, in A.
    n_best
        Phases whose lattices are worth a look, for `PhononMaker`.
    """

    name: str = "phase order"
    energy_window: float = 0.005
    symprec: float = 0.01
    n_best: int = 3

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker."""
        if not self.energy_window > 0 or not self.symprec > 0:
            raise ValueError(f"{self.energy_window=} and {self.symprec=} must be > 0.")
        if self.n_best < 0:
            raise ValueError(f"{self.n_best=} must not be negative.")

    @wyckflow_job(StructurePredictionDoc)
    def make(
        self,
        proposal: ProposalDoc,
        relaxations: Sequence[RelaxationBatchDoc],
        stabilities: Sequence[StabilityBatchDoc] = (),
    ) -> StructurePredictionDoc:
        """Order the crystals of one prediction.

        Parameters
        ----------
        proposal
            The genes that were relaxed.
        relaxations
            What became of them, by shard.
        stabilities
            Their distances to the hull, by shard; none if not asked.
        """
        return self.order(proposal, relaxations, stabilities)

    def order(
        self,
        proposal: ProposalDoc,
        relaxations: Sequence[RelaxationBatchDoc],
        stabilities: Sequence[StabilityBatchDoc] = (),
    ) -> StructurePredictionDoc:
        """Do the same without a job.

        Parameters
        ----------
        proposal, relaxations, stabilities
            As in :meth:`make`.

        Raises
        ------
        ScaleMismatchError
            If the energies are on different scales.
        """
        from wyckflow.relax.distinct import find_distinct

        scale = _one_scale([*relaxations, *stabilities])
        results = [item for batch in relaxations for item in batch.results]
        crystals: dict[str, ReducedStructure] = {}
        for batch in relaxations:
            crystals |= batch.structures()
        good = [
            item
            for item in results
            if item.outcome is Outcome.CONVERGED and item.gene_id in crystals
        ]
        found = find_distinct(
            [crystals[item.gene_id] for item in good],
            [_energy(item) for item in good],
            energy_window=self.energy_window,
            symprec=self.symprec,
        )
        # The chosen one may lie a little above the lowest of its group.
        found.sort(key=lambda crystal: _energy(good[crystal.chosen]))
        distances = {item.gene_id: item for b in stabilities for item in b.results}
        proposed = {item.gene_id: item for item in proposal.chosen}
        wanted = proposal.question.space_group_number
        best = min((_energy(good[item.chosen]) for item in found), default=0.0)
        phases = [
            _describe(
                rank,
                crystal,
                good,
                best=best,
                wanted=wanted,
                proposed=proposed,
                distances=distances,
            )
            for rank, crystal in enumerate(found, 1)
        ]
        hull = stabilities[0] if stabilities else None
        known = next(
            (i.completeness for i in distances.values() if i.completeness), None
        )
        first = [phase for phase in phases if phase.is_in_wanted_group][: self.n_best]
        return StructurePredictionDoc(
            provenance=Provenance.collect(),
            question=proposal.question,
            energy_scale=scale,
            hull_version=hull.hull_version if hull else None,
            n_known_phases=known.n_entries if known else None,
            n_empty_subsystems=known.n_empty_subsystems if known else None,
            n_genes=len(results),
            n_trials=sum(
                proposed[item.gene_id].n_trials
                for item in results
                if item.gene_id in proposed
            ),
            n_evaluations=sum(item.n_evaluations_of_gene for item in results),
            outcomes=dict(Counter(item.outcome.value for item in results)),
            phases=phases,
            best_gene_ids=[phase.relaxed_gene_id for phase in first],
            blob=pack_structures([c.structure for c in found]) if found else None,
        )


def _energy(item: RelaxationDoc) -> float:
    """Return the energy of a converged gene, in eV/atom."""
    return float("inf") if item.energy_per_atom is None else item.energy_per_atom


def _one_scale(documents: Iterable[RelaxationBatchDoc | StabilityBatchDoc]) -> str:
    """Return the scale of all energies, or refuse to compare them."""
    scales = {document.energy_scale for document in documents}
    if len(scales) != 1:
        raise ScaleMismatchError(
            f"Energies of the scales {sorted(scales) or 'none'} came to be ordered; "
            "give at least one relaxation, all of one scale."
        )
    return scales.pop()


def _describe(
    rank: int,
    crystal: DistinctCrystal,
    results: Sequence[RelaxationDoc],
    *,
    best: float,
    wanted: int | None,
    proposed: Mapping[str, ProposedGene],
    distances: Mapping[str, StabilityDoc],
) -> PhaseDoc:
    """Write down one phase."""
    from wyckflow.crystal._geometry import lengths_and_angles

    chosen, structure = results[crystal.chosen], crystal.structure
    gene = structure.gene
    members = [results[place] for place in crystal.members]
    origins = [proposed[i.gene_id] for i in members if i.gene_id in proposed]
    first = min(origins, key=lambda item: item.predicted_rank, default=None)
    lengths, angles = lengths_and_angles(structure.lattice)
    distance = distances.get(chosen.gene_id)
    return PhaseDoc(
        rank=rank,
        gene=gene.to_text(),
        gene_id=gene.gene_id,
        space_group_number=gene.space_group_number,
        space_group_symbol=gene.space_group.symbol.replace("_", ""),
        is_in_wanted_group=wanted in {None, gene.space_group_number},
        energy_per_atom=_energy(chosen),
        energy_above_best=_energy(chosen) - best,
        energy_above_hull=distance.energy_above_hull if distance else None,
        lattice_lengths=tuple(lengths.tolist()),
        lattice_angles=tuple(angles.tolist()),
        n_sites=gene.n_sites,
        volume_per_atom=structure.volume / gene.n_sites,
        source=_join_sources(item.source for item in origins),
        predicted_rank=first.predicted_rank if first else None,
        predicted_formation_energy=first.predicted_formation_energy if first else None,
        relaxed_genes=[item.gene for item in members],
        relaxed_gene_id=chosen.gene_id,
    )


def _join_sources(sources: Iterable[GeneSource]) -> GeneSource:
    """Return where several genes came from, taken together."""
    found = set(sources)
    return found.pop() if len(found) == 1 else GeneSource.BOTH
