"""The table of forward models: ratios, and trainings that are not repeated."""

from __future__ import annotations

import json

import numpy as np
import pytest


@pytest.fixture
def table1(load_script):
    return load_script("table1")


def cases_of(table1, name, factor, n_seeds=1):
    """Finished trainings with errors some times the published ones."""
    published = table1.PUBLISHED["CrabNet"]
    return {
        (name, column.name): [
            {"mae": factor * error, "cpu_s": 1, "n_weights": 1, "n_refused": 0}
        ]
        * n_seeds
        for column, error in zip(table1.AFLOW, published, strict=True)
    }


def test_ratios_are_geometric_means_and_the_best_row_is_named(table1):
    cases = cases_of(table1, "composition", 1.2) | cases_of(table1, "graph", 0.9)
    cases["graph", "bulk modulus"][0]["mae"] *= 2
    records = table1.show(cases, table1.AFLOW)
    values = {record["unit"].split(" over ")[0]: record["value"] for record in records}
    assert values["error of composition"] == pytest.approx(1.2)
    assert values["error of best row, graph"] == pytest.approx(0.9 * 2**0.2)
    assert {record["target"] for record in records} == {"Q7"}


def test_a_row_that_is_not_complete_is_not_the_best(table1):
    cases = cases_of(table1, "composition", 1.2) | cases_of(table1, "graph", 0.1)
    del cases["graph", "bulk modulus"]
    units = [record["unit"] for record in table1.show(cases, table1.AFLOW)]
    assert any("best row, composition" in unit for unit in units)


def test_the_effect_of_augmentation_is_that_of_the_same_seeds(table1, capsys):
    plain = cases_of(table1, "ftcp", 2.0, n_seeds=2)
    plus = cases_of(table1, "ftcp+", 1.5, n_seeds=1)
    table1.show(plain | plus, table1.AFLOW)
    printed = capsys.readouterr().out
    assert "-25.0" in printed
    assert "-4.0" in printed  # FTCP+ of the paper, bulk modulus


def test_the_mean_prediction_of_two_seeds_is_measured(table1, capsys):
    (column,) = table1.MADE
    truth = table1.load_columns(column)[1].properties[column.column]
    above, below = truth + 3, truth - 1
    cases = [{"predicted": list(values)} for values in (above, below)]
    table1.show_ensembles({("graph", column.name): cases}, table1.MADE)
    assert "1 (2)" in capsys.readouterr().out


def test_a_finished_training_is_not_repeated(table1, tmp_path, capsys, run):
    words = ("--quick", "--only", "composition", "--work", tmp_path)
    assert run(table1, *words, "--json", tmp_path / "r.json") == 0
    assert "seed 0:" in capsys.readouterr().out
    (path,) = tmp_path.glob("made_up-*.json")
    case = json.loads(path.read_text())
    assert case["mae"] > 0
    assert len(case["predicted"]) == case["n"]
    assert not list(tmp_path.glob("*.partial"))
    assert run(table1, *words) == 0
    assert "seed 0:" not in capsys.readouterr().out
    case["config"]["loop"]["n_epochs"] = 99  # as if made with other options
    path.write_text(json.dumps(case))
    assert run(table1, *words) == 0
    assert "seed 0:" in capsys.readouterr().out


def test_the_error_is_that_of_the_predictions(table1, tmp_path, run):
    run(table1, "--quick", "--only", "graph", "--work", tmp_path)
    (path,) = tmp_path.glob("made_up-*.json")
    case = json.loads(path.read_text())
    _, report = table1.load_columns(table1.MADE[0])
    truth = report.properties["bulk_modulus_gpa"]
    error = np.abs(np.array(case["predicted"]) - truth).mean()
    assert case["mae"] == pytest.approx(error, rel=1e-3)


def test_an_unknown_name_is_refused(table1, capsys, run):
    with pytest.raises(SystemExit):
        run(table1, "--quick", "--only", "grapf")
    assert "choose from composition, graph" in capsys.readouterr().err


def test_without_data_it_says_so(table1, monkeypatch, capsys, tmp_path, run):
    monkeypatch.delenv("WYCKFLOW_DATA", raising=False)
    assert run(table1, "--work", tmp_path) == 0
    assert "WYCKFLOW_DATA" in capsys.readouterr().out
