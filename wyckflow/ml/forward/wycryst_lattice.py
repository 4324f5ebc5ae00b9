"""The array of WyCryst with the cell and the coordinates of the orbits below it.

The publication says that lattice parameters and fractional coordinates stand beside the
Wyckoff representation, and not how. Here they are further rows of the same columns:
lengths and angles of the cell (two rows), then for each orbit, in the order of the
gene, its point and, one row further, how many atoms it has in the column of its
element. Described otherwise, letters, points and cell change together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import Field

from wyckflow.ml.codec.wycryst import N_ROWS
from wyckflow.ml.forward.wycryst import (
    ArrayRepresentation,
    WycrystSizes,
    columns_of,
    encode_columns,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.ml.forward.crystals import Crystals

LENGTH_UNIT: Final = 10.0
"""Lengths of cells are written in units of this many A."""

ANGLE_UNIT: Final = 180.0
"""Angles are written in units of this many degrees."""

N_CELL_ROWS: Final = 2


class WycrystLatticeSizes(WycrystSizes):
    """Sizes of array and network."""

    n_sites: int | None = Field(
        default=None,
        ge=1,
        description="Most orbits of a crystal; by default what the training rows need.",
    )


class WycrystLatticeRepresentation(ArrayRepresentation):
    """The published array, cell, and coordinates."""

    name = "wycryst-l"
    needs_cells = True

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the array."""
        return N_ROWS + N_CELL_ROWS + 2 * self.limits["n_sites"], self.n_columns

    def needed(self, crystals: Crystals) -> dict[str, NDArray[np.int64]]:
        """Return by option how much of it each crystal needs, (n,) each."""
        return super().needed(crystals) | {"n_sites": crystals.n_sites}

    def encode(self, crystals: Crystals) -> NDArray[np.float32]:
        """Write crystals as arrays (n, rows, columns)."""
        n_rows, n_columns = self.shape
        array = np.zeros((len(crystals), n_rows, n_columns), np.float32)
        array[:, :N_ROWS] = encode_columns(crystals, n_columns)
        below = array[:, N_ROWS:]
        below[:, :N_CELL_ROWS, :3] = cell_rows(crystals)
        row = crystals.crystal_indices
        line = N_CELL_ROWS + 2 * site_places(crystals)
        below[row, line, :3] = crystals.coordinates
        share = crystals.multiplicities / 24
        below[row, line + 1, columns_of(crystals)] = share
        return array


def site_places(crystals: Crystals) -> NDArray[np.int64]:
    """Return the place of every orbit in its crystal (m,)."""
    starts = crystals.offsets[:-1][crystals.crystal_indices]
    places: NDArray[np.int64] = np.arange(len(starts)) - starts
    return places


def cell_rows(crystals: Crystals) -> NDArray[np.float64]:
    """Return lengths and angles of the cells, scaled, (n, 2, 3)."""
    lengths, cosines = lengths_and_cosines(crystals)
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return np.stack([lengths / LENGTH_UNIT, angles / ANGLE_UNIT], axis=1)


def lengths_and_cosines(
    crystals: Crystals,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return lengths of the cell vectors in A, and cosines of the angles, (n, 3) each.

    Parameters
    ----------
    crystals
        With cells.
    """
    lattices = np.asarray(crystals.lattices)
    lengths: NDArray[np.float64] = np.linalg.norm(lattices, axis=2)
    unit = lattices / lengths[:, :, None]
    pairs = [(1, 2), (0, 2), (0, 1)]
    cosines = np.stack([(unit[:, i] * unit[:, j]).sum(-1) for i, j in pairs], axis=1)
    return lengths, cosines
