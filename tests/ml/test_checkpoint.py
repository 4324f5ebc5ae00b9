"""Checkpoints: what goes in comes out, damage and strangers are refused."""

from __future__ import annotations

import io
import json
import pickle

import numpy as np
import pytest

from wyckflow.errors import CheckpointError
from wyckflow.ml.checkpoint import (
    Checkpoint,
    CheckpointInfo,
    load_checkpoint,
    save_checkpoint,
)


def checkpoint(**changes):
    info = {"kind": "toy", "config": {"width": 4}, "seed": 3} | changes
    arrays = {
        "weights": np.arange(6, dtype=np.float16).reshape(2, 3),
        "names": np.array(["a", "bc"]),
        "empty": np.zeros((0, 2)),
    }
    return Checkpoint(CheckpointInfo(**info), arrays)


def test_what_was_saved_is_loaded_with_the_same_identity(tmp_path):
    path = tmp_path / "model.npz"
    saved = checkpoint()
    identity = save_checkpoint(path, saved)
    loaded = load_checkpoint(path, kind="toy", kind_version=1)
    assert loaded.info == saved.info
    assert loaded.identity == identity == saved.identity
    assert len(identity) == 64
    for name, array in saved.arrays.items():
        assert np.array_equal(loaded.arrays[name], array)
        assert loaded.arrays[name].dtype == array.dtype
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]


def test_bytes_load_like_a_file():
    assert load_checkpoint(checkpoint().to_bytes()).identity == checkpoint().identity


def test_another_weight_or_another_story_is_another_identity():
    other = checkpoint()
    other.arrays["weights"][0, 0] = 9
    names = {checkpoint().identity, other.identity, checkpoint(seed=4).identity}
    assert len(names) == 3


def test_an_altered_file_is_refused():
    with np.load(io.BytesIO(checkpoint().to_bytes())) as archive:
        content = {name: archive[name] for name in archive.files}
    content["array/weights"] = content["array/weights"] + np.float16(1)
    buffer = io.BytesIO()
    np.savez(buffer, **content)
    with pytest.raises(CheckpointError, match="sha256"):
        load_checkpoint(buffer.getvalue())


@pytest.mark.parametrize("cut", [0, 10, 300])
def test_half_a_file_is_refused(cut):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_checkpoint(checkpoint().to_bytes()[:cut])


class Trap:
    """Something that would act if it were unpickled."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was run",)


def test_a_pickle_is_not_run():
    buffer = io.BytesIO()
    np.savez(buffer, info=np.array([Trap()], object))
    for content in (buffer.getvalue(), pickle.dumps(Trap())):
        with pytest.raises(CheckpointError, match="no checkpoint"):
            load_checkpoint(content)


def test_objects_are_not_stored():
    bad = Checkpoint(CheckpointInfo(kind="toy", config={}, seed=0), {"x": Trap})
    bad = Checkpoint(bad.info, {"x": np.array([Trap()], object)})
    with pytest.raises(CheckpointError, match="no Python objects"):
        bad.to_bytes()


def test_other_kinds_and_versions_are_refused_by_name():
    content = checkpoint(kind_version=2).to_bytes()
    with pytest.raises(CheckpointError, match=r"kind 'toy'.*kind 'mpvae'"):
        load_checkpoint(content, kind="mpvae")
    with pytest.raises(CheckpointError, match=r"version 2.*version 1"):
        load_checkpoint(content, kind="toy", kind_version=1)


def test_another_format_is_refused_and_names_the_writer():
    story = json.loads(checkpoint().info.model_dump_json()) | {"format_version": 99}
    text = json.dumps({"sha256": "", "info": json.dumps(story)}).encode()
    buffer = io.BytesIO()
    np.savez(buffer, info=np.frombuffer(text, np.uint8))
    with pytest.raises(CheckpointError, match="format 99"):
        load_checkpoint(buffer.getvalue())


def test_a_missing_file_and_a_missing_folder_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_checkpoint(tmp_path / "none.npz")
    with pytest.raises(CheckpointError, match="cannot be written"):
        save_checkpoint(tmp_path / "none" / "model.npz", checkpoint())
