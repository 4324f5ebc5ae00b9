"""Whether charges of SMACT's kind can add up to zero, for many compositions at once.

Elements are sorted by electronegativity. With Pauling's order, those before some place
are cations and the others anions, so each place is tried: small cases by enumeration
over arrays, all others by `sums`. Both are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isnan
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import N_ATOMIC_NUMBERS
from wyckflow.screening.neutrality.sums import (
    add_states,
    charges_of,
    smallest_difference,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wyckflow.crystal.composition import Compositions
    from wyckflow.screening.neutrality.tables import ElementTable, States

MOST_ENUMERATED: Final = 3
"""Elements up to which arrays are faster than integers."""

FEWEST_ENUMERATED: Final = 24
"""Compositions from which they are."""

_LARGEST_CHARGE: Final = 16

Species = list[tuple[int, int]]
"""Atomic number and count of each element of one formula unit."""


@dataclass(frozen=True, eq=False)
class Balance:
    """A way of giving charges to the elements of a formula.

    Attributes
    ----------
    elements
        Electronegativities, and who may have mixed valence.
    states
        Oxidation states by atomic number.
    ordered
        Whether every cation must be less electronegative than every anion.
    mixed
        Whether atoms of one element may differ in charge, where SMACT lists it.
    """

    elements: ElementTable
    states: States
    ordered: bool
    mixed: bool

    def can_balance(self, compositions: Compositions) -> NDArray[np.bool_]:
        """Return which compositions can be neutral.

        Parameters
        ----------
        compositions
            Any, each of at least one element; one with an element that has no state
            cannot, nor, with an order, one without an electronegativity.
        """
        arity = compositions.n_elements
        found = np.zeros(len(compositions), bool)
        for n_elements in np.unique(arity).tolist():
            rows = np.flatnonzero(arity == n_elements)
            is_small = not self.mixed and n_elements <= MOST_ENUMERATED
            if is_small and len(rows) >= FEWEST_ENUMERATED:
                found[rows] = self._enumerate(compositions.take(rows), n_elements)
            else:
                found[rows] = [
                    self._is_zero_reached(species)
                    for species in _iter_species(compositions.take(rows))
                ]
        return found

    def nearest_charges(self, compositions: Compositions) -> NDArray[np.float64]:
        """Return the total charge nearest to zero, per formula unit.

        Parameters
        ----------
        compositions
            Any; where no charges can be given at all it is not-a-number.
        """
        nearest = np.full(len(compositions), np.nan)
        for row, species in enumerate(_iter_species(compositions)):
            totals = (smallest_difference(*pair) for pair in self._reached(species))
            known = [total for total in totals if total is not None]
            nearest[row] = min(known, key=abs, default=np.nan)
        return nearest

    # --- one composition at a time, as bits ------------------------------------------

    def _is_zero_reached(self, species: Species) -> bool:
        """Try the splits, the commonest (one anion) first."""
        return any(first & second for first, second in self._reached(species))

    def _reached(self, species: Species) -> Iterator[tuple[int, int]]:
        """Yield pairs of reached charges whose difference is the total.

        One pair per choice of cations; the first are those of the cations, the second
        the sizes of those of the anions.
        """
        if not self.ordered:
            yield self._reached_by_any(species)
            return
        values = [self._electronegativities[z] for z, _ in species]
        if any(map(isnan, values)):
            return
        ranked = sorted(zip(values, species, strict=True), key=lambda pair: pair[0])
        splits = [
            k for k in range(len(ranked) - 1, 0, -1) if ranked[k - 1][0] < ranked[k][0]
        ]
        for split in (*splits, len(ranked), 0):
            cations = anions = 1
            for _, (z, n) in ranked[:split]:
                cations = add_states(cations, self._charges(z, n, +1))
            for _, (z, n) in ranked[split:]:
                anions = add_states(anions, self._charges(z, n, -1))
            yield cations, anions

    def _reached_by_any(self, species: Species) -> tuple[int, int]:
        """Return the totals reached with charges of any sign, and where zero lies."""
        reached, offset = 1, 0
        for z, n in species:
            charges = charges_of(self.states[z], n, mixed=self._is_mixed(z))
            if not charges:
                return 0, 0
            lowest = charges[0]
            reached = add_states(reached, [charge - lowest for charge in charges])
            offset -= lowest
        return (reached, 1 << offset) if offset >= 0 else (reached << -offset, 1)

    def _charges(self, z: int, n: int, sign: int) -> list[int]:
        """Return the sizes of the charges of one sign, or zero, of n atoms."""
        key = (z, n, sign)
        found = self._known_charges.get(key)
        if found is None:
            chosen = tuple(s for s in self.states[z] if sign * s >= 0)
            charges = charges_of(chosen, n, mixed=self._is_mixed(z))
            found = self._known_charges[key] = [abs(charge) for charge in charges]
        return found

    @cached_property
    def _electronegativities(self) -> list[float]:
        """Plain numbers, which are faster one at a time."""
        return [float(value) for value in self.elements.electronegativities]

    @cached_property
    def _known_charges(self) -> dict[tuple[int, int, int], list[int]]:
        return {}

    def _is_mixed(self, z: int) -> bool:
        return self.mixed and bool(self.elements.has_mixed_valence[z])

    # --- many compositions of few elements, as arrays ---------------------------------

    def _enumerate(self, compositions: Compositions, arity: int) -> NDArray[np.bool_]:
        """Try all charges of all elements but one, and look the last one up."""
        z = compositions.atomic_numbers[:, :arity].astype(np.int64)
        n = compositions.counts[:, :arity].astype(np.int64)
        if not self.ordered:
            return self._find(z, n, (0,) * arity)
        values = self.elements.electronegativities[z]
        order = np.argsort(values, axis=1, kind="stable")
        z, n = np.take_along_axis(z, order, 1), np.take_along_axis(n, order, 1)
        values = np.take_along_axis(values, order, 1)
        judgeable = ~np.isnan(values).any(axis=1)
        found = np.zeros(len(z), bool)
        found[judgeable & self._padded[0].has_zero[z].all(axis=1)] = True
        for split in range(arity - 1, 0, -1):
            rows = np.flatnonzero(
                judgeable & ~found & (values[:, split - 1] < values[:, split])
            )
            signs = (+1,) * split + (-1,) * (arity - split)
            found[rows] = self._find(z[rows], n[rows], signs)
        return found

    def _find(
        self, z: NDArray[np.int64], n: NDArray[np.int64], signs: tuple[int, ...]
    ) -> NDArray[np.bool_]:
        """Return where charges of these signs add up to zero."""
        if not len(z):
            return np.zeros(0, bool)
        tables = [self._padded[sign] for sign in signs]
        widths = [int(t.n_states[z[:, i]].max(initial=0)) for i, t in enumerate(tables)]
        last = int(np.argmax(widths))
        totals = np.zeros((len(z), 1), np.int64)
        allowed = (tables[last].n_states[z[:, last]] > 0)[:, None]
        for i, (table, width) in enumerate(zip(tables, widths, strict=True)):
            if i == last:
                continue
            charges = table.states[z[:, i], :width] * n[:, i, None]
            exists = np.arange(width) < table.n_states[z[:, i], None]
            totals = (totals[:, :, None] + charges[:, None]).reshape(len(z), -1)
            allowed = (allowed[:, :, None] & exists[:, None]).reshape(len(z), -1)
        needed, rest = np.divmod(-totals, n[:, last, None])
        allowed &= (rest == 0) & (np.abs(needed) <= _LARGEST_CHARGE)
        places = np.clip(needed, -_LARGEST_CHARGE, _LARGEST_CHARGE) + _LARGEST_CHARGE
        is_found: NDArray[np.bool_] = (
            allowed & tables[last].is_state[z[:, last, None], places]
        ).any(axis=1)
        return is_found

    @cached_property
    def _padded(self) -> dict[int, _PaddedStates]:
        """States by sign: 1 not negative, -1 not positive, 0 any."""
        return {sign: _PaddedStates.of(self.states, sign) for sign in (1, -1, 0)}


@dataclass(frozen=True, eq=False, slots=True)
class _PaddedStates:
    """Oxidation states as arrays by atomic number, and as a table to look them up."""

    states: NDArray[np.int64]
    n_states: NDArray[np.int64]
    is_state: NDArray[np.bool_]
    has_zero: NDArray[np.bool_]

    @classmethod
    def of(cls, states: States, sign: int) -> _PaddedStates:
        """Take the states of one sign (and zero), or all."""
        chosen = [[s for s in of_z if sign * s >= 0] for of_z in states]
        width = max(1, *map(len, chosen))
        table = np.zeros((N_ATOMIC_NUMBERS, width), np.int64)
        is_state = np.zeros((N_ATOMIC_NUMBERS, 2 * _LARGEST_CHARGE + 1), bool)
        for z, of_z in enumerate(chosen):
            table[z, : len(of_z)] = of_z
            is_state[z, np.array(of_z, np.int64) + _LARGEST_CHARGE] = True
        lengths = np.array([len(of_z) for of_z in chosen], np.int64)
        return cls(table, lengths, is_state, is_state[:, _LARGEST_CHARGE])


def _iter_species(compositions: Compositions) -> Iterator[Species]:
    """Yield the elements of each row."""
    for numbers, counts in zip(
        compositions.atomic_numbers.tolist(), compositions.counts.tolist(), strict=True
    ):
        yield [(z, n) for z, n in zip(numbers, counts, strict=True) if z]
