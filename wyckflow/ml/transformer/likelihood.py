"""How likely genes are in any order of their sites; and how far the order counts.

A transformer writes one site after another, so that a gene has as many probabilities as
its sites have orders. That of the gene is their sum: the number of orders times the
mean over some of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from math import factorial, log, prod
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from wyckflow.crystal.tables import NormalizerKind
from wyckflow.errors import ModelError
from wyckflow.ml.codec.arrangement import FORMULA_RANK
from wyckflow.ml.codec.tables import load_permutations
from wyckflow.ml.transformer.cascade import Repeat, Walk
from wyckflow.ml.transformer.choices import PositionTensors
from wyckflow.ml.transformer.tokens import GeneTokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.ml.codec.sites import SiteTensors
    from wyckflow.ml.transformer.network import TransformerNetwork

_BATCH: Final = 1024
_MANY: Final = 12
"""Sites from which on there are certainly more orders than anyone averages over."""


@dataclass(frozen=True, eq=False, slots=True)
class OrderSpread:
    """How much the order of the sites matters to a network, in nats.

    Attributes
    ----------
    divergence
        Mean over genes of the logarithm of the probability of the order in which each
        was written, minus the mean over random orders: 0 for a network that does not
        mind.
    error
        Standard error of that.
    entropy
        Minus the mean logarithm of the probability as written.
    spread_over_genes
        Standard deviation of that logarithm over genes.
    spread_over_orders
        Standard deviation over the orders of a gene, averaged over genes.
    n_genes, n_orders
        On how many it rests.
    """

    divergence: float
    error: float
    entropy: float
    spread_over_genes: float
    spread_over_orders: float
    n_genes: int
    n_orders: int


def score_in_order(
    network: TransformerNetwork,
    sites: SiteTensors,
    order: NDArray[np.int64],
    conditions: NDArray[np.float32] | None = None,
) -> NDArray[np.float64]:
    """Return the logarithm of the probability of genes, each written in one order.

    Parameters
    ----------
    network
        A trained network.
    sites
        The genes.
    order
        Which site comes first, second, ... (n, L); what is behind the last does not
        matter.
    conditions
        Scaled properties (n, conditions), not-a-number for none; none at all by
        default.

    Returns
    -------
    numpy.ndarray
        Given the space group, in nats (n,).
    """
    device = network.start.device
    tables = PositionTensors.load(device)
    tokens = GeneTokens.from_sites(sites)
    n = len(sites)
    if conditions is None:
        conditions = np.full((n, network.n_conditions), np.nan, np.float32)
    parts = [
        np.take_along_axis(np.where(tokens.mask, part, 0), order, 1)
        for part in (tokens.element, tokens.symmetry, tokens.enumeration)
    ]
    result = np.zeros(n)
    lengths = np.argsort(tokens.mask.sum(axis=1), kind="stable")
    with torch.no_grad():
        for start in range(0, n, _BATCH):
            rows = lengths[start : start + _BATCH]
            walk = Walk(
                network,
                tables,
                torch.as_tensor(tokens.space_group[rows], device=device),
                torch.as_tensor(conditions[rows], device=device),
            )
            given = (torch.as_tensor(part[rows], device=device) for part in parts)
            written = walk.run(Repeat(*given))
            result[rows] = written.log_probability.double().cpu().numpy()
    return result


def random_orders(
    mask: NDArray[np.bool_], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return a random order of the sites of each gene, padding last (n, L).

    Parameters
    ----------
    mask
        Where there is a site (n, L).
    generator
        Decides.
    """
    draws = np.where(mask, generator.random(mask.shape), 2.0)
    return draws.argsort(axis=1)


def fixed_order(sites: SiteTensors) -> NDArray[np.int64]:
    """Return the one order that a gene's sites have without shuffling (n, L).

    Cations first, as in a formula, then by letter; padding last.

    Parameters
    ----------
    sites
        The genes.
    """
    ranks = np.where(sites.mask, FORMULA_RANK[sites.atomic_number], 1 << 20)
    order: NDArray[np.int64] = np.lexsort((sites.letter, ranks), axis=1)
    return order


def score_genes(
    network: TransformerNetwork,
    sites: SiteTensors,
    *,
    n_orders: int,
    is_any_order: bool,
    is_any_description: bool,
    seed: int,
) -> NDArray[np.float64]:
    """Return the logarithm of the probability of genes in any order of their sites.

    Parameters
    ----------
    network
        A trained network.
    sites
        The genes.
    n_orders
        Random orders to average over. A gene with fewer in all is scored exactly; for
        the others it is an estimate from below, closer with more orders.
    is_any_order
        Whether the network writes sites in any order; one that was trained without
        shuffling writes them in the fixed one, in which alone they are then scored.
    is_any_description
        Whether to add up the equivalent descriptions of a gene, too: each order then
        comes with a description of its own.
    seed
        Decides which orders.

    Returns
    -------
    numpy.ndarray
        Given the space group, in nats (n,).

    Raises
    ------
    ModelError
        If there is no order to average over.
    """
    if n_orders < 1:
        raise ModelError(f"{n_orders=} orders came to average over; give at least 1.")
    if not is_any_order and not is_any_description:
        return score_in_order(network, sites, fixed_order(sites))
    logarithms = log_orders(sites) if is_any_order else np.zeros(len(sites))
    n_sites = sites.mask.sum(axis=1)
    n_all = np.array([factorial(min(n, _MANY)) for n in n_sites.tolist()])
    is_short = n_all <= n_orders
    if is_any_description:
        logarithms += np.log(count_descriptions(sites))
        is_short[:] = False
    scores = np.full((len(sites), n_orders), -np.inf)
    for n in np.unique(n_sites[is_short]).tolist():
        rows = np.flatnonzero(is_short & (n_sites == n))
        scores[rows, : factorial(n)] = _score_all_orders(network, sites.take(rows), n)
    rows = np.flatnonzero(~is_short)
    if len(rows):
        generator = np.random.default_rng(seed)
        scores[rows] = _score_some_orders(
            network,
            sites.take(rows),
            n_orders,
            generator,
            is_any_order=is_any_order,
            is_any_description=is_any_description,
        )
    highest = scores.max(axis=1, keepdims=True)
    counted = np.where(is_short, n_all, n_orders)
    mean = np.exp(scores - highest).sum(axis=1) / counted
    total: NDArray[np.float64] = logarithms + highest[:, 0] + np.log(mean)
    return total


def _score_all_orders(
    network: TransformerNetwork, sites: SiteTensors, n_sites: int
) -> NDArray[np.float64]:
    """Score genes of one length in every order (n, orders)."""
    some = sites.trimmed()
    return np.stack(
        [
            score_in_order(network, some, np.tile(order, (len(some), 1)))
            for order in permutations(range(n_sites))
        ],
        axis=1,
    )


def _score_some_orders(
    network: TransformerNetwork,
    sites: SiteTensors,
    n_orders: int,
    generator: np.random.Generator,
    *,
    is_any_order: bool,
    is_any_description: bool,
) -> NDArray[np.float64]:
    """Score genes several times, in random orders and descriptions if asked."""
    columns = []
    for _ in range(n_orders):
        some = sites.trimmed()
        if is_any_description:
            some = some.permuted(generator, kind=NormalizerKind.AUGMENTATION)
        order = (
            random_orders(some.mask, generator) if is_any_order else fixed_order(some)
        )
        columns.append(score_in_order(network, some, order))
    return np.stack(columns, axis=1)


def log_orders(sites: SiteTensors) -> NDArray[np.float64]:
    """Return the logarithm of how many different orders the sites of each gene have.

    Parameters
    ----------
    sites
        The genes (n,), of any number of sites; alike sites cannot be told apart.
    """
    logarithms = np.zeros(len(sites))
    codes = sites.codes[1]
    for row, (own, mask) in enumerate(zip(codes, sites.mask, strict=True)):
        _, repeats = np.unique(own[mask], return_counts=True)
        alike = prod(factorial(n) for n in repeats.tolist())
        # Whole numbers: from 171 sites on there are more orders than a float holds.
        logarithms[row] = log(factorial(int(mask.sum())) // alike)
    return logarithms


def count_descriptions(sites: SiteTensors) -> NDArray[np.float64]:
    """Return how many different genes are equivalent to each (n,).

    Parameters
    ----------
    sites
        The genes.
    """
    n_images, images = load_permutations(NormalizerKind.AUGMENTATION)
    counts = np.ones(len(sites))
    for row, number in enumerate(sites.space_group.tolist()):
        mask = sites.mask[row]
        letters = images[number, : n_images[number]][:, sites.letter[row][mask]]
        pairs = sites.atomic_number[row][mask] * 32 + letters.astype(np.int64)
        counts[row] = len(np.unique(np.sort(pairs, axis=1), axis=0))
    return counts


def measure_order(
    network: TransformerNetwork,
    sites: SiteTensors,
    *,
    n_orders: int = 20,
    seed: int = 0,
) -> OrderSpread:
    """Measure how far a network is from not minding the order of the sites.

    Parameters
    ----------
    network
        A trained network.
    sites
        Genes that it wrote, in the order of writing.
    n_orders
        Random orders per gene.
    seed
        Decides which.
    """
    generator = np.random.default_rng(seed)
    as_written = np.tile(np.arange(sites.mask.shape[1]), (len(sites), 1))
    own = score_in_order(network, sites, as_written)
    others = np.stack(
        [
            score_in_order(network, sites, random_orders(sites.mask, generator))
            for _ in range(n_orders)
        ]
    )
    differences = own - others.mean(axis=0)
    return OrderSpread(
        divergence=float(differences.mean()),
        error=float(differences.std() / np.sqrt(len(sites))),
        entropy=float(-own.mean()),
        spread_over_genes=float(own.std()),
        spread_over_orders=float(others.std(axis=0).mean()),
        n_genes=len(sites),
        n_orders=n_orders,
    )
