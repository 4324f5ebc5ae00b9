"""Both generators side by side: means over trainings, which are not repeated."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def side_by_side(load_script):
    return load_script("side_by_side")


@pytest.fixture
def measured(side_by_side, monkeypatch):
    """What is trained and measured, by a model that knows its figures beforehand."""
    done = []

    def measure_one(kind, seed, options):
        assert options.seeds > seed
        done.append((kind, seed))
        return dict.fromkeys(side_by_side.FIGURES, 0.25 + 0.01 * seed)

    known = dict.fromkeys(side_by_side.FIGURES, 0.5)
    monkeypatch.setattr(side_by_side, "measure_one", measure_one)
    monkeypatch.setattr(side_by_side, "read_set", lambda path: path.name)
    monkeypatch.setattr(side_by_side, "describe", lambda *_, **__: (known, known))
    monkeypatch.setenv("WYCKFLOW_DATA", "named, and not read here")
    return done


def test_figures_are_means_over_the_trainings(
    side_by_side, measured, tmp_path, capsys, run
):
    file, picture = tmp_path / "records.json", tmp_path / "all.png"
    words = ("--seeds", 3, "--work", tmp_path, "--json", file, "--figure", picture)
    assert run(side_by_side, *words) == 0
    assert len(measured) == 6
    found = {record["unit"]: record for record in json.loads(file.read_text())}
    sites = found["transformer: sites (KS)"]
    assert sites["value"] == pytest.approx(0.26)
    assert (sites["peer_value"], sites["n"], sites["target"]) == (0.052, 3, "Q2")
    # Of a share that should be large the rest is written: less is better.
    new = found["autoencoder: new and different, share lacking"]
    assert new["value"] == pytest.approx(0.74)
    assert new["peer_value"] == pytest.approx(0.11)
    assert "0.260 ± 0.010" in capsys.readouterr().out
    assert picture.stat().st_size > 10_000


def test_a_finished_training_is_not_repeated(side_by_side, measured, tmp_path, run):
    run(side_by_side, "--seeds", 1, "--work", tmp_path)
    run(side_by_side, "--seeds", 2, "--work", tmp_path)
    kinds = ("autoencoder", "transformer")
    assert measured == [(kind, seed) for seed in (0, 1) for kind in kinds]


def test_without_data_it_says_so(side_by_side, monkeypatch, capsys, tmp_path, run):
    monkeypatch.delenv("WYCKFLOW_DATA", raising=False)
    assert run(side_by_side, "--work", tmp_path) == 0
    assert "WYCKFLOW_DATA" in capsys.readouterr().out
