"""What the loop needs to train the transformer: unfinished genes, and what comes next.

A gene is drawn in one of its equivalent descriptions and in a random order of its
sites, and cut somewhere. What is before the cut is known; every site behind it may come
next with the same right. So the element has as many right answers as remain, and site
symmetry and enumeration are asked for each remaining site: the mean over all orders,
not a sample of it. (The options ``augment`` and ``shuffle`` switch either off, which
shows what they are worth.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch.nn import functional

from wyckflow.crystal.tables import NormalizerKind
from wyckflow.ml.training.substitution import similar_elements, substitute
from wyckflow.ml.transformer.choices import PositionTensors
from wyckflow.ml.transformer.likelihood import fixed_order
from wyckflow.ml.transformer.network import (
    FORBIDDEN,
    FROM_DATA,
    FROM_SIMILAR,
    Parts,
    count_presence,
)
from wyckflow.ml.transformer.tokens import (
    MASKED_ELEMENT,
    MASKED_ENUMERATION,
    MASKED_SYMMETRY,
    STOP,
    GeneTokens,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.codec.sites import SiteTensors
    from wyckflow.ml.training.rows import Scaler, TrainingRows
    from wyckflow.ml.transformer.config import TransformerConfig
    from wyckflow.ml.transformer.network import TransformerNetwork

_LOOK_BATCH: Final = 256
_LOOK_PREFIXES: Final = 3
_SIMILAR_CHANCE: Final = 0.6


@dataclass(frozen=True, eq=False, slots=True)
class Unfinished:
    """Genes with the sites that are known, and those that are not yet.

    Attributes
    ----------
    group, origin, conditions
        As the network takes them.
    element, symmetry, enumeration, letter
        Of all sites (n, L).
    is_site, is_known, is_next
        Where there is a site, which of them come before the cut, and which may come
        next (n, L).
    """

    group: Tensor
    origin: Tensor
    conditions: Tensor
    element: Tensor
    symmetry: Tensor
    enumeration: Tensor
    letter: Tensor
    is_site: Tensor
    is_known: Tensor
    is_next: Tensor


class NextTokenLoss:
    """The surprise at what comes next, in nats per gene.

    Parameters
    ----------
    network
        Whose.
    """

    def __init__(self, network: TransformerNetwork) -> None:
        self.network = network
        self.tables = PositionTensors.load(network.start.device)

    def __call__(self, genes: Unfinished) -> Tensor:
        """Return the surprise of each gene (n,), scaled up from one cut to all.

        Parameters
        ----------
        genes
            Each cut at one of its ``sites + 1`` places.
        """
        states, presence = self._read(genes)
        length = genes.element.shape[1]
        element = self._elements(genes, states[:, -1], presence)
        wide = presence[:, None]
        free = self._free_letters(genes)
        symmetry = self._symmetries(genes, states[:, 1 : 1 + length], wide, free)
        enumeration = self._enumerations(
            genes, states[:, 1 + length : 1 + 2 * length], wide, free
        )
        per_site = torch.where(genes.is_next, symmetry + enumeration, 0.0).sum(1)
        n_next = genes.is_next.sum(1)
        once = element + per_site / n_next.clamp(min=1)
        surprise: Tensor = once * (genes.is_site.sum(1) + 1)
        return surprise

    def _read(self, genes: Unfinished) -> tuple[Tensor, Tensor]:
        """Return states (start, sites, enumerations, element), and what is present."""
        network, group = self.network, genes.group
        base = network.base(group, genes.origin, genes.conditions)[:, None]
        known, letter = genes.is_known, genes.letter
        nothing = torch.zeros_like(letter[:, :1])
        # A site behind the cut stands twice: with its element, and with its symmetry.
        parts = Parts(
            element=torch.cat(
                [genes.element, genes.element, nothing + MASKED_ELEMENT], 1
            ),
            symmetry=torch.cat(
                [
                    torch.where(known, genes.symmetry, MASKED_SYMMETRY),
                    genes.symmetry,
                    nothing + MASKED_SYMMETRY,
                ],
                1,
            ),
            enumeration=torch.cat(
                [
                    torch.where(known, genes.enumeration, MASKED_ENUMERATION),
                    torch.full_like(letter, MASKED_ENUMERATION),
                    nothing + MASKED_ENUMERATION,
                ],
                1,
            ),
            letter=torch.cat([letter, letter, nothing], 1),
        )
        tokens = network.embed(group[:, None].expand_as(parts.letter), parts) + base
        x = torch.cat([base + network.start, tokens], 1)
        is_seen = functional.pad(known, (1, 0), value=True)
        is_seen = functional.pad(is_seen, (0, x.shape[1] - is_seen.shape[1]))
        own = Parts(genes.element, genes.symmetry, genes.enumeration, letter)
        presence = count_presence(group, own, known, self.tables.multiplicity)
        return network.read(x, is_seen), presence

    def _elements(self, genes: Unfinished, state: Tensor, presence: Tensor) -> Tensor:
        """Return the surprise at the element, of which all that may come are right."""
        scores = self.network.score_elements(state, presence)
        is_next = genes.is_next.float()
        wanted = torch.zeros_like(scores)
        wanted.scatter_add_(1, torch.where(genes.is_site, genes.element, 0), is_next)
        n_next = is_next.sum(1, keepdim=True)
        wanted[:, STOP] += (n_next == 0)[:, 0].float()
        wanted = wanted / n_next.clamp(min=1)
        is_empty = ~genes.is_known.any(1)
        cannot_stop = functional.one_hot(
            torch.zeros_like(genes.group), scores.shape[1]
        ).bool()
        scores = scores.masked_fill(is_empty[:, None] & cannot_stop, FORBIDDEN)
        surprise: Tensor = -(wanted * functional.log_softmax(scores, -1)).sum(1)
        return surprise

    def _free_letters(self, genes: Unfinished) -> Tensor:
        """Return the letters that a site may still have (n, 27)."""
        exists = self.tables.exists[genes.group]
        fixed = self.tables.is_fixed[genes.group]
        taken = torch.zeros_like(exists, dtype=torch.long)
        taken.scatter_add_(1, genes.letter, genes.is_known.long())
        return exists & ~(fixed & (taken > 0))

    def _symmetries(
        self, genes: Unfinished, states: Tensor, presence: Tensor, free: Tensor
    ) -> Tensor:
        scores = self.network.score_symmetries(states, presence)
        possible = (free[..., None] & self.tables.has_symmetry[genes.group]).any(1)
        scores = scores.masked_fill(~possible[:, None], FORBIDDEN)
        return _surprise(scores, genes.symmetry)

    def _enumerations(
        self, genes: Unfinished, states: Tensor, presence: Tensor, free: Tensor
    ) -> Tensor:
        scores = self.network.score_enumerations(states, presence)
        letters = self.tables.letter[genes.group[:, None], genes.symmetry]
        is_free = free[:, None].expand(-1, letters.shape[1], -1)
        possible = (letters >= 0) & is_free.gather(2, letters.clamp(min=0))
        scores = scores.masked_fill(~possible, FORBIDDEN)
        return _surprise(scores, genes.enumeration.clamp(max=scores.shape[-1] - 1))


class TransformerTask:
    """What the loop needs to train a transformer.

    Parameters
    ----------
    network
        Fresh weights, on the device to train on.
    rows
        Genes, and the properties they can be asked for.
    scaler
        Of the properties.
    config
        Options.
    """

    name = "transformer"

    def __init__(
        self,
        network: TransformerNetwork,
        rows: TrainingRows,
        scaler: Scaler,
        config: TransformerConfig,
    ) -> None:
        self.module, self.rows, self.options = network, rows, config
        self.training = rows.training
        self.n_sites = rows.sites.mask.sum(axis=1)
        self.seed = config.seed
        self.config: dict[str, Any] = {
            "transformer": config.model_dump(mode="json"),
            "conditions": list(rows.names),
            "datasets": list(rows.dataset_ids),
        }
        self.device = str(next(network.parameters()).device)
        self.targets = scaler.scale(rows.values)
        self.similar = similar_elements(rows.known_elements)
        self.next_token = NextTokenLoss(network)

    def loss(self, rows: NDArray[np.int64], generator: np.random.Generator) -> Tensor:
        """Return the surprise at a batch, in nats per gene."""
        options = self.options
        sites = self.rows.sites.take(rows)
        chosen = generator.random(len(rows)) < options.similar_share
        sites, is_similar = substitute(
            sites, self.similar, _SIMILAR_CHANCE * chosen.astype(float), generator
        )
        conditions = hide_conditions(
            # The properties of a gene with other elements are not known.
            np.where(is_similar[:, None], np.nan, self.targets[rows]),
            options.free_share,
            options.hidden_share,
            generator,
        )
        genes = self.cut(sites, is_similar, conditions, options.n_prefixes, generator)
        total: Tensor = self.next_token(genes).mean()
        return total

    def validate(self) -> dict[str, float]:
        """Score validation rows without conditions, and with all that are known."""
        figures = {}
        for name, is_asked in (("free", False), ("asked", True)):
            generator = np.random.default_rng(self.seed)
            rows = self.rows.validation
            parts = np.array_split(rows, 1 + len(rows) // _LOOK_BATCH)
            surprises = [self._look(part, is_asked, generator) for part in parts]
            figures[f"nats_{name}"] = float(torch.cat(surprises).mean())
        return {"score": (figures["nats_free"] + figures["nats_asked"]) / 2, **figures}

    def _look(
        self, rows: NDArray[np.int64], is_asked: bool, generator: np.random.Generator
    ) -> Tensor:
        conditions = self.targets[rows]
        if not is_asked:
            conditions = np.full_like(conditions, np.nan)
        genes = self.cut(
            self.rows.sites.take(rows),
            np.zeros(len(rows), np.bool_),
            conditions,
            _LOOK_PREFIXES,
            generator,
        )
        surprise: Tensor = self.next_token(genes)
        return surprise

    def cut(
        self,
        sites: SiteTensors,
        is_similar: NDArray[np.bool_],
        conditions: NDArray[np.float32],
        n_prefixes: int,
        generator: np.random.Generator,
    ) -> Unfinished:
        """Describe genes anew and cut each several times, in orders of their sites.

        Parameters
        ----------
        sites
            The genes.
        is_similar
            Which have other elements than a crystal (n,).
        conditions
            Scaled properties (n, conditions).
        n_prefixes
            How often to cut each; the lengths are spread evenly.
        generator
            Decides.
        """
        if self.options.augment:
            sites = sites.permuted(generator, kind=NormalizerKind.AUGMENTATION)
        sites = sites.trimmed()
        n = len(sites)
        rows = np.tile(np.arange(n), n_prefixes)
        tokens = GeneTokens.from_sites(sites.take(rows))
        n_sites = tokens.mask.sum(axis=1)
        shift = np.repeat(np.arange(n_prefixes), n)
        where = (generator.random(n)[rows] + shift) / n_prefixes
        n_known = (where * (n_sites + 1)).astype(np.int64)
        if self.options.shuffle:
            draws = np.where(tokens.mask, generator.random(tokens.mask.shape), 2.0)
            order = draws.argsort(axis=1)
        else:
            order = fixed_order(sites)[rows]
        rank = order.argsort(axis=1)
        is_known = tokens.mask & (rank < n_known[:, None])
        is_next = tokens.mask & ~is_known
        if not self.options.shuffle:
            is_next &= rank == n_known[:, None]
        origin = np.where(is_similar, FROM_SIMILAR, FROM_DATA)[rows]
        arrays = (
            tokens.space_group,
            origin,
            conditions[rows].astype(np.float32),
            tokens.element,
            tokens.symmetry,
            tokens.enumeration,
            sites.letter[rows],
            tokens.mask,
            is_known,
            is_next,
        )
        return Unfinished(*(torch.as_tensor(x, device=self.device) for x in arrays))


def hide_conditions(
    conditions: NDArray[np.float32],
    free_share: float,
    hidden_share: float,
    generator: np.random.Generator,
) -> NDArray[np.float32]:
    """Leave conditions out, so that the network also knows how genes are without.

    Parameters
    ----------
    conditions
        Scaled properties (n, conditions).
    free_share
        Share of genes of which all are left out.
    hidden_share
        Chance of each of the others.
    generator
        Decides.
    """
    is_free = generator.random((len(conditions), 1)) < free_share
    is_hidden = generator.random(conditions.shape) < hidden_share
    return np.where(is_free | is_hidden, np.nan, conditions).astype(np.float32)


def _surprise(scores: Tensor, wanted: Tensor) -> Tensor:
    """Return minus the logarithm of the probability of what was wanted."""
    surprise: Tensor = -functional.log_softmax(scores, -1).gather(
        -1, wanted[..., None]
    )[..., 0]
    return surprise
