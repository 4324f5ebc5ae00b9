"""Genes as padded arrays of sites, which is what the networks read.

The sites of a gene are a set: their order in the arrays is that of the gene (cations
first, then by letter) and means nothing to an encoder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from wyckflow.crystal.keys import LETTER_BITS, pack_genes
from wyckflow.crystal.tables import NormalizerKind
from wyckflow.errors import GeneError
from wyckflow.ml.codec.tables import load_permutations, load_position_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.crystal.gene import WyckoffGene

_LETTER_MASK: Final = (1 << LETTER_BITS) - 1


@dataclass(frozen=True, eq=False, slots=True)
class SiteTensors:
    """``n`` genes with up to ``L`` sites each.

    Attributes
    ----------
    space_group
        Space-group numbers (n,), 1 to 230.
    atomic_number
        (n, L), 0 where there is no site.
    letter
        Index of the Wyckoff letter (n, L), 0 for ``a`` to 26 for ``A``; 0 without site.
    multiplicity
        Atoms of the site in the conventional cell (n, L).
    degrees_of_freedom
        Free coordinates of the site (n, L).
    site_symmetry
        Index of the oriented symbol (n, L), see `wyckflow.ml.codec.tables`.
    mask
        Where there is a site (n, L).
    """

    space_group: NDArray[np.int64]
    atomic_number: NDArray[np.int64]
    letter: NDArray[np.int64]
    multiplicity: NDArray[np.int64]
    degrees_of_freedom: NDArray[np.int64]
    site_symmetry: NDArray[np.int64]
    mask: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of genes."""
        return len(self.space_group)

    @property
    def codes(self) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """The genes as `wyckflow.crystal.keys.pack_genes` writes them."""
        codes = np.where(self.mask, self.atomic_number << LETTER_BITS | self.letter, 0)
        return self.space_group.astype(np.int16), codes.astype(np.int16)

    def take(self, rows: ArrayLike) -> Self:
        """Return some of the genes, in the order asked for."""
        chosen = np.asarray(rows)
        return replace(
            self,
            **{name: getattr(self, name)[chosen] for name in self.__slots__},
        )

    def trimmed(self) -> Self:
        """Return the same genes without columns that no gene needs."""
        longest = max(int(self.mask.sum(axis=1).max(initial=0)), 1)
        if longest == self.mask.shape[1]:
            return self
        kept = {
            name: getattr(self, name)[:, :longest]
            for name in self.__slots__
            if name != "space_group"
        }
        return replace(self, **kept)

    def with_letters(self, letter: NDArray[np.int64]) -> Self:
        """Return the same genes with other letters of the same space groups."""
        letter = np.where(self.mask, letter, 0)
        looked_up = _look_up(self.space_group, letter, self.mask)
        return replace(self, letter=letter, **looked_up)

    def permuted(
        self,
        generator: np.random.Generator,
        *,
        kind: NormalizerKind = NormalizerKind.EUCLIDEAN,
    ) -> Self:
        """Describe each gene in one of its equivalent ways, drawn with equal weights.

        Parameters
        ----------
        generator
            Decides which.
        kind
            Which changes of description to allow.
        """
        counts, images = load_permutations(kind)
        draws = generator.random(len(self)) * counts[self.space_group]
        rows = self.space_group[:, None], draws.astype(np.int64)[:, None]
        return self.with_letters(images[*rows, self.letter].astype(np.int64))

    def to_torch(self, device: str = "cpu") -> dict[str, Any]:
        """Return the arrays by name as tensors (int64 and bool).

        Parameters
        ----------
        device
            Where to put them.
        """
        import torch

        return {
            name: torch.as_tensor(getattr(self, name), device=device)
            for name in self.__slots__
        }


def tensorise_genes(genes: Sequence[WyckoffGene]) -> SiteTensors:
    """Turn genes into arrays.

    Parameters
    ----------
    genes
        Any number of genes.
    """
    return tensorise_codes(*pack_genes(genes))


def tensorise_codes(space_group_numbers: ArrayLike, codes: ArrayLike) -> SiteTensors:
    """Turn packed genes into arrays.

    Parameters
    ----------
    space_group_numbers
        1 to 230, (n,).
    codes
        Sites as `wyckflow.crystal.keys.pack_genes` writes them, (n, L).

    Raises
    ------
    GeneError
        If a letter does not exist in its space group.
    """
    numbers = np.asarray(space_group_numbers, np.int64)
    table = np.asarray(codes, np.int64)
    mask = table > 0
    letter = table & _LETTER_MASK
    sites = SiteTensors(
        space_group=numbers,
        atomic_number=table >> LETTER_BITS,
        letter=letter,
        mask=mask,
        **_look_up(numbers, letter, mask),
    )
    if (lost := mask & (sites.multiplicity == 0)).any():
        row, column = np.argwhere(lost)[0]
        raise GeneError(
            f"Code {table[row, column]} of row {row} is no site of space group "
            f"{numbers[row]}: it has no letter of index {letter[row, column]}. Make "
            "the codes with pack_genes."
        )
    return sites


def _look_up(
    numbers: NDArray[np.int64], letter: NDArray[np.int64], mask: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return what the tables say of each letter, and zero where there is no site."""
    tables = load_position_tables()
    where = numbers[:, None], letter
    return {
        name: np.where(mask, getattr(tables, name)[where], 0).astype(np.int64)
        for name in ("multiplicity", "degrees_of_freedom", "site_symmetry")
    }
