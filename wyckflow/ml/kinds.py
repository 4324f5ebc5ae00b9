"""The kinds of generators: which options and which files make which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wyckflow.errors import CheckpointError
from wyckflow.ml.mpvae.generator import KIND as MPVAE
from wyckflow.ml.mpvae.generator import MultiPropertyVAE
from wyckflow.ml.transformer.config import TransformerTrainingConfig
from wyckflow.ml.transformer.generator import KIND as TRANSFORMER
from wyckflow.ml.transformer.generator import WyckoffTransformer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.ml.checkpoint import Checkpoint
    from wyckflow.ml.forward.model import ForwardModel
    from wyckflow.ml.transformer.config import AnyTrainingConfig

AnyGenerator = MultiPropertyVAE | WyckoffTransformer
"""A generator of either kind."""

GENERATOR_KINDS: Final = (MPVAE, TRANSFORMER)


def new_generator(config: AnyTrainingConfig, *, device: str = "cpu") -> AnyGenerator:
    """Return a generator that was not trained yet.

    Parameters
    ----------
    config
        Options of its training, which say of what kind it is.
    device
        Where to compute.
    """
    if isinstance(config, TransformerTrainingConfig):
        return WyckoffTransformer(config, device=device)
    return MultiPropertyVAE(config, device=device)


def open_generator(checkpoint: Checkpoint, *, device: str = "cpu") -> AnyGenerator:
    """Return the generator that a checkpoint holds, of whatever kind.

    Parameters
    ----------
    checkpoint
        As it was read.
    device
        Where to compute.

    Raises
    ------
    CheckpointError
        If it holds no generator.
    """
    kind = checkpoint.info.kind
    if kind == TRANSFORMER:
        return WyckoffTransformer.load(checkpoint, device=device)
    if kind == MPVAE:
        return MultiPropertyVAE.load(checkpoint, device=device)
    raise refuse_generator(kind)


def refuse_generator(kind: str) -> CheckpointError:
    """Return the error for a model that is no generator.

    Parameters
    ----------
    kind
        What it is.
    """
    return CheckpointError(
        f"A model of kind {kind!r} came, which generates nothing; give one of kind "
        f"{' or '.join(map(repr, GENERATOR_KINDS))}."
    )


def open_predictor(
    checkpoint: Checkpoint, *, device: str = "cpu"
) -> AnyGenerator | ForwardModel:
    """Return the model in a checkpoint that predicts properties, of whatever kind.

    Parameters
    ----------
    checkpoint
        As it was read.
    device
        Where to compute.

    Raises
    ------
    CheckpointError
        If it holds neither a generator nor a forward model.
    """
    from wyckflow.ml.forward.model import ForwardModel
    from wyckflow.ml.forward.storage import KIND as FORWARD

    kind = checkpoint.info.kind
    if kind == FORWARD:
        return ForwardModel.load(checkpoint, device=device)
    if kind in GENERATOR_KINDS:
        return open_generator(checkpoint, device=device)
    raise CheckpointError(
        f"A model of kind {kind!r} came, which predicts no properties; give one of "
        f"kind {', '.join(map(repr, GENERATOR_KINDS))} or {FORWARD!r}."
    )


def remembered_names(model: AnyGenerator) -> tuple[str, ...]:
    """Return the properties in the columns of a generator's memory.

    Parameters
    ----------
    model
        Trained. One with a latent space remembers what it predicts, a transformer what
        it can be asked for.
    """
    if isinstance(model, WyckoffTransformer):
        return model.condition_names
    return model.property_names


def name_predictor(model: AnyGenerator) -> str:
    """Say in words what predicted the properties of generated genes.

    Parameters
    ----------
    model
        The generator.
    """
    if isinstance(model, WyckoffTransformer):
        if model.predictor is None:
            return "nothing"
        own = model.predictor.origin == "own"
        origin = "" if own else f" of model {model.predictor.origin}"
        return f"{_count_networks(model.predictor.members)}{origin}"
    if model.members:
        return _count_networks(model.members)
    return "heads of the latent space"


def _count_networks(members: Sequence[object]) -> str:
    n = len(members)
    return f"ensemble of {n} network{'s' * (n != 1)}"
