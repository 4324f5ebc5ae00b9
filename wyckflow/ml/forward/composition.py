"""Properties from the composition alone: which elements, and how much of each.

What can be known without any structure, and so the measure of what structure adds. In
the manner of CrabNet (Wang et al., npj Comput. Mater. 7, 77, 2021) and Roost (Goodall
and Lee, Nat. Commun. 11, 6280, 2020), as their papers describe them: every element is
a token with its share of the atoms, tokens attend to each other, and a pool weighted
by share and by what the network finds important feeds a residual head.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn
from torch.nn import functional

from wyckflow.crystal.composition import Compositions
from wyckflow.ml.mpvae.heads import PropertyHead
from wyckflow.ml.mpvae.layers import AttentionBlock, ElementTable
from wyckflow.ml.sizes import check_heads

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.forward.crystals import Crystals

_N_WAVES: Final = 8
_N_POOLS: Final = 2
_SMALLEST_SHARE: Final = 1e-4


class CompositionSizes(BaseModel):
    """Sizes of the network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(default=96, ge=8, description="Length of a token.")
    n_layers: int = Field(default=3, ge=1, description="Layers of attention.")
    n_heads: int = Field(default=4, ge=1, description="Attention heads.")
    head_width: int = Field(default=128, ge=8, description="Width of the head.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Share left out.")

    _divides = model_validator(mode="after")(check_heads)


class CompositionRepresentation:
    """Elements and their shares; the same for every description.

    Parameters
    ----------
    sizes
        Of the network.
    """

    name = "composition"
    needs_cells = False
    can_augment = False

    def __init__(self, sizes: CompositionSizes | None = None) -> None:
        self.sizes = sizes or CompositionSizes()

    def prepare(self, crystals: Crystals) -> Compositions:
        """Count atoms, once.

        Parameters
        ----------
        crystals
            Any.
        """
        sites = crystals.sites
        return Compositions.from_sites(sites.atomic_number, sites.multiplicity)

    def batch(
        self,
        prepared: Compositions,
        rows: NDArray[np.int64],
        rng: np.random.Generator | None,  # noqa: ARG002 - all descriptions are alike
    ) -> tuple[Tensor, Tensor]:
        """Return atomic numbers and shares of some crystals.

        Parameters
        ----------
        prepared
            What `prepare` returned.
        rows
            Which crystals.
        rng
            Draws a description where there are several.
        """
        some = prepared.take(rows)
        longest = int(some.n_elements.max(initial=1))
        return (
            torch.from_numpy(some.atomic_numbers[:, :longest].astype(np.int64)),
            torch.from_numpy(some.shares[:, :longest].astype(np.float32)),
        )

    def network(self, n_outputs: int) -> nn.Module:
        """Return a network that was not trained yet."""
        return CompositionNetwork(self.sizes, n_outputs)

    def to(self, batch: tuple[Tensor, Tensor], device: str) -> tuple[Tensor, Tensor]:
        """Return a batch on another device."""
        return batch[0].to(device), batch[1].to(device)


class CompositionNetwork(nn.Module):
    """From compositions to values and logarithms of their spreads."""

    def __init__(self, sizes: CompositionSizes, n_outputs: int) -> None:
        super().__init__()
        width = sizes.width
        self.elements = ElementTable(width)
        self.amounts = nn.Linear(4 * _N_WAVES, width)
        self.dropout = nn.Dropout(sizes.dropout)
        self.blocks = nn.ModuleList(
            AttentionBlock(width, sizes.n_heads, sizes.dropout)
            for _ in range(sizes.n_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.importance = nn.Linear(width, _N_POOLS)
        self.join = nn.Linear((_N_POOLS + 1) * width, sizes.head_width)
        self.residual = nn.ModuleList(
            nn.Linear(sizes.head_width, sizes.head_width) for _ in range(2)
        )
        self.head = PropertyHead(
            sizes.head_width, n_outputs, sizes.head_width, sizes.dropout
        )

    def forward(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Predict, in scaled units."""
        numbers, share = batch
        mask = numbers > 0
        tokens = self.elements()[numbers] + self.amounts(_waves(share))
        tokens = self.dropout(tokens)
        for block in self.blocks:
            tokens = block(tokens, mask[:, None, None, :])
        tokens = self.norm(tokens)
        weight = share.clamp(min=_SMALLEST_SHARE).log()[..., None]
        weight = (self.importance(tokens) + weight).masked_fill(~mask[..., None], -1e9)
        pooled = torch.einsum("nlp,nlw->npw", weight.softmax(1), tokens)
        mean = (tokens * share[..., None]).sum(1)
        hidden = self.join(torch.cat([pooled.flatten(1), mean], -1))
        for layer in self.residual:
            hidden = hidden + functional.gelu(layer(hidden))
        found: tuple[Tensor, Tensor] = self.head(hidden)
        return found


def _waves(share: Tensor) -> Tensor:
    """Return sines and cosines of shares, on a linear and a logarithmic scale."""
    frequencies = math.pi * 2.0 ** torch.arange(_N_WAVES, device=share.device)
    logarithm = share.clamp(min=_SMALLEST_SHARE).log() / math.log(_SMALLEST_SHARE)
    both = torch.stack([share, logarithm], -1)[..., None] * frequencies
    return torch.cat([both.sin(), both.cos()], -1).flatten(-2)
