"""Orbits, symmetric cells and contacts as arrays: the arithmetic of this floor."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.tables import TRANSLATION_DENOMINATOR, load_space_group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.crystal.tables import WyckoffPosition

    Floats = NDArray[np.float64]

# Lattice vectors to try when a point is matched to the members of its orbit: a member
# is an integer combination of free coordinates in [0, 1) with factors up to 2.
_FIT_SHIFTS: Final = tuple(product((-2, -1, 0, 1, 2), repeat=3))


ROUNDING: Final = 1e-13
"""Relative size below which a number in a cell is taken for a rounding error."""


@dataclass(frozen=True, eq=False, slots=True)
class OrbitTable:
    """The affine maps from free coordinates to all atoms of a cell.

    Attributes
    ----------
    rotations, translations
        Atom ``k`` is at ``rotations[k] @ u + translations[k]`` for the free
        coordinates ``u`` of its orbit.
    site_indices
        The orbit of each atom.
    first_atoms
        The first atom of each orbit, its representative.
    multiplicities
        Atoms of each orbit.
    is_free
        Which of the three coordinates of each orbit enter, shape (orbits, 3).
    """

    rotations: Floats
    translations: Floats
    site_indices: NDArray[np.int64]
    first_atoms: NDArray[np.int64]
    multiplicities: NDArray[np.int64]
    is_free: NDArray[np.bool_]

    def expand(self, parameters: Floats) -> Floats:
        """Place all atoms.

        Parameters
        ----------
        parameters
            Free coordinates, shape (..., orbits, 3).

        Returns
        -------
        ndarray
            Fractional coordinates, not wrapped, shape (..., atoms, 3).
        """
        of_atoms = parameters[..., self.site_indices, :, None]
        moved: Floats = (self.rotations @ of_atoms)[..., 0] + self.translations
        return moved


@lru_cache(maxsize=4096)
def load_orbit_table(space_group_number: int, letters: tuple[str, ...]) -> OrbitTable:
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
    multiplicities = np.array([p.multiplicity for p in positions])
    table = OrbitTable(
        rotations=np.concatenate([p.rotations for p in positions]).astype(float),
        translations=np.concatenate([p.translations for p in positions])
        / TRANSLATION_DENOMINATOR,
        site_indices=np.repeat(np.arange(len(positions)), multiplicities),
        first_atoms=np.cumsum(multiplicities) - multiplicities,
        multiplicities=multiplicities,
        is_free=np.array([free_columns(p) for p in positions]),
    )
    for field in fields(table):
        getattr(table, field.name).flags.writeable = False  # it is shared
    return table


def free_columns(position: WyckoffPosition) -> NDArray[np.bool_]:
    """Return which of the three free coordinates enter a position."""
    columns: NDArray[np.bool_] = np.any(position.rotations != 0, axis=(0, 1))
    return columns


@lru_cache(maxsize=230)
def _point_rotations(space_group_number: int) -> Floats:
    rotations = load_space_group(space_group_number).rotations
    return np.unique(rotations, axis=0).astype(float)


def symmetric_metric(space_group_number: int, metric: Floats) -> Floats:
    """Average a metric tensor over the point group.

    Parameters
    ----------
    space_group_number
        1 to 230.
    metric
        Scalar products of the cell vectors, in A^2.
    """
    rotations = _point_rotations(space_group_number)
    average: Floats = np.mean(rotations.transpose(0, 2, 1) @ metric @ rotations, axis=0)
    return (average + average.T) / 2


def cell_from_metric(metric: Floats) -> Floats:
    """Return the cell with the first vector along x and the second in the xy plane.

    Entries that vanish by symmetry are exact zeros.

    Parameters
    ----------
    metric
        Scalar products of the cell vectors, in A^2.

    Returns
    -------
    ndarray
        Rows are the cell vectors in A, right-handed.
    """
    cell = np.linalg.cholesky(metric).astype(np.float64)
    cell[_is_rounding(cell)] = 0.0
    return cell


def is_in_standard_orientation(cell: Floats) -> bool:
    """Return whether a cell is oriented, and as clean, as by `cell_from_metric`."""
    return not np.triu(cell, 1).any() and not cell[_is_rounding(cell)].any()


def _is_rounding(cell: Floats) -> NDArray[np.bool_]:
    return np.abs(cell) < ROUNDING * np.linalg.norm(cell)


def lengths_and_angles(cell: Floats) -> tuple[Floats, Floats]:
    """Return the three lengths in A and the three angles in degrees."""
    lengths = np.linalg.norm(cell, axis=1)
    unit = cell / lengths[:, None]
    cosines = [unit[i] @ unit[j] for i, j in ((1, 2), (0, 2), (0, 1))]
    return lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def image_shifts(extent: Any = (1, 1, 1)) -> Floats:
    """Return all lattice vectors up to an extent along each axis, the origin first."""
    ranges = [range(-int(n), int(n) + 1) for n in extent]
    shifts = sorted(product(*ranges), key=lambda shift: (any(shift), shift))
    return np.array(shifts, dtype=float)


def shortest_contact(
    table: OrbitTable, radii: Floats, cell: Floats, parameters: Floats
) -> float:
    """Return the smallest distance between two atoms over the sum of their radii.

    All periodic images that can matter are looked at, however skewed the cell.

    Parameters
    ----------
    table
        The orbits.
    radii
        Covalent radius of each orbit's element, in A.
    cell
        Rows are the cell vectors, in A.
    parameters
        Free coordinates, shape (orbits, 3).
    """
    points = table.expand(parameters)
    reach = 2 * float(radii.max())
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    first = _contact(table, radii, cell, points, image_shifts())
    extent = np.floor(first * reach / heights + 0.5)
    if extent.max() <= 1:
        return first
    return _contact(table, radii, cell, points, image_shifts(np.maximum(extent, 1)))


def _contact(
    table: OrbitTable, radii: Floats, cell: Floats, points: Floats, shifts: Floats
) -> float:
    difference = points[None, :, :] - points[table.first_atoms][:, None, :]
    difference -= np.rint(difference)
    vectors, images = difference @ cell, shifts @ cell
    squares = (
        (vectors**2).sum(-1)[..., None] + 2 * vectors @ images.T + (images**2).sum(-1)
    )
    itself = np.arange(len(table.first_atoms))
    squares[itself, table.first_atoms, 0] = np.inf  # an atom and itself, not an image
    distances = np.sqrt(np.maximum(squares.min(-1), 0))
    sums = radii[:, None] + radii[table.site_indices][None, :]
    return float((distances / sums).min())


def fit_parameters(
    position: WyckoffPosition, points: Floats, cell: Floats
) -> tuple[Floats, float]:
    """Find the free coordinates whose orbit passes closest to some points.

    Parameters
    ----------
    position
        A Wyckoff position.
    points
        Fractional coordinates of atoms of one orbit, in the standard setting; not
        all of the orbit needs to be given.
    cell
        Rows are the cell vectors, in A.

    Returns
    -------
    tuple
        The free coordinates in [0, 1), zero where a coordinate does not enter, and the
        largest distance in A between a point and its place in the orbit.
    """
    rotations = position.rotations.astype(float)
    translations = position.translations / TRANSLATION_DENOMINATOR
    columns = free_columns(position)
    parameters = np.zeros(3)
    if columns.any():
        directions = rotations[:, :, columns]
        parameters[columns] = _fit_one(directions, translations, points[0], cell)
    for _ in range(2):  # the second pass may match points to other members
        orbit = rotations @ parameters + translations
        away = points[:, None, :] - orbit
        away -= np.rint(away)
        member = np.argmin(((away @ cell) ** 2).sum(-1), axis=1)
        nearest = away[np.arange(len(points)), member]
        if columns.any():
            design = np.swapaxes(rotations[member][:, :, columns], 1, 2) @ cell
            design = np.swapaxes(design, 1, 2).reshape(-1, columns.sum())
            step = np.linalg.lstsq(design, (nearest @ cell).ravel(), rcond=None)[0]
            parameters[columns] += step
            nearest = nearest - rotations[member][:, :, columns] @ step
    residual = float(np.linalg.norm(nearest @ cell, axis=1).max())
    wrapped = parameters % 1.0
    wrapped[wrapped >= 1.0] = 0.0  # -1e-17 % 1.0 is 1.0
    return wrapped, residual


def _fit_one(
    directions: Floats, translations: Floats, point: Floats, cell: Floats
) -> Floats:
    """Return the free coordinates of the member that passes closest to a point."""
    shifts = np.array(_FIT_SHIFTS, dtype=float)
    offsets = (point - translations)[:, None, :] - shifts  # members, shifts, 3
    to_cartesian = cell.T
    solvers = np.linalg.pinv(to_cartesian @ directions)
    solutions = np.einsum("mfc,msc->msf", solvers, offsets @ cell)
    missed = offsets - np.einsum("mcf,msf->msc", directions, solutions)
    squares = ((missed @ cell) ** 2).sum(-1)
    member, shift = np.unravel_index(np.argmin(squares), squares.shape)
    solution: Floats = solutions[member, shift]
    return solution
