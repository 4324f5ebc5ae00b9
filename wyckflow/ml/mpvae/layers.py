"""Parts that the networks of genes share: tables of embeddings, and attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from wyckflow.crystal.elements import N_ATOMIC_NUMBERS
from wyckflow.ml.codec.arrangement import MAX_SPECIES
from wyckflow.ml.codec.tables import N_LETTERS, load_position_tables
from wyckflow.ml.elements import element_features

if TYPE_CHECKING:
    from torch import Tensor

_EMBEDDING_SPREAD: Final = 0.3
_FEED_FORWARD: Final = 2


class PositionTable(nn.Module):
    """A vector for every Wyckoff position of every group.

    It is the sum of what the letter, the site symmetry, and the numbers of the position
    (multiplicity, degrees of freedom) say, so that groups learn from each other.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        tables = load_position_tables()
        multiplicity = np.maximum(tables.multiplicity, 1).astype(np.float32)
        exists = tables.exists
        least = np.where(exists, multiplicity, np.inf).min(axis=1, keepdims=True)
        least = np.where(np.isfinite(least), least, 1)
        freedom = np.eye(4, dtype=np.float32)[tables.degrees_of_freedom]
        numbers = np.concatenate(
            [
                np.log2(multiplicity)[..., None] / 4,
                np.log(multiplicity / least)[..., None] / 3,
                freedom,
            ],
            axis=-1,
        ).astype(np.float32)
        self.register_buffer("numbers", torch.as_tensor(numbers), persistent=False)
        self.register_buffer(
            "symmetry",
            torch.as_tensor(tables.site_symmetry.astype(np.int64)),
            persistent=False,
        )
        self.by_letter = _embedding(N_LETTERS, width)
        self.by_symmetry = _embedding(len(tables.site_symmetry_symbols), width)
        self.by_numbers = nn.Linear(numbers.shape[-1], width)

    def forward(self, group: Tensor, letter: Tensor) -> Tensor:
        """Return the vectors of some positions, of the shape of the indices.

        Parameters
        ----------
        group, letter
            Space-group numbers and letter indices of one shape.
        """
        vectors: Tensor = (
            self.by_letter(letter)
            + self.by_symmetry(self.symmetry[group, letter])
            + self.by_numbers(self.numbers[group, letter])
        )
        return vectors

    def of_groups(self, group: Tensor) -> Tensor:
        """Return the vectors of all letters of some groups (n, 27, width)."""
        vectors: Tensor = (
            self.by_letter.weight
            + self.by_symmetry(self.symmetry[group])
            + self.by_numbers(self.numbers[group])
        )
        return vectors


class ElementTable(nn.Module):
    """A vector for every element: learned, and derived from tabulated properties."""

    def __init__(self, width: int) -> None:
        super().__init__()
        features = element_features()
        # Stored with the weights: later tables must not change a trained model.
        self.register_buffer("features", torch.tensor(features))
        self.learned = _embedding(N_ATOMIC_NUMBERS, width)
        self.derived = nn.Linear(features.shape[1], width)

    def forward(self) -> Tensor:
        """Return the table (119, width)."""
        return self.learned.weight + self.derived(self.features)


class GroupTable(nn.Module):
    """A vector for every space group: learned, and derived from its symmetry."""

    def __init__(self, width: int) -> None:
        super().__init__()
        features = load_position_tables().group_features
        self.register_buffer("features", torch.tensor(features), persistent=False)
        self.learned = _embedding(len(features), width)
        self.derived = nn.Linear(features.shape[1], width)

    def forward(self) -> Tensor:
        """Return the table (231, width)."""
        return self.learned.weight + self.derived(self.features)


class SiteCode(nn.Module):
    """A code of sites that adds up: that of a template is the sum over its sites.

    Every species has its own map, so that the sum tells which letters belong together.
    A decoder can take away what it has already written and see what is left.
    """

    def __init__(self, width: int, narrow: int = 64) -> None:
        super().__init__()
        self.table = PositionTable(narrow)
        spread = 1 / math.sqrt(narrow)
        self.maps = nn.Parameter(torch.randn(MAX_SPECIES, narrow, width) * spread)

    def forward(
        self, group: Tensor, letter: Tensor, species: Tensor, mask: Tensor
    ) -> Tensor:
        """Return the code of every site (n, L, width), zero without site."""
        sites = self.table(group[:, None].expand_as(letter), letter)
        code = sites.new_zeros(*letter.shape, self.maps.shape[-1])
        for place in range(int(species.max()) + 1):
            belongs = ((species == place) & mask)[..., None]
            code = code + torch.where(belongs, sites, 0.0) @ self.maps[place]
        return code


class AttentionBlock(nn.Module):
    """Attention and a feed-forward layer, each added to its normalised input."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.feed_forward = FeedForward(width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Let every token look where the mask is true."""
        query, key, value = self.project(x)
        return self.finish(x, query, key, value, mask)

    def project(self, x: Tensor) -> Tensor:
        """Return queries, keys and values (3, n, heads, tokens, width of a head)."""
        n, length, width = x.shape
        parts = self.query_key_value(self.norm(x))
        parts = parts.view(n, length, 3, self.n_heads, width // self.n_heads)
        return parts.permute(2, 0, 3, 1, 4)

    def finish(
        self, x: Tensor, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Attend, and feed forward."""
        seen = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask
        )
        seen = seen.transpose(1, 2).reshape(x.shape)
        return self.feed_forward(x + self.dropout(self.join(seen)))


class FeedForward(nn.Module):
    """Two layers on every token by itself, added to their input."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, _FEED_FORWARD * width)
        self.narrow = nn.Linear(_FEED_FORWARD * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape."""
        hidden = functional.gelu(self.widen(self.norm(x)))
        return x + self.dropout(self.narrow(hidden))


def _embedding(n_rows: int, width: int) -> nn.Embedding:
    table = nn.Embedding(n_rows, width)
    nn.init.normal_(table.weight, std=_EMBEDDING_SPREAD)
    return table
