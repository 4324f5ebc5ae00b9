"""Points of the latent space to genes: space group, then letters, then elements.

The decoder is told how noisy its latent is (the *level*). At level 0 it reads back the
gene that was encoded; at level 1 the latent says nothing, and the decoder makes up
genes like those it was trained on; between, it makes relatives of a gene, close ones or
far ones. One network does all three because it is trained at all levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from wyckflow.crystal.elements import N_ATOMIC_NUMBERS
from wyckflow.crystal.tables import N_SPACE_GROUPS
from wyckflow.ml.codec.arrangement import MAX_SPECIES, N_FLAGS
from wyckflow.ml.codec.tables import N_LETTERS
from wyckflow.ml.mpvae.layers import (
    AttentionBlock,
    ElementTable,
    GroupTable,
    PositionTable,
    SiteCode,
)

if TYPE_CHECKING:
    from torch import Tensor

    from wyckflow.ml.codec.arrangement import Arrangement
    from wyckflow.ml.mpvae.config import NetworkConfig

N_ORIGINS: Final = 3
"""Where a training gene came from: the data, similar elements, random elements."""

FROM_DATA, FROM_SIMILAR, FROM_RANDOM = 0, 1, 2

_MAX_PLACES: Final = 64
_POSITION_WIDTH: Final = 48
_ELEMENT_WIDTH: Final = 64
_ALL_NOISE: Final = 0.999


@dataclass(frozen=True, eq=False, slots=True)
class Conditions:
    """What the latent and its level add to the tokens.

    Attributes
    ----------
    prefix
        Tokens in front of all others (n, prefix, width).
    everywhere
        Added to every token (n, width).
    group
        Added where the space group is decided (n, width).
    element
        Added where the element of each species is decided (n, `MAX_SPECIES`, width).
    """

    prefix: Tensor
    everywhere: Tensor
    group: Tensor
    element: Tensor


@dataclass(frozen=True, eq=False, slots=True)
class Logits:
    """Scores of all choices of a batch of genes, given all that stands before.

    Attributes
    ----------
    group
        (n, 231).
    site
        Letter and flag together (n, L, 27 * 3).
    element
        (n, species, 119).
    """

    group: Tensor
    site: Tensor
    element: Tensor


class GeneDecoder(nn.Module):
    """An autoregressive network whose tokens are the parts of a gene."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, latent = config.width, config.latent
        self.width, self.n_prefix = width, config.n_prefix
        self.n_heads = config.n_heads
        self.dropout = nn.Dropout(config.decoder_dropout)
        # The latent.
        self.to_prefix = nn.Linear(latent, config.n_prefix * width)
        self.to_all = nn.Linear(latent, width)
        self.to_group = nn.Linear(latent, width)
        self.to_elements = nn.Linear(latent, MAX_SPECIES * width)
        self.level = nn.Sequential(
            nn.Linear(3, width), nn.GELU(), nn.Linear(width, width)
        )
        self.origin = nn.Embedding(N_ORIGINS, width)
        # What is read.
        self.start = nn.Parameter(torch.randn(width) * 0.3)
        self.groups = GroupTable(width)
        self.positions = PositionTable(width)
        self.elements = ElementTable(width)
        self.flags = nn.Embedding(N_FLAGS, width)
        self.species = nn.Embedding(MAX_SPECIES, width)
        self.place_of_site = nn.Embedding(_MAX_PLACES, width)
        self.place_of_element = nn.Embedding(MAX_SPECIES, width)
        self.size = nn.Linear(3, width)
        self.written = SiteCode(width)
        self.from_written = nn.Linear(width, width)
        self.stoichiometry = nn.Linear(3 + MAX_SPECIES, width)
        self.chosen = nn.Linear(self.elements.features.shape[1], width)
        self.blocks = nn.ModuleList(
            AttentionBlock(width, config.n_heads, config.decoder_dropout)
            for _ in range(config.n_decoder_layers)
        )
        self.norm = nn.LayerNorm(width)
        # What is decided.
        self.group_scores = nn.Linear(width, N_SPACE_GROUPS + 1)
        self.site_query = nn.Linear(width, N_FLAGS * _POSITION_WIDTH)
        self.site_table = PositionTable(_POSITION_WIDTH)
        self.site_bias = nn.Linear(width, N_LETTERS * N_FLAGS)
        self.element_query = nn.Linear(width, _ELEMENT_WIDTH)
        self.element_table = ElementTable(_ELEMENT_WIDTH)
        self.element_bias = nn.Linear(width, N_ATOMIC_NUMBERS)
        for bias in (self.site_bias, self.element_bias):
            nn.init.zeros_(bias.weight)

    # --- teacher forcing ---------------------------------------------------------

    def forward(
        self, latent: Tensor, level: Tensor, origin: Tensor, genes: Arrangement
    ) -> Logits:
        """Score every choice in genes, given what stands before it.

        Parameters
        ----------
        latent
            (n, latent), noise of the level included.
        level
            0 to 1, (n,).
        origin
            `FROM_DATA` and others, (n,).
        genes
            What is scored.
        """
        conditions = self.condition(latent, level, origin)
        n_sites, n_species = genes.letter.shape[1], genes.n_species
        sites = self.site_tokens(genes)
        group = self.groups()[genes.space_group]
        x = torch.cat(
            [
                conditions.prefix,
                self.group_input(conditions)[:, None],
                self.site_inputs(conditions, group, sites),
                self.element_inputs(conditions, group, sites, genes, n_species),
            ],
            1,
        )
        mask = self._mask(genes, n_species)
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)[:, self.n_prefix :]
        return Logits(
            group=self.score_groups(x[:, 0]),
            site=self.score_sites(x[:, 1 : 1 + n_sites], genes.space_group),
            element=self.score_elements(x[:, 1 + n_sites :]),
        )

    def _mask(self, genes: Arrangement, n_species: int) -> Tensor:
        """Say which token may see which: the prefix, and what stands before."""
        n, device = len(genes), genes.mask.device
        whole = torch.ones(n, self.n_prefix + 1, dtype=torch.bool, device=device)
        is_species = genes.element[:, :n_species] > 0
        is_token = torch.cat([whole, genes.mask, is_species], 1)
        length = is_token.shape[1]
        before = torch.ones(length, length, dtype=torch.bool, device=device).tril()
        before[: self.n_prefix, : self.n_prefix] = True
        itself = torch.eye(length, dtype=torch.bool, device=device)
        return ((before & is_token[:, None]) | itself)[:, None]

    # --- tokens ------------------------------------------------------------------

    def condition(self, latent: Tensor, level: Tensor, origin: Tensor) -> Conditions:
        """Turn a latent and its level into what is added to the tokens."""
        is_noise = level > _ALL_NOISE
        # At level 1 the latent is noise: what it says must not reach the tokens.
        latent = latent * (~is_noise)[:, None]
        about = torch.stack([level, (1 - level) ** 2, is_noise.to(level.dtype)], -1)
        told = self.level(about) + self.origin(origin)
        prefix = self.to_prefix(latent).view(-1, self.n_prefix, self.width)
        return Conditions(
            prefix=prefix + told[:, None],
            everywhere=self.to_all(latent) + told,
            group=self.to_group(latent),
            element=self.to_elements(latent).view(-1, MAX_SPECIES, self.width),
        )

    def group_input(self, conditions: Conditions) -> Tensor:
        """Return the token at which the space group is decided (n, width)."""
        return self.start + conditions.everywhere + conditions.group

    def site_tokens(self, genes: Arrangement) -> Tensor:
        """Describe every site, and all that was written up to it (n, L, width)."""
        group, letter, mask = genes.space_group, genes.letter, genes.mask
        sites = (
            self.positions(group[:, None].expand_as(letter), letter)
            + self.flags(genes.flag)
            + self.species(genes.species)
        )
        written = self.written(group, letter, genes.species, mask).cumsum(1)
        atoms = genes.multiplicity.float()
        return sites + self.from_written(written) + self.size(size_numbers(atoms))

    def site_inputs(
        self, conditions: Conditions, group: Tensor, sites: Tensor
    ) -> Tensor:
        """Return the tokens at which sites are decided: each knows the one before."""
        before = torch.zeros_like(sites)
        before[:, 1:] = sites[:, :-1]
        places = torch.arange(sites.shape[1], device=sites.device)
        return (
            before
            + (group + conditions.everywhere)[:, None]
            + self.place_of_site(places.clamp(max=_MAX_PLACES - 1))
        )

    def element_inputs(
        self,
        conditions: Conditions,
        group: Tensor,
        sites: Tensor,
        genes: Arrangement,
        n_species: int,
    ) -> Tensor:
        """Return the tokens at which elements are decided (n, species, width)."""
        final = (genes.mask.sum(1) - 1)[:, None, None].expand(-1, 1, self.width)
        template = sites.gather(1, final)
        own = self.species_tokens(genes)[:, :n_species]
        return (
            own
            + template
            + (group + conditions.everywhere)[:, None]
            + (conditions.element[:, :n_species])
        )

    def species_tokens(self, genes: Arrangement) -> Tensor:
        """Describe every species: how much of it, and the elements before it."""
        atoms = genes.n_atoms.float()
        share = atoms / atoms.sum(1, keepdim=True)
        numbers = torch.cat(
            [
                share[..., None],
                atoms.clamp(min=1).log()[..., None] / 4,
                genes.n_sites.float()[..., None] / 8,
                share[:, None].expand(-1, MAX_SPECIES, -1),
            ],
            -1,
        )
        names = self.elements()[genes.element]
        features = share[..., None] * self.elements.features[genes.element]
        before = torch.zeros_like(names)
        before[:, 1:] = names[:, :-1]
        chosen = torch.zeros_like(features)
        chosen[:, 1:] = features.cumsum(1)[:, :-1]
        places = self.place_of_element.weight
        return self.stoichiometry(numbers) + self.chosen(chosen) + before + places

    # --- decisions ---------------------------------------------------------------

    def score_groups(self, x: Tensor) -> Tensor:
        """Return the scores of the space groups."""
        scores: Tensor = self.group_scores(x)
        return scores

    def score_sites(self, x: Tensor, group: Tensor) -> Tensor:
        """Return the scores of letter and flag (n, places, 27 * 3)."""
        n, length, _ = x.shape
        query = self.site_query(x).view(n, length, N_FLAGS, _POSITION_WIDTH)
        scores = torch.einsum("blfd,bcd->blcf", query, self.site_table.of_groups(group))
        scaled: Tensor = scores.flatten(2) / math.sqrt(_POSITION_WIDTH)
        return scaled + self.site_bias(x)

    def score_elements(self, x: Tensor) -> Tensor:
        """Return the scores of the elements (n, places, 119)."""
        scores = self.element_query(x) @ self.element_table().T
        scaled: Tensor = scores / math.sqrt(_ELEMENT_WIDTH) + self.element_bias(x)
        return scaled


def size_numbers(atoms: Tensor) -> Tensor:
    """Describe how large sites are, and all up to each of them (n, L, 3)."""
    so_far = atoms.cumsum(1)
    return torch.stack(
        [
            atoms.clamp(min=1).log() / 3,
            so_far.clamp(min=1).log() / 4,
            so_far / 50,
        ],
        -1,
    )
