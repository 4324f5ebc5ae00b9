"""The job that trains a forward model: its document, its figures, going on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from wyckflow.crystal.dataset.table import load_dataset
from wyckflow.errors import TrainingError
from wyckflow.makers._training import scratch_folder
from wyckflow.makers.predict import PredictMaker
from wyckflow.makers.train_forward import TrainForwardMaker
from wyckflow.makers.train_generator import TrainGeneratorMaker
from wyckflow.ml.checkpoint import load_checkpoint
from wyckflow.ml.forward.crystals import crystals_from_dataset
from wyckflow.ml.forward.model import ForwardModel
from wyckflow.schemas.training import TrainingDoc

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny_forward import forward_options, make_salts_with_cells

OPTIONS = forward_options("composition")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Files of rows to learn from, and of others."""
    salts = make_salts_with_cells()
    folder = tmp_path_factory.mktemp("data")
    is_test = np.arange(len(salts)) % 5 == 0
    salts.select(~is_test).save(folder / "train.npz")
    salts.select(is_test).save(folder / "test.npz")
    return folder / "train.npz", folder / "test.npz"


@pytest.fixture(scope="module")
def document(datasets):
    train, test = datasets
    maker = TrainForwardMaker(model_name="salty", options=OPTIONS)
    return TrainForwardMaker.make.original(maker, [train], [test])


def test_the_document_says_what_was_learned_and_how_well(document, datasets):
    assert isinstance(document, TrainingDoc)
    assert (document.kind, document.model.name) == ("forward", "salty")
    assert document.n_train > document.n_validation > 0
    assert document.n_test == len(load_dataset(datasets[1]))
    assert document.config["representation"] == "composition"
    names = {metric.name for metric in document.epochs[0].metrics}
    assert any("mae_band_gap" in name for name in names)
    found = {(item.quantity, item.subset) for item in document.test_figures}
    assert ("mean absolute error of band_gap", "with a gap") in found
    assert ("mean absolute error of formation_energy_per_atom", "all") in found


def test_the_figures_are_those_of_the_model_in_the_document(document, datasets):
    test = load_dataset(datasets[1])
    model = ForwardModel.load(load_checkpoint(document.model.to_bytes()))
    found = model.predict(crystals_from_dataset(test))["formation_energy_per_atom"]
    error = np.abs(found - test.properties["formation_energy_per_atom"]).mean()
    (figure,) = [item for item in document.test_figures if "formation" in item.quantity]
    assert figure.value == pytest.approx(error, rel=1e-5)
    assert figure.n == len(test)


def test_what_was_trained_predicts(document):
    made = PredictMaker.make.original(PredictMaker(), ["225 Na:a Cl:b"], document.model)
    assert (made.n_predicted, made.model_id) == (1, document.model_id)
    assert made.predicted_from == "the composition alone"


def test_rows_with_elements_that_were_not_learned_are_left_out_of_the_figures(
    datasets,
):
    test = load_dataset(datasets[1])
    has_mg = np.array(["Mg" in gene.elements for gene in test.genes])
    train = load_dataset(datasets[0])
    without = train.select(
        [i for i, g in enumerate(train.genes) if "Mg" not in g.elements]
    )
    maker = TrainForwardMaker(options=OPTIONS)
    made = maker.train(ForwardModel(maker._config()), [without], {"test": test})
    figure = next(i for i in made.test_figures if "formation" in i.quantity)
    assert 0 < figure.n == (~has_mg).sum() < len(test)


def test_an_interrupted_training_ends_the_same(
    document, datasets, monkeypatch, tmp_path
):
    from wyckflow.settings import WyckflowSettings

    monkeypatch.setenv("WYCKFLOW_SCRATCH", str(tmp_path))
    maker = TrainForwardMaker(model_name="salty", options=OPTIONS)
    model = ForwardModel(maker._config())

    def break_off(step):
        if step.figures is not None:
            raise KeyboardInterrupt

    rows = [load_dataset(datasets[0])]
    scratch = WyckflowSettings.load().scratch_folder()
    folder = scratch_folder(scratch, "forward", model, rows)
    with pytest.raises(KeyboardInterrupt):
        maker.train(model, rows, folder=folder, report=break_off)
    assert any(folder.rglob("*"))
    again = TrainForwardMaker.make.original(maker, [datasets[0]], [datasets[1]])
    assert again.model_id == document.model_id
    assert not folder.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"representation": "grapf"}, "Did you mean 'graph'"),
        ({"loops": {}}, r"loops.*--show"),
        ({"model": "mpvae"}, "TrainGeneratorMaker"),
        ({"properties": []}, "properties"),
        ({"network": {"widht": 16}}, "Did you mean 'width'"),
        ({"representation": "graph", "augment": True}, "set augment to false"),
    ],
    ids=["representation", "option", "kind", "nothing to learn", "size", "augment"],
)
def test_wrong_options_are_refused_when_the_maker_is_made(options, said):
    with pytest.raises(TrainingError, match=said):
        TrainForwardMaker(options=options)


def test_a_generator_is_not_trained_with_options_of_a_forward_model():
    with pytest.raises(TrainingError, match="TrainForwardMaker"):
        TrainGeneratorMaker(options={"model": "forward"})


def test_options_are_taken_where_there_is_no_torch(monkeypatch):
    monkeypatch.setattr("wyckflow.makers.train_forward.find_spec", lambda _: None)
    options = {"network": {"widht": 16}}
    assert TrainForwardMaker(options=options).options == options  # the worker refuses
