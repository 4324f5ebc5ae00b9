"""The five published trainings: means over seeds, and trainings not repeated."""

from __future__ import annotations

import importlib
import json

import pytest


@pytest.fixture
def table2(load_script):
    return load_script("table2")


@pytest.fixture
def trained(table2, monkeypatch):
    """Names of what is trained, by a model that knows its figures beforehand."""
    scores = importlib.import_module("wyckflow.ml.training.wycryst").WycrystScores
    names = []

    class Known:
        def __init__(self, variant, options):
            self.variant, self.seed = variant, options.seed

        def fit(self, rows):
            assert len(rows) == 3
            names.append((self.variant.name, self.seed))
            return self

        def evaluate(self, rows, places):
            assert list(places) == list(range(len(rows)))
            gap = 0.5 if self.variant.ends_with_gaps else float("nan")
            return scores(0.1 + 0.02 * self.seed, gap, 1, 0.9, 0.8, 0.7)

    monkeypatch.setattr(table2, "WycrystModel", Known)
    rows = range(3), range(4)
    monkeypatch.setattr(table2, "load_rows", lambda **_: rows)
    monkeypatch.setenv("WYCKFLOW_DATA", "named, and not read here")
    return names


def test_figures_are_means_over_the_seeds(table2, trained, tmp_path, capsys, run):
    file = tmp_path / "records.json"
    words = ("--seeds", 2, "--work", tmp_path, "--json", file)
    assert run(table2, *words) == 0
    assert len(trained) == 10
    found = {record["unit"]: record for record in json.loads(file.read_text())}
    energy = found["WyCryst+: energy error"]
    assert energy["value"] == pytest.approx(0.11)
    assert (energy["peer_value"], energy["target"]) == (0.093, "Q4")
    wrong = found["WyCryst+: letters wrong share"]
    assert wrong["value"] == pytest.approx(0.1)
    assert wrong["peer_value"] == pytest.approx(0.101)
    # The first training learns no gap: no figure is no record, not a good one.
    assert "WyCryst (single): gap error" not in found
    assert "0.110 ± 0.014" in capsys.readouterr().out


def test_a_finished_training_is_not_repeated(table2, trained, tmp_path, run):
    run(table2, "--seeds", 1, "--only", "plus", "--work", tmp_path)
    assert trained == [("PLUS", 0)]
    run(table2, "--seeds", 1, "--work", tmp_path)
    assert len(trained) == 5
    assert trained.count(("PLUS", 0)) == 1
    path = tmp_path / "plus-0.json"
    case = json.loads(path.read_text())
    case["config"]["n_epochs"] = 1  # as if made with other options
    path.write_text(json.dumps(case))
    run(table2, "--seeds", 1, "--work", tmp_path)
    assert trained.count(("PLUS", 0)) == 2


def test_without_data_it_says_so(table2, monkeypatch, capsys, tmp_path, run):
    monkeypatch.delenv("WYCKFLOW_DATA", raising=False)
    assert run(table2, "--work", tmp_path) == 0
    assert "WYCKFLOW_DATA" in capsys.readouterr().out
