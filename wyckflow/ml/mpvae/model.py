"""The networks of the multi-property autoencoder, and of the property predictor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from wyckflow.ml.mpvae.decoder import GeneDecoder
from wyckflow.ml.mpvae.encoder import GeneEncoder
from wyckflow.ml.mpvae.heads import PropertyHead, SiteSum
from wyckflow.ml.mpvae.trunk import SiteTrunk

if TYPE_CHECKING:
    from torch import Tensor

    from wyckflow.ml.codec.arrangement import Arrangement
    from wyckflow.ml.mpvae.config import NetworkConfig


class AutoencoderNetwork(nn.Module):
    """Encoder, decoder and property heads on the latent mean."""

    def __init__(self, config: NetworkConfig, n_properties: int) -> None:
        super().__init__()
        self.n_latent = config.latent
        self.encoder = GeneEncoder(config)
        self.decoder = GeneDecoder(config)
        self.head = PropertyHead(
            config.latent, max(n_properties, 1), config.head_width, config.head_dropout
        )


class PredictorNetwork(nn.Module):
    """Properties straight from a gene, without a latent space in between."""

    def __init__(
        self,
        *,
        width: int,
        n_layers: int,
        n_heads: int,
        dropout: float,
        n_properties: int,
    ) -> None:
        super().__init__()
        self.trunk = SiteTrunk(width, n_layers, n_heads, dropout)
        self.head = PropertyHead(self.trunk.width, n_properties, width, dropout)
        self.per_site = SiteSum(width, n_properties)

    def forward(self, genes: Arrangement) -> tuple[Tensor, Tensor]:
        """Return scaled values and logarithms of their spreads, (n, properties)."""
        pooled, sites, share = self.trunk(genes)
        value, log_spread = self.head(pooled)
        return value + self.per_site(sites, share), log_spread


def mix_with_noise(latent: Tensor, level: Tensor, noise: Tensor) -> Tensor:
    """Make latents as noisy as their level says, at constant spread.

    Parameters
    ----------
    latent
        (n, latent).
    level
        0 leaves the latent, 1 leaves only noise, (n,).
    noise
        Drawn from a standard normal, (n, latent).
    """
    kept = torch.sqrt(torch.clamp(1 - level**2, min=0))[:, None]
    mixed: Tensor = kept * latent + level[:, None] * noise
    return mixed
