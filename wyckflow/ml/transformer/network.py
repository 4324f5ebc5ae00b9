"""The network: a set of tokens read by attention, and three heads that ask for more.

Known tokens see each other. A token that is not complete yet sees them and itself, and
none of them sees it; so what is known needs to be read only once for the three parts
that are asked for, and many unfinished tokens can be asked about together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from wyckflow.crystal.elements import N_ATOMIC_NUMBERS
from wyckflow.ml.codec.tables import load_position_tables
from wyckflow.ml.mpvae.layers import AttentionBlock, ElementTable, GroupTable
from wyckflow.ml.transformer.tokens import (
    MASKED_ENUMERATION,
    N_ENUMERATIONS,
    load_token_tables,
)

if TYPE_CHECKING:
    from torch import Tensor

    from wyckflow.ml.transformer.config import TransformerNetworkConfig

FORBIDDEN: Final = -1e9
_SPREAD: Final = 0.3
_N_NUMBERS: Final = 6
_ATOMS_SCALE: Final = 3.0

FROM_DATA, FROM_SIMILAR = 0, 1
"""Whether a gene is a crystal, or one in which similar elements stand in."""

Memory = list[tuple["Tensor", "Tensor"]]
"""Keys and values of known tokens, per layer."""


@dataclass(frozen=True, eq=False, slots=True)
class Parts:
    """The parts of some tokens, of any one shape; masked where they are not known.

    Attributes
    ----------
    element, symmetry, enumeration
        Indices, see `wyckflow.ml.transformer.tokens`.
    letter
        Of the complete tokens; without meaning for the others.
    """

    element: Tensor
    symmetry: Tensor
    enumeration: Tensor
    letter: Tensor


class TransformerNetwork(nn.Module):
    """An encoder without places, and its heads.

    Parameters
    ----------
    config
        Its sizes.
    n_conditions
        Properties that genes can be asked for.
    """

    def __init__(self, config: TransformerNetworkConfig, n_conditions: int) -> None:
        super().__init__()
        width, part = config.width, config.part_width
        n_symmetries = load_token_tables().n_symmetries
        self.elements = ElementTable(part)
        self.masked_element = nn.Parameter(torch.randn(1, part) * _SPREAD)
        self.symmetries = _embedding(n_symmetries, part)
        self.enumerations = _embedding(N_ENUMERATIONS + 1, part)
        self.join = nn.Linear(3 * part + _N_NUMBERS, width)
        self.groups = GroupTable(width)
        self.origins = _embedding(2, width)
        self.start = nn.Parameter(torch.randn(width) * _SPREAD)
        self.conditions = nn.Sequential(
            nn.Linear(2 * max(n_conditions, 1), width),
            nn.GELU(),
            nn.Linear(width, width),
        )
        self.n_conditions = n_conditions
        self.blocks = nn.ModuleList(
            AttentionBlock(width, config.n_heads, config.dropout)
            for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(width)
        sizes = width, _presence_width(), config.head_width, config.dropout
        self.element_head = _Head(*sizes, part)
        self.element_bias = nn.Parameter(torch.zeros(N_ATOMIC_NUMBERS))
        self.symmetry_head = _Head(*sizes, n_symmetries)
        self.enumeration_head = _Head(*sizes, N_ENUMERATIONS)
        numbers = torch.as_tensor(_position_numbers())
        self.register_buffer("numbers", numbers, persistent=False)

    # --- what goes in ------------------------------------------------------------

    def base(self, group: Tensor, origin: Tensor, conditions: Tensor) -> Tensor:
        """Return what all tokens of a gene share (n, width).

        Parameters
        ----------
        group, origin
            Space-group number, and whether it is a crystal (n,).
        conditions
            Scaled properties, not-a-number where nothing is asked (n, conditions).
        """
        known = ~conditions.isnan()
        asked = torch.cat([torch.nan_to_num(conditions), known.float()], 1)
        if not self.n_conditions:
            asked = asked.new_zeros(len(group), 2)
        shared: Tensor = (
            self.groups()[group] + self.origins(origin) + self.conditions(asked)
        )
        return shared

    def embed(self, group: Tensor, parts: Parts) -> Tensor:
        """Return tokens without what their gene shares, of the shape of the parts.

        Parameters
        ----------
        group
            Space-group numbers that go with the parts.
        parts
            The tokens.
        """
        is_known = parts.enumeration != MASKED_ENUMERATION
        numbers = self.numbers[group, parts.letter] * is_known[..., None]
        table = torch.cat([self.elements(), self.masked_element])
        vectors: Tensor = self.join(
            torch.cat(
                [
                    table[parts.element],
                    self.symmetries(parts.symmetry),
                    self.enumerations(parts.enumeration),
                    numbers,
                ],
                -1,
            )
        )
        return vectors

    # --- attention -----------------------------------------------------------------

    def read(self, x: Tensor, is_known: Tensor) -> Tensor:
        """Return the states of tokens that see the known ones and themselves.

        Parameters
        ----------
        x
            (n, tokens, width).
        is_known
            Which of them are seen by all others (n, tokens).
        """
        alone = torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        mask = (is_known[:, None] | alone)[:, None]
        for block in self.blocks:
            x = block(x, mask)
        state: Tensor = self.norm(x)
        return state

    def remember(self, x: Tensor) -> Memory:
        """Read known tokens (n, tokens, width), and keep what others see of them."""
        memory = []
        for block in self.blocks:
            query, key, value = block.project(x)
            memory.append((key, value))
            x = block.finish(x, query, key, value, None)
        return memory

    def ask(self, x: Tensor, memory: Memory) -> Tensor:
        """Return the state of one unfinished token per gene (n, width)."""
        x = x[:, None]
        for block, (keys, values) in zip(self.blocks, memory, strict=True):
            query, key, value = block.project(x)
            seen = torch.cat([keys, key], 2), torch.cat([values, value], 2)
            x = block.finish(x, query, *seen, None)
        state: Tensor = self.norm(x[:, 0])
        return state

    # --- what comes out --------------------------------------------------------------

    def score_elements(self, state: Tensor, presence: Tensor) -> Tensor:
        """Return scores of STOP and of every element (..., 119)."""
        vector = self.element_head(state, presence)
        return functional.linear(vector, self.elements()) + self.element_bias

    def score_symmetries(self, state: Tensor, presence: Tensor) -> Tensor:
        """Return scores of every site symmetry (..., symmetries)."""
        scores: Tensor = self.symmetry_head(state, presence)
        return scores

    def score_enumerations(self, state: Tensor, presence: Tensor) -> Tensor:
        """Return scores of every enumeration (..., 8)."""
        scores: Tensor = self.enumeration_head(state, presence)
        return scores


class _Head(nn.Module):
    """Two layers on a state and on what is present."""

    def __init__(
        self, width: int, presence: int, hidden: int, dropout: float, n_out: int
    ) -> None:
        super().__init__()
        self.from_state = nn.Linear(width, hidden)
        self.from_presence = nn.Linear(presence, hidden, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, n_out)

    def forward(self, state: Tensor, presence: Tensor) -> Tensor:
        """Return (..., n_out); the presence has the shape of the state or fewer."""
        hidden = functional.gelu(self.from_state(state) + self.from_presence(presence))
        scores: Tensor = self.out(self.dropout(hidden))
        return scores


def count_presence(
    group: Tensor, parts: Parts, is_known: Tensor, multiplicity: Tensor
) -> Tensor:
    """Say which parts occur in the known tokens of a gene, and how many atoms.

    Parameters
    ----------
    group
        Space-group numbers (n,).
    parts
        Tokens (n, L).
    is_known
        Which of them are known (n, L).
    multiplicity
        Points per orbit of every letter of every group (231, 27).

    Returns
    -------
    torch.Tensor
        (n, columns): each element (absent or there), its atoms in the cell as a
        logarithm, each site symmetry, each enumeration.
    """
    n, known = len(group), is_known.float()
    atoms = multiplicity[group[:, None], parts.letter] * known
    element = torch.where(is_known, parts.element, 0)
    counted = known.new_zeros(n, N_ATOMIC_NUMBERS).scatter_add_(1, element, atoms)
    symmetry = known.new_zeros(n, load_token_tables().n_symmetries)
    symmetry.scatter_add_(1, torch.where(is_known, parts.symmetry, 0), known)
    enumeration = known.new_zeros(n, N_ENUMERATIONS)
    place = torch.where(is_known, parts.enumeration, 0)
    enumeration.scatter_add_(1, place, known)
    return join_presence(counted, symmetry, enumeration)


def join_presence(atoms: Tensor, symmetry: Tensor, enumeration: Tensor) -> Tensor:
    """Put counts of atoms, symmetries and enumerations into one row per gene."""
    return torch.cat(
        [
            (atoms > 0).float(),
            torch.log1p(atoms) / _ATOMS_SCALE,
            (symmetry > 0).float(),
            (enumeration > 0).float(),
        ],
        1,
    )


def _presence_width() -> int:
    return 2 * N_ATOMIC_NUMBERS + load_token_tables().n_symmetries + N_ENUMERATIONS


def _position_numbers() -> np.ndarray:
    """Return multiplicity and freedom of every position, as a network takes them."""
    tables = load_position_tables()
    multiplicity = np.maximum(tables.multiplicity, 1).astype(np.float32)
    exists = tables.exists
    least = np.where(exists, multiplicity, np.inf).min(axis=1, keepdims=True)
    least = np.where(np.isfinite(least), least, 1)
    freedom = np.eye(4, dtype=np.float32)[tables.degrees_of_freedom]
    absolute = np.log2(multiplicity)[..., None] / 4
    relative = np.log(multiplicity / least)[..., None] / 3
    numbers = np.concatenate([absolute, relative, freedom], axis=-1)
    return np.asarray(numbers, np.float32)


def _embedding(n_rows: int, width: int) -> nn.Embedding:
    table = nn.Embedding(n_rows, width)
    nn.init.normal_(table.weight, std=_SPREAD)
    return table
