"""Which entries can be a vertex of the hull of which chemical system."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.thermo.entry import EnergyKind
from wyckflow.thermo.hull.facets import Points

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from wyckflow.thermo.composition import System
    from wyckflow.thermo.reference import ReferenceSet

BELOW_ELEMENTS: Final = 1e-11
"""A compound less than this below its elements is no vertex (as pymatgen has it)."""

_N_NUMBERS: Final = 128


class EntryIndex:
    """The competing entries of a reference set by chemical system.

    Of each composition only the lowest entry counts; among equal ones the first id.

    Parameters
    ----------
    reference
        The entries.

    Attributes
    ----------
    element_energies
        Energy of each element by atomic number, eV/atom; NaN where there is none.
    element_entries
        Its entry by atomic number; minus that number for an element that is zero by
        definition and needs no entry.
    formation_energies
        Of every entry, eV/atom; NaN where an element is missing.
    """

    def __init__(self, reference: ReferenceSet) -> None:
        self.reference = reference
        self._lowest: dict[tuple[tuple[int, int], ...], int] = {}
        self._add_compositions(0)
        self._set_elements()
        self.formation_energies = self._formation_energies(0)
        self._by_system: dict[System, tuple[int, ...]] = {}
        self._add_compounds()

    def extended(self, reference: ReferenceSet) -> EntryIndex:
        """Return the index of a set that begins with the entries of this one.

        Parameters
        ----------
        reference
            The entries of this index's set, in their order, and more.
        """
        first = len(self.reference)
        new = reference.compositions.pairs[first:]
        # A new zero of energy changes every number.
        if any(len(pairs) == 1 for pairs in new) or (
            reference.elements != self.reference.elements
        ):
            return EntryIndex(reference)
        index = object.__new__(EntryIndex)
        index.reference = reference
        index._lowest = dict(self._lowest)
        index.element_energies = self.element_energies
        index.element_entries = self.element_entries
        index.formation_energies = np.concatenate(
            [self.formation_energies, index._formation_energies(first)]
        )
        index._by_system = self._by_system.copy()
        for entry in index._add_compositions(first):
            index._compete(entry)
        return index

    def lowest_at(self, pairs: tuple[tuple[int, int], ...]) -> int | None:
        """Return the lowest entry of exactly this composition, if there is one.

        Parameters
        ----------
        pairs
            Atomic numbers and counts of the smallest formula.
        """
        return self._lowest.get(pairs)

    def missing(self, system: System) -> tuple[int, ...]:
        """Return the elements of a system without a reference.

        Parameters
        ----------
        system
            Atomic numbers.
        """
        return tuple(z for z in system if np.isnan(self.element_energies[z]))

    def points(self, system: System, *, without: Collection[int] = ()) -> Points:
        """Return what the hull of a chemical system is made of.

        Parameters
        ----------
        system
            Atomic numbers; every element has a reference.
        without
            Entries to pass over; where one is the lowest of its composition, the next
            one takes its place.
        """
        chosen = [
            entry
            for width in range(2, len(system) + 1)
            for part in combinations(system, width)
            for entry in self._by_system.get(part, ())
        ]
        if without:
            chosen = self._replaced(chosen, without)
        entries = np.array([*(int(self.element_entries[z]) for z in system), *chosen])
        energies = np.zeros(len(entries))
        energies[len(system) :] = self.formation_energies[chosen]
        fractions = np.zeros((len(entries), len(system)))
        fractions[: len(system)] = np.eye(len(system))
        columns = {number: column for column, number in enumerate(system)}
        pairs = self.reference.compositions.pairs
        for row, entry in enumerate(chosen, len(system)):
            for number, count in pairs[entry]:
                fractions[row, columns[number]] = count
        fractions /= fractions.sum(axis=1, keepdims=True)
        return Points(fractions, energies, entries)

    def with_same_composition(self, entry: int) -> NDArray[np.int64]:
        """Return all entries with the composition of one.

        Parameters
        ----------
        entry
            Which.
        """
        pairs = self.reference.compositions.pairs
        wanted = pairs[entry]
        system = tuple(number for number, _ in wanted)
        same = self.reference.compositions.systems[system].tolist()
        return np.array([other for other in same if pairs[other] == wanted])

    def _replaced(self, chosen: list[int], without: Collection[int]) -> list[int]:
        """Put the next best of the composition in the place of what is passed over."""
        kept = []
        for entry in chosen:
            if entry not in without:
                kept.append(entry)
                continue
            others = self.with_same_composition(entry)
            others = others[~np.isin(others, list(without))]
            energies = self.formation_energies[others]
            if len(others) and energies.min() < -BELOW_ELEMENTS:
                kept.append(int(others[energies.argmin()]))
        return kept

    def _add_compositions(self, first: int) -> list[int]:
        """Note the lowest entry of each composition; return those that became it."""
        energies, ids = self.reference.energies, self.reference.ids
        changed = []
        values = energies.tolist()
        for entry in range(first, len(values)):
            pairs = self.reference.compositions.pairs[entry]
            held = self._lowest.get(pairs)
            if held is None or (values[entry], str(ids[entry])) < (
                values[held],
                str(ids[held]),
            ):
                self._lowest[pairs] = entry
                changed.append(entry)
        return changed

    def _set_elements(self) -> None:
        """Fill in the zero of energy of every element."""
        self.element_energies = np.full(_N_NUMBERS, np.nan)
        self.element_entries = -np.arange(_N_NUMBERS)
        if self.reference.kind is EnergyKind.FORMATION:
            self.element_energies[list(self.reference.elements)] = 0.0
            return
        for pairs, entry in self._lowest.items():
            if len(pairs) == 1:
                self.element_energies[pairs[0][0]] = self.reference.energies[entry]
                self.element_entries[pairs[0][0]] = entry

    def _formation_energies(self, first: int) -> NDArray[np.float64]:
        """Return energies relative to the elements, from one entry on."""
        compositions = self.reference.compositions
        if first == len(compositions):
            return np.empty(0)
        starts = compositions.offsets[first:-1]
        counts = compositions.counts[starts[0] :]
        numbers = compositions.atomic_numbers[starts[0] :]
        terms = counts * self.element_energies[numbers]
        places = starts - starts[0]
        sums = np.add.reduceat(terms, places) / np.add.reduceat(counts, places)
        return self.reference.energies[first:] - sums

    def _add_compounds(self) -> None:
        """Sort the entries that lie below their elements by chemical system."""
        pairs, energies = self.reference.compositions.pairs, self.formation_energies
        found: dict[System, list[int]] = defaultdict(list)
        for entry in self._lowest.values():
            if len(pairs[entry]) > 1 and energies[entry] < -BELOW_ELEMENTS:
                found[tuple(z for z, _ in pairs[entry])].append(entry)
        self._by_system = {system: tuple(chosen) for system, chosen in found.items()}

    def _compete(self, entry: int) -> None:
        """Put a new lowest entry of its composition among those of its system."""
        if not self.formation_energies[entry] < -BELOW_ELEMENTS:
            return
        pairs = self.reference.compositions.pairs
        system = tuple(number for number, _ in pairs[entry])
        others = self._by_system.get(system, ())
        kept = tuple(other for other in others if pairs[other] != pairs[entry])
        self._by_system[system] = (*kept, entry)
