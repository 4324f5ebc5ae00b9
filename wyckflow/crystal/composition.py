"""Compositions as arrays: what a gene holds, without where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from wyckflow.crystal.elements import (
    ATOMIC_NUMBERS,
    FORMULA_RANKS,
    N_ATOMIC_NUMBERS,
    SYMBOLS,
)
from wyckflow.errors import GeneError, nearest_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Compositions:
    """The elements of many crystals, reduced to one formula unit.

    Attributes
    ----------
    atomic_numbers
        (n, k), the elements of each row in ascending order, filled up with zeros.
    counts
        (n, k), atoms of each element in the formula unit, filled up with zeros.
    """

    atomic_numbers: NDArray[np.int16]
    counts: NDArray[np.int32]

    def __len__(self) -> int:
        """Return the number of compositions."""
        return len(self.atomic_numbers)

    @property
    def n_elements(self) -> NDArray[np.int64]:
        """Number of different elements of each row."""
        n_elements: NDArray[np.int64] = (self.atomic_numbers > 0).sum(axis=1)
        return n_elements

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of each element in the atoms of its row."""
        shares: NDArray[np.float64] = self.counts / self.counts.sum(1, keepdims=True)
        return shares

    @classmethod
    def from_mappings(cls, mappings: Sequence[Mapping[str, int]]) -> Self:
        """Read compositions as mappings from symbols to numbers of atoms.

        Parameters
        ----------
        mappings
            Any multiple of the formula unit, such as ``{"Fe": 4, "O": 6}``.

        Raises
        ------
        ValueError
            If there is no atom, or a negative or fractional number of them.
        GeneError
            If a symbol is that of no element.
        """
        sizes = np.array([len(mapping) for mapping in mappings], np.int64)
        try:
            numbers = [ATOMIC_NUMBERS[s] for mapping in mappings for s in mapping]
        except KeyError as error:
            raise _unknown_symbol(str(error.args[0])) from None
        amounts = np.array([n for m in mappings for n in m.values()], np.float64)
        is_wrong = (amounts < 1) | (amounts != np.floor(amounts))
        if is_wrong.any() or not sizes.all():
            raise _no_composition(mappings)
        filled = np.arange(int(sizes.max(initial=0))) < sizes[:, None]
        atomic_numbers = np.zeros(filled.shape, np.int16)
        counts = np.zeros(filled.shape, np.int32)
        atomic_numbers[filled], counts[filled] = numbers, amounts
        order = np.argsort(np.where(filled, atomic_numbers, N_ATOMIC_NUMBERS), axis=1)
        return cls(
            np.take_along_axis(atomic_numbers, order, 1),
            _reduce(np.take_along_axis(counts, order, 1)),
        )

    @classmethod
    def from_sites(
        cls, atomic_numbers: NDArray[np.int64], multiplicities: NDArray[np.int64]
    ) -> Self:
        """Add up the atoms of sites.

        Parameters
        ----------
        atomic_numbers
            (n, m), the element of every site of a crystal, 0 where there is none.
        multiplicities
            (n, m), its atoms.
        """
        rows, columns = np.nonzero(atomic_numbers)
        marks = rows * N_ATOMIC_NUMBERS + atomic_numbers[rows, columns]
        found, places = np.unique(marks, return_inverse=True)
        sums = np.bincount(places, multiplicities[rows, columns], len(found))
        crystals, elements = np.divmod(found, N_ATOMIC_NUMBERS)
        n_elements = np.bincount(crystals, minlength=len(atomic_numbers))
        width = int(n_elements.max(initial=0))
        filled = np.arange(width) < n_elements[:, None]
        table = np.zeros(filled.shape, np.int16)
        counts = np.zeros(filled.shape, np.int32)
        table[filled], counts[filled] = elements, sums
        return cls(table, _reduce(counts))

    def take(self, rows: NDArray[np.int64]) -> Compositions:
        """Return some of the rows."""
        return Compositions(self.atomic_numbers[rows], self.counts[rows])

    def distinct(self) -> tuple[Compositions, NDArray[np.int64]]:
        """Return every composition once, and where each row is among them."""
        if not len(self):
            return self, np.empty(0, np.int64)
        joined = np.concatenate([self.atomic_numbers, self.counts], axis=1, dtype="i4")
        packed = np.ascontiguousarray(joined).view(f"V{4 * joined.shape[1]}")
        _, first, places = np.unique(
            packed[:, 0], return_index=True, return_inverse=True
        )
        return self.take(first), places

    def row(self, index: int) -> dict[str, int]:
        """Return one formula unit as symbols and counts, in the order of a formula."""
        numbers, counts = self.atomic_numbers[index], self.counts[index]
        pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
        named = {SYMBOLS[z - 1]: n for z, n in pairs if z}
        return dict(sorted(named.items(), key=lambda item: FORMULA_RANKS[item[0]]))


def _no_composition(mappings: Sequence[Mapping[str, int]]) -> ValueError:
    """Name the first mapping that is no composition."""
    for mapping in mappings:
        counts = list(mapping.values())
        if not counts or any(not n >= 1 or n != int(n) for n in counts):
            break
    return ValueError(
        f"{dict(mapping)} is no composition: give a positive whole number of atoms for "
        "each of at least one element."
    )


def _unknown_symbol(symbol: str) -> GeneError:
    """Say that there is no such element."""
    return GeneError(
        f"{symbol!r} is no chemical symbol; expected one such as 'Ti'."
        f"{nearest_name(symbol, SYMBOLS)}"
    )


def _reduce(counts: NDArray[np.int32]) -> NDArray[np.int32]:
    """Divide each row by its greatest common divisor."""
    if not counts.size:
        return counts
    divisors = np.gcd.reduce(counts, axis=1, keepdims=True)
    return counts // np.maximum(divisors, 1)
