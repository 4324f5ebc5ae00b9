"""The primitive cell of a crystal in SeeK-path's setting, and its path of bands."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.crystal.reduced import ReducedStructure

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_SYMPREC: Final = 1e-4
"""Relaxed crystals are exactly symmetric; this is for what storing them rounded."""


@dataclass(frozen=True, eq=False, slots=True)
class CrystalCell:
    """A crystal's primitive cell, to which all wave vectors refer.

    Attributes
    ----------
    lattice
        Rows are the primitive vectors, in A.
    coordinates
        Fractional, in [0, 1).
    numbers
        Atomic numbers.
    conventional
        Rows are the vectors of the conventional cell as sums of primitive ones.
    rotations
        Of the point group, acting on fractional coordinates.
    path
        Segments of the band path, as pairs of names of points.
    points
        Fractional wave vector of each name.
    """

    lattice: Floats
    coordinates: Floats
    numbers: Integers
    conventional: Integers
    rotations: Integers
    path: tuple[tuple[str, str], ...]
    points: dict[str, Floats]

    @property
    def n_atoms(self) -> int:
        """Atoms of the primitive cell."""
        return len(self.numbers)


def find_primitive_cell(structure: ReducedStructure) -> CrystalCell:
    """Bring a crystal into the primitive cell of its band path.

    Parameters
    ----------
    structure
        Exactly symmetric, as relaxed.

    Raises
    ------
    ValueError
        If SeeK-path cannot describe it.
    """
    import seekpath
    import spglib

    coordinates, numbers = structure.expand()
    with warnings.catch_warnings():
        # Cells on the border between two shapes of the zone; either path is good.
        warnings.simplefilter("ignore", seekpath.hpkot.EdgeCaseWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        found: dict[str, Any] = seekpath.get_path(
            (structure.lattice, coordinates, numbers), symprec=_SYMPREC
        )
    lattice = np.array(found["primitive_lattice"], dtype=np.float64)
    cell = (lattice, found["primitive_positions"], found["primitive_types"])
    dataset = spglib.get_symmetry(cell, symprec=_SYMPREC)
    if dataset is None:
        raise ValueError("spglib finds no symmetry in the primitive cell")
    conventional = np.array(found["conv_lattice"]) @ np.linalg.inv(lattice)
    return CrystalCell(
        lattice=lattice,
        coordinates=np.array(found["primitive_positions"]) % 1.0,
        numbers=np.array(found["primitive_types"], dtype=np.int64),
        conventional=np.rint(conventional).astype(np.int64),
        rotations=np.unique(np.array(dataset["rotations"], dtype=np.int64), axis=0),
        path=tuple((first, last) for first, last in found["path"]),
        points={name: np.array(q) for name, q in found["point_coords"].items()},
    )
