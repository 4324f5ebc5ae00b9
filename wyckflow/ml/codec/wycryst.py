"""The published representation: an array of one column per element, and a group.

The layout is that of WyCryst: 224 rows, named in `ROWS`, and three columns in the order
of the formula, the cations first. A binary leaves its third column empty. Only genes of
at most three elements up to lawrencium, without the letter ``A`` of group 47, fit.
Unlike the published decoder this one repairs nothing: what is no gene has a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import starmap
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import SYMBOLS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.tables import N_SPACE_GROUPS, WYCKOFF_LETTERS
from wyckflow.errors import GeneError
from wyckflow.ml.codec.arrangement import FORMULA_RANK
from wyckflow.ml.codec.tables import load_position_tables
from wyckflow.ml.elements import ELEMENT_FEATURES, element_features

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wyckflow.ml.codec.sites import SiteTensors

N_COLUMNS: Final = 3
N_ELEMENTS: Final = 103
N_ROWS: Final = 224
N_COUNTED_LETTERS: Final = 26

ROWS: Final = {
    "element": slice(0, 103),
    "n_atoms": slice(103, 104),
    "fraction": slice(104, 105),
    "empty": slice(105, 106),
    "features": slice(106, 198),
    "letters": slice(198, 224),
}
"""Which rows hold what."""

# Column of the element features, and in how many bins its values are put.
_BINS: Final = {
    "group": 18,
    "period": 8,
    "electronegativity": 10,
    "atomic_radius": 10,
    "mendeleev_number": 12,
    "first_ionization_energy": 10,
    "electron_affinity": 10,
    "molar_volume": 10,
}
_BLOCKS: Final = ("is_s_block", "is_p_block", "is_d_block", "is_f_block")
_LEAST_PROBABILITY: Final = 0.1


class WycrystRejection(StrEnum):
    """Why a decoded array is no gene."""

    NO_SPACE_GROUP = "no_space_group"
    """No space group is at all likely."""
    NO_SITE = "no_site"
    """Every column is empty."""
    NO_ELEMENT = "no_element"
    """A column with sites names no element."""
    ELEMENT_TWICE = "element_twice"
    """Two columns name the same element."""
    UNKNOWN_LETTER = "unknown_letter"
    """The space group does not have a letter."""
    FIXED_POSITION_TWICE = "fixed_position_twice"
    """A position without free coordinate has more than one occupant."""
    TOO_MANY_ATOMS = "too_many_atoms"
    """The cell is larger than allowed."""


@dataclass(frozen=True, eq=False, slots=True)
class WycrystArrays:
    """Genes in the published representation.

    Attributes
    ----------
    crystal
        (n, 224, 3).
    space_group
        Space-group numbers (n,); the network sees them one-hot.
    """

    crystal: NDArray[np.float32]
    space_group: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of genes."""
        return len(self.crystal)

    @property
    def one_hot(self) -> NDArray[np.float32]:
        """The space groups as the network sees them (n, 230)."""
        return np.eye(N_SPACE_GROUPS, dtype=np.float32)[self.space_group - 1]


@lru_cache(maxsize=1)
def binary_features() -> NDArray[np.float32]:
    """Return 92 zeros and ones per element, by bins of tabulated values (119, 92)."""
    table = element_features()
    parts = []
    for name, n_bins in _BINS.items():
        column = table[:, ELEMENT_FEATURES.index(name)]
        known = np.ones(len(column), bool)
        if (lacks := f"lacks_{name}") in ELEMENT_FEATURES:
            known = table[:, ELEMENT_FEATURES.index(lacks)] == 0
        known[0] = False
        low, high = column[known].min(), column[known].max()
        place = np.floor((column - low) / (high - low) * n_bins).astype(int)
        bins = np.eye(n_bins, dtype=np.float32)[np.clip(place, 0, n_bins - 1)]
        parts.append(bins * known[:, None])
    blocks = table[:, [ELEMENT_FEATURES.index(name) for name in _BLOCKS]] > 0
    blocks[0] = False
    result = np.concatenate([*parts, blocks.astype(np.float32)], axis=1)
    result.flags.writeable = False
    return result


def fits_wycryst(sites: SiteTensors) -> NDArray[np.bool_]:
    """Return which genes the representation can hold (n,).

    Parameters
    ----------
    sites
        Any genes.
    """
    ordered = np.sort(sites.atomic_number, axis=1)
    n_elements = ((ordered[:, 1:] != ordered[:, :-1]) & (ordered[:, 1:] > 0)).sum(
        axis=1
    )
    n_elements += ordered[:, 0] > 0
    is_small = n_elements <= N_COLUMNS
    is_light = sites.atomic_number.max(axis=1, initial=0) <= N_ELEMENTS
    is_counted = sites.letter.max(axis=1, initial=0) < N_COUNTED_LETTERS
    fits: NDArray[np.bool_] = is_small & is_light & is_counted
    return fits


def encode_wycryst(sites: SiteTensors) -> WycrystArrays:
    """Write genes in the published representation.

    Parameters
    ----------
    sites
        Genes that fit, see `fits_wycryst`.

    Raises
    ------
    GeneError
        If one does not fit.
    """
    if not (fits := fits_wycryst(sites)).all():
        row = int(np.flatnonzero(~fits)[0])
        raise GeneError(
            f"The gene in row {row} does not fit the published representation, which "
            f"holds {N_COLUMNS} elements up to Z = {N_ELEMENTS} and letters a to z; "
            "leave it out (fits_wycryst says which fit)."
        )
    column = _columns(sites)
    crystal = np.zeros((len(sites), N_ROWS, N_COLUMNS), np.float32)
    rows, place = np.nonzero(sites.mask)
    at = column[rows, place]
    number = sites.atomic_number[rows, place]
    crystal[rows, number - 1, at] = 1
    to_atoms = rows, np.full_like(rows, ROWS["n_atoms"].start), at
    np.add.at(crystal, to_atoms, sites.multiplicity[rows, place])
    np.add.at(crystal, (rows, ROWS["letters"].start + sites.letter[rows, place], at), 1)
    atoms = crystal[:, ROWS["n_atoms"]]
    crystal[:, ROWS["fraction"]] = atoms / atoms.sum(axis=2, keepdims=True)
    crystal[rows, ROWS["features"], at] = binary_features()[number]
    return WycrystArrays(crystal, sites.space_group)


def decode_wycryst(
    crystal: NDArray[np.float32],
    group_probability: NDArray[np.float32],
    *,
    max_atoms: int = 100,
) -> list[WyckoffGene | WycrystRejection]:
    """Read genes, or the reasons why there is none.

    Parameters
    ----------
    crystal
        (n, 224, 3).
    group_probability
        Of the space groups (n, 230).
    max_atoms
        Most atoms in the conventional cell.
    """
    counts = np.rint(np.maximum(crystal[:, ROWS["letters"]], 0)).astype(int)
    elements = crystal[:, ROWS["element"]]
    groups = np.argmax(group_probability, axis=1) + 1
    groups[group_probability.max(axis=1) < _LEAST_PROBABILITY] = 0
    numbers = elements.argmax(axis=1) + 1
    numbers[elements.max(axis=1) < _LEAST_PROBABILITY] = 0
    rows = zip(groups.tolist(), numbers.tolist(), counts, strict=True)
    return list(starmap(_Reader(max_atoms), rows))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Turns one decoded array into a gene or a reason."""

    max_atoms: int

    def __call__(
        self, group: int, numbers: Sequence[int], counts: NDArray[np.int64]
    ) -> WyckoffGene | WycrystRejection:
        tables = load_position_tables()
        used = [column for column in range(N_COLUMNS) if counts[:, column].any()]
        named = [numbers[column] for column in used]
        occupants = counts.sum(axis=1)
        exists = tables.exists[group, :N_COUNTED_LETTERS]
        is_fixed = tables.degrees_of_freedom[group, :N_COUNTED_LETTERS] == 0
        atoms = occupants @ tables.multiplicity[group, :N_COUNTED_LETTERS]
        checks = (
            (not group, WycrystRejection.NO_SPACE_GROUP),
            (not used, WycrystRejection.NO_SITE),
            (not all(named), WycrystRejection.NO_ELEMENT),
            (len(set(named)) < len(named), WycrystRejection.ELEMENT_TWICE),
            (occupants[~exists].any(), WycrystRejection.UNKNOWN_LETTER),
            (
                (occupants[exists & is_fixed] > 1).any(),
                WycrystRejection.FIXED_POSITION_TWICE,
            ),
            (atoms > self.max_atoms, WycrystRejection.TOO_MANY_ATOMS),
        )
        for failed, reason in checks:
            if failed:
                return reason
        return WyckoffGene.from_pairs(
            group,
            [
                (SYMBOLS[numbers[column] - 1], WYCKOFF_LETTERS[letter])
                for column in used
                for letter in np.repeat(np.arange(N_COUNTED_LETTERS), counts[:, column])
            ],
        )


def _columns(sites: SiteTensors) -> NDArray[np.int64]:
    """Return the column of every site: the place of its element in the formula."""
    ranks = np.where(sites.mask, FORMULA_RANK[sites.atomic_number], 1 << 10)
    return np.array([np.unique(row, return_inverse=True)[1] for row in ranks]).reshape(
        ranks.shape
    )
