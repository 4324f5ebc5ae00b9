"""Weights of networks as the arrays of a checkpoint, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wyckflow.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import nn


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


def round_weights(module: nn.Module) -> None:
    """Round weights to what a file keeps of them.

    A model that was just trained then does what its file does, whose identity it has.

    Parameters
    ----------
    module
        Whose weights are changed.
    """
    for value in module.state_dict().values():
        value.copy_(value.half())


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
