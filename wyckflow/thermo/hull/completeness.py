"""How much a reference knows of a chemical system.

What it does not know it cannot hold against a candidate: with phases missing, the
distance to the hull is a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

from wyckflow.thermo.composition import format_system, parse_system

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wyckflow.thermo.composition import System
    from wyckflow.thermo.reference import ReferenceSet


@dataclass(frozen=True)
class Completeness:
    """What a reference has in one chemical system.

    Attributes
    ----------
    chemsys
        The system, such as ``O-Sr-Ti``.
    n_entries_by_subsystem
        Entries with exactly the elements of each subsystem that has any.
    missing_elements
        Elements without a reference.
    """

    chemsys: str
    n_entries_by_subsystem: Mapping[str, int]
    missing_elements: tuple[str, ...]

    @cached_property
    def n_entries_by_size(self) -> list[int]:
        """Entries of one element, of two, and so on."""
        counts = [0] * self.n_elements
        for subsystem, n_entries in self.n_entries_by_subsystem.items():
            counts[subsystem.count("-")] += n_entries
        return counts

    @property
    def n_elements(self) -> int:
        """Elements of the system."""
        return self.chemsys.count("-") + 1

    @property
    def n_entries(self) -> int:
        """Entries made of its elements alone."""
        return sum(self.n_entries_by_subsystem.values())

    @property
    def n_subsystems(self) -> int:
        """Chemical systems of two or more of its elements, itself included."""
        return (1 << self.n_elements) - self.n_elements - 1

    @property
    def n_empty_subsystems(self) -> int:
        """Of these, how many have no compound in the reference."""
        known = sum("-" in subsystem for subsystem in self.n_entries_by_subsystem)
        return self.n_subsystems - known

    @property
    def has_all_elements(self) -> bool:
        """Whether a hull can be made."""
        return not self.missing_elements


def measure_completeness(
    reference: ReferenceSet, chemsys: str | Iterable[str]
) -> Completeness:
    """Count what a reference has in a chemical system.

    Parameters
    ----------
    reference
        Which.
    chemsys
        Text such as ``O-Sr-Ti``, or symbols.
    """
    system: System = parse_system(chemsys)
    held = reference.compositions.systems
    counts = {
        format_system(part): len(held[part])
        for width in range(1, len(system) + 1)
        for part in combinations(system, width)
        if part in held
    }
    missing = tuple(reference.missing_elements(system))
    return Completeness(format_system(system), counts, missing)
