"""One 64-bit number per arrangement, for a million genes at a time.

A gene has as many descriptions as its normalizer permutes the letters. Each
description is hashed, the hashes are mixed and added up over all descriptions: the sum
is the same whichever description one starts from, and no description has to be singled
out. Different arrangements get different keys but for chance (below 1e-5 for the
whole of ten million genes).
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import ATOMIC_NUMBERS, SYMBOLS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.tables import (
    ENANTIOMORPHS,
    N_SPACE_GROUPS,
    WYCKOFF_LETTERS,
    NormalizerKind,
    load_space_group,
)
from wyckflow.errors import GeneError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

LETTER_BITS: Final = 5
_LETTER_MASK: Final = (1 << LETTER_BITS) - 1
_LETTER_INDICES: Final = {letter: i for i, letter in enumerate(WYCKOFF_LETTERS)}
_ELEMENT_CODES: Final = {
    symbol: number << LETTER_BITS for symbol, number in ATOMIC_NUMBERS.items()
}
_LARGEST_BLOCK: Final = 1 << 20
# Separate the hashed numbers of elements, letters and space groups.
_ELEMENT_SALT, _LETTER_SALT, _GROUP_SALT = 1 << 32, 2 << 32, 3 << 32


def pack_genes(
    genes: Sequence[WyckoffGene],
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Write genes as arrays.

    Parameters
    ----------
    genes
        Any number of genes.

    Returns
    -------
    tuple
        Space-group numbers (n,), and codes (n, most sites of a gene): atomic number
        times 32 plus letter index, filled up with zeros.
    """
    n_sites = np.fromiter((len(gene.sites) for gene in genes), np.int64, len(genes))
    flat = [
        _ELEMENT_CODES[site.element] + _LETTER_INDICES[site.letter]
        for site in chain.from_iterable([gene.sites for gene in genes])
    ]
    width = int(n_sites.max(initial=0))
    codes = np.zeros((len(genes), width), np.int16)
    codes[np.arange(width) < n_sites[:, None]] = flat
    numbers = [gene.space_group_number for gene in genes]
    return np.array(numbers, np.int16), codes


def unpack_genes(space_group_numbers: ArrayLike, codes: ArrayLike) -> list[WyckoffGene]:
    """Read genes from the arrays of `pack_genes`."""
    numbers, table = _checked(space_group_numbers, codes)
    return [
        WyckoffGene.from_pairs(
            number,
            [
                (
                    SYMBOLS[(code >> LETTER_BITS) - 1],
                    WYCKOFF_LETTERS[code & _LETTER_MASK],
                )
                for code in row
                if code
            ],
        )
        for number, row in zip(numbers.tolist(), table.tolist(), strict=True)
    ]


def canonical_keys(
    space_group_numbers: ArrayLike,
    codes: ArrayLike,
    *,
    kind: NormalizerKind = NormalizerKind.AFFINE,
    fold_enantiomorphs: bool = True,
) -> NDArray[np.uint64]:
    """Return a key per gene that all its equivalent descriptions share.

    Parameters
    ----------
    space_group_numbers
        1 to 230, (n,).
    codes
        Sites as `pack_genes` writes them, (n, m); zeros are no site.
    kind
        Which descriptions are equivalent.
    fold_enantiomorphs
        Whether the two space groups of a mirror pair get the same keys.

    Raises
    ------
    GeneError
        If a letter does not exist in its space group.
    """
    numbers, table = _checked(space_group_numbers, codes)
    if fold_enantiomorphs:
        numbers = _folded()[numbers]
    return _keys(numbers, table, kind, _hash_elements)


def anonymous_keys(
    space_group_numbers: ArrayLike,
    codes: ArrayLike,
    *,
    kind: NormalizerKind = NormalizerKind.AFFINE,
    fold_enantiomorphs: bool = True,
) -> NDArray[np.uint64]:
    """Return a key per template: genes that differ in the names of elements share it.

    Parameters are those of `canonical_keys`.
    """
    numbers, table = _checked(space_group_numbers, codes)
    if fold_enantiomorphs:
        numbers = _folded()[numbers]
    return _keys(numbers, table, kind, _hash_template)


def key_genes(
    genes: Sequence[WyckoffGene],
    *,
    kind: NormalizerKind = NormalizerKind.AFFINE,
    fold_enantiomorphs: bool = True,
) -> NDArray[np.uint64]:
    """Return the `canonical_keys` of genes."""
    return canonical_keys(
        *pack_genes(genes), kind=kind, fold_enantiomorphs=fold_enantiomorphs
    )


def gene_ids(genes: Sequence[WyckoffGene]) -> list[str]:
    """Return the affine, folded keys as 16 hexadecimal digits each."""
    return [f"{key:016x}" for key in key_genes(genes).tolist()]


def find_keys(
    keys: NDArray[np.uint64], sorted_reference: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """Look keys up in a sorted array.

    Parameters
    ----------
    keys
        What to look for, (n,).
    sorted_reference
        Where to look, in ascending order.

    Returns
    -------
    numpy.ndarray
        Index of the first match of each key in the reference, or -1, (n,).
    """
    if not len(sorted_reference):
        return np.full(len(keys), -1, np.int64)
    places = np.searchsorted(sorted_reference, keys)
    places[places == len(sorted_reference)] = 0
    return np.where(sorted_reference[places] == keys, places, -1)


def _checked(
    space_group_numbers: ArrayLike, codes: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Refuse arrays that are not those of genes."""
    numbers = np.asarray(space_group_numbers, np.int64)
    table = np.asarray(codes, np.int64)
    if numbers.ndim != 1 or table.ndim != 2 or len(numbers) != len(table):  # noqa: PLR2004 - rank
        raise GeneError(
            f"Arrays of shape {numbers.shape} and {table.shape} are no genes; give n "
            "space-group numbers and codes of shape (n, m), as pack_genes does."
        )
    if (wrong := (numbers < 1) | (numbers > N_SPACE_GROUPS)).any():
        load_space_group(int(numbers[wrong][0]))
    elements, letters = table >> LETTER_BITS, table & _LETTER_MASK
    wrong = (elements < 0) | (elements > len(SYMBOLS))
    wrong |= np.where(
        elements == 0, letters > 0, letters >= _n_letters()[numbers, None]
    )
    wrong |= ~elements.any(axis=1, keepdims=True)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise GeneError(
            f"Code {table[row, column]} of row {row} is no site of space group "
            f"{numbers[row]}; expected an atomic number times {1 << LETTER_BITS} plus "
            "the index of a letter that exists. Make the codes with pack_genes."
        )
    return numbers, table


def _keys(
    numbers: NDArray[np.int64],
    table: NDArray[np.int64],
    kind: NormalizerKind,
    hash_sites: Callable[[NDArray[np.int64], NDArray[np.uint64]], NDArray[np.uint64]],
) -> NDArray[np.uint64]:
    """Join the hashes of all descriptions, one space group at a time."""
    keys = np.empty(len(numbers), np.uint64)
    if not len(numbers):
        return keys
    order = np.argsort(numbers, kind="stable")
    present, starts = np.unique(numbers[order], return_index=True)
    for number, members in zip(
        present.tolist(), np.split(order, starts[1:]), strict=True
    ):
        images = _letter_images(number, kind)
        salt = _hash(np.array([number]), _GROUP_SALT)
        step = max(1, _LARGEST_BLOCK // max(images.shape))
        for start in range(0, len(members), step):
            some = members[start : start + step]
            hashes = _mix(hash_sites(table[some], images))
            keys[some] = _mix(hashes.sum(axis=1, dtype=np.uint64) + salt)
    return keys


def _hash_elements(
    sites: NDArray[np.int64], images: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Hash genes (rows) in every description (columns)."""
    elements = np.arange(len(SYMBOLS) + 1)
    weights = np.where(elements > 0, _hash(elements, _ELEMENT_SALT), np.uint64(0))
    content = np.zeros((len(sites), len(WYCKOFF_LETTERS)), np.uint64)
    genes = np.arange(len(sites))[:, None]
    np.add.at(content, (genes, sites & _LETTER_MASK), weights[sites >> LETTER_BITS])
    return _describe(content, images)


def _hash_template(
    sites: NDArray[np.int64], images: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Hash genes (rows) without the names of their elements."""
    stride = len(SYMBOLS) + 1
    genes = np.arange(len(sites))[:, None] * stride
    is_site = sites > 0
    species, species_of_site = np.unique(
        (genes + (sites >> LETTER_BITS))[is_site], return_inverse=True
    )
    counts = np.zeros((len(species), len(WYCKOFF_LETTERS)), np.uint64)
    np.add.at(counts, (species_of_site, (sites & _LETTER_MASK)[is_site]), np.uint64(1))
    hashes = _mix(_describe(counts, images))
    first_species = np.searchsorted(species, genes[:, 0])
    return np.add.reduceat(hashes, first_species, axis=0)


def _describe(
    content: NDArray[np.uint64], images: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Add up what is on each letter, weighted by the letter's image."""
    hashes: NDArray[np.uint64] = content[:, : len(images)] @ images
    return hashes


@cache
def _letter_images(number: int, kind: NormalizerKind) -> NDArray[np.uint64]:
    """Return the hashed image of each letter (rows) in each description (columns)."""
    permutations = load_space_group(number).normalizer(kind).distinct_permutations
    hashed = _hash(np.arange(len(WYCKOFF_LETTERS)), _LETTER_SALT)
    return np.ascontiguousarray(hashed[permutations].T)


@lru_cache(maxsize=1)
def _n_letters() -> NDArray[np.int64]:
    """Return the number of letters by space-group number."""
    groups = (load_space_group(number) for number in range(1, N_SPACE_GROUPS + 1))
    return np.array([0, *(len(group.positions) for group in groups)])


@lru_cache(maxsize=1)
def _folded() -> NDArray[np.int64]:
    """Return the number that stands for each space-group number."""
    return np.array([ENANTIOMORPHS.get(i, i) for i in range(N_SPACE_GROUPS + 1)])


def _hash(numbers: NDArray[np.int64], salt: int) -> NDArray[np.uint64]:
    """Turn small numbers into fixed 64-bit noise."""
    return _mix(_mix(numbers.astype(np.uint64) + np.uint64(salt)))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers one to one (the finaliser of SplitMix64)."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
