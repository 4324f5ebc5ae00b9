"""The crystallographic representation of FTCP: real space beside reciprocal space.

After the description of Ren et al. (Matter 5, 314, 2022), written anew. Each crystal is
an array. Its first columns, one per element (three at least), hold real space, row
below row: the element one-hot, lengths and angles of the cell, the points of the sites,
the column that each site's element has, a row left empty, and properties of the
elements. Each further column belongs to a point of the reciprocal lattice: in the empty
row its distance from the origin, and beside the properties of the elements, their sum
over all atoms with the phase of the atom, of which the real part is kept.

It differs from the publication in four things. Cells are conventional ones, with one
site per orbit that is written with the atoms it stands for; sums run over all atoms of
the cell and are divided by their number. Points of the reciprocal lattice are those of
the lowest indices of every cell alike, one of each pair at opposite sides, which say
the same. Lengths, angles and distances are scaled by constants. And there is no
decoder.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import Field

from wyckflow.ml.codec.wycryst import N_ELEMENTS, binary_features
from wyckflow.ml.forward.atoms import expand
from wyckflow.ml.forward.wycryst import ArrayRepresentation, WycrystSizes, columns_of
from wyckflow.ml.forward.wycryst_lattice import N_CELL_ROWS, cell_rows, site_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.ml.forward.crystals import Crystals

_HIGHEST_INDEX: Final = 4


class FtcpSizes(WycrystSizes):
    """Sizes of array and network."""

    n_sites: int | None = Field(
        default=None,
        ge=1,
        description="Most orbits of a crystal; by default what the training rows need.",
    )
    n_reciprocal: int = Field(
        default=59,
        ge=1,
        le=300,
        description="Points of the reciprocal lattice, 59 as published.",
    )


class FtcpRepresentation(ArrayRepresentation):
    """Elements, cell, sites and their Fourier transform; no space group."""

    name = "ftcp"
    needs_cells = True
    reads_group = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, and columns of real and reciprocal space."""
        return self._first_property_row + n_properties(), (
            self.n_columns + self.sizes.n_reciprocal
        )

    @property
    def _first_property_row(self) -> int:
        return N_ELEMENTS + N_CELL_ROWS + 2 * self.limits["n_sites"] + 1

    def needed(self, crystals: Crystals) -> dict[str, NDArray[np.int64]]:
        """Return by option how much of it each crystal needs, (n,) each."""
        return super().needed(crystals) | {"n_sites": crystals.n_sites}

    def encode(self, crystals: Crystals) -> NDArray[np.float32]:
        """Write crystals as arrays (n, rows, columns)."""
        n_rows, n_channels = self.shape
        n_columns, n_sites = self.n_columns, self.limits["n_sites"]
        array = np.zeros((len(crystals), n_rows, n_channels), np.float32)
        row, column = crystals.crystal_indices, columns_of(crystals)
        number = crystals.atomic_numbers
        array[row, number - 1, column] = 1
        array[:, N_ELEMENTS : N_ELEMENTS + N_CELL_ROWS, :3] = cell_rows(crystals)
        line = N_ELEMENTS + N_CELL_ROWS + site_places(crystals)
        array[row, line, :3] = crystals.coordinates
        array[row, line + n_sites, column] = crystals.multiplicities / 24
        first = self._first_property_row
        properties = binary_features()[number]
        array[row, first:, column] = properties
        indices = reciprocal_points(self.sizes.n_reciprocal)
        array[:, first - 1, n_columns:] = reciprocal_lengths(crystals, indices)
        waves = structure_factors(crystals, indices)
        of_columns = np.zeros((len(crystals), n_columns, len(indices)), np.float32)
        np.add.at(of_columns, (row, column), waves)
        of_elements = np.zeros((len(crystals), n_columns, n_properties()), np.float32)
        of_elements[row, column] = properties
        array[:, first:, n_columns:] = of_elements.transpose(0, 2, 1) @ of_columns
        return array


def n_properties() -> int:
    """Return how many properties of elements there are."""
    return int(binary_features().shape[1])


@lru_cache(maxsize=8)
def reciprocal_points(n: int) -> NDArray[np.int64]:
    """Return the ``n`` points of the reciprocal lattice with the lowest indices (n, 3).

    Of each pair at opposite sides of the origin it is the one whose first index that is
    not zero is positive. The sum of the sizes of the indices orders them.

    Parameters
    ----------
    n
        How many.
    """
    reach = range(-_HIGHEST_INDEX, _HIGHEST_INDEX + 1)
    half = [point for point in product(reach, repeat=3) if point > (0, 0, 0)]
    half.sort(key=lambda point: (sum(map(abs, point)), [-index for index in point]))
    points = np.array(half[:n], np.int64)
    points.flags.writeable = False
    return points


def reciprocal_lengths(
    crystals: Crystals, indices: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the distances of points from the origin, in 1/A without 2 pi, (n, points).

    Parameters
    ----------
    crystals
        With cells.
    indices
        Of the points.
    """
    reciprocal = np.linalg.inv(np.asarray(crystals.lattices)).transpose(0, 2, 1)
    lengths: NDArray[np.float64] = np.linalg.norm(indices @ reciprocal, axis=2)
    return lengths


def structure_factors(
    crystals: Crystals, indices: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the real part of the structure factor of each orbit (m, points).

    It is the sum over the atoms of the orbit of the cosine of their phase, divided by
    the atoms of the conventional cell.

    Parameters
    ----------
    crystals
        With cells.
    indices
        Of the points.
    """
    atoms = expand(crystals)
    phases = 2 * np.pi * (atoms.coordinates @ indices.T)
    total = np.zeros((len(crystals.atomic_numbers), len(indices)))
    if len(total):
        starts = np.flatnonzero(np.diff(atoms.site_indices, prepend=-1))
        total = np.add.reduceat(np.cos(phases), starts, axis=0)
    n_atoms = np.diff(atoms.offsets)[crystals.crystal_indices]
    return (total / n_atoms[:, None]).astype(np.float32)
