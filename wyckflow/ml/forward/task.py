"""Training of one network of a forward model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from wyckflow.ml.mpvae.losses import property_loss
from wyckflow.ml.training.autoencoder import floor_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from wyckflow.ml.forward.config import ForwardConfig
    from wyckflow.ml.forward.representation import Representation
    from wyckflow.ml.forward.targets import ForwardRows, TargetScaler

LOOK_BATCH: Final = 256
"""Crystals at once where nothing is learned."""


class ForwardTask:
    """What the loop needs to train one network.

    Parameters
    ----------
    network
        Fresh weights, on the device to train on.
    representation
        What it sees.
    rows
        Crystals and properties.
    scaler
        Of the properties.
    config
        Options.
    member
        Which of the ensemble it is.
    prepared
        What the representation made of the crystals of the rows.
    """

    def __init__(
        self,
        network: nn.Module,
        representation: Representation,
        rows: ForwardRows,
        scaler: TargetScaler,
        config: ForwardConfig,
        *,
        member: int,
        prepared: Any,
    ) -> None:
        self.name = f"{config.representation} {member + 1} of {config.n_members}"
        self.module, self.representation = network, representation
        self.rows, self.scaler, self.prepared = rows, scaler, prepared
        self.training = rows.training
        self.n_sites = rows.crystals.n_sites
        self.seed = config.seed + member
        self.augment = config.augment
        self.config: dict[str, Any] = {
            "forward": config.model_dump(mode="json"),
            "member": member,
            "datasets": list(rows.dataset_ids),
        }
        self.device = str(next(network.parameters()).device)
        self.targets = torch.as_tensor(scaler.scale(rows.values), device=self.device)
        self.floor = floor_of(rows.properties, scaler.scaler)
        self.weights = torch.tensor(
            [item.weight for item in rows.properties], device=self.device
        )
        self.spread = np.nanstd(rows.values[rows.training], axis=0)

    def loss(self, rows: NDArray[np.int64], generator: np.random.Generator) -> Tensor:
        """Return the weighted sum over the properties."""
        value, log_spread = self._ask(rows, generator if self.augment else None)
        target = self.targets[torch.as_tensor(rows, device=self.device)]
        losses = property_loss(value, log_spread, target, self.floor)
        return (self.weights * losses).sum()

    def validate(self) -> dict[str, float]:
        """Return the mean absolute error of each property, in its own unit.

        The score is their sum in units of the spreads. Where a property is censored,
        the rows that have it count; one that no row has is not among the figures.
        """
        rows = self.rows.validation
        parts = np.array_split(rows, 1 + len(rows) // LOOK_BATCH)
        found = [self._ask(part, None)[0].double().cpu().numpy() for part in parts]
        values = self.scaler.from_linear(self.scaler.unscale(np.concatenate(found)))
        wanted = self.rows.values[rows]
        known = self.rows.judged
        error = np.where(known, np.abs(values - np.nan_to_num(wanted)), 0).sum(axis=0)
        counts = known.sum(axis=0)
        error /= np.maximum(counts, 1)
        weights = self.weights.double().cpu().numpy()
        figures = {"score": float((weights * error / self.spread).sum())}
        for name, one, n in zip(self.scaler.names, error.tolist(), counts, strict=True):
            if n:
                figures[f"mae_{name}"] = one
        return figures

    def _ask(
        self, rows: NDArray[np.int64], generator: np.random.Generator | None
    ) -> tuple[Tensor, Tensor]:
        batch = self.representation.batch(self.prepared, rows, generator)
        found: tuple[Tensor, Tensor] = self.module(
            self.representation.to(batch, self.device)
        )
        return found
