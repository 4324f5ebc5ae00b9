"""Genes from latents, one choice at a time, where only existing genes can be chosen.

Before every choice the impossible ones are taken out: letters that the group does not
have, a fixed point twice, more atoms than allowed, a letter after which the gene could
not be finished, an element out of order. What remains can be refused for one reason
only: a limit on the elements asks for another species and no position is left for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import torch
from torch.nn import functional

from wyckflow.crystal.tables import N_SPACE_GROUPS
from wyckflow.ml.codec.arrangement import (
    END,
    FORMULA_RANK,
    MAX_SPECIES,
    N_FLAGS,
    NEXT,
    SAME,
    Arrangement,
)
from wyckflow.ml.codec.tables import N_LETTERS, load_position_tables
from wyckflow.ml.generator import GeneBatch, Rejection
from wyckflow.ml.mpvae.decoder import FROM_DATA, size_numbers
from wyckflow.ml.mpvae.losses import FORBIDDEN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.mpvae.decoder import Conditions, GeneDecoder
    from wyckflow.ml.mpvae.limits import DecodingLimits

_SPARE_SLOTS: Final = 4
_NO_ATOMS: Final = 1 << 14
"""More than any cell has: the multiplicity of a letter that is not there."""


@dataclass(frozen=True, eq=False, slots=True)
class Decoded:
    """Genes that were decoded.

    Attributes
    ----------
    genes
        The genes; rows that failed hold nothing of use.
    log_probability
        Natural logarithm of the probability that the decoder, unlimited, gives each.
    is_complete
        Which rows are genes; the others came to a dead end.
    """

    genes: Arrangement
    log_probability: Tensor
    is_complete: Tensor

    def to_batch(self, seed_index: NDArray[np.int64]) -> GeneBatch:
        """Return those that are genes, and count the others.

        Parameters
        ----------
        seed_index
            Which latent each row came from, -1 for none.
        """
        complete = self.is_complete.cpu().numpy()
        numbers, codes = self.genes.codes
        return GeneBatch(
            space_group_numbers=numbers[complete],
            codes=codes[complete],
            log_probability=self.log_probability.double().cpu().numpy()[complete],
            seed_index=seed_index[complete],
            rejections={Rejection.NO_POSITION_LEFT: int((~complete).sum())},
        )


def decode(
    decoder: GeneDecoder,
    latent: Tensor,
    level: Tensor,
    limits: DecodingLimits,
    known_elements: NDArray[np.bool_],
    *,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    group_scores: Tensor | None = None,
) -> Decoded:
    """Write one gene per latent.

    Parameters
    ----------
    decoder
        A trained decoder.
    latent
        (n, latent), noise of the level included.
    level
        How noisy each latent is, 0 to 1, (n,).
    limits
        What the genes must be like.
    known_elements
        Atomic numbers that may come unless the limits name others (119,).
    temperature
        1 draws as the decoder believes, less draws more of what it thinks likely, 0
        takes the likeliest choice every time.
    generator
        Decides the draws.
    group_scores
        Scores of the space groups (231,) that replace those of the network.
    """
    with torch.no_grad():
        writer = _Writer(
            decoder,
            latent,
            level,
            limits=limits,
            temperature=temperature,
            generator=generator,
        )
        writer.choose_groups(group_scores)
        writer.choose_sites(known_elements)
        return writer.finish()


class _Writer:
    """A batch of genes while they are written."""

    def __init__(
        self,
        decoder: GeneDecoder,
        latent: Tensor,
        level: Tensor,
        *,
        limits: DecodingLimits,
        temperature: float,
        generator: torch.Generator | None,
    ) -> None:
        self.decoder, self.limits = decoder, limits
        self.temperature, self.generator = temperature, generator
        self.n, self.device = len(latent), latent.device
        origin = self._filled(FROM_DATA)
        self.conditions: Conditions = decoder.condition(latent, level, origin)
        tables = load_position_tables()
        self.multiplicity = torch.as_tensor(
            tables.multiplicity.astype("int64"), device=self.device
        )
        self.is_fixed = torch.as_tensor(
            (tables.degrees_of_freedom == 0) & tables.exists, device=self.device
        )
        self.log_probability = torch.zeros(self.n, device=self.device)
        self.group = self._filled(0)
        shape = (self.n, limits.max_sites)
        self.letter, self.flag, self.species, self.atoms = (
            torch.zeros(shape, dtype=torch.long, device=self.device) for _ in range(4)
        )
        self.n_sites = self._filled(0)
        self.is_complete = torch.zeros(self.n, dtype=torch.bool, device=self.device)
        self.element = torch.zeros(
            self.n, MAX_SPECIES, dtype=torch.long, device=self.device
        )

    def _filled(self, value: int) -> Tensor:
        return torch.full((self.n,), value, dtype=torch.long, device=self.device)

    # --- the three parts of a gene -------------------------------------------------

    def choose_groups(self, group_scores: Tensor | None) -> None:
        """Decide the space groups."""
        first = self.decoder.group_input(self.conditions)[:, None]
        x = torch.cat([self.conditions.prefix, first], 1)
        self.cache, state = _Cache.begin(self.decoder, x)
        scores = self.decoder.score_groups(state)
        if group_scores is not None:
            scores = group_scores.expand_as(scores).clone()
        scores[:, 0] = FORBIDDEN
        allowed = torch.as_tensor(self.limits.group_mask(), device=self.device)
        self.group = self._draw(scores, allowed, slice(None))

    def choose_sites(self, known: NDArray[np.bool_]) -> None:
        """Decide letters and flags, and the elements of each gene at its end.

        Genes that are at their end leave the batch at once: those that go on are then
        all of one length, and nothing needs to be masked.
        """
        decoder, limits, group = self.decoder, self.limits, self.group
        everywhere = torch.arange(N_SPACE_GROUPS + 1, device=self.device)
        self.base = decoder.groups()[group] + self.conditions.everywhere
        self.position_table = decoder.positions.of_groups(everywhere)
        self.written_table = torch.einsum(
            "glc,kcd->kgld",
            decoder.written.table.of_groups(everywhere),
            decoder.written.maps,
        )
        score_table = decoder.site_table.of_groups(everywhere)
        state = _Sites(self.multiplicity[group], self.is_fixed[group], limits)
        may = torch.as_tensor(limits.element_mask(known), device=self.device)
        order = _ElementOrder(may, limits.required_mask(), self.device)
        self.token = torch.zeros_like(self.base)
        self.written = torch.zeros_like(self.base)
        rows = torch.arange(self.n, device=self.device)
        last_place = decoder.place_of_site.num_embeddings - 1
        for place in range(limits.max_sites):
            where = decoder.place_of_site.weight[min(place, last_place)]
            x = self.cache.extend(self.token[rows] + self.base[rows] + where)
            query = decoder.site_query(x).view(len(rows), N_FLAGS, -1)
            scores = torch.einsum("bfd,bcd->bcf", query, score_table[group[rows]])
            scores = scores.flatten(1) / query.shape[-1] ** 0.5 + decoder.site_bias(x)
            # Probabilities are those of the decoder without our limits.
            scores = scores.masked_fill(~state.possible(rows), FORBIDDEN)
            allowed = state.allowed(rows, is_last=place == limits.max_sites - 1)
            lives = allowed.any(1)
            if not bool(lives.all()):
                rows, scores, allowed = rows[lives], scores[lives], allowed[lives]
                self.cache = self.cache.take(lives.nonzero()[:, 0])
            if not len(rows):
                break
            flag = self._occupy(rows, place, self._draw(scores, allowed, rows), state)
            is_end = flag == END
            if bool(is_end.any()):
                done, goes_on = (x.nonzero()[:, 0] for x in (is_end, ~is_end))
                self._choose_elements(rows[done], self.cache.take(done), order)
                rows, self.cache = rows[goes_on], self.cache.take(goes_on)
            if not len(rows):
                break

    def _occupy(
        self, rows: Tensor, place: int, choice: Tensor, state: _Sites
    ) -> Tensor:
        """Write a site into each of some genes; return what follows it."""
        decoder = self.decoder
        letter, flag = choice // N_FLAGS, choice % N_FLAGS
        group, species = self.group[rows], state.species[rows]
        atoms = state.take(rows, letter, flag)
        self.letter[rows, place], self.flag[rows, place] = letter, flag
        self.species[rows, place], self.atoms[rows, place] = species, atoms
        self.n_sites[rows] = place + 1
        written = self.written[rows] + self.written_table[species, group, letter]
        self.written[rows] = written
        sizes = size_numbers(self.atoms[rows, : place + 1].float())[:, -1]
        self.token[rows] = (
            self.position_table[group, letter]
            + decoder.flags(flag)
            + decoder.species(species)
            + decoder.from_written(written)
            + decoder.size(sizes)
        )
        return flag

    def _choose_elements(
        self, rows: Tensor, cache: _Cache, order: _ElementOrder
    ) -> None:
        """Decide the element of every species of finished templates, cations first."""
        decoder = self.decoder
        for place in range(MAX_SPECIES):
            genes = self._arrangement(rows)
            own = decoder.species_tokens(genes)[:, place]
            x = own + self.token[rows] + self.base[rows]
            x = cache.extend(x + self.conditions.element[rows, place])
            scores = decoder.score_elements(x[:, None])[:, 0]
            before = self.element[rows, place - 1] if place else rows * 0
            scores = scores.masked_fill(~order.possible(before), FORBIDDEN)
            left = (genes.n_sites > 0).sum(1) - place - 1
            allowed = order.allowed(before, left)
            lives = allowed.any(1)
            if not bool(lives.all()):
                kept = lives.nonzero()[:, 0]
                rows, left, cache = rows[kept], left[kept], cache.take(kept)
                scores, allowed = scores[kept], allowed[kept]
            self.element[rows, place] = self._draw(scores, allowed, rows)
            self.is_complete[rows[left == 0]] = True
            goes_on = (left > 0).nonzero()[:, 0]
            if not len(goes_on):
                break
            if len(goes_on) < len(rows):
                rows, cache = rows[goes_on], cache.take(goes_on)

    def finish(self) -> Decoded:
        """Return what was written."""
        every = torch.arange(self.n, device=self.device)
        return Decoded(self._arrangement(every), self.log_probability, self.is_complete)

    # --- small things ----------------------------------------------------------------

    def _draw(self, scores: Tensor, allowed: Tensor, rows: Any) -> Tensor:
        """Draw one allowed choice per row, and count its probability."""
        if self.temperature > 0:
            # Masked only now: a high temperature would bring back what is forbidden.
            limited = (scores / self.temperature).masked_fill(~allowed, FORBIDDEN)
            weights = functional.softmax(limited, -1)
            drawn = torch.multinomial(weights, 1, generator=self.generator)
        else:
            limited = scores.masked_fill(~allowed, FORBIDDEN)
            drawn = limited.argmax(-1, keepdim=True)
        own = functional.log_softmax(scores, -1).gather(-1, drawn)[:, 0]
        self.log_probability[rows] += own
        choice: Tensor = drawn[:, 0]
        return choice

    def _arrangement(self, rows: Tensor) -> Arrangement:
        """Put together what is there of some genes so far."""
        n_sites = self.n_sites[rows]
        longest = max(int(n_sites.max()), 1)
        places = torch.arange(longest, device=self.device)
        mask = places < n_sites[:, None]
        species = self.species[rows, :longest]
        atoms = self.atoms[rows, :longest]
        element = self.element[rows]
        empty = torch.zeros_like(element)
        return Arrangement(
            space_group=self.group[rows],
            letter=self.letter[rows, :longest],
            flag=self.flag[rows, :longest],
            species=species,
            multiplicity=atoms,
            mask=mask,
            element=element,
            n_atoms=empty.scatter_add(1, species, atoms),
            n_sites=empty.scatter_add(1, species, mask.long()),
        )


class _Cache:
    """Keys and values of all tokens so far, so that each is computed once."""

    def __init__(self, decoder: GeneDecoder, parts: list[Tensor], length: int) -> None:
        self.decoder, self.parts, self.length = decoder, parts, length

    @classmethod
    def begin(cls, decoder: GeneDecoder, x: Tensor) -> tuple[Self, Tensor]:
        """Read the prefix and the first token; return the state of that (n, width)."""
        n, length, width = x.shape
        mask = torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
        mask[: length - 1, : length - 1] = True
        narrow = width // decoder.n_heads
        parts = []
        for block in decoder.blocks:
            query, key, value = block.project(x)
            part = x.new_empty(n, 2, decoder.n_heads, length + _SPARE_SLOTS, narrow)
            part[:, 0, :, :length], part[:, 1, :, :length] = key, value
            parts.append(part)
            x = block.finish(x, query, key, value, mask)
        return cls(decoder, parts, length), decoder.norm(x[:, -1])

    def extend(self, x: Tensor) -> Tensor:
        """Read one more token of every row; return their state (rows, width)."""
        slot, self.length = self.length, self.length + 1
        if self.length > self.parts[0].shape[3]:
            self.parts = [
                functional.pad(part, (0, 0, 0, _SPARE_SLOTS)) for part in self.parts
            ]
        x = x[:, None]
        for block, part in zip(self.decoder.blocks, self.parts, strict=True):
            query, key, value = block.project(x)
            part[:, 0, :, slot], part[:, 1, :, slot] = key[:, :, 0], value[:, :, 0]
            seen = part[:, :, :, : self.length]
            x = block.finish(x, query, seen[:, 0], seen[:, 1], None)
        state: Tensor = self.decoder.norm(x[:, 0])
        return state

    def take(self, rows: Tensor) -> _Cache:
        """Return the memory of some of the rows."""
        # The memory of a row lies in one piece, so that this copies whole pieces.
        parts = [part.index_select(0, rows) for part in self.parts]
        return _Cache(self.decoder, parts, self.length)


class _Sites:
    """What is taken and what is left of the positions, per gene."""

    def __init__(
        self, multiplicity: Tensor, is_fixed: Tensor, limits: DecodingLimits
    ) -> None:
        n = len(multiplicity)
        self.multiplicity, self.is_fixed = multiplicity, is_fixed
        self.limits = limits
        self.is_free = multiplicity > 0
        self.atoms = torch.zeros_like(multiplicity[:, 0])
        self.species = torch.zeros_like(self.atoms)
        self.least = torch.zeros_like(self.atoms)
        self.letters = torch.arange(N_LETTERS, device=multiplicity.device)
        self.n = n
        elements = limits.elements
        most = min(limits.max_elements, MAX_SPECIES)
        if elements is not None:
            most = min(most, len(elements | limits.required_elements))
        self.most_species = most

    def possible(self, rows: Tensor) -> Tensor:
        """Return the choices that a gene can make at all (rows, 27 * 3)."""
        letters = self.is_free[rows] & (self.letters >= self.least[rows][:, None])
        return letters[..., None].expand(-1, -1, N_FLAGS).flatten(1)

    def allowed(self, rows: Tensor, *, is_last: bool) -> Tensor:
        """Return those after which the gene can be finished within the limits."""
        letters = self.is_free[rows] & (self.letters >= self.least[rows][:, None])
        own = self.multiplicity[rows]
        room = self.limits.max_atoms - self.atoms[rows][:, None] - own
        letters = letters & (room >= 0)
        size = torch.where(self.is_free[rows], own, _NO_ATOMS)
        later = _least_after(size)
        is_fixed = self.is_fixed[rows]
        same = torch.where(is_fixed, later, torch.minimum(later, size))
        others = torch.minimum(later, _least_after(size.flip(1)).flip(1))
        anywhere = torch.where(is_fixed, others, torch.minimum(others, size))
        species = self.species[rows][:, None]
        can_go_on = torch.tensor(not is_last, device=own.device)
        choices = torch.stack(
            [
                letters & (same <= room) & can_go_on,
                letters
                & (anywhere <= room)
                & (species + 1 < self.most_species)
                & can_go_on,
                letters & (species + 1 >= self.limits.least_species),
            ],
            -1,
        )
        return choices.flatten(1)

    def take(self, rows: Tensor, letter: Tensor, flag: Tensor) -> Tensor:
        """Occupy positions; return their multiplicities."""
        taken = self.is_fixed[rows, letter]
        self.is_free[rows[taken], letter[taken]] = False
        atoms = self.multiplicity[rows, letter]
        self.atoms[rows] += atoms
        self.species[rows] += flag == NEXT
        self.least[rows] = torch.where(flag == SAME, letter, 0)
        return atoms


class _ElementOrder:
    """Which elements may follow which, so that all required ones still come."""

    def __init__(self, may: Tensor, must: NDArray[np.bool_], device: Any) -> None:
        self.rank = torch.as_tensor(FORMULA_RANK, device=device)
        self.may = may
        must_ranks = self.rank[torch.as_tensor(must, device=device)]
        # How many elements come after each one: of those allowed, of those required.
        after = self.rank[None] > self.rank[:, None]
        self.n_after = (after & may).sum(1)
        self.n_required_after = (self.rank[:, None] < must_ranks).sum(1)
        self.is_required = torch.as_tensor(must, device=device)

    def possible(self, before: Tensor) -> Tensor:
        """Return the elements of higher rank than the one before."""
        return self.rank > self.rank[before][:, None]

    def allowed(self, before: Tensor, left: Tensor) -> Tensor:
        """Return those with which the remaining species can still be named."""
        required = self.n_required_after[before][:, None]
        # No required element may be passed over.
        passed = required - self.n_required_after - self.is_required.long()
        left = left[:, None]
        return (
            self.possible(before)
            & self.may
            & (passed <= 0)
            & (self.n_required_after <= left)
            & (self.n_after >= left)
        )


def _least_after(sizes: Tensor) -> Tensor:
    """Return the smallest of all entries behind each (rows, letters)."""
    flipped = sizes.flip(1).cummin(1).values.flip(1)
    return functional.pad(flipped[:, 1:], (0, 1), value=_NO_ATOMS)
