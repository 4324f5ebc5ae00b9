"""Phases ordered by energy: those alike joined, others kept apart."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import ScaleMismatchError
from wyckflow.makers.order_phases import OrderPhasesMaker
from wyckflow.makers.propose import read_question
from wyckflow.schemas.relaxation import (
    Outcome,
    RelaxationBatchDoc,
    RelaxationDoc,
    RelaxationSettings,
)
from wyckflow.schemas.structure_prediction import (
    GeneSource,
    ProposalDoc,
    ProposedGene,
    StructurePredictionDoc,
)
from wyckflow.schemas.structures import pack_structures

CUBIC, TETRAGONAL, SWAPPED = (
    "221 Sr:a Ti:b O:c",
    "123 Sr:a Ti:d O:c,e",
    "221 Ti:a Sr:b O:c",
)
SOURCES = (GeneSource.BOTH, GeneSource.ENUMERATED, GeneSource.GENERATED)


def crystal(text, edge=3.9):
    gene = WyckoffGene.from_text(text)
    return ReducedStructure(gene, edge * np.eye(3), np.zeros((gene.n_orbits, 3)))


def proposal(*texts, group=None):
    rows = [
        ProposedGene(
            gene=text,
            gene_id=WyckoffGene.from_text(text).gene_id,
            source=source,
            predicted_rank=rank,
            n_trials=2,
        )
        for rank, (text, source) in enumerate(zip(texts, SOURCES, strict=False), 1)
    ]
    return ProposalDoc(
        question=read_question("SrTiO3", group),
        neutrality="pass",
        n_generated=2,
        n_assignments=2,
        n_assignments_left_out=0,
        n_enumerated=2,
        n_in_both=1,
        n_genes=3,
        max_atoms=20,
        max_freedom=9,
        max_orbits=8,
        ranked_by="nothing",
        budget=6,
        n_relaxations=6,
        chosen=rows,
        genes=[row.gene for row in rows],
    )


def batch(*pairs, scale="chgnet-0.3.0", outcome=Outcome.CONVERGED):
    """A relaxation of genes to energies."""
    results = [
        RelaxationDoc(
            outcome=outcome,
            energy_per_atom=energy,
            gene=text,
            gene_id=WyckoffGene.from_text(text).gene_id,
            formula_pretty="SrTiO3",
            space_group_number_before=int(text.split()[0]),
            n_evaluations_of_gene=7,
            structure_index=place,
        )
        for place, (text, energy) in enumerate(pairs)
    ]
    settings = RelaxationSettings(
        relaxer="none",
        engine="auto",
        n_trials=2,
        seed=0,
        fmax=0.01,
        max_stress_gpa=0.1,
        max_steps=1,
        symprec=0.01,
    )
    return RelaxationBatchDoc(
        energy_scale=scale,
        settings=settings,
        n_converged=len(results),
        results=results,
        blob=pack_structures([crystal(text) for text, _ in pairs]) if pairs else None,
    )


def order(asked, *batches, **options):
    return OrderPhasesMaker(**options).order(asked, batches)


def test_alike_crystals_of_two_shards_are_one_phase():
    found = order(
        proposal(CUBIC, TETRAGONAL, SWAPPED),
        batch((TETRAGONAL, -8.0001)),
        batch((CUBIC, -8.0), (SWAPPED, -7.5)),
    )
    assert [phase.rank for phase in found.phases] == [1, 2]
    best, other = found.phases
    assert best.space_group_number == 221
    assert best.gene_id == WyckoffGene.from_text(CUBIC).gene_id
    assert best.relaxed_genes == [TETRAGONAL, CUBIC]
    assert best.source is GeneSource.BOTH
    assert best.predicted_rank == 1
    assert best.lattice_lengths == pytest.approx((3.9, 3.9, 3.9))
    assert best.lattice_angles == pytest.approx((90, 90, 90))
    assert best.energy_above_best == 0
    assert other.energy_above_best == pytest.approx(0.5, abs=2e-4)
    assert other.source is GeneSource.GENERATED
    assert found.n_genes == 3
    assert found.n_trials == 6
    assert found.n_evaluations == 21
    assert found.outcomes == {"converged": 3}
    assert [s.gene.space_group_number for s in found.structures()] == [221, 221]


def test_a_phase_of_another_group_than_the_wanted_one_says_so():
    found = order(proposal(TETRAGONAL, group=123), batch((TETRAGONAL, -8.0)))
    (phase,) = found.phases
    assert phase.space_group_number == 221
    assert not phase.is_in_wanted_group
    assert found.best_gene_ids == []


def test_what_did_not_converge_is_counted_and_not_ordered():
    found = order(proposal(CUBIC), batch((CUBIC, -9.0), outcome=Outcome.STEP_LIMIT))
    assert found.phases == []
    assert found.blob is None
    assert found.structures() == []
    assert found.outcomes == {"step_limit": 1}


def test_a_document_survives_json():
    found = order(proposal(CUBIC), batch((CUBIC, -8.0)))
    again = StructurePredictionDoc.model_validate_json(found.model_dump_json())
    assert again == found
    assert again.structures() == found.structures()


def test_energies_of_two_scales_are_not_compared():
    with pytest.raises(ScaleMismatchError, match="one scale"):
        order(
            proposal(CUBIC, SWAPPED),
            batch((CUBIC, -8.0)),
            batch((SWAPPED, -8.0), scale="chgnet-r2scan"),
        )
    with pytest.raises(ScaleMismatchError, match="at least one"):
        order(proposal(CUBIC))


@pytest.mark.parametrize(
    "wrong", [{"energy_window": 0}, {"symprec": 0}, {"n_best": -1}], ids=str
)
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        OrderPhasesMaker(**wrong)
