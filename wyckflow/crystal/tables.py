"""Space groups, Wyckoff positions and normalizers of the ITA standard setting.

The setting is that of the International Tables: unique axis b and cell choice 1,
hexagonal axes for the rhombohedral groups, origin choice 2. Everything is exact:
rotations are integers, translations are integers in 24ths of a cell edge, and a
coordinate is read modulo 1. The numbers come from one packaged file, which
``python -m wyckflow.crystal._generate.table`` derives anew.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal._packed import read_groups
from wyckflow.errors import GeneError, UnknownWyckoffLetterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.crystal._packed import PackedGroup

TRANSLATION_DENOMINATOR: Final = 24
N_SPACE_GROUPS: Final = 230
WYCKOFF_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzA"

# The pairs of mirror images: the higher number is folded onto the lower one. The same
# letter names the same position in both groups.
ENANTIOMORPHS: Final = {
    78: 76,
    95: 91,
    96: 92,
    145: 144,
    153: 151,
    154: 152,
    170: 169,
    172: 171,
    179: 178,
    181: 180,
    213: 212,
}


class CrystalSystem(StrEnum):
    """One of the seven crystal systems."""

    TRICLINIC = "triclinic"
    MONOCLINIC = "monoclinic"
    ORTHORHOMBIC = "orthorhombic"
    TETRAGONAL = "tetragonal"
    TRIGONAL = "trigonal"
    HEXAGONAL = "hexagonal"
    CUBIC = "cubic"


class NormalizerKind(StrEnum):
    """Which changes of description count as "the same"."""

    EUCLIDEAN = "euclidean"
    """Changes of origin and orientation that leave the cell as it is."""
    AFFINE = "affine"
    """Also changes of axes, which mean nothing until there is a lattice."""
    AUGMENTATION = "augmentation"
    """Euclidean, and the renaming of axes in orthorhombic groups (at most 48)."""


_LAST_NUMBERS: Final = {
    CrystalSystem.TRICLINIC: 2,
    CrystalSystem.MONOCLINIC: 15,
    CrystalSystem.ORTHORHOMBIC: 74,
    CrystalSystem.TETRAGONAL: 142,
    CrystalSystem.TRIGONAL: 167,
    CrystalSystem.HEXAGONAL: 194,
    CrystalSystem.CUBIC: 230,
}
_LATTICE_DEGREES_OF_FREEDOM: Final = {
    CrystalSystem.TRICLINIC: 6,
    CrystalSystem.MONOCLINIC: 4,
    CrystalSystem.ORTHORHOMBIC: 3,
    CrystalSystem.TETRAGONAL: 2,
    CrystalSystem.TRIGONAL: 2,
    CrystalSystem.HEXAGONAL: 2,
    CrystalSystem.CUBIC: 1,
}


@dataclass(frozen=True, eq=False, slots=True)
class WyckoffPosition:
    """One Wyckoff position of a space group.

    Attributes
    ----------
    letter
        ``a`` to ``z``, then ``A``.
    multiplicity
        Points per orbit in the conventional cell.
    degrees_of_freedom
        Free coordinates, 0 to 3.
    site_symmetry
        Oriented symbol, such as ``4m.m``.
    enumeration
        Index among the positions of the group with the same symbol, counted from
        ``a``; symbol and enumeration together name the letter.
    rotations, translations
        Point ``m`` of the orbit is at ``rotations[m] @ u + translations[m] / 24``
        modulo 1, for free coordinates ``u`` of which only some enter. The first
        point is the representative that the International Tables list first.
    """

    letter: str
    multiplicity: int
    degrees_of_freedom: int
    site_symmetry: str
    enumeration: int
    rotations: NDArray[np.int64]
    translations: NDArray[np.int64]

    @property
    def label(self) -> str:
        """Multiplicity and letter, such as ``4e``."""
        return f"{self.multiplicity}{self.letter}"


@dataclass(frozen=True, eq=False, slots=True)
class Normalizer:
    """Operators that carry the symmetry of a space group onto itself.

    Attributes
    ----------
    rotations, translations
        Operator ``k`` takes ``x`` to ``rotations[k] @ x + translations[k] / 24``.
        The first one is the identity. There is one operator per coset of the space
        group, apart from the continuous shifts of polar groups; where the cosets
        are infinitely many (affine, numbers 1 to 15) one per effect on the letters.
    permutations
        Operator ``k`` carries the position of index ``i`` to ``permutations[k, i]``.
    distinct_permutations
        The different rows of ``permutations``, in lexicographic order.
    """

    rotations: NDArray[np.int64]
    translations: NDArray[np.int64]
    permutations: NDArray[np.uint8]
    distinct_permutations: NDArray[np.uint8]

    def __len__(self) -> int:
        """Return the number of operators."""
        return len(self.rotations)


@dataclass(frozen=True, eq=False, slots=True)
class SpaceGroup:
    """A space group in the ITA standard setting.

    Attributes
    ----------
    number
        1 to 230.
    symbol
        Short Hermann-Mauguin symbol, such as ``P6_3/mmc``.
    hall_number
        spglib's number of the setting, 1 to 530.
    crystal_system
        One of seven.
    lattice_degrees_of_freedom
        Free lattice parameters, 1 to 6.
    positions
        The Wyckoff positions in letter order.
    rotations, translations
        The operations: ``x`` goes to ``rotations[n] @ x + translations[n] / 24``.
        The first one is the identity; centring is written out.
    euclidean, affine
        Normalizers for the general metric of the crystal system and without a
        metric; the affine one starts with the operators of the Euclidean one.
    """

    number: int
    symbol: str
    hall_number: int
    crystal_system: CrystalSystem
    lattice_degrees_of_freedom: int
    positions: tuple[WyckoffPosition, ...]
    rotations: NDArray[np.int64]
    translations: NDArray[np.int64]
    euclidean: Normalizer
    affine: Normalizer

    @property
    def letters(self) -> str:
        """The Wyckoff letters of the group, in order."""
        return WYCKOFF_LETTERS[: len(self.positions)]

    def position(self, letter: str) -> WyckoffPosition:
        """Return the position with this letter.

        Raises
        ------
        UnknownWyckoffLetterError
            If the group has no such letter.
        """
        index = WYCKOFF_LETTERS.find(letter) if len(letter) == 1 else -1
        if not 0 <= index < len(self.positions):
            raise UnknownWyckoffLetterError(
                f"Space group {self.number} ({self.symbol}) has no Wyckoff letter "
                f"{letter!r}; it has {', '.join(self.letters)}."
            )
        return self.positions[index]

    def normalizer(self, kind: NormalizerKind) -> Normalizer:
        """Return the normalizer of a kind."""
        kind = NormalizerKind(kind)
        if kind is NormalizerKind.AUGMENTATION:
            orthorhombic = self.crystal_system is CrystalSystem.ORTHORHOMBIC
            return self.affine if orthorhombic else self.euclidean
        return self.affine if kind is NormalizerKind.AFFINE else self.euclidean


def crystal_system_of(number: int) -> CrystalSystem:
    """Return the crystal system of space group ``number`` (1 to 230)."""
    return next(system for system, last in _LAST_NUMBERS.items() if number <= last)


def load_space_group(number: int) -> SpaceGroup:
    """Load a space group; a second call returns the same object.

    Parameters
    ----------
    number
        1 to 230.

    Raises
    ------
    GeneError
        If there is no such space group.
    """
    if number not in range(1, N_SPACE_GROUPS + 1):
        raise GeneError(
            f"Space group {number!r} does not exist; give an integer from 1 to 230."
        )
    return _load(int(number))


@cache
def _load(number: int) -> SpaceGroup:
    packed = read_groups()[number - 1]
    rotations, translations = _split(packed.operations)
    system = crystal_system_of(number)
    return SpaceGroup(
        number=number,
        symbol=packed.symbol,
        hall_number=packed.hall_number,
        crystal_system=system,
        lattice_degrees_of_freedom=_LATTICE_DEGREES_OF_FREEDOM[system],
        positions=_positions(packed, rotations, translations),
        rotations=rotations,
        translations=translations,
        euclidean=_normalizer(packed, packed.n_euclidean),
        affine=_normalizer(packed, len(packed.normalizer)),
    )


def _split(operators: NDArray[np.int8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Part 3 x 4 blocks into rotations and translations."""
    wide = operators.astype(np.int64)
    return _frozen(wide[:, :, :3]), _frozen(wide[:, :, 3])


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Protect a shared array against being written to."""
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


def _positions(
    packed: PackedGroup,
    rotations: NDArray[np.int64],
    translations: NDArray[np.int64],
) -> tuple[WyckoffPosition, ...]:
    """Let the operations of the group act on the first point of every position."""
    seen: Counter[str] = Counter()
    positions = []
    for letter, symbol, first in zip(
        WYCKOFF_LETTERS, packed.site_symmetries, packed.representatives, strict=False
    ):
        orbit = _orbit(first.astype(np.int64), rotations, translations)
        positions.append(
            WyckoffPosition(
                letter=letter,
                multiplicity=len(orbit),
                degrees_of_freedom=int(np.linalg.matrix_rank(first[:, :3])),
                site_symmetry=symbol,
                enumeration=seen[symbol],
                rotations=_frozen(orbit[:, :, :3]),
                translations=_frozen(orbit[:, :, 3]),
            )
        )
        seen[symbol] += 1
    return tuple(positions)


def _orbit(
    first: NDArray[np.int64],
    rotations: NDArray[np.int64],
    translations: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the different images of a representative, modulo lattice vectors."""
    images: NDArray[np.int64] = rotations @ first
    images[:, :, 3] = (images[:, :, 3] + translations) % TRANSLATION_DENOMINATOR
    _, where = np.unique(images.reshape(-1, 12), axis=0, return_index=True)
    return images[np.sort(where)]


def _normalizer(packed: PackedGroup, n_operators: int) -> Normalizer:
    rotations, translations = _split(packed.normalizer[:n_operators])
    permutations = packed.permutations[:n_operators]
    return Normalizer(
        rotations=rotations,
        translations=translations,
        permutations=_frozen(permutations),
        distinct_permutations=_frozen(np.unique(permutations, axis=0)),
    )
