"""The phases that come with wyckflow: formula, id, distance to the hull, no gene."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import ATOMIC_NUMBERS
from wyckflow.schemas.report import Analogue, HullDistanceSet
from wyckflow.thermo.bundled import (
    HULL_POINT_PREFIX,
    HULL_POINT_SOURCE,
    load_bundled_reference,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from wyckflow.ml.memory import Memory
    from wyckflow.thermo.reference import ReferenceSet

SCALE: Final = "mp2020-gga-u"
SOURCE: Final = "Materials Project"
_MOST_NAMES: Final = 3


@dataclass(frozen=True, eq=False)
class KnownPhases:
    """Phases with their published distances to the hull.

    Attributes
    ----------
    reference
        One entry per phase.
    distances
        Energy above the hull of each, eV/atom, by DFT.
    """

    reference: ReferenceSet
    distances: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of phases."""
        return len(self.reference)

    @cached_property
    def formulas(self) -> dict[str, list[int]]:
        """Which phases have each reduced formula."""
        found: dict[str, list[int]] = {}
        for place in range(len(self)):
            formula = self.reference.compositions.formula_of(place)
            found.setdefault(formula, []).append(place)
        return found

    def list_of(self, elements: Iterable[str]) -> list[Analogue]:
        """Return the phases of exactly these elements, the most stable first.

        Parameters
        ----------
        elements
            Chemical symbols.
        """
        system = tuple(sorted(ATOMIC_NUMBERS[symbol] for symbol in elements))
        rows = self.reference.compositions.systems.get(system, np.empty(0, np.int64))
        found = [
            Analogue(
                name=str(self.reference.ids[row]),
                source=SOURCE,
                formula_pretty=self.reference.compositions.formula_of(row),
                gene="",
                is_same_group=False,
                n_shared=0,
                energy_above_hull=float(self.distances[row]),
            )
            for row in rows.tolist()
        ]
        found.sort(key=lambda one: (one.energy_above_hull, one.name))
        return found

    def name_of(self, formula: str) -> tuple[str, float | None]:
        """Return the ids of a formula, and its distance if only one phase has it.

        Parameters
        ----------
        formula
            Reduced.
        """
        rows = self.formulas.get(formula, [])
        ids = [str(self.reference.ids[row]) for row in rows]
        if len(rows) == 1:
            return ids[0], float(self.distances[rows[0]])
        if len(rows) > _MOST_NAMES:
            return f"one of {len(rows)} of this formula", None
        return " or ".join(ids), None


@lru_cache(maxsize=1)
def load_phases() -> KnownPhases:
    """Return the phases of the bundled DFT reference."""
    whole = load_bundled_reference(SCALE)
    energies = dict(zip(whole.ids.tolist(), whole.energies.tolist(), strict=True))
    _, first = np.unique(whole.ids, return_index=True)
    rows = np.sort(first[whole.sources[first] != HULL_POINT_SOURCE])
    phases = whole.take(rows)
    # Without a point of the hull beside it, a phase lies on the hull itself.
    hull = [
        energies.get(f"{HULL_POINT_PREFIX}{name}", energies[name])
        for name in phases.ids.tolist()
    ]
    return KnownPhases(phases, np.maximum(phases.energies - np.array(hull), 0.0))


def list_phase_distances(memory: Memory | None) -> HullDistanceSet:
    """Return how far known phases lie above the hull, by DFT.

    Parameters
    ----------
    memory
        Of the campaign's model. If it has learned from phases of one source that comes
        with wyckflow, these alone, else all of them.
    """
    phases = load_phases()
    label, rows = "known phases", np.arange(len(phases))
    for source in np.unique(phases.reference.sources) if memory is not None else ():
        some = np.flatnonzero(phases.reference.sources == source)
        if memory is not None and _are_same(phases.reference.take(some), memory):
            label, rows = "learned from", some
    values = phases.distances[rows]
    return HullDistanceSet(label, "DFT", SCALE, values, len(values))


def _are_same(reference: ReferenceSet, memory: Memory) -> bool:
    """Tell whether two tables have the same chemical systems equally often."""
    if len(reference) != len(memory):
        return False
    theirs = np.zeros(memory.elements.shape, np.bool_)
    compositions = reference.compositions
    owners = np.repeat(np.arange(len(reference)), np.diff(compositions.offsets))
    theirs[owners, compositions.atomic_numbers.astype(np.int64)] = True
    first, second = (
        np.sort([row.tobytes() for row in np.packbits(table, axis=1)])
        for table in (theirs, memory.elements)
    )
    return bool((first == second).all())
