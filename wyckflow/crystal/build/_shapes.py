"""Random cells with the shapes that crystals have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.tables import CrystalSystem, load_space_group

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Shapes, rounded from 12,140 structures of MP-20 and MPTS-52 in the standard setting:
# standard deviation of log(axis / geometric mean), ranges of angles, and mean and
# standard deviation of log(c/a) in primitive and in centred cells.
_AXES: Final = {
    CrystalSystem.TRICLINIC: 0.2,
    CrystalSystem.MONOCLINIC: 0.33,
    CrystalSystem.ORTHORHOMBIC: 0.4,
}
_RIGHT_ANGLE: Final = 90.0
_TRICLINIC_ANGLES: Final = (65.0, 115.0)
_MONOCLINIC_BETA: Final = (90.0, 128.0)
_AXIAL_RATIO: Final = {
    CrystalSystem.TETRAGONAL: ((0.28, 0.65), (0.61, 0.64)),
    CrystalSystem.TRIGONAL: ((0.59, 0.74), (1.08, 0.78)),
    CrystalSystem.HEXAGONAL: ((0.08, 0.70), (0.08, 0.70)),
}


def draw_lattices(
    space_group_number: int, volumes: Floats, rng: Generator, *, spreading: float = 1.0
) -> Floats:
    """Draw conventional cells of a space group with shapes as crystals have them.

    Parameters
    ----------
    space_group_number
        1 to 230.
    volumes
        Volume of every cell in A^3.
    rng
        Source of randomness.
    spreading
        Factor on the standard deviations of the axes.

    Returns
    -------
    ndarray
        Rows are the cell vectors in A, shape (cells, 3, 3).
    """
    group = load_space_group(space_group_number)
    system, n_cells = group.crystal_system, len(volumes)
    axes, angles = np.ones((n_cells, 3)), np.full((n_cells, 3), _RIGHT_ANGLE)
    if system in _AXES:
        axes = np.exp(rng.normal(0.0, _AXES[system] * spreading, (n_cells, 3)))
    elif system in _AXIAL_RATIO:
        is_centred = not group.symbol.startswith("P")
        mean, deviation = _AXIAL_RATIO[system][is_centred]
        axes[:, 2] = np.exp(rng.normal(mean, deviation * spreading, n_cells))
    if system is CrystalSystem.TRICLINIC:
        angles = rng.uniform(*_TRICLINIC_ANGLES, (n_cells, 3))
    elif system is CrystalSystem.MONOCLINIC:
        angles[:, 1] = rng.uniform(*_MONOCLINIC_BETA, n_cells)
    elif system in (CrystalSystem.TRIGONAL, CrystalSystem.HEXAGONAL):
        angles[:, 2] = 120.0
    cosines = np.where(angles == _RIGHT_ANGLE, 0.0, np.cos(np.radians(angles)))
    metrics = np.ones((n_cells, 3, 3))
    for k, (i, j) in enumerate(((1, 2), (0, 2), (0, 1))):
        metrics[:, i, j] = metrics[:, j, i] = cosines[:, k]
    lattices = np.linalg.cholesky(metrics) * axes[:, :, None]
    scale = np.cbrt(volumes / np.linalg.det(lattices))
    scaled: Floats = lattices * scale[:, None, None]
    return scaled
