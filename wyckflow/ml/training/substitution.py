"""Genes in which other elements stand in, to learn chemistry from few crystals."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import N_ATOMIC_NUMBERS
from wyckflow.ml.codec.tables import N_LETTERS, load_position_tables
from wyckflow.ml.elements import ELEMENT_FEATURES, element_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.ml.codec.sites import SiteTensors

ELEMENT_WEIGHTS: Final = {
    "group": 3.5,
    "period": 1.0,
    "electronegativity": 1.5,
    "atomic_radius": 1.0,
    "highest_common_oxidation_state": 1.5,
    "lowest_common_oxidation_state": 1.5,
}
"""How far a spread of each property sets two elements apart."""

# Below this, what is left is no likeness but chance.
_LEAST_LIKENESS: Final = 1e-3


def similar_elements(known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how likely each element is replaced by each other one.

    Parameters
    ----------
    known
        Elements that may come in (119,).

    Returns
    -------
    numpy.ndarray
        (119, 119), every row adds up to 1 or is zero where nothing is similar.
    """
    columns = [ELEMENT_FEATURES.index(name) for name in ELEMENT_WEIGHTS]
    places = element_features()[:, columns] * np.array(list(ELEMENT_WEIGHTS.values()))
    squares = ((places[:, None] - places[None]) ** 2).sum(-1)
    weights = np.exp(-squares / 2)
    np.fill_diagonal(weights, 0)
    return _normalised(weights, known)


def random_elements(known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the same where every known element is as likely as any other."""
    return _normalised(np.ones((N_ATOMIC_NUMBERS, N_ATOMIC_NUMBERS)), known)


def substitute(
    sites: SiteTensors,
    chances: NDArray[np.float64],
    share: NDArray[np.float64],
    generator: np.random.Generator,
) -> tuple[SiteTensors, NDArray[np.bool_]]:
    """Replace elements, the same way on all sites of a gene.

    A replacement that would make two elements one is not made.

    Parameters
    ----------
    sites
        The genes.
    chances
        Of `similar_elements` or `random_elements`.
    share
        How likely each element of each gene is replaced (n,).
    generator
        Decides.

    Returns
    -------
    tuple
        The genes, and which of them changed (n,).
    """
    n = len(sites)
    bounds = np.cumsum(chances, axis=1)
    draws = generator.random((n, N_ATOMIC_NUMBERS))
    chosen = np.empty((n, N_ATOMIC_NUMBERS), np.int64)
    for old in np.unique(sites.atomic_number).tolist():
        new = np.searchsorted(bounds[old], draws[:, old] * bounds[old, -1], "right")
        chosen[:, old] = (
            np.minimum(new, N_ATOMIC_NUMBERS - 1) if bounds[old, -1] else old
        )
    stays = generator.random((n, N_ATOMIC_NUMBERS)) >= share[:, None]
    chosen = np.where(stays, np.arange(N_ATOMIC_NUMBERS), chosen)
    chosen[:, 0] = 0
    replaced = np.take_along_axis(chosen, sites.atomic_number, 1)
    merges = _n_distinct(replaced) != _n_distinct(sites.atomic_number)
    replaced = np.where(merges[:, None], sites.atomic_number, replaced)
    changed = (replaced != sites.atomic_number).any(axis=1)
    return replace(sites, atomic_number=replaced), changed


def scramble_letters(
    sites: SiteTensors, is_chosen: NDArray[np.bool_], generator: np.random.Generator
) -> tuple[SiteTensors, NDArray[np.bool_]]:
    """Put sites on any positions of their groups, to read back more than is known.

    A gene that would have a fixed point twice stays as it is.

    Parameters
    ----------
    sites
        The genes.
    is_chosen
        Which of them to change (n,).
    generator
        Decides.

    Returns
    -------
    tuple
        The genes, and which of them changed (n,).
    """
    tables = load_position_tables()
    n_letters = tables.exists.sum(axis=1)[sites.space_group][:, None]
    drawn = (generator.random(sites.letter.shape) * n_letters).astype(np.int64)
    is_fixed = tables.degrees_of_freedom[sites.space_group[:, None], drawn] == 0
    # Letters of fixed points that come twice, each place with a number of its own else.
    places = np.arange(sites.letter.shape[1]) + N_LETTERS
    names = np.sort(np.where(is_fixed & sites.mask, drawn, places), axis=1)
    is_impossible = (names[:, 1:] == names[:, :-1]).any(axis=1)
    changes = is_chosen & ~is_impossible
    return sites.with_letters(np.where(changes[:, None], drawn, sites.letter)), changes


def _normalised(
    weights: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    weights = weights * known
    weights[:, 0] = weights[0] = 0
    totals = weights.sum(axis=1, keepdims=True)
    return np.where(totals > _LEAST_LIKENESS, weights / np.maximum(totals, 1e-12), 0)


def _n_distinct(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    ordered = np.sort(numbers, axis=1)
    count: NDArray[np.int64] = (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
    return count
