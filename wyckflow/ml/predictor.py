"""Networks that predict properties of genes, apart from any generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from wyckflow.ml.ensemble import Ensemble
from wyckflow.ml.mpvae.model import PredictorNetwork
from wyckflow.ml.training.rows import scaler_from_info
from wyckflow.ml.weights import fill_module, pack_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from wyckflow.ml.codec.sites import SiteTensors
    from wyckflow.ml.generator import Predictions
    from wyckflow.ml.training.config import PredictorConfig
    from wyckflow.ml.training.rows import Scaler

OWN: Final = "own"
"""Origin of networks that were trained with the model that they stand in."""


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
    origin: str = OWN

    @property
    def names(self) -> tuple[str, ...]:
        """The properties that were asked for, without the helpers."""
        return tuple(item.name for item in self.options.properties)

    def predict(
        self,
        sites: SiteTensors,
        *,
        n_descriptions: int,
        censored: AbstractSet[str],
        device: str = "cpu",
    ) -> Predictions:
        """Predict for genes.

        Parameters
        ----------
        sites
            The genes.
        n_descriptions
            Equivalent descriptions of each to average over.
        censored
            The properties of which a value below zero means zero.
        device
            Where the networks are.
        """
        is_not_negative = np.array([name in censored for name in self.scaler.names])
        ensemble = Ensemble(self.members, self.scaler, is_not_negative, device)
        found = ensemble.predict(sites, n_descriptions=n_descriptions)
        return found.first(len(self.names))

    def to_story(self) -> dict[str, Any]:
        """Return what a checkpoint says of it."""
        return {
            "predictor_properties": list(self.scaler.names),
            "predictor_scalers": self.scaler.to_info(),
            "predictor_origin": self.origin,
        }

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the weights as the arrays of a checkpoint."""
        arrays: dict[str, NDArray[Any]] = {}
        for index, member in enumerate(self.members):
            arrays |= pack_weights(f"member{index}", member)
        return arrays


def predictor_from_arrays(
    arrays: Mapping[str, NDArray[Any]],
    story: Mapping[str, Any],
    options: PredictorConfig,
    device: str,
) -> Predictor:
    """Read what `Predictor.to_arrays` wrote.

    Parameters
    ----------
    arrays
        Of a checkpoint.
    story
        Its ``split``, as `Predictor.to_story` wrote it, or without the origin.
    options
        How the networks were trained.
    device
        Where to put them.

    Raises
    ------
    CheckpointError
        If the weights are those of other networks.
    """
    names = story["predictor_properties"]
    members = []
    for index in range(options.n_members):
        member = new_member(options, len(names), index)
        fill_module(f"member{index}", member, arrays)
        members.append(member.to(device))
    return Predictor(
        members=members,
        scaler=scaler_from_info(story["predictor_scalers"], names),
        options=options,
        origin=story.get("predictor_origin", OWN),
    )


def new_member(
    options: PredictorConfig, n_properties: int, member: int
) -> PredictorNetwork:
    """Return a network with fresh weights that depend on seed and member.

    Parameters
    ----------
    options
        Its sizes.
    n_properties
        Outputs.
    member
        Which of the ensemble it is.
    """
    with torch.random.fork_rng():
        torch.manual_seed(options.seed + 7919 * (member + 1))
        return PredictorNetwork(
            width=options.width,
            n_layers=options.n_layers,
            n_heads=options.n_heads,
            dropout=options.dropout,
            n_properties=n_properties,
        )
