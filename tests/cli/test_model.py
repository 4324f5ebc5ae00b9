"""Models of a project, at the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from wyckflow.ml.checkpoint import Checkpoint, CheckpointInfo, save_checkpoint

pytestmark = pytest.mark.mongo


@pytest.fixture
def model_file(tmp_path):
    """A file as training writes it."""
    info = CheckpointInfo(
        kind="mpvae", config={"latent": 2}, seed=3, metrics={"band_gap_mae": 0.5}
    )
    path = tmp_path / "small.npz"
    save_checkpoint(path, Checkpoint(info, {"weights": np.arange(5.0)}))
    return path


def test_a_model_goes_in_is_listed_and_comes_out_the_same(
    project, wyckflow, model_file, tmp_path
):
    where = ["--project", str(project.folder)]
    assert "registered" in wyckflow("model", "import", str(model_file), *where).out
    again = wyckflow("model", "import", str(model_file), *where).out
    assert "registered already" in again
    assert "mpvae" in wyckflow("model", "list", *where).out
    (card,) = json.loads(wyckflow("model", "list", "--json", *where).out)
    assert card["card"]["metrics"] == {"band_gap_mae": 0.5}
    copy = tmp_path / "copy.npz"
    wyckflow("model", "export", "small", "-o", str(copy), *where)
    assert copy.read_bytes() == model_file.read_bytes()


def test_show_prints_the_card(project, wyckflow, model_file):
    where = ["--project", str(project.folder)]
    wyckflow("model", "import", str(model_file), "--name", "mine", *where)
    shown = wyckflow("model", "show", "mine", *where).out
    assert "band_gap_mae" in shown
    assert "0.5" in shown


def test_show_prints_the_card_of_a_file_without_a_project(
    wyckflow, model_file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shown = wyckflow("model", "show", "small.npz").out
    assert "band_gap_mae" in shown
    missing = wyckflow("model", "show", "smal.npz")
    assert missing.code == 1
    assert "smal.npz" in missing.err


def test_a_removed_model_is_gone(project, wyckflow, model_file):
    where = ["--project", str(project.folder)]
    wyckflow("model", "import", str(model_file), *where)
    wyckflow("model", "remove", "small", *where)
    assert "bundled" in wyckflow("model", "list", *where).out


def test_a_file_that_is_no_model_is_refused(project, wyckflow, tmp_path):
    path = tmp_path / "notes.npz"
    path.write_bytes(b"no archive")
    result = wyckflow("model", "import", str(path), "--project", str(project.folder))
    assert result.code == 1
    assert "no checkpoint of wyckflow" in result.err
