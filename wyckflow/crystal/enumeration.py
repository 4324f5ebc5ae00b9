"""Every way to put a composition on the Wyckoff positions of space groups.

Each element gets letters whose multiplicities add up to its atoms, and a position
without a free coordinate holds one atom at most. The ways are counted exactly before
any is written down, so that what a limit leaves out can be said. Of equivalent ways
(another origin, axes, or the mirror image) one is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from wyckflow.crystal.elements import ATOMIC_NUMBERS, FORMULA_RANKS, SYMBOLS
from wyckflow.crystal.keys import LETTER_BITS, canonical_keys
from wyckflow.crystal.tables import ENANTIOMORPHS, N_SPACE_GROUPS, load_space_group
from wyckflow.errors import GeneError, nearest_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Ints: TypeAlias = NDArray[np.int64]

Composition: TypeAlias = Mapping[str, int]

MOST_ATOMS: Final = 20
"""Atoms of the primitive cell, as in most published data sets."""

MOST_FREEDOM: Final = 9
"""Free coordinates; the first WyCryst paper kept genes with fewer than ten degrees of
freedom, and four of five crystals of the Materials Project have no more."""


@dataclass(frozen=True, slots=True)
class EnumerationLimits:
    """Which genes are written down.

    Attributes
    ----------
    max_atoms
        Most atoms in the primitive cell.
    max_freedom
        Most free coordinates of all sites together.
    max_orbits
        Most occupied orbits.
    max_assignments
        Most ways of one space group and cell size, equivalent ones included. Where
        there are more, those with many orbits are left out, and counted.

    Raises
    ------
    ValueError
        If a number allows nothing.
    """

    max_atoms: int = MOST_ATOMS
    max_freedom: int = MOST_FREEDOM
    max_orbits: int = 8
    max_assignments: int = 20_000

    def __post_init__(self) -> None:
        """Refuse limits that no gene meets."""
        for name in ("max_atoms", "max_orbits", "max_assignments"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1.")
        if self.max_freedom < 0:
            raise ValueError(f"{self.max_freedom=} must not be negative.")


@dataclass(frozen=True, slots=True)
class CellCount:
    """What there is in one space group at one size of the cell.

    Attributes
    ----------
    space_group_number
        1 to 230.
    formula_units
        In the primitive cell.
    n_assignments
        Ways within the limits, equivalent ones included.
    n_listed
        Of these, the ways that were written down.
    n_genes
        Different ones among those.
    """

    space_group_number: int
    formula_units: int
    n_assignments: int
    n_listed: int
    n_genes: int


@dataclass(frozen=True, eq=False, slots=True)
class Enumeration:
    """The genes of a composition.

    Attributes
    ----------
    space_group_numbers, codes
        Different genes, as `wyckflow.crystal.keys.pack_genes` writes them; by space
        group, then by size of the cell.
    keys
        Canonical key of each.
    cells
        What was counted, for every space group and size that has any.
    """

    space_group_numbers: NDArray[np.int16]
    codes: NDArray[np.int16]
    keys: NDArray[np.uint64]
    cells: tuple[CellCount, ...]

    def __len__(self) -> int:
        """Return the number of genes."""
        return len(self.keys)

    @property
    def n_assignments(self) -> int:
        """All ways within the limits, equivalent ones included."""
        return sum(cell.n_assignments for cell in self.cells)

    @property
    def n_left_out(self) -> int:
        """Ways that were counted and not written down."""
        return sum(cell.n_assignments - cell.n_listed for cell in self.cells)


def check_composition(composition: Composition) -> dict[str, int]:
    """Return the smallest formula, cations first.

    Parameters
    ----------
    composition
        Atoms of each element.

    Raises
    ------
    GeneError
        If it is empty, or has an unknown element or a count that is no positive
        integer.
    """
    if not composition:
        raise GeneError("An empty composition came; give one such as {'Ti': 1, 'O': 2}")
    for symbol, number in composition.items():
        if symbol not in ATOMIC_NUMBERS:
            hint = nearest_name(str(symbol), SYMBOLS)
            raise GeneError(
                f"{symbol!r} is no chemical symbol; expected one such as 'Ti'.{hint}"
            )
        if number != int(number) or number < 1:
            raise GeneError(
                f"{number} atoms of {symbol} came; give whole numbers from 1 on."
            )
    divisor = int(np.gcd.reduce([int(number) for number in composition.values()]))
    symbols = sorted(composition, key=FORMULA_RANKS.__getitem__)
    return {symbol: int(composition[symbol]) // divisor for symbol in symbols}


@cache
def count_lattice_points(space_group_number: int) -> int:
    """Return how many primitive cells the conventional cell holds.

    Parameters
    ----------
    space_group_number
        1 to 230.
    """
    rotations = load_space_group(space_group_number).rotations
    is_shift = (rotations == np.eye(3, dtype=np.int64)).all(axis=(1, 2))
    return int(is_shift.sum())


def count_assignments(
    composition: Composition,
    space_group_number: int,
    limits: EnumerationLimits | None = None,
) -> Ints:
    """Count the ways of a space group without writing any down.

    Parameters
    ----------
    composition
        Atoms of each element; taken as the smallest formula.
    space_group_number
        1 to 230.
    limits
        Size, freedom and orbits; ``max_assignments`` is not asked.

    Returns
    -------
    numpy.ndarray
        Ways with so many formula units in the primitive cell (row) and so many orbits
        (column), equivalent ones included.
    """
    limits = limits or EnumerationLimits()
    counts = [*check_composition(composition).values()]
    n_units = limits.max_atoms // sum(counts)
    most = [number * n_units for number in counts]
    # Axes: atoms of each element, free coordinates, orbits.
    shape = [*(number + 1 for number in most), limits.max_freedom + 1]
    ways = np.zeros([*shape, limits.max_orbits + 1], np.int64)
    ways[(0,) * ways.ndim] = 1
    for size, freedom in _sizes(space_group_number):
        before = ways if freedom else ways.copy()
        for axis, number in enumerate(most):
            # A free position takes any number of atoms: what was just written counts.
            source, result = np.moveaxis(before, axis, 0), np.moveaxis(ways, axis, 0)
            if freedom > limits.max_freedom:
                continue
            kept = limits.max_freedom + 1 - freedom
            for filled in range(size, number + 1):
                result[filled, ..., freedom:, 1:] += source[
                    filled - size, ..., :kept, :-1
                ]
    units = range(n_units + 1)
    found = [ways[tuple(n * unit for n in counts)].sum(axis=0) for unit in units]
    return np.array(found)


def enumerate_genes(
    composition: Composition,
    space_groups: Iterable[int] | None = None,
    limits: EnumerationLimits | None = None,
) -> Enumeration:
    """Write down the different genes of a composition.

    Parameters
    ----------
    composition
        Atoms of each element; taken as the smallest formula.
    space_groups
        Where to look; by default all but the higher number of each mirror pair.
    limits
        How far to go.
    """
    limits = limits or EnumerationLimits()
    wanted = check_composition(composition)
    if space_groups is None:
        space_groups = set(range(1, N_SPACE_GROUPS + 1)) - ENANTIOMORPHS.keys()
    numbers: list[NDArray[np.int16]] = []
    tables: list[NDArray[np.int16]] = []
    keys: list[NDArray[np.uint64]] = []
    cells: list[CellCount] = []
    for number in sorted(space_groups):
        for cell, codes, own_keys in _enumerate_group(wanted, number, limits):
            cells.append(cell)
            numbers.append(np.full(len(codes), number, np.int16))
            tables.append(codes)
            keys.append(own_keys)
    width = max((codes.shape[1] for codes in tables), default=1)
    padded = [np.pad(c, ((0, 0), (0, width - c.shape[1]))) for c in tables]
    return Enumeration(
        space_group_numbers=np.concatenate(numbers or [np.empty(0, np.int16)]),
        codes=np.concatenate(padded or [np.empty((0, width), np.int16)]),
        keys=np.concatenate(keys or [np.empty(0, np.uint64)]),
        cells=tuple(cells),
    )


def find_smallest_cell(composition: Composition, space_group_number: int) -> int:
    """Return the fewest formula units whose atoms find room in a primitive cell.

    Parameters
    ----------
    composition
        Atoms of each element; taken as the smallest formula.
    space_group_number
        1 to 230.
    """
    counts = [*check_composition(composition).values()]
    sizes = _sizes(space_group_number)
    free = sorted({size for size, freedom in sizes if freedom})
    fixed = [size for size, freedom in sizes if not freedom]
    return next(
        units
        for units in count(1)
        if _has_room([number * units for number in counts], free, fixed)
    )


# --- one space group ------------------------------------------------------------------


@cache
def _sizes(space_group_number: int) -> tuple[tuple[int, int], ...]:
    """Return atoms in the primitive cell and free coordinates of every position."""
    n_points = count_lattice_points(space_group_number)
    return tuple(
        (position.multiplicity // n_points, position.degrees_of_freedom)
        for position in load_space_group(space_group_number).positions
    )


def _enumerate_group(
    composition: dict[str, int], number: int, limits: EnumerationLimits
) -> Iterator[tuple[CellCount, NDArray[np.int16], NDArray[np.uint64]]]:
    """Yield the genes of a space group, one size of the cell after the other."""
    ways = count_assignments(composition, number, limits)
    for units in range(1, len(ways)):
        n_all = int(ways[units].sum())
        if not n_all:
            continue
        fits = np.flatnonzero(ways[units].cumsum() <= limits.max_assignments)
        most_orbits = int(fits[-1])
        codes = _assign(composition, number, units, limits, most_orbits)
        keys = canonical_keys(np.full(len(codes), number), codes)
        _, first = np.unique(keys, return_index=True)
        first.sort()
        cell = CellCount(number, units, n_all, len(codes), len(first))
        yield cell, codes[first], keys[first]


@dataclass(frozen=True, eq=False, slots=True)
class _Ways:
    """Partial assignments: one row per way.

    ``codes`` are those of the sites so far, ``taken`` has a bit per fixed position.
    """

    codes: NDArray[np.int16]
    taken: Ints
    freedom: Ints
    orbits: Ints


def _assign(
    composition: dict[str, int],
    number: int,
    units: int,
    limits: EnumerationLimits,
    most_orbits: int,
) -> NDArray[np.int16]:
    """Return the codes of all ways with at most so many orbits (n, orbits)."""
    zero = np.zeros(1, np.int64)
    ways = _Ways(np.zeros((1, 0), np.int16), zero, zero, zero)
    n_left = len(composition)
    for symbol, per_unit in composition.items():
        n_left -= 1
        # Every element still to come takes at least one orbit.
        most = most_orbits - n_left
        own = _ways_of_element(number, per_unit * units, limits.max_freedom, most)
        codes = np.where(own.codes >= 0, own.codes, 0)
        codes += np.where(own.codes >= 0, ATOMIC_NUMBERS[symbol] << LETTER_BITS, 0)
        own = _Ways(codes.astype(np.int16), own.taken, own.freedom, own.orbits)
        ways = _combine(ways, own, limits.max_freedom, most)
    codes = -np.sort(-ways.codes, axis=1)  # zeros last
    width = int((codes > 0).sum(axis=1).max(initial=1))
    return np.ascontiguousarray(codes[:, :width])


def _combine(first: _Ways, second: _Ways, freedom: int, orbits: int) -> _Ways:
    """Return all pairs that share no fixed position and keep within the limits."""
    parts: list[tuple[Ints, Ints]] = []
    for row in range(len(first.codes)):
        fits = (second.taken & first.taken[row]) == 0
        fits &= second.freedom + first.freedom[row] <= freedom
        fits &= second.orbits + first.orbits[row] <= orbits
        columns = np.flatnonzero(fits)
        parts.append((np.full(len(columns), row), columns))
    left = np.concatenate([part[0] for part in parts] or [np.empty(0, np.int64)])
    right = np.concatenate([part[1] for part in parts] or [np.empty(0, np.int64)])
    return _Ways(
        codes=np.hstack([first.codes[left], second.codes[right]]),
        taken=first.taken[left] | second.taken[right],
        freedom=first.freedom[left] + second.freedom[right],
        orbits=first.orbits[left] + second.orbits[right],
    )


def _ways_of_element(number: int, n_atoms: int, freedom: int, orbits: int) -> _Ways:
    """Return every multiset of letters that holds so many atoms; -1 is no site."""
    sizes = _sizes(number)
    found: list[tuple[tuple[int, ...], int, int]] = []

    def extend(
        letters: tuple[int, ...], start: int, rest: int, taken: int, free: int
    ) -> None:
        if not rest:
            found.append((letters, taken, free))
            return
        if len(letters) >= orbits:
            return
        for index in range(start, len(sizes)):
            size, own = sizes[index]
            if size > rest or free + own > freedom:
                continue
            bit = 0 if own else 1 << index
            extend(
                (*letters, index),
                index if own else index + 1,
                rest - size,
                taken | bit,
                free + own,
            )

    extend((), 0, n_atoms, 0, 0)
    width = max((len(letters) for letters, _, _ in found), default=0)
    codes = np.full((len(found), width), -1, np.int16)
    for row, (letters, _, _) in enumerate(found):
        codes[row, : len(letters)] = letters
    return _Ways(
        codes=codes,
        taken=np.array([taken for _, taken, _ in found], np.int64),
        freedom=np.array([free for _, _, free in found], np.int64),
        orbits=(codes >= 0).sum(axis=1),
    )


def _has_room(
    numbers: Sequence[int], free: Sequence[int], fixed: Sequence[int]
) -> bool:
    """Say whether atoms can be made up of free sizes and each fixed one once."""
    reachable = np.zeros(max(numbers) + 1, bool)
    reachable[0] = True
    for size in free:
        for filled in range(size, len(reachable)):
            reachable[filled] |= reachable[filled - size]
    # What the fixed positions may have to hold of every element.
    states = {tuple(numbers)}
    for size in fixed:
        states |= {
            (*state[:place], rest - size, *state[place + 1 :])
            for state in states
            for place, rest in enumerate(state)
            if rest >= size
        }
        if any(all(reachable[rest] for rest in state) for state in states):
            return True
    return any(all(reachable[rest] for rest in state) for state in states)
