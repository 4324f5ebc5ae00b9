"""Training of one member of the ensemble that predicts properties from genes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from wyckflow.ml.codec.arrangement import arrange_sites
from wyckflow.ml.mpvae.losses import property_loss
from wyckflow.ml.training.autoencoder import floor_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.codec.arrangement import Arrangement
    from wyckflow.ml.mpvae.model import PredictorNetwork
    from wyckflow.ml.training.config import PredictorConfig, TargetProperty
    from wyckflow.ml.training.rows import Scaler, TrainingRows

_LOOK_BATCH: Final = 512


class PredictorTask:
    """What the loop needs to train a predictor.

    Parameters
    ----------
    network
        Fresh weights, on the device to train on.
    rows
        Genes and properties, helpers behind those that are asked for.
    scaler
        Of all of them.
    config
        Options.
    properties
        What the columns are.
    member
        Which of the ensemble it is.
    """

    def __init__(
        self,
        network: PredictorNetwork,
        rows: TrainingRows,
        scaler: Scaler,
        config: PredictorConfig,
        *,
        properties: tuple[TargetProperty, ...],
        member: int,
    ) -> None:
        self.name = f"predictor {member + 1} of {config.n_members}"
        self.module, self.rows, self.scaler = network, rows, scaler
        self.training = rows.training
        self.n_sites = rows.sites.mask.sum(axis=1)
        self.seed = config.seed + 7919 * (member + 1)
        self.config: dict[str, Any] = {
            "predictor": config.model_dump(mode="json"),
            "member": member,
            "datasets": list(rows.dataset_ids),
        }
        self.device = str(next(network.parameters()).device)
        self.targets = torch.as_tensor(scaler.scale(rows.values), device=self.device)
        self.floor = floor_of(properties, scaler)
        self.weights = torch.tensor(
            [item.weight for item in properties], device=self.device
        )

    def loss(self, rows: NDArray[np.int64], generator: np.random.Generator) -> Tensor:
        """Return the weighted sum over the properties."""
        genes = self._genes(rows, generator)
        target = self.targets[torch.as_tensor(rows, device=self.device)]
        value, log_spread = self.module(genes)
        return (
            self.weights * property_loss(value, log_spread, target, self.floor)
        ).sum()

    def validate(self) -> dict[str, float]:
        """Return the mean absolute error of each property where it is positive."""
        rows = self.rows.validation
        generator = np.random.default_rng(self.seed)
        parts = np.array_split(rows, 1 + len(rows) // _LOOK_BATCH)
        values = torch.cat(
            [self.module(self._genes(part, generator))[0] for part in parts]
        )
        target = self.targets[torch.as_tensor(rows, device=self.device)]
        floor = torch.as_tensor(self.floor, device=self.device)
        error = (values - target).abs()
        known = ~target.isnan() & (target > floor)
        mean = torch.where(known, error, 0).sum(0) / known.sum(0).clamp(min=1)
        figures = {"score": float((self.weights * mean).sum())}
        for name, spread, one in zip(
            self.scaler.names, self.scaler.spread, mean.tolist(), strict=True
        ):
            figures[f"mae_{name}"] = one * float(spread)
        return figures

    def _genes(
        self, rows: NDArray[np.int64], generator: np.random.Generator
    ) -> Arrangement:
        """Describe genes in one of their equivalent ways."""
        sites = self.rows.sites.take(rows).permuted(generator).trimmed()
        return arrange_sites(sites).to(self.device)
