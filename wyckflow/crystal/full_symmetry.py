"""The symmetry that every crystal of a gene has, whatever its coordinates.

``195 Ca:a Ti:b O:c`` has no free coordinate, and its only crystal is the cubic
perovskite of group 221. Such genes are found by giving a gene arbitrary free
coordinates and an arbitrary cell of its crystal system, and looking for the symmetry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal._geometry import cell_from_metric, symmetric_metric
from wyckflow.crystal.encode import EncodedStructure, encode_structure
from wyckflow.crystal.reduced import ReducedStructure

if TYPE_CHECKING:
    from wyckflow.crystal.gene import WyckoffGene

_SYMPREC: Final = 1e-3
_VOLUME_PER_ATOM: Final = 1000.0
"""In A^3: so much that atoms at random places do not touch."""

_SKEWNESS: Final = 0.25
_N_TRIES: Final = 3


def find_full_gene(gene: WyckoffGene, *, seed: int = 0) -> WyckoffGene:
    """Return the gene of the highest symmetry that describes the same crystals.

    It is the gene itself in most cases, and then the very one that came.

    Parameters
    ----------
    gene
        Any gene.
    seed
        Of the arbitrary numbers.
    """
    for attempt in range(_N_TRIES):
        structure = _place_anywhere(gene, [seed, attempt])
        coordinates, numbers = structure.expand()
        cell = np.array(structure.lattice), coordinates, numbers
        encoded = encode_structure(cell, symprec=_SYMPREC)
        if not isinstance(encoded, EncodedStructure):
            continue  # two atoms came to lie upon each other
        found = encoded.gene
        # A smaller cell, too, is a higher symmetry.
        is_same = found.space_group_number == gene.space_group_number
        return gene if is_same and found.n_sites == gene.n_sites else found
    return gene


def _place_anywhere(gene: WyckoffGene, seed: list[int]) -> ReducedStructure:
    """Return a crystal with nothing special about it but what the gene demands."""
    random = np.random.default_rng(seed)
    skewed = np.eye(3) + _SKEWNESS * random.uniform(-1, 1, (3, 3))
    metric = symmetric_metric(gene.space_group_number, skewed @ skewed.T)
    cell = cell_from_metric(metric)
    volume = _VOLUME_PER_ATOM * gene.n_sites
    cell *= (volume / np.linalg.det(cell)) ** (1 / 3)
    return ReducedStructure(gene, cell, random.random((gene.n_orbits, 3)))
