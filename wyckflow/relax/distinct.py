"""Which relaxed crystals are the same, and in which symmetry to show each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import StructureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymatgen.core.structure import Structure

ENERGY_WINDOW: Final = 0.005
"""Two crystals farther apart in energy than this, in eV/atom, are not compared."""

_TIE: Final = 0.001
"""Of crystals that are the same and so near in energy, in eV/atom, the most symmetric
one is shown."""

_MOST_COMPARED_ATOMS: Final = 200


@dataclass(frozen=True, slots=True)
class DistinctCrystal:
    """Relaxed crystals that are one.

    Attributes
    ----------
    chosen
        Place of the one that stands for them.
    members
        Places of all of them, the lowest in energy first.
    structure
        The chosen one, in the full symmetry that it has within the tolerance.
    """

    chosen: int
    members: tuple[int, ...]
    structure: ReducedStructure


def find_distinct(
    structures: Sequence[ReducedStructure],
    energies: Sequence[float],
    *,
    energy_window: float = ENERGY_WINDOW,
    symprec: float = 0.01,
) -> list[DistinctCrystal]:
    """Join crystals that pymatgen's StructureMatcher, with its defaults, calls alike.

    Parameters
    ----------
    structures
        Of one composition.
    energies
        Of each, in eV/atom.
    energy_window
        Crystals farther apart than this, in eV/atom, are different.
    symprec
        Tolerance in A at which their symmetry is found.

    Returns
    -------
    list
        One entry per different crystal, the lowest in energy first.
    """
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher()
    order = sorted(range(len(structures)), key=lambda place: (energies[place], place))
    full = {place: _find_symmetry(structures[place], symprec) for place in order}
    groups: list[list[int]] = []
    atoms: dict[int, Structure] = {}
    for place in order:
        atoms[place] = full[place].to_structure().get_primitive_structure()
        for group in reversed(groups):
            if energies[place] - energies[group[-1]] > energy_window:
                continue
            if _is_alike(atoms[place], atoms[group[0]], matcher):
                group.append(place)
                break
        else:
            groups.append([place])
    return [_choose(group, full, energies) for group in groups]


def _is_alike(one: Structure, other: Structure, matcher: object) -> bool:
    """Compare two crystals, the largest ones by their number of atoms alone."""
    if max(len(one), len(other)) > _MOST_COMPARED_ATOMS:
        return False
    return bool(matcher.fit(one, other))  # type: ignore[attr-defined] # untyped package


def _find_symmetry(structure: ReducedStructure, symprec: float) -> ReducedStructure:
    """Describe a crystal in all the symmetry it has."""
    try:
        return ReducedStructure.from_structure(
            structure.to_structure(), symprec=symprec
        )
    except StructureError:
        return structure


def _choose(
    group: Sequence[int],
    full: dict[int, ReducedStructure],
    energies: Sequence[float],
) -> DistinctCrystal:
    """Take the most symmetric one of those with the lowest energy."""
    near = [place for place in group if energies[place] - energies[group[0]] <= _TIE]
    chosen = max(near, key=lambda place: (_order_of(full[place]), -energies[place]))
    return DistinctCrystal(chosen, tuple(group), full[chosen])


def _order_of(structure: ReducedStructure) -> int:
    """Return the number of rotations of a crystal's point group."""
    rotations = structure.gene.space_group.rotations.reshape(-1, 9)
    return len({tuple(row) for row in rotations.tolist()})
