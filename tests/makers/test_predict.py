"""The predicting job: the numbers of the model, in blobs, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from jobflow import Flow, run_locally

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import DocumentError, ModelError
from wyckflow.makers._predictors import BUNDLED_SCALE, PropertyPredictor
from wyckflow.makers.generate import GenerateMaker
from wyckflow.makers.models import load_generator
from wyckflow.makers.predict import PredictMaker
from wyckflow.ml.model_file import describe_model
from wyckflow.schemas.prediction import PredictionDoc, PredictionRefusal

GENES = ["225 Na:a Cl:b", "221 Sr:a Ti:b O:c", "225 Ca:a F:c", "225 Mg:a O:b"]
PROPERTIES = ["formation_energy_per_atom", "band_gap"]


def run(genes, model, **options):
    return PredictMaker.make.original(PredictMaker(**options), genes, model)


def ask_directly(model_file, genes):
    """Mean and standard deviation, without anything of the job."""
    _, model = load_generator(model_file)
    found = model.predict([WyckoffGene.from_text(text) for text in genes])
    return found.mean, np.sqrt(found.spread**2 + found.expected_error**2)


def assert_same_numbers(document, means, deviations):
    for place, name in enumerate(PROPERTIES):
        found = document.column(name), document.column(f"{name}_deviation")
        np.testing.assert_allclose(found[0], means[:, place], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[1], deviations[:, place], rtol=1e-3, atol=1e-4)


def test_numbers_are_those_of_the_model(tiny_model):
    document = run(GENES, tiny_model)
    assert document.properties == PROPERTIES
    assert [gene.to_text() for gene in document.genes()] == GENES
    assert_same_numbers(document, *ask_directly(tiny_model, GENES))
    assert len(set(document.column("band_gap").tolist())) == len(GENES)


def test_numbers_survive_the_way_through_the_stores(tiny_model, job_store):
    job = PredictMaker().make(GENES, str(tiny_model))
    run_locally(Flow([job]), store=job_store, ensure_success=True, log=False)
    bare = job_store.query_one({"uuid": job.uuid})
    assert isinstance(bare["output"]["chunks"][0]["blob"], dict)  # a reference
    document = PredictionDoc.model_validate(
        {
            key: value
            for key, value in job_store.get_output(job.uuid, load=True).items()
            if not key.startswith("@")
        }
    )
    assert_same_numbers(document, *ask_directly(tiny_model, GENES))
    assert (document.model_name, document.n_asked) == ("tiny", len(GENES))
    assert document.predicted_by == "ensemble of 1 network"


def test_what_cannot_be_predicted_is_counted_and_the_rest_goes_on(
    tiny_model, monkeypatch
):
    monkeypatch.setattr("wyckflow.makers.predict.CHUNK_GENES", 2)
    mixed = ["no gene", GENES[0], "225 Xe:a O:b", GENES[1], GENES[2], "225 Na:z"]
    document = run(mixed, tiny_model)
    assert len(document.chunks) == 3
    assert document.column("rows").tolist() == [1, 3, 4]
    assert document.refusals() == [
        (0, PredictionRefusal.NO_GENE),
        (2, PredictionRefusal.UNKNOWN_ELEMENT),
        (5, PredictionRefusal.NO_GENE),
    ]
    assert document.refused == {"no_gene": 2, "unknown_element": 1}
    assert (document.n_asked, document.n_predicted) == (6, 3)
    assert_same_numbers(document, *ask_directly(tiny_model, GENES[:3]))


@pytest.mark.parametrize("genes", [[], ["no gene"]], ids=["none", "all refused"])
def test_nothing_to_predict_is_a_document_too(tiny_model, genes):
    document = run(genes, tiny_model)
    assert (document.n_asked, document.n_predicted) == (len(genes), 0)
    assert len(document.column("band_gap")) == 0
    assert document.genes() == []


def test_generated_genes_are_taken_from_their_document(tiny_model):
    made = GenerateMaker.make.original(
        GenerateMaker(n_genes=20, n_descriptions=4), tiny_model
    )
    document = run(made, tiny_model)
    assert document.genes() == made.genes()
    for name in PROPERTIES:
        np.testing.assert_allclose(
            document.column(name), made.column(name), rtol=1e-4, atol=1e-5
        )


def test_a_registered_model_gives_the_numbers_of_its_file(tiny_model):
    registered = describe_model(tiny_model, name="mine")
    document = run(GENES, registered)
    assert (document.model_name, document.model_id) == ("mine", registered.model_id)
    assert document.scale != BUNDLED_SCALE
    assert_same_numbers(document, *ask_directly(tiny_model, GENES))


def test_a_column_that_is_not_there_is_refused(tiny_model):
    with pytest.raises(DocumentError, match="band_gap_deviation"):
        run(GENES, tiny_model).column("bandgap")


def test_a_damaged_chunk_is_refused(tiny_model):
    chunk = run(GENES, tiny_model).chunks[0].model_copy(update={"n_genes": 5})
    with pytest.raises(DocumentError, match="damaged"):
        chunk.arrays()


def test_a_model_that_predicts_nothing_is_refused(tiny_model):
    class Silent:
        property_names = ()

    with pytest.raises(ModelError, match="without networks that predict"):
        PropertyPredictor.load("silent", Silent(), n_descriptions=1)


def test_no_description_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        PredictMaker(n_descriptions=0)
