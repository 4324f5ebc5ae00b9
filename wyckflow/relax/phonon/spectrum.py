"""Bands along the path of the crystal's lattice, and the density of states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.schemas.phonon import Spectrum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.relax.phonon.crystal_cell import CrystalCell

    Floats = NDArray[np.float64]

_SPACING: Final = 0.008
"""Between points of the path, in 1/A (without 2 pi)."""

_MOST_POINTS: Final = 50
_FEWEST_POINTS: Final = 6
_DOS_POINTS: Final = 401


@dataclass(frozen=True, eq=False, slots=True)
class Mesh:
    """Frequencies on a regular mesh around the zone centre.

    Attributes
    ----------
    q_points
        Fractional, one per star.
    frequencies
        In THz, shape (points, modes).
    dos_frequencies, dos
        Density of states: THz, and modes per THz and primitive cell.
    """

    q_points: Floats
    frequencies: Floats
    dos_frequencies: Floats
    dos: Floats


def compute_mesh(phonons: Any, length: float) -> Mesh:
    """Return frequencies and density of states of a mesh.

    Parameters
    ----------
    phonons
        Phonopy's object with force constants.
    length
        That the mesh resolves, in A.
    """
    found = phonons.run_mesh(length, is_gamma_center=True)
    frequencies = np.array(found.frequencies)
    low, high = float(frequencies.min()), float(frequencies.max())
    margin = 0.03 * max(high - low, 0.1)
    pitch = (high - low + 2 * margin) / (_DOS_POINTS - 1)
    density = phonons.run_total_dos(
        freq_min=low - margin, freq_max=high + margin, freq_pitch=pitch
    )
    return Mesh(
        q_points=np.array(found.qpoints),
        frequencies=frequencies,
        dos_frequencies=np.array(density.frequency_points),
        dos=np.array(density.dos),
    )


def compute_spectrum(phonons: Any, cell: CrystalCell, mesh: Mesh) -> Spectrum:
    """Return the bands of a crystal along its path, with a density of states.

    Parameters
    ----------
    phonons
        Phonopy's object with force constants.
    cell
        The primitive cell with its path.
    mesh
        Of `compute_mesh`.
    """
    reciprocal = np.linalg.inv(cell.lattice).T
    points, distances, starts = [], [], []
    travelled, n_points = 0.0, 0
    for first, last in cell.path:
        ends = np.array([cell.points[first], cell.points[last]])
        length = float(np.linalg.norm((ends[1] - ends[0]) @ reciprocal))
        n_steps = int(np.clip(length / _SPACING, _FEWEST_POINTS, _MOST_POINTS))
        steps = np.linspace(0.0, 1.0, n_steps)
        points.append(ends[0] + steps[:, None] * (ends[1] - ends[0]))
        distances.append(travelled + steps * length)
        starts.append(n_points)
        travelled += length
        n_points += n_steps
    q_points = np.concatenate(points)
    return Spectrum(
        distances=np.concatenate(distances),
        q_points=q_points,
        bands=np.array(phonons.run_qpoints(q_points).frequencies),
        segment_starts=np.array(starts),
        labels=np.array(cell.path),
        dos_frequencies=mesh.dos_frequencies,
        dos=mesh.dos,
    )
