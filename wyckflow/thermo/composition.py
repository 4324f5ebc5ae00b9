"""Many compositions as flat integer arrays, grouped by chemical system."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import numpy as np

from wyckflow.crystal.elements import ATOMIC_NUMBERS, SYMBOLS, reduced_formula
from wyckflow.errors import ReferenceDataError, nearest_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

System = tuple[int, ...]
"""A chemical system: its atomic numbers, ascending."""


@dataclass(frozen=True, eq=False)
class Compositions:
    """Compositions one after another, each sorted by atomic number; read-only.

    The smallest whole numbers are kept: ``Sr2Ti2O6`` becomes ``SrTiO3``.

    Attributes
    ----------
    offsets
        Where each composition begins, and the end.
    atomic_numbers
        Of every element of every composition.
    counts
        Atoms of that element in the smallest formula.
    """

    offsets: NDArray[np.int64]
    atomic_numbers: NDArray[np.uint8]
    counts: NDArray[np.int32]

    @classmethod
    def from_counts(cls, compositions: Iterable[Mapping[str, float]]) -> Self:
        """Read compositions such as ``{"Sr": 1, "Ti": 1, "O": 3}``.

        Parameters
        ----------
        compositions
            Atoms by chemical symbol; pymatgen's ``Composition`` is such a mapping
            through ``as_dict()``.

        Raises
        ------
        ReferenceDataError
            If a symbol is no element, or a count is no positive whole number.
        """
        ends, numbers, counts = [0], [], []
        for composition in compositions:
            for number, count in reduce_counts(composition):
                numbers.append(number)
                counts.append(count)
            ends.append(len(numbers))
        return cls(
            np.array(ends, np.int64),
            np.array(numbers, np.uint8),
            np.array(counts, np.int32),
        )

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.offsets) - 1

    def counts_of(self, index: int) -> dict[str, int]:
        """Return one composition as atoms by symbol."""
        part = slice(self.offsets[index], self.offsets[index + 1])
        numbers, counts = self.atomic_numbers[part], self.counts[part]
        symbols = [SYMBOLS[number - 1] for number in numbers.tolist()]
        return dict(zip(symbols, counts.tolist(), strict=True))

    def formula_of(self, index: int) -> str:
        """Return one composition as a reduced formula, such as ``SrTiO3``."""
        return reduced_formula(self.counts_of(index))

    @cached_property
    def pairs(self) -> list[tuple[tuple[int, int], ...]]:
        """Each composition as pairs of atomic number and count."""
        every = list(
            zip(self.atomic_numbers.tolist(), self.counts.tolist(), strict=True)
        )
        ends = self.offsets.tolist()
        return [tuple(every[a:b]) for a, b in pairwise(ends)]

    @cached_property
    def systems(self) -> dict[System, NDArray[np.int64]]:
        """Which compositions have exactly the elements of each chemical system."""
        numbers, ends = self.atomic_numbers.tobytes(), self.offsets.tolist()
        places: dict[bytes, list[int]] = {}
        for index, (start, end) in enumerate(pairwise(ends)):
            places.setdefault(numbers[start:end], []).append(index)
        return {tuple(key): np.array(found) for key, found in places.items()}

    def fractions(
        self, indices: NDArray[np.int64], system: System
    ) -> NDArray[np.float64]:
        """Return atomic fractions in the coordinates of a chemical system.

        Parameters
        ----------
        indices
            Compositions with exactly the same elements, all of them in ``system``.
        system
            Atomic numbers of the columns, ascending.

        Returns
        -------
        ndarray
            One row per composition.
        """
        starts = self.offsets[indices]
        width = int(self.offsets[indices[0] + 1] - starts[0]) if len(indices) else 0
        places = starts[:, None] + np.arange(width)
        counts = self.counts[places].astype(np.float64)
        rows = np.zeros((len(indices), len(system)))
        if len(indices):
            columns = np.searchsorted(system, self.atomic_numbers[places[0]])
            rows[:, columns] = counts / counts.sum(axis=1, keepdims=True)
        return rows

    def take(self, indices: ArrayLike) -> Self:
        """Return some of them, in the given order.

        Parameters
        ----------
        indices
            Their places.
        """
        chosen = np.asarray(indices, np.int64)
        lengths = np.diff(self.offsets)[chosen]
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.repeat(self.offsets[chosen] - ends[:-1], lengths)
        places = places + np.arange(ends[-1])
        return type(self)(ends, self.atomic_numbers[places], self.counts[places])

    def join(self, other: Compositions) -> Self:
        """Return these and then those of ``other``."""
        joined = type(self)(
            np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]]),
            np.concatenate([self.atomic_numbers, other.atomic_numbers]),
            np.concatenate([self.counts, other.counts]),
        )
        # What is known of these is not found again.
        if "pairs" in vars(self):
            vars(joined)["pairs"] = self.pairs + other.pairs
        if "systems" in vars(self):
            systems = dict(self.systems)
            for system, places in other.systems.items():
                held = systems.get(system, places[:0])
                systems[system] = np.concatenate([held, places + len(self)])
            vars(joined)["systems"] = systems
        return joined


def reduce_counts(composition: Mapping[str, float]) -> list[tuple[int, int]]:
    """Return the smallest formula as pairs of atomic number and count, sorted.

    Parameters
    ----------
    composition
        Atoms by chemical symbol.

    Raises
    ------
    ReferenceDataError
        If a symbol is no element, or a count is no positive whole number.
    """
    pairs = []
    for symbol, count in composition.items():
        number = atomic_number(symbol)
        if not (count > 0 and float(count).is_integer()):
            raise ReferenceDataError(
                f"The composition {dict(composition)} has {count!r} atoms of {symbol}; "
                "give whole numbers above zero."
            )
        pairs.append((number, int(count)))
    if not pairs:
        raise ReferenceDataError("A composition without elements came; give some.")
    divisor = int(np.gcd.reduce([count for _, count in pairs]))
    return [(number, count // divisor) for number, count in sorted(pairs)]


def atomic_number(symbol: str) -> int:
    """Return the atomic number of a chemical symbol.

    Parameters
    ----------
    symbol
        Such as ``Ti``.

    Raises
    ------
    ReferenceDataError
        If there is no such element.
    """
    number = ATOMIC_NUMBERS.get(symbol)
    if number is None:
        raise ReferenceDataError(
            f"{symbol!r} is no chemical element."
            f"{nearest_name(str(symbol), ATOMIC_NUMBERS)}"
        )
    return number


def parse_system(chemsys: str | Iterable[str]) -> System:
    """Return a chemical system as atomic numbers.

    Parameters
    ----------
    chemsys
        Text such as ``O-Sr-Ti``, or symbols, in any order.

    Raises
    ------
    ReferenceDataError
        If a symbol is no element, or there is none.
    """
    symbols = chemsys.split("-") if isinstance(chemsys, str) else list(chemsys)
    if not symbols:
        raise ReferenceDataError(
            "A chemical system without elements came; name them, such as 'O-Sr-Ti'."
        )
    return tuple(sorted({atomic_number(symbol.strip()) for symbol in symbols}))


def format_system(system: Iterable[int]) -> str:
    """Return a chemical system as text, symbols sorted: ``O-Sr-Ti``.

    Parameters
    ----------
    system
        Atomic numbers.
    """
    return "-".join(sorted(SYMBOLS[number - 1] for number in system))


def symbols_of(system: Sequence[int]) -> list[str]:
    """Return the symbols of atomic numbers, sorted.

    Parameters
    ----------
    system
        Atomic numbers.
    """
    return sorted(SYMBOLS[number - 1] for number in system)
