"""How a space group moves the atoms of its orbits: exact integer tables.

Atom ``k`` of a cell is at ``rotations[k] @ u + translations[k] / 24`` for the free
coordinates ``u`` of its orbit. An operation carries it onto another atom of the same
orbit, up to a lattice vector; both are found by comparing these affine maps, never by
comparing positions. An edge is a pair (orbit, atom, lattice vector): from the first
atom of the orbit, its representative, to an image of the atom.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.tables import TRANSLATION_DENOMINATOR, load_space_group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.crystal.tables import SpaceGroup

    Integers = NDArray[np.int64]

IMAGE_BASE: Final = 256
"""Lattice vectors are packed into one integer with this many values per axis."""

PACKING: Final = np.array([IMAGE_BASE**2, IMAGE_BASE, 1], dtype=np.int64)
"""Scalar product with a lattice vector packs it; the packing is linear."""

ATOM_STRIDE: Final = IMAGE_BASE**3
"""Distance between the packed edges to neighbouring atoms."""

# Rotations of Wyckoff positions have entries from -2 to 2.
_ENTRY_BASE: Final = 9


@dataclass(frozen=True, eq=False, slots=True)
class PositionAction:
    """What every operation of a group does to the orbit of one Wyckoff position.

    Attributes
    ----------
    images
        Operation ``g`` carries member ``m`` onto member ``images[g, m]``,
    shifts
        displaced by the lattice vector ``shifts[g, m]``.
    to_first, from_first
        For each member an operation that carries it onto the first, up to a lattice
        vector, and one that carries the first onto it.
    """

    images: Integers
    shifts: Integers
    to_first: Integers
    from_first: Integers


@dataclass(frozen=True, eq=False, slots=True)
class QuotientTable:
    """The tables of a list of Wyckoff positions, atoms standing orbit by orbit.

    Rows of "stabilisers" are pairs of an orbit and an operation that leaves its first
    atom in place (up to a lattice vector, which is taken off), orbit by orbit, the
    identity first.

    Attributes
    ----------
    rotations, translations
        The affine map of each atom; translations in 24ths.
    orbits
        The orbit of each atom.
    operations
        Rotation of an operation that carries the first atom of the orbit onto each.
    back_rotations
        Rotation of an operation that carries each atom onto the first of its orbit.
    multiplicities, first_atoms, is_free
        Of each orbit: its atoms, the first of them, which coordinates are free.
    stabilizer_sizes
        Of each orbit: operations that leave the first atom in place.
    stabilizer_columns
        Packed columns of the rotation of each stabiliser: an edge with the lattice
        vector ``n`` goes to one whose packed key is the image plus ``columns @ n``.
    images
        Packed key of the image of the edge with lattice vector zero; shape
        (stabilisers, atoms).
    reverse_atoms, reverse_shifts
        The edge from orbit ``a`` to atom ``k`` with lattice vector ``n``, turned round
        and carried to the orbit of ``k``, ends at ``reverse_atoms[a, k]`` with the
        lattice vector ``reverse_shifts[a, k] - back_rotations[k] @ n``.
    """

    rotations: Integers
    translations: Integers
    orbits: Integers
    operations: Integers
    back_rotations: Integers
    multiplicities: Integers
    first_atoms: Integers
    is_free: NDArray[np.bool_]
    stabilizer_sizes: Integers
    stabilizer_columns: Integers
    images: Integers
    reverse_atoms: Integers
    reverse_shifts: Integers

    @property
    def n_orbits(self) -> int:
        """Number of orbits."""
        return len(self.multiplicities)

    @property
    def n_atoms(self) -> int:
        """Number of atoms in the conventional cell."""
        return len(self.orbits)


@lru_cache(maxsize=4096)
def load_quotient_table(
    space_group_number: int, letters: tuple[str, ...]
) -> QuotientTable:
    """Return the table of these Wyckoff letters, in this order.

    Parameters
    ----------
    space_group_number
        1 to 230.
    letters
        One letter per orbit.
    """
    group = load_space_group(space_group_number)
    positions = [group.position(letter) for letter in letters]
    actions = [load_position_action(space_group_number, letter) for letter in letters]
    multiplicities = np.array([position.multiplicity for position in positions])
    first_atoms = np.cumsum(multiplicities) - multiplicities
    images = np.concatenate(
        [a.images + first for a, first in zip(actions, first_atoms, strict=True)], 1
    )
    shifts = np.concatenate([action.shifts for action in actions], 1)
    stabilizers = [np.flatnonzero(action.images[:, 0] == 0) for action in actions]
    back = np.concatenate([action.to_first for action in actions])
    table = QuotientTable(
        rotations=np.concatenate([p.rotations for p in positions]),
        translations=np.concatenate([p.translations for p in positions]),
        orbits=np.repeat(np.arange(len(letters)), multiplicities),
        operations=group.rotations[np.concatenate([a.from_first for a in actions])],
        back_rotations=group.rotations[back],
        multiplicities=multiplicities,
        first_atoms=first_atoms,
        is_free=np.array([p.rotations.any(axis=(0, 1)) for p in positions]),
        stabilizer_sizes=np.array([len(found) for found in stabilizers]),
        stabilizer_columns=PACKING @ group.rotations[np.concatenate(stabilizers)],
        images=np.concatenate(
            [
                _images_under(found, images, shifts, first)
                for found, first in zip(stabilizers, first_atoms, strict=True)
            ]
        ),
        reverse_atoms=np.array([images[back, first] for first in first_atoms]),
        reverse_shifts=np.array(
            [
                shifts[back, first] - shifts[back, np.arange(len(back))]
                for first in first_atoms
            ]
        ),
    )
    _freeze(table)
    return table


@lru_cache(maxsize=2048)
def load_position_action(space_group_number: int, letter: str) -> PositionAction:
    """Return how a space group permutes the orbit of one of its Wyckoff positions.

    Parameters
    ----------
    space_group_number
        1 to 230.
    letter
        A letter of that group.
    """
    group = load_space_group(space_group_number)
    position = group.position(letter)
    rotations = np.einsum("gij,mjk->gmik", group.rotations, position.rotations)
    translations = np.einsum("gij,mj->gmi", group.rotations, position.translations)
    translations += group.translations[:, None, :]
    members = _code(position.rotations, position.translations)
    order = np.argsort(members)
    images = order[
        np.searchsorted(members[order], _code(rotations, translations)).clip(
            max=len(order) - 1
        )
    ]
    shifts, rest = np.divmod(
        translations - position.translations[images], TRANSLATION_DENOMINATOR
    )
    if rest.any() or not (members[images] == _code(rotations, translations)).all():
        raise RuntimeError(_broken(group, letter))
    action = PositionAction(
        images=images,
        shifts=shifts,
        to_first=np.argmax(images == 0, axis=0),
        from_first=np.argmax(images[:, :1] == np.arange(len(order)), axis=0),
    )
    _freeze(action)
    return action


def _images_under(
    stabilizers: Integers, images: Integers, shifts: Integers, first_atom: int
) -> Integers:
    """Pack where all atoms go when the first atom of an orbit is put back in place."""
    moved = shifts[stabilizers] - shifts[stabilizers, first_atom][:, None, :]
    packed: Integers = images[stabilizers] * ATOM_STRIDE + moved @ PACKING
    return packed


def _code(rotations: Integers, translations: Integers) -> Integers:
    """Write affine maps modulo lattice vectors as one integer each."""
    powers = _ENTRY_BASE ** np.arange(9, dtype=np.int64)
    entries = (rotations + _ENTRY_BASE // 2).reshape(*rotations.shape[:-2], 9)
    rest = translations % TRANSLATION_DENOMINATOR
    code = np.asarray(entries @ powers)
    for axis in range(3):
        code = code * TRANSLATION_DENOMINATOR + rest[..., axis]
    return code.astype(np.int64)


def _broken(group: SpaceGroup, letter: str) -> str:
    return (
        f"The operations of space group {group.number} do not map position {letter} "
        "onto itself; the packaged tables are damaged, reinstall wyckflow."
    )


def _freeze(table: Any) -> None:
    """Make shared arrays read-only."""
    for field in fields(table):
        getattr(table, field.name).flags.writeable = False
