"""The loop: repeatable, resumable to the last bit, and it stops when it should."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from torch import nn

from wyckflow.errors import TrainingError
from wyckflow.ml.training.config import LoopConfig
from wyckflow.ml.training.loop import LOG_NAME, plan_epoch, run_training


class Line:
    """Fit a line through noise, with a layer of chance inside."""

    name = "line"

    def __init__(self, *, seed=0, worse_after=None):
        torch.manual_seed(0)
        self.module = nn.Sequential(
            nn.Linear(1, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 1)
        )
        rng = np.random.default_rng(0)
        self.x = rng.normal(size=(64, 1)).astype(np.float32)
        self.training = np.arange(64)
        self.n_sites = rng.integers(1, 9, 64)
        self.seed = seed
        self.config = {"points": 64}
        self.looks = 0
        self.worse_after = worse_after

    def loss(self, rows, generator):
        x = torch.tensor(self.x[rows])
        noise = torch.tensor(generator.normal(size=x.shape), dtype=torch.float32)
        return ((self.module(x) - (2 * x + 1 + 0.1 * noise)) ** 2).mean()

    def validate(self):
        self.looks += 1
        if self.worse_after is not None and self.looks > self.worse_after:
            return {"score": 100.0 + self.looks}
        x = torch.tensor(self.x)
        return {"score": float(((self.module(x) - 2 * x - 1) ** 2).mean())}


OPTIONS = LoopConfig(
    n_epochs=12, batch_size=16, n_warmup_steps=3, epochs_per_validation=2, patience=9
)


def weights(task):
    return {name: v.clone() for name, v in task.module.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_training_lowers_the_score():
    history = run_training(Line(), OPTIONS)
    assert history.looks[-1]["score"] < 0.7 * history.looks[0]["score"]
    assert history.best["score"] == min(look["score"] for look in history.looks)


def test_the_same_seed_gives_the_same_weights_and_another_one_others():
    first, second, other = Line(), Line(), Line(seed=1)
    torch.manual_seed(11)
    run_training(first, OPTIONS)
    torch.manual_seed(12)
    run_training(second, OPTIONS)
    run_training(other, OPTIONS)
    assert same(weights(first), weights(second))
    assert not same(weights(first), weights(other))


@pytest.mark.parametrize(("n_epochs", "final_rate"), [(12, 0.01), (6, 0.2)])
def test_the_options_decide_the_rate_of_every_step(monkeypatch, n_epochs, final_rate):
    rates = []

    class Spy(torch.optim.AdamW):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "AdamW", Spy)
    changes = {"n_epochs": n_epochs, "final_rate": final_rate}
    run_training(Line(), OPTIONS.model_copy(update=changes))
    steps = np.arange(4 * n_epochs)
    cosine = (1 + np.cos(np.pi * steps / len(steps))) / 2
    warm = np.minimum((steps + 1) / 3, 1)
    expected = OPTIONS.learning_rate * warm * (cosine + final_rate)
    assert rates == pytest.approx(expected)


def test_the_random_state_outside_is_not_touched():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run_training(Line(), OPTIONS)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), expected)


class KilledError(Exception):
    """The end of a process."""


@pytest.mark.parametrize("kill_at", [9, 24, 25, 47])
def test_a_killed_training_ends_as_if_it_had_not_been_killed(tmp_path, kill_at):
    undisturbed = Line()
    expected = run_training(undisturbed, OPTIONS)

    def kill(progress):
        if progress.step == kill_at and progress.figures is None:
            raise KilledError

    with pytest.raises(KilledError):
        run_training(Line(), OPTIONS, folder=tmp_path, report=kill)
    resumed = Line()
    history = run_training(resumed, OPTIONS, folder=tmp_path)
    assert 0 < history.n_resumed <= kill_at
    assert same(weights(undisturbed), weights(resumed))
    assert history.looks == expected.looks
    assert history.best_step == expected.best_step


def test_a_finished_training_is_not_repeated(tmp_path):
    first = Line()
    run_training(first, OPTIONS, folder=tmp_path)
    second = Line()
    history = run_training(second, OPTIONS, folder=tmp_path)
    assert second.looks == 0
    assert history.n_resumed == 48
    assert same(weights(first), weights(second))


def test_a_state_of_other_options_is_refused(tmp_path):
    run_training(Line(), OPTIONS, folder=tmp_path)
    other = OPTIONS.model_copy(update={"learning_rate": 0.5})
    with pytest.raises(TrainingError, match="other options"):
        run_training(Line(), other, folder=tmp_path)


def test_it_stops_without_progress_and_keeps_the_best_weights():
    options = OPTIONS.model_copy(update={"patience": 2})
    task = Line(worse_after=2)
    history = run_training(task, options)
    assert [look["step"] for look in history.looks] == [8, 16, 24, 32]
    assert history.best_step == 16
    best = Line()
    run_training(best, OPTIONS.model_copy(update={"n_epochs": 12}))
    assert not same(weights(task), weights(best))


def test_the_log_is_a_table_of_all_looks(tmp_path):
    history = run_training(Line(), OPTIONS, folder=tmp_path)
    with (tmp_path / LOG_NAME).open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["score"]) for row in rows] == [
        look["score"] for look in history.looks
    ]


def test_a_loss_that_is_no_number_stops_the_training():
    task = Line()
    task.x[0] = np.inf
    with pytest.raises(TrainingError, match=r"became (nan|inf)"):
        run_training(task, OPTIONS)


def test_an_epoch_uses_every_row_once_in_batches_of_like_length():
    lengths = np.random.default_rng(0).integers(1, 20, 640)
    rows = np.arange(640)
    batches = plan_epoch(rows, lengths, 32, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == rows.tolist()
    spread = np.mean([np.ptp(lengths[batch]) for batch in batches])
    assert spread < 6
    assert len(plan_epoch(rows[:10], lengths, 32, np.random.default_rng(1))) == 1
