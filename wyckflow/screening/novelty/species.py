"""Genes as tables of their elements: amounts, formulas, and outlines for a first look.

An outline is a number that all descriptions of a prototype share and that is had for a
tenth of the price of its key. It tells prototypes apart in all but rare cases, so that
keys need only be worked out where an outline is known.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.keys import LETTER_BITS
from wyckflow.crystal.tables import (
    ENANTIOMORPHS,
    N_SPACE_GROUPS,
    WYCKOFF_LETTERS,
    load_space_group,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = tuple[NDArray[np.integer], NDArray[np.integer]]

_LETTER_MASK: Final = (1 << LETTER_BITS) - 1
_STRIDE: Final = 256  # above every atomic number
_COUNT_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False, slots=True)
class SpeciesTable:
    """The elements of many genes, one row per gene and element, gene after gene.

    Attributes
    ----------
    genes
        The gene of every row.
    atomic_numbers
        Ascending within a gene.
    n_atoms
        Atoms in the conventional cell.
    outlines
        A number for the orbits of the element that equivalent descriptions share.
    starts
        The first row of every gene.
    rows
        The row of every site, in the order of the sites.
    """

    genes: NDArray[np.int64]
    atomic_numbers: NDArray[np.int64]
    n_atoms: NDArray[np.int64]
    outlines: NDArray[np.uint64]
    starts: NDArray[np.int64]
    rows: NDArray[np.int64]

    @property
    def n_elements(self) -> NDArray[np.int64]:
        """How many elements each gene has."""
        return np.diff(self.starts, append=len(self.genes))


def list_species(codes: Codes) -> SpeciesTable:
    """Sum up the sites of genes, element by element.

    Parameters
    ----------
    codes
        Space-group numbers and sites, as `wyckflow.crystal.keys.pack_genes` writes.
    """
    numbers, sites = (np.asarray(array, np.int64) for array in codes)
    is_site = sites > 0
    owners = np.nonzero(is_site)[0]
    elements, letters = sites[is_site] >> LETTER_BITS, sites[is_site] & _LETTER_MASK
    species, rows = np.unique(owners * _STRIDE + elements, return_inverse=True)
    multiplicities, weights = _position_tables()
    n_atoms = np.zeros(len(species), np.int64)
    outlines = np.zeros(len(species), np.uint64)
    np.add.at(n_atoms, rows, multiplicities[numbers[owners], letters])
    np.add.at(outlines, rows, weights[numbers[owners], letters])
    return SpeciesTable(
        genes=species // _STRIDE,
        atomic_numbers=species % _STRIDE,
        n_atoms=n_atoms,
        outlines=outlines,
        starts=np.searchsorted(species, np.arange(len(numbers)) * _STRIDE),
        rows=rows,
    )


def formula_keys(species: SpeciesTable) -> NDArray[np.uint64]:
    """Return a number per gene that genes of the same reduced formula share.

    Parameters
    ----------
    species
        The elements of some genes.
    """
    if not len(species.genes):
        return np.zeros(0, np.uint64)
    units = np.gcd.reduceat(species.n_atoms, species.starts)
    reduced = (species.n_atoms // units[species.genes]).astype(np.uint64)
    parts = scramble(
        scramble(species.atomic_numbers.astype(np.uint64)) + reduced * _COUNT_FACTOR
    )
    keys: NDArray[np.uint64] = np.add.reduceat(parts, species.starts)
    return keys


def prototype_outlines(species: SpeciesTable) -> NDArray[np.uint64]:
    """Return a number per gene that genes of the same prototype share.

    Parameters
    ----------
    species
        The elements of some genes.
    """
    if not len(species.genes):
        return np.zeros(0, np.uint64)
    outlines: NDArray[np.uint64] = np.add.reduceat(
        scramble(species.outlines), species.starts
    )
    return outlines


def species_outlines(
    outlines: NDArray[np.uint64], atomic_numbers: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Return a number for an element on its orbits.

    Parameters
    ----------
    outlines
        Of the orbits.
    atomic_numbers
        Of the elements.
    """
    names = scramble(atomic_numbers.astype(np.uint64))
    return scramble(outlines + names * _COUNT_FACTOR)


def gene_outlines(species: SpeciesTable) -> NDArray[np.uint64]:
    """Return a number per gene that equivalent genes share.

    Parameters
    ----------
    species
        The elements of some genes.
    """
    if not len(species.genes):
        return np.zeros(0, np.uint64)
    parts = species_outlines(species.outlines, species.atomic_numbers)
    outlines: NDArray[np.uint64] = np.add.reduceat(parts, species.starts)
    return outlines


def scramble(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Turn numbers into 64-bit noise, one to one (the finaliser of SplitMix64)."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@lru_cache(maxsize=1)
def _position_tables() -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return multiplicities and weights by space-group number and letter index.

    Letters that some change of description exchanges have the same weight.
    """
    shape = (N_SPACE_GROUPS + 1, len(WYCKOFF_LETTERS))
    multiplicities, weights = np.zeros(shape, np.int64), np.zeros(shape, np.uint64)
    for number in range(1, N_SPACE_GROUPS + 1):
        group = load_space_group(number)
        folded = ENANTIOMORPHS.get(number, number)
        kinds = group.affine.distinct_permutations.min(axis=0).tolist()
        for letter, (position, kind) in enumerate(
            zip(group.positions, kinds, strict=True)
        ):
            multiplicities[number, letter] = position.multiplicity
            name = hashlib.blake2b(f"{folded} {kind}".encode(), digest_size=8)
            weights[number, letter] = int.from_bytes(name.digest())
    return multiplicities, weights
