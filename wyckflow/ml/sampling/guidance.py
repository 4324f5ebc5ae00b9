"""Latent points moved towards a target, and away from what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.mpvae.generator import MultiPropertyVAE
    from wyckflow.schemas.target import Target

MARGIN: Final = 0.5
"""How far inside a range a prediction should come, in expected errors."""

NOVELTY: Final = 0.02
"""Gain of a squared latent distance of 1 from the nearest known crystal."""

_FARTHEST: Final = 25.0
"""Squared distance beyond which more is no gain: the heads know nothing there."""


def guide_latents(
    model: MultiPropertyVAE,
    target: Target,
    starts: NDArray[np.floating],
    *,
    n_steps: int = 60,
) -> NDArray[np.float32]:
    """Move points until the heads see the target met, not too near known crystals.

    Parameters
    ----------
    model
        A trained model with a memory.
    target
        Ranges of properties; its other conditions bind the decoder.
    starts
        Where to begin (n, latent).
    n_steps
        Steps along the gradient.

    Returns
    -------
    numpy.ndarray
        The moved points (n, latent).
    """
    import torch

    from wyckflow.ml.mpvae.latents import optimise_latents

    columns = [model.property_names.index(name) for name in target.properties]
    windows = target.properties.values()
    lower = torch.tensor([window.lower for window in windows], device=model.device)
    upper = torch.tensor([window.upper for window in windows], device=model.device)
    known = torch.as_tensor(
        model.memory.latents.astype(np.float32), device=model.device
    )

    def cost(points: Tensor, values: Tensor, errors: Tensor) -> Tensor:
        value, error = values[:, columns], errors[:, columns].detach()
        below = (lower + MARGIN * error - value).clamp(min=0)
        above = (value - upper + MARGIN * error).clamp(min=0)
        missed: Tensor = (((below + above) / error) ** 2).sum(1)
        nearest = torch.cdist(points, known).min(1).values ** 2
        return missed - NOVELTY * nearest.clamp(max=_FARTHEST)

    return optimise_latents(model, starts, cost, n_steps=n_steps)
