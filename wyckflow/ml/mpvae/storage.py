"""A trained generator as a checkpoint, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from wyckflow.errors import CheckpointError
from wyckflow.ml.checkpoint import Checkpoint, CheckpointInfo
from wyckflow.ml.mpvae.fitting import new_member
from wyckflow.ml.mpvae.memory import memory_from_arrays
from wyckflow.ml.mpvae.model import AutoencoderNetwork
from wyckflow.ml.training.rows import scaler_from_info

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import nn

    from wyckflow.ml.mpvae.generator import MultiPropertyVAE
    from wyckflow.ml.training.rows import TrainingRows

KIND: Final = "mpvae"
KIND_VERSION: Final = 1
_NETWORK: Final = "network"


def tell_story(model: MultiPropertyVAE, rows: TrainingRows) -> CheckpointInfo:
    """Return how a model came about.

    Parameters
    ----------
    model
        Just trained.
    rows
        What it learned from.
    """
    options = model.config.generator
    return CheckpointInfo(
        kind=KIND,
        kind_version=KIND_VERSION,
        config=model.config.model_dump(mode="json"),
        scalers=model.scaler.to_info(),
        seed=options.seed,
        dataset_ids=list(rows.dataset_ids),
        split={
            "by": "formula",
            "validation_share": options.validation_share,
            "n_training": len(rows.training),
            "n_validation": len(rows.validation),
            "predictor_properties": list(model.predictor_scaler.names),
            "predictor_scalers": model.predictor_scaler.to_info(),
        },
        metrics=model.metrics,
        description="Genes from a multi-property variational autoencoder.",
    )


def pack_model(model: MultiPropertyVAE, info: CheckpointInfo) -> Checkpoint:
    """Return all that is needed to make a model again.

    Parameters
    ----------
    model
        A trained model.
    info
        Its story.
    """
    arrays: dict[str, NDArray[Any]] = {"known_elements": model.known_elements}
    arrays |= pack_weights(_NETWORK, model.network)
    for index, member in enumerate(model.members):
        arrays |= pack_weights(f"member{index}", member)
    return Checkpoint(info, arrays | model.memory.to_arrays())


def unpack_model(checkpoint: Checkpoint, model: MultiPropertyVAE) -> None:
    """Give a model with the options of a checkpoint its weights and its memory.

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
    options, predictor = model.config.generator, model.config.predictor
    names = [item.name for item in options.properties]
    network = AutoencoderNetwork(options.network, len(names))
    fill_module(_NETWORK, network, arrays)
    model.network = network.to(model.device)
    model.scaler = scaler_from_info(info.scalers, names)
    model.known_elements = arrays["known_elements"]
    model.predictor_scaler = scaler_from_info(
        info.split["predictor_scalers"], info.split["predictor_properties"]
    )
    model.members = []
    if predictor is not None:
        for index in range(predictor.n_members):
            member = new_member(predictor, len(model.predictor_scaler.names), index)
            fill_module(f"member{index}", member, arrays)
            model.members.append(member.to(model.device))
    model.memory = memory_from_arrays(arrays)
    model.info, model.metrics = info, dict(info.metrics)


def pack_weights(prefix: str, module: nn.Module) -> dict[str, NDArray[Any]]:
    """Return weights in half precision, which is all that they are good for.

    Parameters
    ----------
    prefix
        What the names of the arrays begin with.
    module
        Of these weights.
    """
    return {
        f"{prefix}/{name}": value.detach().cpu().numpy().astype(np.float16)
        for name, value in module.state_dict().items()
    }


def fill_module(
    prefix: str, module: nn.Module, arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Put stored weights into a module.

    Parameters
    ----------
    prefix, module
        As they were packed.
    arrays
        Of a checkpoint.

    Raises
    ------
    CheckpointError
        If the weights are those of another network.
    """
    start = f"{prefix}/"
    stored = {
        name.removeprefix(start): torch.from_numpy(value.astype(np.float32))
        for name, value in arrays.items()
        if name.startswith(start)
    }
    try:
        module.load_state_dict(stored)
    except RuntimeError as error:
        raise CheckpointError(
            f"The weights of {prefix!r} are not those of this network: {error} Train "
            "the model again."
        ) from error
    module.eval()
