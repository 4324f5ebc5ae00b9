"""What a classifier sees of a gene: one row of numbers, alike for equivalent genes.

Nothing here depends on the name of a Wyckoff letter, only on what a change of origin,
axes or handedness leaves as it is: multiplicity, site symmetry and freedom of a site,
and which element sits there. So no average over equivalent genes is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.ml.codec.tables import load_position_tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.ml.codec.sites import SiteTensors

N_SIZE_FEATURES: Final = 3
"""The last columns: how large the cell is. A classifier may be denied them."""

CENTRING_COLUMNS: Final = slice(7, 14)
"""Columns of a group's numbers that say how its cell is centred."""

POINTS_OF_CENTRING: Final = np.array([1, 2, 2, 2, 2, 3, 4])
"""Lattice points of the conventional cell: P, A, B, C, I, R, F."""


def describe_sites(
    sites: SiteTensors, elements: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Describe genes by numbers that are alike for equivalent ones.

    Parameters
    ----------
    sites
        The genes.
    elements
        One row of numbers per atomic number, as `wyckflow.ml.elements` makes them.

    Returns
    -------
    numpy.ndarray
        (n, columns): mean, spread, extremes of each elemental number over the atoms;
        its covariance with site symmetry and with freedom; atomic fractions; the space
        group; the sites; and at last the size.
    """
    rows, columns = np.nonzero(sites.mask)
    n_genes, numbers = len(sites), sites.atomic_number[rows, columns]
    multiplicity = sites.multiplicity[rows, columns].astype(float)
    atoms = np.bincount(rows, multiplicity, n_genes)
    weight = multiplicity / atoms[rows]
    freedom = sites.degrees_of_freedom[rows, columns].astype(float)
    general = load_position_tables().multiplicity.max(axis=1)[sites.space_group]
    symmetry = np.log(general[rows] / multiplicity)

    def average(values: NDArray[np.float64]) -> NDArray[np.float64]:
        means: NDArray[Any] = np.bincount(rows, weight * values, n_genes)
        return means

    def by_element(values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up a number of each site over the sites of each element."""
        cells = rows * len(elements) + numbers
        sums: NDArray[Any] = np.bincount(cells, values, n_genes * len(elements))
        return sums.reshape(n_genes, len(elements))

    table = elements.astype(float)
    fractions = by_element(weight)
    mean = fractions @ table
    spread = np.sqrt(np.maximum(fractions @ table**2 - mean**2, 0))
    low, high = _extremes(fractions > 0, table)
    mean_symmetry, mean_freedom = average(symmetry), average(freedom)
    with_symmetry = by_element(weight * (symmetry - mean_symmetry[rows])) @ table
    with_freedom = by_element(weight * (freedom - mean_freedom[rows])) @ table
    group = load_position_tables().group_features[sites.space_group]
    primitive = atoms / (group[:, CENTRING_COLUMNS] @ POINTS_OF_CENTRING)
    n_orbits = sites.mask.sum(axis=1)
    n_elements = (fractions > 0).sum(axis=1)
    electrons = np.rint(fractions @ np.arange(len(elements)) * primitive)
    on_sites = [
        mean_symmetry,
        np.sqrt(np.maximum(average(symmetry**2) - mean_symmetry**2, 0)),
        mean_freedom,
        average((freedom == 0).astype(float)),
        average((freedom == 3).astype(float)),  # noqa: PLR2004 - general positions
        n_elements,
        electrons % 2,  # an odd number of electrons fills no band
    ]
    size = [np.log(primitive), np.log(n_orbits), np.log(n_orbits / n_elements)]
    blocks: list[NDArray[Any]] = [
        mean,
        spread,
        low,
        high,
        with_symmetry,
        with_freedom,
        fractions,
        group,
        np.stack([*on_sites, *size], axis=1),
    ]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def _extremes(
    present: NDArray[np.bool_], table: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the least and the largest elemental numbers of each gene."""
    rows, numbers = np.nonzero(present)
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    low = np.full((len(present), table.shape[1]), np.inf, table.dtype)
    high = -low
    for turn in range(int(place.max(initial=-1)) + 1):  # few elements, many genes
        here = place == turn
        values = table[numbers[here]]
        low[rows[here]] = np.minimum(low[rows[here]], values)
        high[rows[here]] = np.maximum(high[rows[here]], values)
    return low, high
