"""Files of trained models, described for the registry and found by name."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

from wyckflow.errors import ModelError
from wyckflow.ml.checkpoint import Checkpoint, load_checkpoint
from wyckflow.schemas.model import ModelDoc

BUNDLED, BUNDLED_TRANSFORMER = "bundled", "bundled-transformer"
"""Names of the generators that come with wyckflow."""

BUNDLED_MODELS: Final = {
    BUNDLED: "generator.npz",
    BUNDLED_TRANSFORMER: "transformer.npz",
}
"""The file of each."""


def describe_model(source: Path | bytes, *, name: str) -> ModelDoc:
    """Return a model's file as a document, checked.

    Parameters
    ----------
    source
        A file that :func:`wyckflow.ml.checkpoint.save_checkpoint` wrote, or its bytes.
    name
        Name for people.

    Raises
    ------
    CheckpointError
        If there is no such file, or it is no model.
    """
    checkpoint = load_checkpoint(source)
    content = source if isinstance(source, bytes) else source.read_bytes()
    return ModelDoc.from_bytes(
        content,
        model_id=checkpoint.identity,
        name=name,
        kind=checkpoint.info.kind,
        card=checkpoint.info.model_dump(mode="json"),
    )


def bundled_model_path(name: str = BUNDLED) -> Path:
    """Return the file of a generator that comes with wyckflow.

    Parameters
    ----------
    name
        One of `BUNDLED_MODELS`.

    Raises
    ------
    ModelError
        If this installation lacks it.
    """
    path = Path(str(files("wyckflow.ml") / "models" / BUNDLED_MODELS[name]))
    if not path.exists():
        raise ModelError(
            f"This installation of wyckflow has no generator {name!r}: install it "
            "again, or train a model with 'wyckflow train' and name its file."
        )
    return path


def open_model(model: str | Path | ModelDoc) -> tuple[str, Checkpoint]:
    """Return the name and the content of a model, from wherever it is.

    Parameters
    ----------
    model
        One of `BUNDLED_MODELS`, a file, or a document from the registry.

    Raises
    ------
    ModelError
        If there is no such model, or it is damaged.
    """
    if isinstance(model, ModelDoc):
        return model.name, load_checkpoint(model.to_bytes())
    if isinstance(model, str) and model in BUNDLED_MODELS:
        return model, load_checkpoint(bundled_model_path(model))
    path = Path(model)
    if not path.exists():
        raise ModelError(
            f"There is no model {str(model)!r}: give "
            f"{' or '.join(map(repr, BUNDLED_MODELS))}, a model's file, or "
            "register one with 'wyckflow model import FILE' and pass its reference."
        )
    return path.stem, load_checkpoint(path)
