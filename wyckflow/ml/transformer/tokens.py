"""Sites as tokens: element, oriented site symmetry, enumeration; and back.

The symbol of a site symmetry means the same in every space group, a letter does not. In
one group the symbol and the enumeration together name the letter. Both are looked up
for the letter that a site has after its description was changed: axes that are renamed
turn ``2mm`` into ``mm2``, and keeping the old symbol would name another position.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from wyckflow.crystal.elements import N_ATOMIC_NUMBERS
from wyckflow.crystal.keys import LETTER_BITS
from wyckflow.errors import GeneError
from wyckflow.ml.codec.tables import load_position_tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.ml.codec.sites import SiteTensors

STOP: Final = 0
"""Class of the first part that says that the gene is finished."""

MASKED_ELEMENT: Final = N_ATOMIC_NUMBERS
MASKED_SYMMETRY: Final = 0
MASKED_ENUMERATION: Final = 8
"""Index of each part where it is not known yet, behind or before all others."""

N_ENUMERATIONS: Final = 8
"""No group has more positions of one symmetry; a test counts them."""


@dataclass(frozen=True, eq=False, slots=True)
class TokenTables:
    """What turns letters into tokens and back, by space-group number.

    Attributes
    ----------
    symmetry, enumeration
        Parts of the token of every letter (231, 27).
    letter
        Index of the letter with a symmetry and an enumeration (231, symmetries, 8), -1
        where the group has none.
    """

    symmetry: NDArray[np.int64]
    enumeration: NDArray[np.int64]
    letter: NDArray[np.int64]

    @property
    def n_symmetries(self) -> int:
        """Number of symbols, the one for a masked part included."""
        return int(self.letter.shape[1])


@dataclass(frozen=True, eq=False, slots=True)
class GeneTokens:
    """``n`` genes with up to ``L`` tokens each, in the order of their sites.

    Attributes
    ----------
    space_group
        The first token: space-group numbers (n,).
    element, symmetry, enumeration
        The parts of the others (n, L), masked where there is no site.
    mask
        Where there is a site (n, L).
    """

    space_group: NDArray[np.int64]
    element: NDArray[np.int64]
    symmetry: NDArray[np.int64]
    enumeration: NDArray[np.int64]
    mask: NDArray[np.bool_]

    @classmethod
    def from_sites(cls, sites: SiteTensors) -> Self:
        """Write genes as tokens.

        Parameters
        ----------
        sites
            The genes.
        """
        tables = load_token_tables()
        where = sites.space_group[:, None], sites.letter
        return cls(
            space_group=sites.space_group,
            element=np.where(sites.mask, sites.atomic_number, MASKED_ELEMENT),
            symmetry=np.where(sites.mask, tables.symmetry[where], MASKED_SYMMETRY),
            enumeration=np.where(
                sites.mask, tables.enumeration[where], MASKED_ENUMERATION
            ),
            mask=sites.mask,
        )

    def to_codes(self) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Return the genes as `wyckflow.crystal.keys.pack_genes` writes them.

        Raises
        ------
        GeneError
            If a token names no position of its space group.
        """
        tables = load_token_tables()
        letter = tables.letter[
            self.space_group[:, None],
            self.symmetry,
            np.where(self.mask, self.enumeration, 0),
        ]
        if (lost := self.mask & (letter < 0)).any():
            row, column = np.argwhere(lost)[0]
            symbols = load_position_tables().site_symmetry_symbols
            raise GeneError(
                f"Token {column} of row {row} has the site symmetry "
                f"{symbols[self.symmetry[row, column]]!r} and the enumeration "
                f"{self.enumeration[row, column]}, which space group "
                f"{self.space_group[row]} does not have; look both up for the letter."
            )
        codes = np.where(self.mask, self.element << LETTER_BITS | letter, 0)
        return self.space_group.astype(np.int16), codes.astype(np.int16)


@lru_cache(maxsize=1)
def load_token_tables() -> TokenTables:
    """Build the tables of all groups, once."""
    positions = load_position_tables()
    n_symmetries = len(positions.site_symmetry_symbols)
    shape = len(positions.exists), n_symmetries, N_ENUMERATIONS
    letter = np.full(shape, -1, np.int64)
    groups, letters = positions.exists.nonzero()
    symmetry = positions.site_symmetry.astype(np.int64)
    enumeration = positions.enumeration.astype(np.int64)
    letter[groups, symmetry[groups, letters], enumeration[groups, letters]] = letters
    return TokenTables(*map(_frozen, (symmetry, enumeration, letter)))


def letters_by_symmetry() -> NDArray[np.bool_]:
    """Return which letters have which symmetry, by group (231, 27, symmetries)."""
    tables = load_token_tables()
    table = np.zeros((*tables.symmetry.shape, tables.n_symmetries), np.bool_)
    groups, letters = load_position_tables().exists.nonzero()
    table[groups, letters, tables.symmetry[groups, letters]] = True
    return table


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
