"""Networks that predict properties of genes, apart from any generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wyckflow.ml.mpvae.ensemble import Ensemble

if TYPE_CHECKING:
    from wyckflow.ml.codec.sites import SiteTensors
    from wyckflow.ml.generator import Predictions
    from wyckflow.ml.mpvae.model import PredictorNetwork
    from wyckflow.ml.training.config import PredictorConfig
    from wyckflow.ml.training.rows import Scaler


@dataclass(frozen=True, eq=False, slots=True)
class Predictor:
    """Networks that predict the same properties of genes.

    Attributes
    ----------
    members, scaler
        The networks, and the scaler of their outputs, helpers last.
    options
        How they were trained.
    origin
        ``own`` if they were trained with the model that they stand in, else the
        identity of the model that they were taken from.
    """

    members: list[PredictorNetwork]
    scaler: Scaler
    options: PredictorConfig
    origin: str = "own"

    @property
    def names(self) -> tuple[str, ...]:
        """The properties that were asked for, without the helpers."""
        return tuple(item.name for item in self.options.properties)

    def predict(
        self, sites: SiteTensors, *, n_descriptions: int, device: str = "cpu"
    ) -> Predictions:
        """Predict for genes.

        Parameters
        ----------
        sites
            The genes.
        n_descriptions
            Equivalent descriptions of each to average over.
        device
            Where the networks are.
        """
        items = (*self.options.properties, *self.options.helpers)
        censored = {item.name for item in items if item.is_censored_at_zero}
        is_not_negative = np.array([name in censored for name in self.scaler.names])
        ensemble = Ensemble(self.members, self.scaler, is_not_negative, device)
        found = ensemble.predict(sites, n_descriptions=n_descriptions)
        return found.first(len(self.names))
