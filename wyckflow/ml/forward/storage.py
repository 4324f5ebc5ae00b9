"""A trained forward model as a checkpoint, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.errors import CheckpointError, ModelError
from wyckflow.ml.checkpoint import Checkpoint, CheckpointInfo
from wyckflow.ml.forward.config import ForwardConfig
from wyckflow.ml.forward.targets import TargetScaler
from wyckflow.ml.training.rows import scaler_from_info
from wyckflow.ml.weights import fill_module

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from wyckflow.ml.forward.model import ForwardModel
    from wyckflow.ml.forward.targets import ForwardRows

KIND: Final = "forward"
KIND_VERSION: Final = 1


@dataclass(frozen=True, eq=False, slots=True)
class Member:
    """One network of a forward model, and the scaler of the rows it learned from."""

    network: nn.Module
    scaler: TargetScaler


def tell_story(model: ForwardModel, rows: ForwardRows) -> CheckpointInfo:
    """Return how a model came about.

    Parameters
    ----------
    model
        Just trained.
    rows
        What its first network learned from.
    """
    # What the representation found out from the data is part of the options now.
    sizes = model.representation.sizes.model_dump(mode="json")
    config = model.config.model_copy(update={"network": sizes})
    return CheckpointInfo(
        kind=KIND,
        kind_version=KIND_VERSION,
        config=config.model_dump(mode="json"),
        scalers=model.members[0].scaler.scaler.to_info(),
        seed=config.seed,
        dataset_ids=list(rows.dataset_ids),
        split={
            "by": "formula",
            "validation_share": config.validation_share,
            "n_training": len(rows.training),
            "n_validation": len(rows.validation),
            "member_scalers": [m.scaler.scaler.to_info() for m in model.members],
        },
        metrics=model.metrics,
        description=f"Properties of crystals from {model.representation.name}.",
    )


def pack_model(model: ForwardModel) -> Checkpoint:
    """Return all that is needed to make a model again.

    Parameters
    ----------
    model
        A trained model.

    Raises
    ------
    ModelError
        If it is not trained.
    """
    if model.info is None:
        raise ModelError(
            "This forward model has learned nothing that could be kept; call fit first."
        )
    arrays: dict[str, NDArray[Any]] = {"known_elements": model.known_elements}
    for index, member in enumerate(model.members):
        arrays |= _pack(f"member{index}", member.network)
    return Checkpoint(model.info, arrays)


def unpack_model(checkpoint: Checkpoint, model: ForwardModel) -> None:
    """Give a model with the options of a checkpoint its weights.

    Parameters
    ----------
    checkpoint
        Of this kind.
    model
        Made with the options of the checkpoint.

    Raises
    ------
    CheckpointError
        If the weights are those of another network.
    """
    info, arrays = checkpoint.info, checkpoint.arrays
    is_logarithmic = np.array([p.is_logarithmic for p in model.config.properties])
    model.members = []
    for index, scalers in enumerate(info.split["member_scalers"]):
        network = model.new_network(index)
        fill_module(f"member{index}", network, arrays)
        scaler = scaler_from_info(scalers, model.property_names)
        model.members.append(Member(network, TargetScaler(scaler, is_logarithmic)))
    model.known_elements = arrays["known_elements"]
    model.info, model.metrics = info, dict(info.metrics)


def read_config(checkpoint: Checkpoint) -> ForwardConfig:
    """Return the options that a checkpoint was made with.

    Parameters
    ----------
    checkpoint
        As it was read.

    Raises
    ------
    CheckpointError
        If it is of another kind or version.
    """
    info = checkpoint.info
    if (info.kind, info.kind_version) != (KIND, KIND_VERSION):
        raise CheckpointError(
            f"A model of kind {info.kind!r}, version {info.kind_version}, came, but "
            f"one of kind {KIND!r}, version {KIND_VERSION}, was expected; give the "
            "file of a forward model, or train it again."
        )
    return ForwardConfig.model_validate(info.config)


def _pack(prefix: str, module: nn.Module) -> dict[str, NDArray[Any]]:
    """Return weights in full precision: statistics of batches need its range."""
    return {
        f"{prefix}/{name}": value.detach().cpu().numpy().astype(np.float32)
        for name, value in module.state_dict().items()
    }
