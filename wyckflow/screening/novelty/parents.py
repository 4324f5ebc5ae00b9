"""Known crystals as they are described once some of their symmetry is lost.

Where the atoms of one orbit are replaced by two elements in an ordered way, the crystal
keeps a subgroup of its space group. If the two elements are taken for one again, its
gene is the parent's, written in the subgroup. So all such forms of what is known are
worked out beforehand, and an ordering is found by looking a merged gene up.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.keys import LETTER_BITS, canonical_keys
from wyckflow.crystal.tables import load_space_group
from wyckflow.screening.novelty.species import list_species
from wyckflow.screening.novelty.splittings import load_splittings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.screening.novelty.species import Codes

N_STEPS: Final = 3
"""Maximal subgroups that are gone down one after another."""

MAX_RELEASED: Final = 3
"""Coordinates that the parent fixes and its lower-symmetry form leaves free, at most.

With none, a crystal of the merged gene has the parent's symmetry but for a strain of
its cell. Each further one is a way to deviate, and makes the relation less telling.
"""

MAX_SITES: Final = 120
"""Atoms in the conventional cell of a lower-symmetry form, at most."""

_LETTER_MASK: Final = (1 << LETTER_BITS) - 1


def lower_symmetry_forms(codes: Codes) -> Codes:
    """Write genes in the subgroups that their symmetry can fall to.

    Parameters
    ----------
    codes
        Space-group numbers and sites, as `wyckflow.crystal.keys.pack_genes` writes.

    Returns
    -------
    tuple
        The same for all different forms; the genes themselves are not among them.
    """
    numbers, sites = (np.asarray(array, np.int64) for array in codes)
    budgets = _free_coordinates(numbers, sites) + MAX_RELEASED
    seen = canonical_keys(numbers, sites)
    found: list[Codes] = []
    for _ in range(N_STEPS):
        numbers, sites, budgets = _split_all(numbers, sites, budgets)
        keys = canonical_keys(numbers, sites)
        # Of equal forms the one that may still release most comes first.
        order = np.lexsort((-budgets, keys))
        is_new = np.ones(len(keys), bool)
        is_new[1:] = keys[order][1:] != keys[order][:-1]
        kept = order[is_new & ~np.isin(keys[order], seen)]
        numbers, sites, budgets = numbers[kept], sites[kept], budgets[kept]
        seen = np.concatenate([seen, keys[kept]])
        found.append((numbers, sites))
    return join_codes(found)


def join_codes(parts: list[Codes]) -> Codes:
    """Put tables of genes under one another.

    Parameters
    ----------
    parts
        Space-group numbers and sites; the width of the tables may differ.
    """
    width = max((sites.shape[1] for _, sites in parts), default=0)
    tables = [
        np.pad(sites, ((0, 0), (0, width - sites.shape[1]))) for _, sites in parts
    ]
    if not parts:
        return np.zeros(0, np.int64), np.zeros((0, 0), np.int64)
    return np.concatenate([numbers for numbers, _ in parts]), np.concatenate(tables)


def _split_all(
    numbers: NDArray[np.int64], sites: NDArray[np.int64], budgets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Take every gene one step down, in all ways that leave it small and stiff enough.

    ``budgets`` are the free coordinates that its forms may have.
    """
    parts: list[Codes] = []
    left = [np.zeros(0, np.int64)]
    for number in np.unique(numbers).tolist():
        members = np.flatnonzero(numbers == number)
        elements, counts = _counts(number, sites[members])
        for splitting in load_splittings(number):
            split = counts @ splitting.counts.astype(np.int64)
            positions = load_space_group(splitting.subgroup_number).positions
            n_sites = split.sum(axis=1) @ [p.multiplicity for p in positions]
            freedom = split.sum(axis=1) @ [p.degrees_of_freedom for p in positions]
            freedom -= _n_free_origins(splitting.subgroup_number)
            good = (n_sites <= MAX_SITES) & (freedom <= budgets[members])
            table = _codes(elements[good], split[good])
            parts.append((np.full(len(table), splitting.subgroup_number), table))
            left.append(budgets[members][good])
    joined, tables = join_codes(parts)
    return np.asarray(joined), np.asarray(tables), np.concatenate(left)


def _free_coordinates(
    numbers: NDArray[np.int64], sites: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count the free coordinates of all sites of every gene."""
    freedom = np.zeros(len(numbers), np.int64)
    for number in np.unique(numbers).tolist():
        members = np.flatnonzero(numbers == number)
        positions = load_space_group(number).positions
        _, counts = _counts(number, sites[members])
        freedom[members] = counts.sum(axis=1) @ [
            position.degrees_of_freedom for position in positions
        ]
        freedom[members] -= _n_free_origins(number)
    return freedom


@cache
def _n_free_origins(number: int) -> int:
    """Return along how many axes the origin may be anywhere (polar groups).

    So many coordinates only say where the origin is.
    """
    rotations = load_space_group(number).rotations
    return round(float(np.trace(rotations.mean(axis=0))))


def _counts(
    number: int, sites: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the elements of genes of one group, and their orbits per position."""
    species = list_species((np.full(len(sites), number), sites))
    places = np.arange(len(species.genes)) - species.starts[species.genes]
    shape = len(sites), int(species.n_elements.max(initial=0))
    elements = np.zeros(shape, np.int64)
    elements[species.genes, places] = species.atomic_numbers
    counts = np.zeros((*shape, len(load_space_group(number).positions)), np.int64)
    letters = sites[sites > 0] & _LETTER_MASK
    np.add.at(counts, (species.genes[species.rows], places[species.rows], letters), 1)
    return elements, counts


def _codes(elements: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Write orbits per element and position as codes of sites."""
    n_genes, _, n_letters = counts.shape
    every = (elements[:, :, None] << LETTER_BITS) + np.arange(n_letters)
    totals = counts.sum(axis=(1, 2))
    width = int(totals.max(initial=0))
    codes = np.zeros((n_genes, width), np.int64)
    codes[np.arange(width) < totals[:, None]] = np.repeat(every.ravel(), counts.ravel())
    return codes
