"""Genes to points of the latent space."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from wyckflow.ml.codec.arrangement import MAX_SPECIES
from wyckflow.ml.mpvae.layers import ElementTable, GroupTable, SiteCode
from wyckflow.ml.mpvae.trunk import SiteTrunk

if TYPE_CHECKING:
    from torch import Tensor

    from wyckflow.ml.codec.arrangement import Arrangement
    from wyckflow.ml.mpvae.config import NetworkConfig

_LOG_VARIANCE_RANGE: Final = (-12.0, 2.0)


class GeneEncoder(nn.Module):
    """The mean and the spread of each gene in the latent space.

    The mean has two parts: what attention finds, in which similar crystals are close,
    and a sum over group, sites and elements, from which a decoder reads the gene back
    even if nothing like it was in the training rows.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.width
        self.trunk = SiteTrunk(
            width, config.n_encoder_layers, config.n_heads, config.encoder_dropout
        )
        self.norm = nn.LayerNorm(self.trunk.width)
        self.mean = nn.Linear(self.trunk.width, config.latent)
        self.log_variance = nn.Linear(self.trunk.width, config.latent)
        self.sites = SiteCode(width)
        self.groups = GroupTable(width)
        self.elements = ElementTable(width)
        spread = 1 / math.sqrt(width)
        self.element_maps = nn.Parameter(
            torch.randn(MAX_SPECIES, width, width) * spread
        )
        self.plain = nn.Linear(3 * width, config.latent)

    def forward(self, genes: Arrangement) -> tuple[Tensor, Tensor]:
        """Return means and logarithms of the variances, (n, latent) each."""
        pooled = self.norm(self.trunk(genes)[0])
        mean = self.mean(pooled) + self.plain(self._sum(genes))
        return mean, self.log_variance(pooled).clamp(*_LOG_VARIANCE_RANGE)

    def _sum(self, genes: Arrangement) -> Tensor:
        """Add up what is linear in the parts of a gene."""
        group = genes.space_group
        sites = self.sites(group, genes.letter, genes.species, genes.mask).sum(1)
        elements = self.elements()[genes.element] * (genes.element > 0)[..., None]
        composition = torch.einsum("bkc,kcd->bd", elements, self.element_maps)
        return torch.cat([sites, self.groups()[group], composition], -1)
