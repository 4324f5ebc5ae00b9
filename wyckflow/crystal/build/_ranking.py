"""Drawn structures in an order: roomy ones first, each unlike those before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.build._placement import nearest_squares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.crystal.build._placement import Draws, Placement

    Floats = NDArray[np.float64]

_N_BINS: Final = 12
_RANGE: Final = (0.6, 2.4)  # of distances, over the sum of the radii


def rank_draws(
    placement: Placement, draws: Draws, n_structures: int
) -> NDArray[np.int64]:
    """Return the order of the draws: of the roomier half, each unlike those before.

    Parameters
    ----------
    placement
        What made the draws.
    draws
        Any number of them.
    n_structures
        How many are wanted; the roomier part that is spread out has at least as many.
    """
    if not len(draws):
        return np.arange(0)
    fingerprints, clearances = fingerprint_draws(placement, draws)
    roomy = np.argsort(-clearances, kind="stable")
    n_first = max(n_structures, (len(roomy) + 1) // 2)
    first = spread_out(fingerprints, roomy[:n_first])
    return np.concatenate([first, roomy[n_first:]])


def fingerprint_draws(placement: Placement, draws: Draws) -> tuple[Floats, Floats]:
    """Count neighbours by element and distance, in cells scaled to one volume.

    Parameters
    ----------
    placement
        What made the draws.
    draws
        At least one.

    Returns
    -------
    tuple
        One row per draw: the same for the same atoms in another origin or orientation,
        and near for like arrangements. And the smallest distance of each draw over the
        sum of the radii.
    """
    table, radii = placement.table, placement.radii
    points = table.expand(draws.parameters)
    heads = points[:, table.first_atoms]
    differences = points[:, None] - heads[:, :, None]
    squares = nearest_squares(differences, draws.lattices, placement.shifts)
    squares[:, np.arange(len(radii)), table.first_atoms] = np.inf  # an atom and itself
    ratios = np.sqrt(squares) / (radii[:, None] + radii[table.site_indices])
    volumes = np.linalg.det(draws.lattices)
    ratios /= np.cbrt(volumes / np.median(volumes))[:, None, None]
    low, high = _RANGE
    bins = np.clip((ratios - low) / (high - low) * _N_BINS, 0, _N_BINS).astype(int)
    elements = [site.element for site in placement.gene.sites]
    _, kinds = np.unique(elements, return_inverse=True)
    n_kinds = int(kinds.max()) + 1
    pairs = kinds[:, None] * n_kinds + kinds[table.site_indices]
    shape = len(draws), n_kinds**2, _N_BINS + 1
    of_draw = np.arange(len(draws))[:, None, None]
    columns = np.ravel_multi_index((of_draw, pairs[None], bins), shape)
    weights = np.broadcast_to(table.multiplicities[:, None], columns.shape)
    counts = np.bincount(
        columns.ravel(), weights.ravel(), minlength=int(np.prod(shape))
    )
    # Summed up over the distance, counts in near bins are alike, in far ones not.
    fingerprints = counts.reshape(shape).cumsum(axis=2).reshape(len(draws), -1)
    return fingerprints, ratios.min(axis=(1, 2))


def spread_out(
    fingerprints: Floats, candidates: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Order candidates so that each is as far as can be from all before it.

    Parameters
    ----------
    fingerprints
        One row per structure.
    candidates
        Rows to order; the first one stays first.
    """
    rows = fingerprints[candidates]
    order = [0]
    nearest = np.abs(rows - rows[0]).sum(axis=1)
    nearest[0] = -1.0
    while len(order) < len(candidates):
        farthest = int(nearest.argmax())
        order.append(farthest)
        nearest = np.minimum(nearest, np.abs(rows - rows[farthest]).sum(axis=1))
        nearest[order] = -1.0
    return candidates[order]
