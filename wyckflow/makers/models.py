"""Trained models of any kind, from wherever they are, each read once per process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from wyckflow.schemas.model import ModelDoc

if TYPE_CHECKING:
    from wyckflow.ml.forward.model import ForwardModel
    from wyckflow.ml.kinds import AnyGenerator


def load_model(
    model: str | Path | ModelDoc, device: str = "cpu", threads: int = 1
) -> tuple[str, AnyGenerator | ForwardModel]:
    """Return the name and the networks of a model that predicts, of whatever kind.

    Parameters
    ----------
    model
        ``bundled``, a file, or a document from the registry.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    threads
        Threads of the processor that torch may use, in the whole process.

    Raises
    ------
    ModelError
        If there is no such model, or it is neither a generator nor a forward model.
    """
    import torch

    from wyckflow.relax.potential import resolve_device

    place = resolve_device(device)
    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    if isinstance(model, ModelDoc):
        return _open(model, place)
    return _open_file(str(model), place, _stamp(Path(model)))


def load_generator(
    model: str | Path | ModelDoc, device: str = "cpu", threads: int = 1
) -> tuple[str, AnyGenerator]:
    """Return the name and the networks of a generator.

    Parameters
    ----------
    model, device, threads
        As for `load_model`.

    Raises
    ------
    ModelError
        If there is no such model, or it generates nothing.
    """
    from wyckflow.ml.forward.model import ForwardModel
    from wyckflow.ml.kinds import refuse_generator

    name, loaded = load_model(model, device, threads)
    if isinstance(loaded, ForwardModel):
        raise refuse_generator("forward")
    return name, loaded


def _open(
    model: str | ModelDoc, device: str
) -> tuple[str, AnyGenerator | ForwardModel]:
    from wyckflow.ml.kinds import open_predictor
    from wyckflow.ml.model_file import open_model

    name, checkpoint = open_model(model)
    return name, open_predictor(checkpoint, device=device)


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what changes when a file is written again; nothing for other names."""
    if not path.is_file():
        return ()
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=2)
def _open_file(
    model: str, device: str, stamp: tuple[int, ...]
) -> tuple[str, AnyGenerator | ForwardModel]:
    """Read a file once per process and version, since a worker runs many jobs."""
    del stamp
    return _open(model, device)
