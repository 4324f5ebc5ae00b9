"""Properties of genes by several networks, over the equivalent descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from wyckflow.crystal.tables import NormalizerKind
from wyckflow.ml.codec.arrangement import arrange_sites
from wyckflow.ml.codec.tables import load_permutations
from wyckflow.ml.generator import Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.codec.arrangement import Arrangement
    from wyckflow.ml.codec.sites import SiteTensors
    from wyckflow.ml.training.rows import Scaler

_BATCH: Final = 128
"""Genes at once; 512 took 1.7 to 3.3 times as long, much of it to get memory."""
DEFAULT_DESCRIPTIONS: Final = 4


@dataclass(frozen=True, eq=False, slots=True)
class Ensemble:
    """Networks that predict the same properties.

    Attributes
    ----------
    members
        From genes to scaled values and logarithms of their spreads.
    scaler
        Of the properties.
    is_not_negative
        Properties whose predictions below zero mean zero (properties,).
    device
        Where the networks are.
    """

    members: Sequence[Callable[[Arrangement], tuple[Tensor, Tensor]]]
    scaler: Scaler
    is_not_negative: NDArray[np.bool_]
    device: str = "cpu"

    def predict(
        self, sites: SiteTensors, *, n_descriptions: int = DEFAULT_DESCRIPTIONS
    ) -> Predictions:
        """Predict for genes.

        Parameters
        ----------
        sites
            The genes.
        n_descriptions
            How many equivalent descriptions of each to average over; those that it
            has are taken in turn.
        """
        shape = (len(sites), len(self.scaler.names))
        mean, square, noise = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        lengths = sites.mask.sum(axis=1)
        order = np.argsort(lengths, kind="stable")
        with torch.no_grad():
            for start in range(0, len(order), _BATCH):
                rows = order[start : start + _BATCH]
                for values, spreads in self._all(sites.take(rows), n_descriptions):
                    mean[rows] += values
                    square[rows] += values**2
                    noise[rows] += spreads
        n = len(self.members) * n_descriptions
        mean, square, noise = mean / n, square / n, noise / n
        spread = np.sqrt(np.maximum(square - mean**2, 0))
        mean = np.where(self.is_not_negative, np.maximum(mean, 0), mean)
        return Predictions(self.scaler.names, mean, spread, noise)

    def _all(
        self, sites: SiteTensors, n_descriptions: int
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Ask every member about every description."""
        answers = []
        for index in range(n_descriptions):
            genes = arrange_sites(describe(sites, index).trimmed()).to(self.device)
            for member in self.members:
                value, log_spread = member(genes)
                scaled = value.double().cpu().numpy()
                spread = log_spread.exp().double().cpu().numpy() * self.scaler.spread
                answers.append((scaled * self.scaler.spread + self.scaler.mean, spread))
        return answers


def describe(sites: SiteTensors, index: int) -> SiteTensors:
    """Return a certain one of the equivalent descriptions of each gene.

    Parameters
    ----------
    sites
        The genes.
    index
        0 for the genes as they are; counted on, all descriptions come in turn.
    """
    if index == 0:
        return sites
    counts, images = load_permutations(NormalizerKind.EUCLIDEAN)
    which = index % counts[sites.space_group]
    letters = images[sites.space_group[:, None], which[:, None], sites.letter]
    return sites.with_letters(letters.astype(np.int64))
