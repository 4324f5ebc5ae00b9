"""Genes written token by token: element, then site symmetry, then enumeration.

Many genes are written at once. After every token those that stopped leave; the others
have all the same length, so that nothing needs to be masked in attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional

from wyckflow.ml.transformer.choices import PositionTensors, Room, Rules
from wyckflow.ml.transformer.network import (
    FORBIDDEN,
    FROM_DATA,
    Memory,
    Parts,
    TransformerNetwork,
    join_presence,
)
from wyckflow.ml.transformer.tokens import (
    MASKED_ELEMENT,
    MASKED_ENUMERATION,
    MASKED_SYMMETRY,
    N_ENUMERATIONS,
    STOP,
    load_token_tables,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.mpvae.limits import DecodingLimits


class Chooser(Protocol):
    """Who decides, of the possible choices, what comes next."""

    def element(self, walk: Walk, rows: Tensor, scores: Tensor) -> Tensor:
        """Return STOP or an atomic number per row."""
        ...

    def symmetry(
        self, walk: Walk, rows: Tensor, scores: Tensor, element: Tensor
    ) -> Tensor:
        """Return a site symmetry per row."""
        ...

    def enumeration(
        self, walk: Walk, rows: Tensor, scores: Tensor, symmetry: Tensor
    ) -> Tensor:
        """Return an enumeration per row."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Written:
    """Genes that were written.

    Attributes
    ----------
    element, letter
        In the order of writing (n, L), zero behind the end.
    n_sites
        Number of sites (n,).
    log_probability
        Of the tokens in this order, STOP included, given the space group, by the
        network without limits, temperature or guidance (n,).
    """

    element: Tensor
    letter: Tensor
    n_sites: Tensor
    log_probability: Tensor


class Walk:
    """Genes while they are written.

    Parameters
    ----------
    network
        A trained network.
    tables
        Of all groups.
    group
        Space-group numbers (n,).
    conditions
        Scaled properties to ask for, not-a-number for none (n, conditions).
    guidance
        How far to go beyond what the conditions say: 0 takes them as they are, 1 as far
        again as they lead away from no condition.
    """

    def __init__(
        self,
        network: TransformerNetwork,
        tables: PositionTensors,
        group: Tensor,
        conditions: Tensor,
        *,
        guidance: float = 0.0,
    ) -> None:
        self.network, self.tables, self.group = network, tables, group
        self.guidance = guidance
        origin = torch.full_like(group, FROM_DATA)
        asked = [conditions]
        if guidance:
            asked.append(torch.full_like(conditions, torch.nan))
        self.bases = torch.stack([network.base(group, origin, one) for one in asked])
        self.room = Room(tables, group)
        n, device = len(group), group.device
        self.symmetries = torch.zeros(
            n, load_token_tables().n_symmetries, device=device
        )
        self.enumerations = torch.zeros(n, N_ENUMERATIONS, device=device)
        self.log_probability = torch.zeros(n, device=device)
        self.tokens: list[Tensor] = []
        self.elements: list[Tensor] = []
        self.letters: list[Tensor] = []

    def run(self, chooser: Chooser) -> Written:
        """Write all genes to their ends.

        Parameters
        ----------
        chooser
            Decides; it must come to STOP.
        """
        rows = torch.arange(len(self.group), device=self.group.device)
        network = self.network
        for place in count():
            memory, presence = self._read(rows)
            ask = _Question(self, rows, memory, presence)
            scores, own = ask(network.score_elements, self._possible_elements(place))
            element = chooser.element(self, rows, scores)
            self._count(rows, own, element)
            goes_on = (element != STOP).nonzero()[:, 0]
            if not len(goes_on):
                break
            rows, element = rows[goes_on], element[goes_on]
            ask = ask.take(goes_on, rows, element)
            free = self.room.is_free[rows]
            has = self.tables.has_symmetry[self.group[rows]]
            possible = (free[..., None] & has).any(1)
            scores, own = ask(network.score_symmetries, possible)
            symmetry = chooser.symmetry(self, rows, scores, element)
            self._count(rows, own, symmetry)
            ask.symmetry = symmetry
            letters = self.tables.letter[self.group[rows], symmetry]
            possible = (letters >= 0) & free.gather(1, letters.clamp(min=0))
            scores, own = ask(network.score_enumerations, possible)
            enumeration = chooser.enumeration(self, rows, scores, symmetry)
            self._count(rows, own, enumeration)
            self._write(rows, element, symmetry, enumeration)
        return self._finish()

    def _read(self, rows: Tensor) -> tuple[Memory, Tensor]:
        """Read the tokens so far, all forms of asking one behind the other."""
        base = self.bases[:, rows]
        known = [base + self.network.start, *(base + t[rows] for t in self.tokens)]
        memory = self.network.remember(torch.stack(known, 2).flatten(0, 1))
        presence = join_presence(
            self.room.atoms[rows], self.symmetries[rows], self.enumerations[rows]
        )
        return memory, presence

    def _possible_elements(self, place: int) -> Tensor:
        mask = torch.ones_like(self.room.atoms[:1], dtype=torch.bool)
        mask[:, STOP] = place > 0
        return mask

    def _count(self, rows: Tensor, own: Tensor, choice: Tensor) -> None:
        self.log_probability[rows] += own.gather(1, choice[:, None])[:, 0]

    def _write(
        self, rows: Tensor, element: Tensor, symmetry: Tensor, enumeration: Tensor
    ) -> None:
        """Put a whole token into each of some genes."""
        group = self.group[rows]
        letter = self.tables.letter[group, symmetry, enumeration]
        self.room.take(rows, element, letter)
        self.symmetries[rows, symmetry] += 1
        self.enumerations[rows, enumeration] += 1
        embedded = self.network.embed(
            group, Parts(element, symmetry, enumeration, letter)
        )
        token = torch.zeros_like(self.bases[0])
        token[rows] = embedded
        self.tokens.append(token)
        for column, value in ((self.elements, element), (self.letters, letter)):
            whole = torch.zeros_like(self.group)
            whole[rows] = value
            column.append(whole)

    def _finish(self) -> Written:
        def table(columns: list[Tensor]) -> Tensor:
            return torch.stack(columns or [torch.zeros_like(self.group)], 1)

        return Written(
            element=table(self.elements),
            letter=table(self.letters),
            n_sites=self.room.n_sites,
            log_probability=self.log_probability,
        )


class _Question:
    """An unfinished token of some genes, and what is known of them."""

    def __init__(
        self, walk: Walk, rows: Tensor, memory: Memory, presence: Tensor
    ) -> None:
        self.walk, self.rows = walk, rows
        self.memory, self.presence = memory, presence
        self.element = torch.full_like(rows, MASKED_ELEMENT)
        self.symmetry = torch.full_like(rows, MASKED_SYMMETRY)

    def take(self, kept: Tensor, rows: Tensor, element: Tensor) -> _Question:
        """Return the question for some of the genes, with an element."""
        shift = len(self.rows) * torch.arange(len(self.walk.bases))[:, None]
        places = (kept + shift.to(kept.device)).flatten()
        memory = [(keys[places], values[places]) for keys, values in self.memory]
        taken = _Question(self.walk, rows, memory, self.presence[kept])
        taken.element = element
        return taken

    def __call__(
        self, score: Callable[[Tensor, Tensor], Tensor], possible: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return scores, guided, and the network's own logarithms of probability."""
        walk, group = self.walk, self.walk.group[self.rows]
        unknown = torch.full_like(group, MASKED_ENUMERATION)
        parts = Parts(self.element, self.symmetry, unknown, torch.zeros_like(group))
        token = walk.network.embed(group, parts) + walk.bases[:, self.rows]
        state = walk.network.ask(token.flatten(0, 1), self.memory)
        state = state.unflatten(0, (len(walk.bases), -1))
        scores = score(state, self.presence).masked_fill(~possible, FORBIDDEN)
        own = functional.log_softmax(scores, -1)
        if not walk.guidance:
            return own[0], own[0]
        return own[0] + walk.guidance * (own[0] - own[1]), own[0]


class Draw:
    """Draws at random, within limits.

    Parameters
    ----------
    rules
        What is allowed.
    temperature
        1 draws as the network believes, less draws more of what it thinks likely, 0
        takes the likeliest choice every time.
    generator
        Decides.
    """

    def __init__(
        self, rules: Rules, temperature: float, generator: torch.Generator
    ) -> None:
        self.rules, self.temperature, self.generator = rules, temperature, generator

    def element(self, walk: Walk, rows: Tensor, scores: Tensor) -> Tensor:
        """Draw STOP or an element."""
        return self._draw(scores, self.rules.elements(walk.room, rows))

    def symmetry(
        self, walk: Walk, rows: Tensor, scores: Tensor, element: Tensor
    ) -> Tensor:
        """Draw a site symmetry for which there is room."""
        self._letters = self.rules.letters(walk.room, rows, element)
        has = walk.tables.has_symmetry[walk.group[rows]]
        return self._draw(scores, (self._letters[..., None] & has).any(1))

    def enumeration(
        self, walk: Walk, rows: Tensor, scores: Tensor, symmetry: Tensor
    ) -> Tensor:
        """Draw an enumeration for which there is room."""
        letters = walk.tables.letter[walk.group[rows], symmetry]
        fits = self._letters.gather(1, letters.clamp(min=0))
        return self._draw(scores, (letters >= 0) & fits)

    def _draw(self, scores: Tensor, allowed: Tensor) -> Tensor:
        if not self.temperature:
            return scores.masked_fill(~allowed, FORBIDDEN).argmax(-1)
        # Masked after the division: a high temperature would let the others in again.
        limited = (scores / self.temperature).masked_fill(~allowed, -torch.inf)
        weights = functional.softmax(limited, -1)
        drawn: Tensor = torch.multinomial(weights, 1, generator=self.generator)[:, 0]
        return drawn


class Repeat:
    """Writes given genes, to learn how likely they are.

    Parameters
    ----------
    element, symmetry, enumeration
        In the order of writing (n, L); the element is STOP behind the end.
    """

    def __init__(self, element: Tensor, symmetry: Tensor, enumeration: Tensor) -> None:
        self.parts = [
            functional.pad(part, (0, 1)) for part in (element, symmetry, enumeration)
        ]

    def element(self, walk: Walk, rows: Tensor, scores: Tensor) -> Tensor:
        """Return the element that comes next."""
        del scores
        return self.parts[0][rows, walk.room.n_sites[rows]]

    def symmetry(
        self, walk: Walk, rows: Tensor, scores: Tensor, element: Tensor
    ) -> Tensor:
        """Return its site symmetry."""
        del scores, element
        return self.parts[1][rows, walk.room.n_sites[rows]]

    def enumeration(
        self, walk: Walk, rows: Tensor, scores: Tensor, symmetry: Tensor
    ) -> Tensor:
        """Return its enumeration."""
        del scores, symmetry
        return self.parts[2][rows, walk.room.n_sites[rows]]


def draw_groups(
    scores: Tensor,
    n: int,
    limits: DecodingLimits,
    known_elements: NDArray[np.bool_],
    generator: torch.Generator,
) -> Tensor:
    """Draw space groups in which there are genes within the limits.

    Parameters
    ----------
    scores
        Logarithms of how often each group comes (231,).
    n
        How many to draw.
    limits
        What the genes must be like.
    known_elements
        Atomic numbers that may come (119,).
    generator
        Decides.
    """
    rules = Rules(limits, known_elements, scores.device)
    allowed = rules.groups(PositionTensors.load(scores.device))
    weights = functional.softmax(scores.masked_fill(~allowed, -torch.inf), -1)
    drawn: Tensor = torch.multinomial(weights, n, replacement=True, generator=generator)
    return drawn
