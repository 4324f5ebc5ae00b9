"""Points of the latent space moved towards a target along the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.mpvae.generator import MultiPropertyVAE


def optimise_latents(
    model: MultiPropertyVAE,
    start: NDArray[Any],
    objective: Callable[[Tensor, Tensor, Tensor], Tensor],
    *,
    n_steps: int = 60,
    rate: float = 0.05,
    stay: float = 0.01,
) -> NDArray[np.float32]:
    """Move points so that an objective becomes small.

    Parameters
    ----------
    model
        A trained model.
    start
        Where to begin (n, latent).
    objective
        Takes points, property values and expected errors (in the units of the dataset,
        columns as in ``model.property_names``), and returns a number per point.
    n_steps
        Steps of Adam.
    rate
        Length of a step per dimension.
    stay
        Cost of a squared distance of 1 from the start, which keeps the points where
        the heads know something.

    Returns
    -------
    numpy.ndarray
        For each point the place where objective and distance together were least.
    """
    begin = torch.as_tensor(np.asarray(start, np.float32), device=model.device)
    points = begin.clone().requires_grad_(requires_grad=True)
    optimiser = torch.optim.Adam([points], lr=rate)
    best = begin.clone()
    least = torch.full((len(begin),), torch.inf, device=model.device)
    for step in range(n_steps + 1):
        values, errors = model.predict_latents(points)
        cost = objective(points, values, errors)
        cost = cost + stay * ((points - begin) ** 2).sum(1)
        with torch.no_grad():
            is_better = cost < least
            best[is_better], least[is_better] = points[is_better], cost[is_better]
        if step == n_steps:
            break
        # Only the points move: the weights of the model keep no gradient.
        (points.grad,) = torch.autograd.grad(cost.sum(), points)
        optimiser.step()
    result: NDArray[np.float32] = best.detach().cpu().numpy()
    return result
