"""A trained model as one file that says what it is and runs no code when loaded.

The file is an npz archive: named arrays (weights, scalers, whatever the kind of model
needs) beside a JSON text with the story of the training. Its identity is a sha256 of
that content, so that the same training gives the same name on every machine, and a
damaged file does not load.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wyckflow import __version__
from wyckflow.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT_VERSION: Final = 1
_INFO: Final = "info"
_ARRAY: Final = "array/"


class CheckpointInfo(BaseModel):
    """The story of a trained model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = Field(
        default=FORMAT_VERSION, description="Version of the layout of the file."
    )
    kind: str = Field(description="What reads it, such as 'mpvae'.")
    kind_version: int = Field(
        default=1, description="Version of what this kind of model stores."
    )
    config: dict[str, Any] = Field(description="Options it was made with.")
    scalers: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="Mean and spread of each property, fitted on the training rows.",
    )
    seed: int = Field(description="Seed of the training.")
    dataset_ids: list[str] = Field(
        default_factory=list, description="Names of the datasets it learned from."
    )
    split: dict[str, Any] = Field(
        default_factory=dict,
        description="How training and validation rows were told apart; the rows "
        "themselves are arrays.",
    )
    metrics: dict[str, float] = Field(
        default_factory=dict, description="Figures at the end of the training."
    )
    description: str = Field(default="", description="A sentence for people.")
    code_version: str = Field(
        default=__version__, description="Version of wyckflow that trained it."
    )


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Arrays and story of a model.

    Attributes
    ----------
    info
        The story.
    arrays
        By name; any kind of numbers or texts, no objects.
    """

    info: CheckpointInfo
    arrays: Mapping[str, NDArray[Any]]

    @cached_property
    def identity(self) -> str:
        """The sha256 of the content, 64 hexadecimal digits."""
        digest = hashlib.sha256(_to_json(self.info).encode())
        for name in sorted(self.arrays):
            array = np.ascontiguousarray(self.arrays[name])
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        story = json.dumps({"sha256": self.identity, "info": _to_json(self.info)})
        content = {f"{_ARRAY}{name}": array for name, array in self.arrays.items()}
        content[_INFO] = np.frombuffer(story.encode(), np.uint8)
        buffer = io.BytesIO()
        try:
            np.savez_compressed(buffer, allow_pickle=False, **content)
        except ValueError as error:
            raise CheckpointError(
                f"The arrays of this {self.info.kind} cannot be stored ({error}); give "
                "numbers or texts, no Python objects."
            ) from error
        return buffer.getvalue()


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> str:
    """Write a model to a file, at once or not at all.

    Parameters
    ----------
    path
        What to write or replace.
    checkpoint
        The model.

    Returns
    -------
    str
        Its identity.

    Raises
    ------
    CheckpointError
        If the folder is missing or not writable, or an array holds objects.
    """
    content = checkpoint.to_bytes()
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        raise CheckpointError(f"{str(path)!r} cannot be written: {error}.") from error
    finally:
        draft.unlink(missing_ok=True)
    return checkpoint.identity


def load_checkpoint(
    source: Path | bytes, *, kind: str | None = None, kind_version: int | None = None
) -> Checkpoint:
    """Read a model, without running anything that the file may hold.

    Parameters
    ----------
    source
        A file that `save_checkpoint` wrote, or its bytes.
    kind
        What it must be; any by default.
    kind_version
        The version of the kind that the caller reads; any by default.

    Raises
    ------
    CheckpointError
        If there is no such file, it is of another kind or version, or damaged.
    """
    name = "The checkpoint" if isinstance(source, bytes) else repr(str(source))
    arrays, story = _read(source, name)
    version = story["info"].get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{name} has format {version}, but wyckflow {__version__} reads format "
            f"{FORMAT_VERSION}: train the model again, or use the wyckflow "
            f"{story['info'].get('code_version')} that wrote it."
        )
    try:
        checkpoint = Checkpoint(CheckpointInfo.model_validate(story["info"]), arrays)
    except ValidationError as error:
        raise CheckpointError(f"{name} is damaged: {error}.") from error
    if checkpoint.identity != story["sha256"]:
        raise CheckpointError(
            f"{name} is damaged: its content has the sha256 {checkpoint.identity}, but "
            f"it was written as {story['sha256']}. Fetch or train it again."
        )
    _check_kind(checkpoint.info, name, kind, kind_version)
    return checkpoint


def _read(
    source: Path | bytes, name: str
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Take the file apart."""
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with np.load(stream, allow_pickle=False) as archive:
            content = {key: archive[key] for key in archive.files}
        story = json.loads(bytes(content.pop(_INFO)))
        story["info"] = json.loads(story["info"])
        story["info"].get("kind"), story["sha256"]
    except FileNotFoundError:
        raise CheckpointError(f"There is no checkpoint {name}.") from None
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise CheckpointError(
            f"{name} is no checkpoint of wyckflow, or damaged; make one with "
            "'wyckflow train'."
        ) from error
    return {key.removeprefix(_ARRAY): value for key, value in content.items()}, story


def _check_kind(
    info: CheckpointInfo, name: str, kind: str | None, kind_version: int | None
) -> None:
    if kind is not None and info.kind != kind:
        raise CheckpointError(
            f"{name} holds a model of kind {info.kind!r}, but one of kind {kind!r} was "
            "expected; give the file of another model."
        )
    if kind_version is not None and info.kind_version != kind_version:
        raise CheckpointError(
            f"{name} holds version {info.kind_version} of kind {info.kind!r}, but "
            f"wyckflow {__version__} reads version {kind_version}: train the model "
            f"again, or use the wyckflow {info.code_version} that wrote it."
        )


def _to_json(info: CheckpointInfo) -> str:
    return json.dumps(info.model_dump(mode="json"), sort_keys=True)
