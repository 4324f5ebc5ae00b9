"""Weights under which two sets of crystals do not differ in size and kind.

Synthesised and hypothetical crystals come from different collections, with other cell
sizes and other chemistry. A classifier would learn the collection. Overlap weights
take this away: a logistic model guesses the set from size and kind alone, and each
row is weighted by the probability of the other set. With such a model the weighted
means of all its columns are then equal, exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.ml.classifiers.composition import GROUPS, group_compositions
from wyckflow.ml.classifiers.features import CENTRING_COLUMNS, POINTS_OF_CENTRING
from wyckflow.ml.codec.tables import load_position_tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.ml.codec.sites import SiteTensors

_RIDGE: Final = 1e-3
_MOST_STEPS: Final = 50
_CONVERGED: Final = 1e-9
_MOST_ELEMENTS: Final = 5


def describe_kind(sites: SiteTensors) -> NDArray[np.float64]:
    """Describe genes by size and kind alone.

    Parameters
    ----------
    sites
        The genes.

    Returns
    -------
    numpy.ndarray
        (n, columns): composition group, the size within it, and number of elements.
    """
    group = np.eye(len(GROUPS))[group_compositions(sites)]
    size = np.log(primitive_atoms(sites))[:, None]
    n_elements = np.minimum(count_elements(sites), _MOST_ELEMENTS)
    arity = np.eye(_MOST_ELEMENTS + 1)[n_elements][:, 2:]
    orbits = np.log(sites.mask.sum(axis=1))[:, None]
    shapes = [size, size**2, orbits, orbits**2, size * orbits]
    return np.concatenate(
        [group, group * size, group * orbits, arity, arity * size, *shapes], axis=1
    )


def overlap_weights(
    kinds: NDArray[np.float64], is_first: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return a weight per row so that two sets agree in the means of all columns.

    Parameters
    ----------
    kinds
        Columns of `describe_kind`.
    is_first
        Which rows belong to the first set.

    Returns
    -------
    numpy.ndarray
        (n,), adding up to one half in each set.
    """
    columns = (kinds - kinds.mean(axis=0)) / np.maximum(kinds.std(axis=0), 1e-12)
    columns = np.concatenate([np.ones((len(columns), 1)), columns], axis=1)
    target = is_first.astype(float)
    coefficients = np.zeros(columns.shape[1])
    ridge = np.full(columns.shape[1], _RIDGE)
    ridge[0] = 0
    for _ in range(_MOST_STEPS):
        chance = _sigmoid(columns @ coefficients)
        slope = columns.T @ (target - chance) - ridge * coefficients
        curvature = (columns.T * (chance * (1 - chance))) @ columns + np.diag(
            ridge + 1e-12
        )
        step = np.linalg.solve(curvature, slope)
        coefficients += step
        if np.abs(step).max() < _CONVERGED:
            break
    chance = _sigmoid(columns @ coefficients)
    weights = np.where(is_first, 1 - chance, chance)
    for rows in (is_first, ~is_first):
        weights[rows] /= 2 * weights[rows].sum()
    return weights


def primitive_atoms(sites: SiteTensors) -> NDArray[np.int64]:
    """Return the atoms of a primitive cell of each gene."""
    group = load_position_tables().group_features[sites.space_group]
    points = group[:, CENTRING_COLUMNS] @ POINTS_OF_CENTRING
    atoms: NDArray[np.int64] = np.rint(sites.multiplicity.sum(axis=1) / points).astype(
        np.int64
    )
    return atoms


def count_elements(sites: SiteTensors) -> NDArray[np.int64]:
    """Return the number of different elements of each gene."""
    numbers = np.sort(sites.atomic_number, axis=1)
    counts: NDArray[np.int64] = (np.diff(numbers, axis=1, prepend=0) > 0).sum(axis=1)
    return counts


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(values, -30, 30)))
