"""Properties from vectors: a value and its spread per property."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

_LOG_SPREAD_RANGE: Final = (-5.0, 3.0)


class PropertyHead(nn.Module):
    """A small network with two outputs per property: value and logarithm of spread.

    Parameters
    ----------
    n_inputs
        Length of the vectors.
    n_properties
        How many properties.
    width
        Of the hidden layer.
    dropout
        Share of what is left out while training.
    """

    def __init__(
        self, n_inputs: int, n_properties: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        self.n_properties = n_properties
        self.layers = nn.Sequential(
            nn.LayerNorm(n_inputs),
            nn.Linear(n_inputs, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, 2 * n_properties),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return scaled values and logarithms of their spreads, (n, properties)."""
        value, log_spread = self.layers(x).split(self.n_properties, -1)
        return value, log_spread.clamp(*_LOG_SPREAD_RANGE)


class SiteSum(nn.Module):
    """What each site adds to the properties of a crystal, per atom."""

    def __init__(self, width: int, n_properties: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, n_properties),
        )

    def forward(self, sites: Tensor, share: Tensor) -> Tensor:
        """Return the sum over sites, weighted by their share of atoms."""
        total: Tensor = torch.einsum("nlp,nl->np", self.layers(sites), share)
        return total
