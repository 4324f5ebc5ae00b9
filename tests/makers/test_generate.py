"""The generating job: genes and predictions in blobs, counts in the document."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from wyckflow.errors import ModelError, TargetError
from wyckflow.makers.generate import CHUNK_GENES, GenerateMaker
from wyckflow.makers.models import load_generator, load_model
from wyckflow.ml.model_file import describe_model
from wyckflow.ml.mpvae.generator import MultiPropertyVAE
from wyckflow.schemas.generation import GenerationDoc

sys.path.insert(0, str(Path(__file__).parents[1] / "ml"))


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """A model that was trained for a moment."""
    from made_crystals import salts_with_properties  # of tests/ml

    from wyckflow.ml.mpvae.config import NetworkConfig
    from wyckflow.ml.training.config import GeneratorConfig, LoopConfig, TrainingConfig

    network = NetworkConfig(
        latent=8, width=16, n_heads=2, n_encoder_layers=1, n_decoder_layers=1
    )
    config = TrainingConfig(
        generator=GeneratorConfig(
            network=network, loop=LoopConfig(n_epochs=2, batch_size=64)
        ),
        predictor=None,
    )
    path = tmp_path_factory.mktemp("model") / "small.npz"
    MultiPropertyVAE(config).fit([salts_with_properties()]).save(path)
    return path


def run(maker, model):
    return GenerateMaker.make.original(maker, model)


def test_the_document_counts_and_the_blobs_hold(model_file):
    document = run(GenerateMaker(n_genes=30, seed=2), model_file)
    assert isinstance(document, GenerationDoc)
    assert len(document.genes()) == document.n_genes == 30
    assert document.n_decoded >= 30 + sum(document.failures.values())
    assert document.properties == ["formation_energy_per_atom", "band_gap"]
    assert (document.column("band_gap_deviation") > 0).all()
    assert np.isfinite(document.column("log_probabilities")).all()
    assert document.model_name == "small"
    again = run(GenerateMaker(n_genes=30, seed=2), model_file)
    assert again.genes() == document.genes()


def test_shards_differ(model_file):
    maker = GenerateMaker(n_genes=10)
    first = GenerateMaker.make.original(maker, model_file, shard=0)
    second = GenerateMaker.make.original(maker, model_file, shard=1)
    assert first.genes() != second.genes()
    assert second.shard == 1


def test_a_registered_model_gives_the_same_genes_as_its_file(model_file):
    document = describe_model(model_file, name="mine")
    maker = GenerateMaker(n_genes=10)
    found = run(maker, document)
    assert found.genes() == run(maker, model_file).genes()
    assert (found.model_name, found.model_id) == ("mine", document.model_id)


def test_many_genes_fill_several_chunks(model_file, monkeypatch):
    monkeypatch.setattr("wyckflow.makers.generate.CHUNK_GENES", 8)
    monkeypatch.setattr("wyckflow.ml.mpvae.generator.SAMPLE_BATCH", 16)
    document = run(GenerateMaker(n_genes=30, keep_repeats=True), model_file)
    assert len(document.chunks) > 1
    assert sum(chunk.n_genes for chunk in document.chunks) == 30


def test_the_blob_of_a_full_chunk_is_far_below_the_limit(model_file):
    document = run(GenerateMaker(n_genes=400, keep_repeats=True), model_file)
    per_gene = len(document.chunks[0].blob) / document.n_genes
    assert per_gene * CHUNK_GENES < 5e6


def test_the_target_travels_with_the_maker(model_file):
    maker = GenerateMaker(target={"space_groups": "221"}, n_genes=5)
    maker = GenerateMaker.from_dict(maker.as_dict())
    genes = run(maker, model_file).genes()
    assert {gene.space_group_number for gene in genes} == {221}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"n_genes": 0}, ValueError, "n_genes"),
        ({"seed": -1}, ValueError, "seed"),
        ({"target": {"elements": "O"}}, TargetError, "no condition 'elements'"),
        ({"method": "locl"}, ValueError, "Did you mean 'local'"),
    ],
)
def test_wrong_options_are_refused_when_the_maker_is_made(options, error, words):
    with pytest.raises(error, match=words):
        GenerateMaker(**options)


def test_no_such_model_says_how_to_get_one():
    with pytest.raises(ModelError, match="wyckflow model import"):
        run(GenerateMaker(), "no-such-file.npz")


def test_a_file_that_was_written_anew_is_read_anew(model_file, tmp_path):
    """Who trains again under the same name must not go on with the old model."""
    path = tmp_path / "mine.npz"
    path.write_bytes(model_file.read_bytes())
    _, first = load_generator(path)
    assert load_generator(path)[1] is first
    assert load_model(path)[1] is first  # nor is it kept twice for who predicts
    changed = MultiPropertyVAE.load(path)
    changed.known_elements = ~changed.known_elements
    changed.save(path)
    _, second = load_generator(path)
    assert second.to_checkpoint().identity != first.to_checkpoint().identity
