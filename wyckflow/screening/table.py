"""Genes as arrays, and what filters ask of them, without an object per gene."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from wyckflow.crystal.composition import Compositions
from wyckflow.crystal.elements import N_ATOMIC_NUMBERS
from wyckflow.crystal.keys import LETTER_BITS, canonical_keys, pack_genes, unpack_genes
from wyckflow.crystal.tables import N_SPACE_GROUPS, WYCKOFF_LETTERS, load_space_group

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from wyckflow.crystal.gene import WyckoffGene

_LETTER_MASK: Final = (1 << LETTER_BITS) - 1
_ROWS_AT_ONCE: Final = 20_000


@dataclass(frozen=True, eq=False)
class GeneTable:
    """Genes in the order in which they came.

    Attributes
    ----------
    space_group_numbers
        (n,), 1 to 230.
    codes
        (n, m), sites as `wyckflow.crystal.keys.pack_genes` writes them.
    rows
        (n,), place of each in the list that it was cut from.
    """

    space_group_numbers: NDArray[np.int16]
    codes: NDArray[np.int16]
    rows: NDArray[np.int64]

    @classmethod
    def from_arrays(
        cls, space_group_numbers: NDArray[np.int16], codes: NDArray[np.int16]
    ) -> Self:
        """Take genes as `wyckflow.crystal.keys.pack_genes` writes them.

        Parameters
        ----------
        space_group_numbers
            (n,).
        codes
            (n, m).
        """
        return cls(space_group_numbers, codes, np.arange(len(codes)))

    @classmethod
    def from_genes(cls, genes: Iterable[WyckoffGene]) -> Self:
        """Read genes, some thousand at a time.

        Parameters
        ----------
        genes
            Any number of them; also a generator, which need not be held in memory.
        """
        return cls.from_parts(
            pack_genes(part) for part in _batches(genes, _ROWS_AT_ONCE)
        )

    @classmethod
    def from_parts(
        cls, parts: Iterable[tuple[NDArray[np.int16], NDArray[np.int16]]]
    ) -> Self:
        """Join arrays of genes, whose codes may differ in width.

        Parameters
        ----------
        parts
            Space-group numbers and codes, as in :meth:`from_arrays`.
        """
        known = list(parts)
        width = max((codes.shape[1] for _, codes in known), default=0)
        wide = [
            np.pad(codes, ((0, 0), (0, width - codes.shape[1]))) for _, codes in known
        ]
        return cls.from_arrays(
            np.concatenate([np.empty(0, np.int16), *(part[0] for part in known)]),
            np.concatenate([np.empty((0, width), np.int16), *wide]),
        )

    def __len__(self) -> int:
        """Return the number of genes."""
        return len(self.space_group_numbers)

    def take(self, indices: NDArray[np.int64]) -> GeneTable:
        """Return some of the genes, which keep their rows.

        Parameters
        ----------
        indices
            Places in this table.
        """
        return GeneTable(
            self.space_group_numbers[indices], self.codes[indices], self.rows[indices]
        )

    def iter_chunks(self, n_genes: int) -> Iterator[GeneTable]:
        """Cut the table into pieces.

        Parameters
        ----------
        n_genes
            Genes of a piece, the last of which may be smaller.
        """
        for start in range(0, len(self), n_genes):
            yield self.take(np.arange(start, min(start + n_genes, len(self))))

    def genes(self) -> list[WyckoffGene]:
        """Return the genes as objects."""
        return unpack_genes(self.space_group_numbers, self.codes)

    # --- what they are ------------------------------------------------------------

    @cached_property
    def keys(self) -> NDArray[np.uint64]:
        """A number per gene that equivalent genes share, as in their `gene_id`."""
        return canonical_keys(self.space_group_numbers, self.codes)

    @cached_property
    def compositions(self) -> Compositions:
        """The elements of each gene, reduced to one formula unit."""
        return Compositions.from_sites(self._elements, self._multiplicities)

    @cached_property
    def n_sites(self) -> NDArray[np.int64]:
        """Atoms in the conventional cell."""
        n_sites: NDArray[np.int64] = self._multiplicities.sum(axis=1)
        return n_sites

    @cached_property
    def degrees_of_freedom(self) -> NDArray[np.int64]:
        """Free coordinates and free lattice parameters."""
        letters = _load_letters()
        of_sites = letters.freedoms[self.space_group_numbers[:, None], self._letters]
        positional = np.where(self._is_site, of_sites, 0).sum(axis=1)
        lattice = letters.lattice_freedoms[self.space_group_numbers]
        freedoms: NDArray[np.int64] = positional + lattice
        return freedoms

    @cached_property
    def has_element(self) -> NDArray[np.bool_]:
        """(n, 119), whether a gene holds an element, by atomic number."""
        found = np.zeros((len(self), N_ATOMIC_NUMBERS), bool)
        found[np.arange(len(self))[:, None], self._elements] = True
        found[:, 0] = False
        return found

    @cached_property
    def is_possible(self) -> NDArray[np.bool_]:
        """Whether a gene can exist.

        It has a site, its letters exist in its space group, and no position without a
        free coordinate is taken twice. Genes made of objects always can.
        """
        letters = _load_letters()
        groups = self.space_group_numbers[:, None]
        exists = letters.multiplicities[groups, self._letters] > 0
        is_fixed = self._is_site & (letters.freedoms[groups, self._letters] == 0)
        rows, columns = np.nonzero(is_fixed)
        marks = rows * len(WYCKOFF_LETTERS) + self._letters[rows, columns]
        found, counts = np.unique(marks, return_counts=True)
        crowded = np.zeros(len(self), bool)
        crowded[found[counts > 1] // len(WYCKOFF_LETTERS)] = True
        is_wrong = (self._is_site & ~exists).any(axis=1)
        is_empty = ~self._is_site.any(axis=1)
        return np.asarray(~(is_wrong | is_empty | crowded))

    @cached_property
    def _is_site(self) -> NDArray[np.bool_]:
        return self.codes > 0

    @cached_property
    def _elements(self) -> NDArray[np.int64]:
        return self.codes.astype(np.int64) >> LETTER_BITS

    @cached_property
    def _letters(self) -> NDArray[np.int64]:
        return self.codes.astype(np.int64) & _LETTER_MASK

    @cached_property
    def _multiplicities(self) -> NDArray[np.int64]:
        groups = self.space_group_numbers[:, None]
        found = _load_letters().multiplicities[groups, self._letters]
        return np.where(self._is_site, found, 0)


@dataclass(frozen=True, eq=False, slots=True)
class _Letters:
    """Tables by space-group number and letter; 0 where there is no such letter."""

    multiplicities: NDArray[np.int64]
    freedoms: NDArray[np.int64]
    lattice_freedoms: NDArray[np.int64]


@lru_cache(maxsize=1)
def _load_letters() -> _Letters:
    """Read the tables once."""
    # As many columns as the bits of a letter can say, so that none is out of bounds.
    shape = (N_SPACE_GROUPS + 1, 1 << LETTER_BITS)
    multiplicities, freedoms = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    lattice_freedoms = np.zeros(N_SPACE_GROUPS + 1, np.int64)
    for number in range(1, N_SPACE_GROUPS + 1):
        group = load_space_group(number)
        lattice_freedoms[number] = group.lattice_degrees_of_freedom
        for index, position in enumerate(group.positions):
            multiplicities[number, index] = position.multiplicity
            freedoms[number, index] = position.degrees_of_freedom
    return _Letters(multiplicities, freedoms, lattice_freedoms)


def _batches(
    genes: Iterable[WyckoffGene], n_genes: int
) -> Iterator[Sequence[WyckoffGene]]:
    """Yield lists of at most so many genes."""
    batch: list[WyckoffGene] = []
    for gene in genes:
        batch.append(gene)
        if len(batch) == n_genes:
            yield batch
            batch = []
    if batch:
        yield batch
