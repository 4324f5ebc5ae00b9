"""The training job: a model, its course, and figures on rows held out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from wyckflow.errors import TrainingError
from wyckflow.makers.generate import GenerateMaker
from wyckflow.makers.train_generator import TrainGeneratorMaker
from wyckflow.ml.mpvae.generator import MultiPropertyVAE
from wyckflow.schemas.training import TrainingDoc

sys.path.insert(0, str(Path(__file__).parents[1] / "ml"))

NETWORK = {"latent": 8, "width": 16, "n_heads": 2}
NETWORK |= {"n_encoder_layers": 1, "n_decoder_layers": 1}
OPTIONS = {
    "generator": {"network": NETWORK, "loop": {"n_epochs": 2, "batch_size": 64}},
    "predictor": None,
}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Files of rows to learn from, and of others."""
    from made_crystals import salts_with_properties  # of tests/ml

    salts = salts_with_properties()
    folder = tmp_path_factory.mktemp("data")
    parts = {"train": np.arange(0, len(salts) - 20), "test": np.arange(20) - 20}
    for name, rows in parts.items():
        salts.select(rows % len(salts)).save(folder / f"{name}.npz")
    return folder / "train.npz", folder / "test.npz"


@pytest.fixture(scope="module")
def document(datasets):
    train, test = datasets
    maker = TrainGeneratorMaker(model_name="salty", options=OPTIONS)
    return TrainGeneratorMaker.make.original(maker, [train], [test])


def test_the_document_says_what_was_learned_and_how_well(document):
    assert isinstance(document, TrainingDoc)
    assert (document.kind, document.model.name) == ("mpvae", "salty")
    assert document.n_train > document.n_validation > 0
    assert document.n_test == 20
    assert document.epochs
    assert {metric.name.split()[0] for metric in document.epochs[0].metrics} == {
        "generator"
    }
    quantities = {item.quantity for item in document.test_figures}
    assert "mean absolute error of band_gap" in quantities
    assert "share of genes read back, as written" in quantities


def test_the_figures_are_those_of_the_model_in_the_document(document, datasets):
    from wyckflow.crystal.dataset.table import load_dataset

    test = load_dataset(datasets[1])
    model = MultiPropertyVAE.load(document.model.to_bytes())
    known = np.isfinite(test.properties["formation_energy_per_atom"])
    found = model.predict(test.genes)["formation_energy_per_atom"]
    error = np.abs(found - test.properties["formation_energy_per_atom"])[known].mean()
    (figure,) = [
        item
        for item in document.test_figures
        if item.quantity == "mean absolute error of formation_energy_per_atom"
    ]
    assert figure.value == pytest.approx(error, rel=1e-3)  # stored in half precision
    assert figure.n == known.sum()


def test_what_was_trained_generates(document):
    made = GenerateMaker.make.original(GenerateMaker(n_genes=5), document.model)
    assert made.n_genes == 5
    assert made.model_id == document.model_id


def test_an_interrupted_training_ends_the_same(
    document, datasets, monkeypatch, tmp_path
):
    monkeypatch.setenv("WYCKFLOW_SCRATCH", str(tmp_path))
    maker = TrainGeneratorMaker(model_name="salty", options=OPTIONS)
    model = MultiPropertyVAE(maker._config())
    calls = []

    def break_off(step):
        calls.append(step)
        if step.figures is not None:
            raise KeyboardInterrupt

    from wyckflow.crystal.dataset.table import load_dataset
    from wyckflow.makers._training import scratch_folder
    from wyckflow.settings import WyckflowSettings

    rows = [load_dataset(datasets[0])]
    folder = scratch_folder(
        WyckflowSettings.load().scratch_folder(), "generator", model, rows
    )
    with pytest.raises(KeyboardInterrupt):
        maker.train(model, rows, folder=folder, report=break_off)
    assert any(folder.rglob("*"))
    again = TrainGeneratorMaker.make.original(maker, [datasets[0]], [datasets[1]])
    assert again.model_id == document.model_id
    assert not folder.exists()


def test_an_unknown_option_is_refused_when_the_maker_is_made():
    with pytest.raises(TrainingError, match=r"generator\.latent.*--show"):
        TrainGeneratorMaker(options={"generator": {"latent": 4}})
