"""The screening job, run by jobflow."""

from __future__ import annotations

import pytest
from jobflow import run_locally

from wyckflow.errors import GeneError
from wyckflow.makers.screen import ScreenMaker
from wyckflow.schemas.screening import ScreeningDoc, Verdict

GENES = ["221 Sr:a Ti:b O:c", "225 Na:a Cl:b", "225 Na:a F:c", "225 Mg:a F:b"]


def run(job, store, folder):
    responses = run_locally(
        job, store=store, root_dir=folder, ensure_success=True, log=False
    )
    return responses[job.uuid][1].output


def test_the_job_judges_and_counts(job_store, tmp_path):
    document = run(ScreenMaker(max_sites=8).make(GENES), job_store, tmp_path)
    assert isinstance(document, ScreeningDoc)
    assert (document.n_genes, document.n_accepted) == (4, 2)
    assert document.accepted == ["221 Sr:a Ti:b O:c", "225 Na:a Cl:b"]
    assert [item.verdict for item in document.verdicts] == [
        Verdict.PASS,
        Verdict.PASS,
        Verdict.FAIL,
        Verdict.FAIL,
    ]
    assert [step.filter for step in document.funnel] == [
        "uniqueness",
        "max_sites",
        "charge_neutrality",
    ]


def test_the_stored_document_is_the_one_returned(job_store, tmp_path):
    job = ScreenMaker().make(GENES)
    document = run(job, job_store, tmp_path)
    stored = job_store.get_output(job.uuid, load=True)
    fields = {name: value for name, value in stored.items() if name[0] != "@"}
    assert ScreeningDoc.model_validate(fields).verdicts == document.verdicts


def test_genes_may_come_as_objects(job_store, tmp_path):
    from wyckflow.crystal.gene import WyckoffGene

    genes = [WyckoffGene.from_text(text) for text in GENES]
    found = run(ScreenMaker().make(genes), job_store, tmp_path)
    assert [item.gene for item in found.verdicts] == [str(gene) for gene in genes]


def test_a_text_that_is_no_gene_is_an_error():
    with pytest.raises(GeneError, match="221"):
        ScreenMaker.make.original(ScreenMaker(), ["221 Sr:z"])


def test_the_maker_survives_its_dictionary_and_its_use():
    maker = ScreenMaker(max_sites=20, oxidation_states="icsd16", accepts_alloys=False)
    before = maker.as_dict()
    job = maker.make(GENES)
    assert ScreenMaker.from_dict(before) == maker
    assert maker.as_dict() == before
    assert job.name == "gene screen"


def test_a_reference_to_a_field_that_is_not_there_fails_at_once():
    job = ScreenMaker().make(GENES)
    assert job.output.accepted is not None
    with pytest.raises(AttributeError, match="acepted"):
        _ = job.output.acepted


@pytest.mark.parametrize("wrong", [{"max_sites": 0}, {"oxidation_states": "none"}])
def test_options_that_no_gene_meets_are_refused(wrong):
    with pytest.raises(ValueError, match=r"max_sites|none"):
        ScreenMaker(**wrong)
