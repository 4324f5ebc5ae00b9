"""The screening job, run by jobflow."""

from __future__ import annotations

import json

import numpy as np
import pytest
from jobflow import Flow, job, run_locally

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import GeneError, ScreenError
from wyckflow.makers.screen import ScreenMaker
from wyckflow.schemas.generation import GeneChunk, GenerationDoc
from wyckflow.schemas.screening import MOST_LISTED, ScreeningDoc, Verdict
from wyckflow.schemas.target import Target
from wyckflow.screening.filters import MaxSites, MinimumScore, Novelty, TargetWindow
from wyckflow.screening.presets import load_preset
from wyckflow.screening.screen import Screen

GENES = ["221 Sr:a Ti:b O:c", "225 Na:a Cl:b", "225 Na:a F:c", "225 Mg:a F:b"]
SMALL = {"name": "small", "filters": [{"filter": "max_sites", "max_sites": 8}]}


def run(made, store, folder):
    responses = run_locally(
        made, store=store, root_dir=folder, ensure_success=True, log=False
    )
    return responses[made.uuid][1].output


def generation(texts, **predictions):
    genes = [WyckoffGene.from_text(text) for text in texts]
    values = {k: np.array(v[0], np.float32) for k, v in predictions.items()}
    spreads = {k: np.array(v[1], np.float32) for k, v in predictions.items()}
    chunk = GeneChunk.pack(
        genes,
        log_probabilities=np.zeros(len(genes), np.float32),
        seeds=np.zeros(len(genes), np.int32),
        predictions=values,
        deviations=spreads,
    )
    return GenerationDoc(
        model_id="0" * 64,
        model_name="toy",
        method="prior",
        target=Target(),
        seed=0,
        level=0.0,
        temperature=1.0,
        n_asked=len(genes),
        n_decoded=len(genes),
        n_genes=len(genes),
        failures={},
        properties=list(predictions),
        chunks=[chunk],
    )


def test_the_job_judges_and_counts(job_store, tmp_path):
    document = run(ScreenMaker().make(GENES), job_store, tmp_path)
    assert isinstance(document, ScreeningDoc)
    assert document.schema_version == 2
    assert (document.n_genes, document.n_accepted) == (4, 2)
    assert document.accepted == ["221 Sr:a Ti:b O:c", "225 Na:a Cl:b"]
    assert [str(gene) for gene in document.genes()] == document.accepted
    assert document.accepted_rows().tolist() == [0, 1]
    assert [item.verdict for item in document.iter_verdicts()] == [
        Verdict.PASS,
        Verdict.PASS,
        Verdict.FAIL,
        Verdict.FAIL,
    ]
    assert [step.filter for step in document.funnel] == [
        item.name for item in load_preset("default").filters
    ]
    assert Screen.from_dict(document.screen) == load_preset("default")
    assert document.costs


def test_the_stored_document_is_the_one_returned(job_store, tmp_path):
    job = ScreenMaker(screen=SMALL).make(GENES)
    document = run(job, job_store, tmp_path)
    stored = job_store.get_output(job.uuid, load=True)
    fields = {name: value for name, value in stored.items() if name[0] != "@"}
    read = ScreeningDoc.model_validate(fields)
    assert list(read.iter_verdicts()) == list(document.iter_verdicts())
    without = job_store.get_output(job.uuid, load=False)
    assert "blob_uuid" in json.dumps(without["blob"])


def test_genes_may_come_as_objects(job_store, tmp_path):
    genes = [WyckoffGene.from_text(text) for text in GENES]
    found = run(ScreenMaker().make(genes), job_store, tmp_path)
    assert [item.gene for item in found.iter_verdicts()] == [str(g) for g in genes]


def test_genes_and_predictions_may_come_from_another_job(job_store, tmp_path):
    """The whole document is handed on by reference, its arrays through the blobs."""
    values = {"band_gap": ([1.0, 3.0, 0.3, 0.1], [0.1, 0.1, 0.3, 0.1])}

    @job(data=None, blobs="blob", output_schema=GenerationDoc)
    def generate():
        return generation(GENES, **values)

    first = generate()
    window = TargetWindow(prediction="band_gap", min=0.5, max=2.0, max_sigma=1)
    second = ScreenMaker(screen=Screen((window,))).make(first.output)
    responses = run_locally(
        Flow([first, second]),
        store=job_store,
        root_dir=tmp_path,
        ensure_success=True,
        log=False,
    )
    document = responses[second.uuid][1].output
    assert document.accepted == [GENES[0], GENES[2]]
    assert document.evidence == {"band_gap": "predicted by the model toy"}


def test_a_screening_may_be_screened_again(job_store, tmp_path):
    document = run(ScreenMaker().make(GENES), job_store, tmp_path)
    again = ScreenMaker.make.original(ScreenMaker(screen=SMALL), document)
    assert again.accepted == ["221 Sr:a Ti:b O:c", "225 Na:a Cl:b"]


def test_evidence_may_be_given():
    screen = Screen((MinimumScore(score="synthesizability", above=0.4),))
    document = ScreenMaker.make.original(
        ScreenMaker(screen=screen),
        GENES,
        evidence={"synthesizability": [0.9, 0.4, None, 0.5]},
    )
    assert document.accepted == [GENES[0], str(WyckoffGene.from_text(GENES[3]))]
    assert document.funnel[0].n_cannot_judge == 1
    assert document.evidence == {"synthesizability": "given to the job"}
    with pytest.raises(ScreenError, match="one number per gene"):
        ScreenMaker.make.original(
            ScreenMaker(screen=screen), GENES, evidence={"synthesizability": [1.0]}
        )


def test_what_nobody_knows_cannot_be_judged():
    screen = Screen((TargetWindow(prediction="band_gap", min=0.5),))
    document = ScreenMaker.make.original(ScreenMaker(screen=screen), GENES)
    assert (document.n_accepted, document.funnel[0].n_cannot_judge) == (0, 4)
    assert "no evidence 'band_gap'" in document.funnel[0].reasons[0].reason


def test_novelty_is_relative_to_known_genes(tmp_path):
    from wyckflow.screening.novelty.known import KnownGenes

    path = tmp_path / "known.npz"
    known = [WyckoffGene.from_text("225 Na:b Cl:a")]
    KnownGenes.from_genes(known, name="salt").save(path)
    maker = ScreenMaker(screen=Screen((Novelty(),)), known=[path])
    document = ScreenMaker.make.original(maker, GENES)
    assert "225 Na:a Cl:b" not in document.accepted
    assert document.n_accepted == 3
    assert "salt" in document.evidence["novelty"]
    assert ScreenMaker.from_dict(maker.as_dict()) == maker


def test_many_accepted_genes_are_not_listed_but_kept():
    texts = ["221 Sr:a Ti:b O:c"] * (MOST_LISTED + 1)
    document = ScreenMaker.make.original(ScreenMaker(screen=SMALL), texts)
    assert document.n_accepted == MOST_LISTED + 1
    assert document.accepted is None
    assert len(document.genes()) == MOST_LISTED + 1
    assert len(document.model_dump_json(exclude={"blob"})) < 1_000_000


def test_without_genes_there_is_an_empty_document():
    document = ScreenMaker.make.original(ScreenMaker(), [])
    assert (document.n_genes, document.accepted, document.blob) == (0, [], None)
    assert list(document.iter_verdicts()) == document.genes() == []
    assert document.accepted_rows().tolist() == []


def test_a_text_that_is_no_gene_is_an_error():
    with pytest.raises(GeneError, match="221"):
        ScreenMaker.make.original(ScreenMaker(), ["221 Sr:z"])


@pytest.mark.parametrize(
    "screen", ["sustainable", SMALL, Screen((MaxSites(max_sites=3),))], ids=type
)
def test_the_maker_survives_its_dictionary_and_its_use(screen):
    maker = ScreenMaker(screen=screen)
    before = maker.as_dict()
    made = maker.make(GENES)
    assert ScreenMaker.from_dict(before) == maker
    assert maker.as_dict() == before
    assert made.name == "gene screen"


def test_a_file_is_read_when_the_maker_is_made(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("filters: [uniqueness]")
    maker = ScreenMaker(screen=path)
    path.unlink()
    assert ScreenMaker.make.original(maker, GENES).n_accepted == 4
    assert maker.screen.name == "mine"


def test_a_reference_to_a_field_that_is_not_there_fails_at_once():
    made = ScreenMaker().make(GENES)
    assert made.output.accepted is not None
    with pytest.raises(AttributeError, match="acepted"):
        _ = made.output.acepted


@pytest.mark.parametrize(
    ("screen", "match"),
    [
        ("defalt", "Did you mean 'default'"),
        ({"filters": [{"filter": "max_sites", "max_sites": 0}]}, "at least 1"),
    ],
)
def test_screens_that_cannot_be_asked_are_refused_before_submission(screen, match):
    with pytest.raises(ScreenError, match=match):
        ScreenMaker(screen=screen)
