"""Atoms in a periodic cell as plain arrays, and the reasons to refuse them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal._distance import cell_volume, shortest_distance_below
from wyckflow.crystal.elements import SYMBOLS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pymatgen.core.structure import IStructure, Structure

LAST_SUPPORTED_ATOMIC_NUMBER: Final = 94
"""Hydrogen to plutonium: the elements that CHGNet embeds."""

SHORTEST_DISTANCE: Final = 0.5
"""Atoms closer than this (in A) overlap; the shortest bond known, in H2, is 0.74 A."""

_SMALLEST_VOLUME: Final = 0.1  # A^3 per atom; metallic hydrogen has about 2
_FULL_OCCUPANCY: Final = 1 - 1e-6


class RefusalReason(StrEnum):
    """Why a structure could not become a gene."""

    MISSING_STRUCTURE = "missing_structure"
    """The row has no structure."""
    UNREADABLE = "unreadable"
    """The text is no CIF, POSCAR or pymatgen JSON."""
    DISORDERED = "disordered"
    """Different species share a site."""
    PARTIALLY_OCCUPIED = "partially_occupied"
    """A site is occupied only in part."""
    UNSUPPORTED_ELEMENT = "unsupported_element"
    """An element beyond plutonium, or a dummy species."""
    DEGENERATE_CELL = "degenerate_cell"
    """No atoms, no volume, or numbers that are not finite."""
    OVERLAPPING_ATOMS = "overlapping_atoms"
    """Two atoms are closer than half an angstrom."""
    SYMMETRY_NOT_FOUND = "symmetry_not_found"
    """The symmetry search failed at every tolerance it tried."""
    INCONSISTENT_ORBITS = "inconsistent_orbits"
    """The orbits found do not add up to the atoms of the cell."""
    IMPLAUSIBLE_PROPERTY = "implausible_property"
    """A property is no number, or one outside what can be."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A structure that was refused: a value, so that the others can go on.

    Attributes
    ----------
    reason
        What kind of fault it is, for counting.
    message
        What was found in this structure.
    """

    reason: RefusalReason
    message: str


@dataclass(frozen=True, eq=False, slots=True)
class Cell:
    """Atoms in a periodic cell.

    Attributes
    ----------
    lattice
        Cell vectors in rows, in A.
    coordinates
        Fractional coordinates, one row per atom.
    atomic_numbers
        One per atom.
    """

    lattice: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    atomic_numbers: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of atoms."""
        return len(self.atomic_numbers)

    def to_structure(self) -> Structure:
        """Convert to a pymatgen structure."""
        from pymatgen.core.structure import Structure

        species = [SYMBOLS[number - 1] for number in self.atomic_numbers]
        return Structure(self.lattice, species, self.coordinates)


def make_cell(lattice: Any, coordinates: Any, atomic_numbers: Any) -> Cell:
    """Build a cell from anything that numpy reads as arrays.

    Parameters
    ----------
    lattice
        Cell vectors in rows, in A.
    coordinates
        Fractional coordinates, one row per atom.
    atomic_numbers
        One per atom.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    cell = Cell(
        lattice=np.asarray(lattice, dtype=np.float64),
        coordinates=np.asarray(coordinates, dtype=np.float64).reshape(-1, 3),
        atomic_numbers=np.asarray(atomic_numbers, dtype=np.int64),
    )
    if cell.lattice.shape != (3, 3) or cell.atomic_numbers.shape != (
        len(cell.coordinates),
    ):
        raise ValueError(
            f"A cell needs a 3 x 3 lattice and one atomic number per atom, but came "
            f"with a lattice of shape {cell.lattice.shape}, {len(cell.coordinates)} "
            f"coordinates and atomic numbers of shape {cell.atomic_numbers.shape}."
        )
    return cell


def cell_from_structure(structure: Structure | IStructure) -> Cell | Refusal:
    """Take the arrays of a pymatgen structure; oxidation states are dropped.

    Parameters
    ----------
    structure
        A structure, ordered or not.
    """
    atomic_numbers = []
    for site in structure:
        occupancies = {
            getattr(species, "Z", 0): occupancy
            for species, occupancy in site.species.items()
        }
        number = atomic_number_of_site(occupancies, n_species=len(site.species))
        if isinstance(number, Refusal):
            return number
        atomic_numbers.append(number)
    return make_cell(structure.lattice.matrix, structure.frac_coords, atomic_numbers)


def atomic_number_of_site(
    occupancies: dict[int, float], *, n_species: int
) -> int | Refusal:
    """Return the element of a site that has exactly one, fully there.

    Parameters
    ----------
    occupancies
        Occupancy by atomic number; 0 stands for what is no element.
    n_species
        How many species were listed, charges told apart.
    """
    if n_species > 1:
        names = ", ".join(
            f"{_symbol_of(number)} {occupancy:.3g}"
            for number, occupancy in occupancies.items()
        )
        return Refusal(RefusalReason.DISORDERED, f"a site is shared: {names}")
    if not occupancies:
        return Refusal(RefusalReason.PARTIALLY_OCCUPIED, "a site is empty")
    number, occupancy = next(iter(occupancies.items()))
    if occupancy < _FULL_OCCUPANCY:
        return Refusal(
            RefusalReason.PARTIALLY_OCCUPIED,
            f"a site of {_symbol_of(number)} has occupancy {occupancy:.3g}",
        )
    return number


def check_cell(cell: Cell) -> Refusal | None:
    """Refuse a cell that no crystal can have.

    Parameters
    ----------
    cell
        Any arrays of the right shape.
    """
    return _check_elements(cell) or _check_lattice(cell) or _check_distances(cell)


def _check_elements(cell: Cell) -> Refusal | None:
    if not len(cell):
        return Refusal(RefusalReason.DEGENERATE_CELL, "the cell holds no atoms")
    lowest, highest = int(cell.atomic_numbers.min()), int(cell.atomic_numbers.max())
    if lowest >= 1 and highest <= LAST_SUPPORTED_ATOMIC_NUMBER:
        return None
    name = _symbol_of(highest if highest > LAST_SUPPORTED_ATOMIC_NUMBER else lowest)
    return Refusal(
        RefusalReason.UNSUPPORTED_ELEMENT,
        f"{name} is outside the supported elements H to Pu",
    )


def _check_lattice(cell: Cell) -> Refusal | None:
    # A sum is finite only if every number in it is.
    if not math.isfinite(cell.lattice.sum() + cell.coordinates.sum()):
        return Refusal(RefusalReason.DEGENERATE_CELL, "a number is not finite")
    volume = cell_volume(cell.lattice)
    if volume >= _SMALLEST_VOLUME * len(cell):
        return None
    return Refusal(
        RefusalReason.DEGENERATE_CELL,
        f"{len(cell)} atoms in a volume of {volume:.3g} A^3",
    )


def _check_distances(cell: Cell) -> Refusal | None:
    """Refuse atoms that overlap, also with their own images."""
    distance = shortest_distance_below(
        SHORTEST_DISTANCE, cell.lattice, cell.coordinates
    )
    if distance is None:
        return None
    return Refusal(
        RefusalReason.OVERLAPPING_ATOMS,
        f"two atoms are {distance:.2f} A apart, closer than {SHORTEST_DISTANCE} A",
    )


def _symbol_of(atomic_number: int) -> str:
    if 1 <= atomic_number <= len(SYMBOLS):
        return SYMBOLS[atomic_number - 1]
    return f"a species of atomic number {atomic_number}"
