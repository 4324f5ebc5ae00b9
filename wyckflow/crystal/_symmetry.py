"""The symmetry of a cell by spglib or moyopy, told in the ITA standard setting."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import radians
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.cell import Refusal, RefusalReason
from wyckflow.crystal.tables import TRANSLATION_DENOMINATOR, load_space_group
from wyckflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from wyckflow.crystal.cell import Cell
    from wyckflow.crystal.tables import SpaceGroup

# Where there are two, spglib takes origin choice 1, the International Tables recommend
# choice 2. A point at x for the first is at x + shift for the second, in 24ths. Of the
# shifts that do this, these keep every Wyckoff letter.
ORIGIN_SHIFTS: Final = {
    48: (6, 6, 6),
    50: (6, 6, 0),
    59: (6, 6, 0),
    68: (0, 6, 6),
    70: (9, 9, 21),
    85: (6, 18, 0),
    86: (18, 18, 18),
    88: (0, 18, 21),
    125: (6, 6, 0),
    126: (6, 6, 6),
    129: (6, 18, 0),
    130: (6, 18, 0),
    133: (6, 18, 18),
    134: (18, 6, 18),
    137: (6, 18, 6),
    138: (6, 18, 18),
    141: (0, 6, 21),
    142: (0, 6, 9),
    201: (18, 18, 18),
    203: (9, 9, 21),
    222: (6, 6, 6),
    224: (18, 18, 18),
    227: (9, 9, 21),
    228: (3, 3, 3),
}


class Engine(StrEnum):
    """Which package finds the symmetry."""

    SPGLIB = "spglib"
    MOYOPY = "moyopy"


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """Where the standard cell lies in the cell that came.

    Attributes
    ----------
    linear, shift
        A point ``x`` is at ``linear @ x + shift`` in the standard cell.
    lattice
        Vectors of the conventional standard cell in rows, in A.
    """

    linear: NDArray[np.float64]
    shift: NDArray[np.float64]
    lattice: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Symmetry:
    """What an engine found.

    Attributes
    ----------
    group
        The space group.
    letters
        Wyckoff letter of every atom.
    orbits
        For every atom the first atom that it is equivalent to.
    locate
        Returns the standard cell; not every caller wants it.
    """

    group: SpaceGroup
    letters: Sequence[str]
    orbits: Sequence[int]
    locate: Callable[[], Frame]


def find_symmetry(
    cell: Cell,
    engine: Engine,
    *,
    symprec: float,
    angle_tolerance: float | None,
) -> Symmetry | Refusal:
    """Find space group, Wyckoff letters and orbits.

    Parameters
    ----------
    cell
        A cell that `wyckflow.crystal.cell.check_cell` let pass.
    engine
        Package to ask.
    symprec
        Distance tolerance in A.
    angle_tolerance
        Angle tolerance in degrees, or None for the engine's own.

    Raises
    ------
    ConfigurationError
        If the engine is not installed.
    """
    if engine is Engine.MOYOPY:
        return _find_with_moyopy(cell, symprec, angle_tolerance)
    return _find_with_spglib(cell, symprec, angle_tolerance)


def _find_with_spglib(
    cell: Cell, symprec: float, angle_tolerance: float | None
) -> Symmetry | Refusal:
    import spglib

    # Up to version 2.8 spglib returns None where it fails, later it raises.
    failure = getattr(spglib, "SpglibError", RuntimeError)
    try:
        dataset = spglib.get_symmetry_dataset(
            (cell.lattice, cell.coordinates, cell.atomic_numbers),
            symprec,
            -1.0 if angle_tolerance is None else angle_tolerance,
        )
    except failure:
        dataset = None
    if dataset is None:
        return Refusal(
            RefusalReason.SYMMETRY_NOT_FOUND,
            f"spglib found no symmetry at {symprec=} A or below",
        )
    origin = np.array(ORIGIN_SHIFTS.get(dataset.number, (0, 0, 0)))
    return Symmetry(
        group=load_space_group(dataset.number),
        letters=dataset.wyckoffs,
        # "equivalent_atoms" would split orbits of a cell that is not primitive.
        orbits=dataset.crystallographic_orbits.tolist(),
        locate=lambda: Frame(
            linear=dataset.transformation_matrix,
            shift=dataset.origin_shift + origin / TRANSLATION_DENOMINATOR,
            lattice=dataset.std_lattice,
        ),
    )


def _find_with_moyopy(
    cell: Cell, symprec: float, angle_tolerance: float | None
) -> Symmetry | Refusal:
    try:
        import moyopy
    except ImportError:
        raise ConfigurationError(
            "engine='moyopy' needs the package moyopy, which is not installed: run "
            "pip install 'wyckflow[fast]', or take engine='spglib'."
        ) from None
    arrays = moyopy.Cell(
        cell.lattice.tolist(), cell.coordinates.tolist(), cell.atomic_numbers.tolist()
    )
    try:
        dataset = moyopy.MoyoDataset(
            arrays,
            symprec=symprec,
            angle_tolerance=angle_tolerance and radians(angle_tolerance),
            setting=moyopy.Setting.standard(),
        )
    except ValueError as error:
        return Refusal(
            RefusalReason.SYMMETRY_NOT_FOUND,
            f"moyopy found no symmetry at {symprec=} A or below: {error}",
        )

    def locate() -> Frame:
        linear = np.linalg.inv(np.array(dataset.std_linear))
        return Frame(
            linear=linear,
            shift=-linear @ np.array(dataset.std_origin_shift),
            lattice=np.array(dataset.std_cell.basis),
        )

    return Symmetry(
        group=load_space_group(dataset.number),
        letters=dataset.wyckoffs,
        orbits=dataset.orbits,
        locate=locate,
    )
