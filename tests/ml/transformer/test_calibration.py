"""How readily the transformer stops, held against unseen rows and its own samples."""

from __future__ import annotations

import pytest
import torch

from wyckflow.ml.training.rows import gather_rows
from wyckflow.ml.transformer.calibration import calibrate_stop
from wyckflow.ml.transformer.generator import WyckoffTransformer
from wyckflow.ml.transformer.task import TransformerTask
from wyckflow.ml.transformer.tokens import STOP


@pytest.fixture
def task(small_transformer, salt_dataset):
    """The task of a copy of a trained network, whose weights may be changed."""
    model = WyckoffTransformer.load(small_transformer.to_checkpoint())
    options = model.config.generator
    rows = gather_rows(
        [salt_dataset],
        list(model.condition_names),
        validation_share=options.validation_share,
        seed=options.seed,
    )
    return TransformerTask(model.network, rows, model.scaler, options)


def move_stop(task, change):
    with torch.no_grad():
        task.module.element_bias[STOP] += change


@torch.no_grad()
def score(task):
    task.module.eval()
    return task.validate()["score"]


@pytest.mark.parametrize("wrong", [-1.2, 1.2])
def test_a_wrong_bias_is_mended(task, wrong):
    move_stop(task, wrong)
    before = score(task)
    figures = calibrate_stop(task)
    assert figures["score"] < before
    assert figures["stop_bias_change"] * wrong < 0
    assert figures["score"] == score(task)


def test_unseen_rows_are_no_likelier_on_either_side(task):
    n_rows = len(task.rows.validation)
    change = calibrate_stop(task)["stop_bias_change"]
    costs = []
    for step in (0.0, 0.4, -0.8):  # one after the other: here, above, below
        move_stop(task, step)
        change += step
        costs.append(n_rows * score(task) + change**2 / 2)
    assert costs[0] == min(costs)


def test_training_ends_with_it_and_says_so(small_transformer, task):
    figures = small_transformer.metrics
    assert figures["transformer_score"] == pytest.approx(score(task), rel=1e-6)
    assert small_transformer.metrics["transformer_stop_bias_change"] != 0
    bias = small_transformer.network.element_bias
    assert (bias == bias.half()).all()  # as a file keeps it
