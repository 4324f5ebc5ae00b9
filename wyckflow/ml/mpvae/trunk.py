"""From the sites of a gene to one vector, whatever their order.

Sites look at each other with attention that knows how many atoms a site has (a site of
twice the atoms weighs twice) and which two elements meet, since formation energies and
gaps are made between pairs of elements.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from wyckflow.ml.mpvae.layers import (
    ElementTable,
    FeedForward,
    GroupTable,
    PositionTable,
)

if TYPE_CHECKING:
    from torch import Tensor

    from wyckflow.ml.codec.arrangement import Arrangement

_FORBIDDEN: Final = -1e9
_PAIR_WIDTH: Final = 32


class SiteTrunk(nn.Module):
    """Sites to vectors.

    Parameters
    ----------
    width
        Length of the vectors.
    n_layers, n_heads
        Of the attention.
    dropout
        Share of what is left out while training.
    """

    def __init__(self, width: int, n_layers: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.elements = ElementTable(width)
        self.positions = PositionTable(width)
        self.groups = GroupTable(width)
        self.amounts = nn.Linear(4, width)
        self.pairs = PairFeatures(self.elements.features.shape[1], _PAIR_WIDTH)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            PairBlock(width, n_heads, dropout, _PAIR_WIDTH) for _ in range(n_layers)
        )
        self.width = 3 * width
        """Length of the vector of a gene."""

    def forward(self, genes: Arrangement) -> tuple[Tensor, Tensor, Tensor]:
        """Return a vector per gene, one per site, and the share of atoms of each site.

        Parameters
        ----------
        genes
            Any genes.
        """
        group, element, mask = genes.space_group, genes.atomic_number, genes.mask
        share, amounts = _amounts(genes, element)
        sites = (
            self.elements()[element]
            + self.positions(group[:, None].expand_as(genes.letter), genes.letter)
            + self.groups()[group][:, None]
            + self.amounts(amounts)
        )
        pairs = self.pairs(self.elements.features[element])
        weight = torch.where(mask, share.clamp(min=1e-6).log(), _FORBIDDEN)
        sites = self.dropout(sites)
        for block in self.blocks:
            sites = block(sites, weight, pairs)
        sites = sites * mask[..., None]
        mean = (sites * share[..., None]).sum(1)
        largest = sites.masked_fill(~mask[..., None], -1e4).amax(1)
        plain = sites.sum(1) / mask.sum(1, keepdim=True)
        return torch.cat([mean, largest, plain], -1), sites, share


class PairFeatures(nn.Module):
    """What is known of two elements before anything is learned of their sites."""

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(n_features, width)
        self.second = nn.Linear(n_features, width)
        self.difference = nn.Linear(n_features, width)
        self.mix = nn.Sequential(nn.GELU(), nn.Linear(width, width), nn.GELU())

    def forward(self, features: Tensor) -> Tensor:
        """Return features of all pairs of sites (n, L, L, width)."""
        apart = (features[:, :, None] - features[:, None]).abs()
        pairs = self.first(features)[:, :, None] + self.second(features)[:, None]
        mixed: Tensor = self.mix(pairs + self.difference(apart))
        return mixed


class PairBlock(nn.Module):
    """Attention whose weights and messages depend on the pair of elements."""

    def __init__(self, width: int, n_heads: int, dropout: float, pairs: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.pair_weight = nn.Linear(pairs, n_heads)
        self.pair_message = nn.Linear(pairs, width)
        self.join = nn.Linear(width, width)
        self.feed_forward = FeedForward(width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, weight: Tensor, pairs: Tensor) -> Tensor:
        """Return the same shape (n, L, width)."""
        n, length, width = x.shape
        narrow = width // self.n_heads
        parts = self.query_key_value(self.norm(x))
        parts = parts.view(n, length, 3, self.n_heads, narrow)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / math.sqrt(narrow)
        by_pair = self.pair_weight(pairs).permute(0, 3, 1, 2)
        attention = (scores + weight[:, None, None, :] + by_pair).softmax(-1)
        seen = (attention @ value).transpose(1, 2)
        messages = self.pair_message(pairs).view(n, length, length, self.n_heads, -1)
        seen = seen + torch.einsum("nhij,nijhc->nihc", attention, messages)
        x = x + self.dropout(self.join(seen.reshape(n, length, width)))
        out: Tensor = self.feed_forward(x)
        return out


def _amounts(genes: Arrangement, element: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share of atoms of each site, and numbers about it."""
    atoms = genes.multiplicity.float()
    total = atoms.sum(1, keepdim=True)
    share = atoms / total
    is_same = (element[:, :, None] == element[:, None]) & genes.mask[:, None]
    of_element = (is_same * share[:, None]).sum(2)
    size = (total.log() / 4).expand_as(share)
    logarithm = atoms.clamp(min=1).log() / 3
    return share, torch.stack([share, logarithm, of_element, size], -1)
