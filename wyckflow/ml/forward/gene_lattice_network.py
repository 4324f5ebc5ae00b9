"""The network of sites that also sees the cell and the distances between orbits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from wyckflow.ml.mpvae.heads import PropertyHead, SiteSum
from wyckflow.ml.mpvae.layers import ElementTable, GroupTable, PositionTable
from wyckflow.ml.mpvae.trunk import PairBlock, PairFeatures

if TYPE_CHECKING:
    from torch import Tensor

    from wyckflow.ml.forward.gene_lattice import SitesInCells

_FORBIDDEN: Final = -1e9
_PAIR_WIDTH: Final = 32
_N_AMOUNTS: Final = 4
_SHORTEST: Final = 1.0
"""Distance of the first function of distance, in A."""


class GeneLatticeNetwork(nn.Module):
    """From crystals to values and logarithms of their spreads.

    Parameters
    ----------
    width, n_layers, n_heads, dropout
        Of the attention.
    n_outputs
        How many properties.
    n_cell_features
        Numbers about each cell.
    cutoff, n_distances
        How far distances reach, in A, and how many functions of them there are.
    """

    def __init__(
        self,
        *,
        width: int,
        n_layers: int,
        n_heads: int,
        dropout: float,
        n_outputs: int,
        n_cell_features: int,
        cutoff: float,
        n_distances: int,
    ) -> None:
        super().__init__()
        self.trunk = CellTrunk(
            width,
            n_layers,
            n_heads,
            dropout,
            n_cell_features=n_cell_features,
            cutoff=cutoff,
            n_distances=n_distances,
        )
        self.head = PropertyHead(
            self.trunk.width + n_cell_features, n_outputs, width, dropout
        )
        self.per_site = SiteSum(width, n_outputs)

    def forward(self, crystals: SitesInCells) -> tuple[Tensor, Tensor]:
        """Return scaled values and logarithms of their spreads, (n, outputs) each."""
        pooled, sites, share = self.trunk(crystals)
        value, log_spread = self.head(torch.cat([pooled, crystals.cell], -1))
        return value + self.per_site(sites, share), log_spread


class CellTrunk(nn.Module):
    """From orbits to vectors, with cell and distances from the first layer on.

    Parameters
    ----------
    width, n_layers, n_heads, dropout
        Of the attention.
    n_cell_features, cutoff, n_distances
        As in `GeneLatticeNetwork`.
    """

    def __init__(
        self,
        width: int,
        n_layers: int,
        n_heads: int,
        dropout: float,
        *,
        n_cell_features: int,
        cutoff: float,
        n_distances: int,
    ) -> None:
        super().__init__()
        self.elements = ElementTable(width)
        self.positions = PositionTable(width)
        self.groups = GroupTable(width)
        self.amounts = nn.Linear(_N_AMOUNTS, width)
        self.cell = nn.Linear(n_cell_features, width)
        self.surroundings = nn.Linear(n_distances, width)
        self.pairs = PairFeatures(self.elements.features.shape[1], _PAIR_WIDTH)
        self.distances = nn.Linear(n_distances, _PAIR_WIDTH)
        self.mix = nn.Sequential(nn.GELU(), nn.Linear(_PAIR_WIDTH, _PAIR_WIDTH))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            PairBlock(width, n_heads, dropout, _PAIR_WIDTH) for _ in range(n_layers)
        )
        self.width = 3 * width
        """Length of the vector of a crystal."""
        centers = torch.linspace(_SHORTEST, cutoff, n_distances)
        self.register_buffer("centers", centers, persistent=False)
        self.step = float(centers[1] - centers[0])

    def forward(self, crystals: SitesInCells) -> tuple[Tensor, Tensor, Tensor]:
        """Return a vector per crystal, one per orbit, and the share of each orbit."""
        group, element, mask = (
            crystals.space_group,
            crystals.atomic_number,
            crystals.mask,
        )
        letter = crystals.letter
        share, amounts = _amounts(crystals)
        seen = self._see(crystals)
        sites = (
            self.elements()[element]
            + self.positions(group[:, None].expand_as(letter), letter)
            + self.groups()[group][:, None]
            + self.amounts(amounts)
            + self.cell(crystals.cell)[:, None]
            + self.surroundings(seen.sum(2))
        )
        of_elements = self.pairs(self.elements.features[element])
        pairs = self.mix(of_elements + self.distances(seen))
        weight = torch.where(mask, share.clamp(min=1e-6).log(), _FORBIDDEN)
        sites = self.dropout(sites)
        for block in self.blocks:
            sites = block(sites, weight, pairs)
        sites = sites * mask[..., None]
        mean = (sites * share[..., None]).sum(1)
        largest = sites.masked_fill(~mask[..., None], -1e4).amax(1)
        plain = sites.sum(1) / mask.sum(1, keepdim=True)
        return torch.cat([mean, largest, plain], -1), sites, share

    def _see(self, crystals: SitesInCells) -> Tensor:
        """Return how much of each orbit every orbit sees at which distance."""
        away = (crystals.distance[:, None] - self.centers) / self.step
        waves = torch.exp(-(away**2)) * crystals.weight[:, None]
        n, length = crystals.mask.shape
        flat = waves.new_zeros(n * length * length, waves.shape[1])
        flat = flat.index_add(0, crystals.edge, waves)
        return flat.view(n, length, length, -1)


def _amounts(crystals: SitesInCells) -> tuple[Tensor, Tensor]:
    """Return the share of atoms of each orbit, and numbers about it."""
    atoms = crystals.multiplicity.float()
    total = atoms.sum(1, keepdim=True)
    share = atoms / total
    element = crystals.atomic_number
    is_same = (element[:, :, None] == element[:, None]) & crystals.mask[:, None]
    of_element = (is_same * share[:, None]).sum(2)
    size = (total.log() / 4).expand_as(share)
    logarithm = atoms.clamp(min=1).log() / 3
    return share, torch.stack([share, logarithm, of_element, size], -1)
