"""The documents of screening, relaxation and candidates: round trips and refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import key_genes, pack_genes
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import DocumentError
from wyckflow.schemas import candidate, relaxation, screening
from wyckflow.schemas.base import WyckflowDoc
from wyckflow.schemas.blob import pack_arrays
from wyckflow.schemas.candidate import CandidateDoc, StageOutcome, StageVerdict
from wyckflow.schemas.relaxation import (
    RelaxationBatchDoc,
    RelaxationDoc,
    RelaxationSettings,
    TrialDoc,
)
from wyckflow.schemas.screening import (
    FilterCost,
    FunnelStep,
    ReasonCount,
    ScreenCost,
    ScreeningDoc,
    pack_verdicts,
    unpack_verdicts,
)
from wyckflow.schemas.structures import pack_structures, unpack_structures

RUTILE = ReducedStructure(
    WyckoffGene.from_text("136 Ti:a O:f"),
    np.diag([4.6, 4.6, 2.95]),
    np.array([[0, 0, 0], [0.305, 0, 0]]),
)
ROCKSALT = ReducedStructure(
    WyckoffGene.from_text("225 Na:a Cl:b"), np.eye(3) * 5.7, np.zeros((2, 3))
)


def make_screening():
    gene = RUTILE.gene
    return ScreeningDoc(
        n_genes=1,
        n_accepted=0,
        screen={"name": "small", "filters": [{"filter": "max_sites", "max_sites": 5}]},
        evidence={"metal": "bundled classifier"},
        funnel=[
            FunnelStep(
                filter="max_sites",
                rule="at most 5",
                n_in=1,
                n_pass=0,
                n_fail=1,
                n_cannot_judge=0,
                reasons=[ReasonCount(reason="too many atoms", n_genes=1)],
            )
        ],
        costs=[
            ScreenCost(
                reference="crystals",
                n_crystals=9,
                share_dropped=0.5,
                filters=[FilterCost(filter="max_sites", share_alone=0.5)],
            )
        ],
        accepted=[],
        blob=pack_verdicts(
            {
                "space_groups": np.array([136]),
                "codes": pack_genes([gene])[1],
                "keys": key_genes([gene]),
                "verdicts": np.array([1], np.uint8),
                "filters": np.array([0], np.uint8),
                "values": np.array([6.0]),
                "thresholds": np.array([5.0]),
                "reasons": np.array([1]),
                "texts": np.array(["", "too many atoms"]),
            }
        ),
    )


def make_relaxation(structure, index):
    numbers = {
        "outcome": "converged",
        "energy_per_atom": -9.4,
        "max_force": 0.005,
        "max_stress_gpa": 0.05,
        "n_steps": 12,
        "n_evaluations": 13,
        "volume_per_atom": 10.4,
        "space_group_number_after": 136,
    }
    return RelaxationDoc(
        **numbers,
        gene=str(structure.gene),
        gene_id=structure.gene.gene_id,
        formula_pretty=structure.gene.formula,
        space_group_number_before=structure.gene.space_group_number,
        is_symmetry_kept=True,
        best_trial=0,
        structure_index=index,
        trials=[TrialDoc(**numbers, trial=0, seed=1, engine="sampler")],
    )


def make_batch():
    return RelaxationBatchDoc(
        energy_scale="chgnet-0.3.0",
        settings=RelaxationSettings(
            relaxer="stand-in",
            engine="sampler",
            n_trials=1,
            seed=0,
            fmax=0.01,
            max_stress_gpa=0.1,
            max_steps=300,
            symprec=0.01,
        ),
        n_converged=2,
        results=[make_relaxation(RUTILE, 0), make_relaxation(ROCKSALT, 1)],
        blob=pack_structures([RUTILE, ROCKSALT]),
    )


def make_candidate():
    gene = RUTILE.gene
    return CandidateDoc(
        campaign="demo",
        gene_id=gene.gene_id,
        gene=str(gene),
        formula_pretty=gene.formula,
        chemsys=gene.chemsys,
        elements=sorted(gene.elements),
        n_elements=2,
        nsites=gene.n_sites,
        space_group_number=gene.space_group_number,
        crystal_system=gene.crystal_system,
        energy_per_atom=-9.4,
        energy_scale="chgnet-0.3.0",
        verdict="pass",
        verdicts=[StageVerdict(stage="gene screen", verdict="pass")],
        outcomes=[StageOutcome(stage="chgnet relax", outcome="converged")],
        structure=json.loads(RUTILE.to_structure().to_json()),
        job_uuids=["a", "b"],
    )


DOCUMENTS = [make_screening, make_batch, make_candidate]


@pytest.mark.parametrize("make", DOCUMENTS)
def test_json_round_trip(make):
    document = make()
    assert type(document).model_validate_json(document.model_dump_json()) == document


@pytest.mark.parametrize("make", DOCUMENTS)
def test_mongo_round_trip(make):
    import bson

    document = make()
    stored = bson.decode(bson.encode(_plain(document.model_dump())))
    read = type(document).model_validate(stored)
    assert read.model_dump(exclude=_TIMES) == document.model_dump(exclude=_TIMES)


# MongoDB keeps milliseconds, and no time zone unless it is asked for one.
_TIMES = {"provenance": {"created_at"}, "updated_at": True}


def _plain(value):
    from monty.json import jsanitize

    return jsanitize(value, strict=True, enum_values=True, allow_bson=True)


@pytest.mark.parametrize("make", DOCUMENTS)
def test_an_unknown_field_is_refused(make):
    fields = make().model_dump()
    with pytest.raises(ValidationError, match="extra_forbidden"):
        type(make()).model_validate({**fields, "energy": 1})


@pytest.mark.parametrize("make", DOCUMENTS)
def test_a_document_from_the_future_is_refused(make):
    fields = make().model_dump() | {"schema_version": 99}
    with pytest.raises((DocumentError, ValidationError), match="schema_version 99"):
        type(make()).model_validate(fields)


def test_the_structure_of_a_candidate_is_read_by_pymatgen():
    from pymatgen.core import Structure

    stored = make_candidate().model_dump(mode="json")["structure"]
    assert Structure.from_dict(stored) == RUTILE.to_structure()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_an_energy_that_is_no_number_is_refused(number):
    with pytest.raises(ValidationError, match="finite"):
        TrialDoc(
            outcome="converged", energy_per_atom=number, trial=0, seed=0, engine="x"
        )


def test_verdicts_come_out_of_their_arrays():
    document = make_screening()
    (verdict,) = document.iter_verdicts()
    assert (verdict.gene, verdict.gene_id) == (str(RUTILE.gene), RUTILE.gene.gene_id)
    assert (verdict.verdict, verdict.filter) == ("fail", "max_sites")
    assert (verdict.value, verdict.threshold) == (6, 5)
    assert verdict.reason == "too many atoms"
    assert document.genes() == []
    nothing = document.model_copy(update={"blob": None, "n_genes": 0})
    assert (list(nothing.iter_verdicts()), nothing.genes()) == ([], [])


def test_arrays_that_are_no_verdicts_are_refused():
    arrays = unpack_verdicts(make_screening().blob)
    with pytest.raises(DocumentError, match="lacks keys"):
        pack_verdicts({k: v for k, v in arrays.items() if k != "keys"})
    with pytest.raises(DocumentError, match="damaged"):
        pack_verdicts(arrays | {"keys": np.zeros(2, np.uint64)})
    with pytest.raises(DocumentError, match="lacks"):
        unpack_verdicts(pack_structures([RUTILE]))


def test_a_cost_is_one_sentence():
    (cost,) = make_screening().costs
    assert str(cost) == "this screen drops 50.0% of 9 crystals"
    unmeasured = [*cost.filters, FilterCost(filter="metal")]
    partly = cost.model_copy(update={"filters": unmeasured})
    assert "(without metal)" in str(partly)


def test_every_field_says_what_it_is():
    models = {
        model
        for module in (screening, relaxation, candidate)
        for model in vars(module).values()
        if isinstance(model, type)
        and issubclass(model, BaseModel)
        and model not in (BaseModel, WyckflowDoc)
    }
    assert len(models) >= 10
    unsaid = [
        f"{model.__name__}.{name}"
        for model in models
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert unsaid == []


def test_structures_come_back_bit_by_bit_under_their_gene():
    read = RelaxationBatchDoc.model_validate_json(make_batch().model_dump_json())
    assert read.structures() == {
        RUTILE.gene.gene_id: RUTILE,
        ROCKSALT.gene.gene_id: ROCKSALT,
    }


def test_a_batch_without_structures_has_none():
    batch = make_batch().model_copy(update={"blob": None})
    assert batch.structures() == {}
    assert batch.list_structures() == [None, None]


def test_each_relaxation_of_a_gene_has_its_own_structure():
    larger = ReducedStructure.from_structure(
        RUTILE.to_structure().apply_strain(0.05, inplace=False)
    )
    failed = make_relaxation(ROCKSALT, None)
    relaxed = [make_relaxation(RUTILE, 0), failed, make_relaxation(larger, 1)]
    batch = make_batch().model_copy(
        update={"results": relaxed, "blob": pack_structures([RUTILE, larger])}
    )
    assert relaxed[0].gene_id == relaxed[2].gene_id
    assert batch.list_structures() == [RUTILE, None, larger]


def test_a_thousand_structures_stay_far_below_a_blob():
    assert len(pack_structures([RUTILE, ROCKSALT] * 500)) < 200_000


def test_packing_nothing_is_refused():
    with pytest.raises(DocumentError, match="no structures"):
        pack_structures([])


def test_a_foreign_blob_is_refused():
    with pytest.raises(DocumentError, match="lacks"):
        unpack_structures(pack_arrays({"genes": np.array(["221 Po:a"])}))


def test_a_damaged_blob_is_refused():
    damaged = pack_arrays(
        {
            "genes": np.array(["136 Ti:a O:f"]),
            "lattices": np.zeros((1, 3, 3)),
            "parameters": np.zeros((1, 3)),
        }
    )
    with pytest.raises(DocumentError, match="damaged"):
        unpack_structures(damaged)
