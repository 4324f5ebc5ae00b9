"""Bands that have the symmetry of the crystal and a plausible gap, and no more.

Two manifolds of s orbitals with positive hopping: the valence bands have their maximum
at Gamma, the conduction bands their minimum. The gap grows with the difference of
electronegativities; crystals of metals alone have none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from pymatgen.core import Element

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from pymatgen.core.structure import Structure

    from wyckflow.vasp.simulator.inputs import RunInputs

_REACH: Final = 5.0
_TOP: Final = 5.0
"""Energy of the highest valence state, eV."""
_WIDTH: Final = 0.6
_SHELL: Final = 1.0
"""Distance of one shell of bands to the next, eV."""
_SPLITTING: Final = 0.3
"""Between the spins, eV per muB."""


@dataclass(frozen=True)
class Bands:
    """Eigenvalues of a run.

    Attributes
    ----------
    energies
        Per spin, k-points by bands, eV.
    occupations
        The same, 0 or 1.
    fermi
        Fermi level, eV.
    """

    energies: tuple[NDArray[np.float64], ...]
    occupations: tuple[NDArray[np.float64], ...]
    fermi: float

    def density_of_states(
        self, weights: ArrayLike, n_points: int, width: float
    ) -> list[NDArray[np.float64]]:
        """Return energy, density and its integral, per spin, by broadening.

        Parameters
        ----------
        weights
            Of the k-points.
        n_points
            Of the energies.
        width
            Of the broadening, eV.
        """
        low = min(part.min() for part in self.energies) - 1
        high = max(part.max() for part in self.energies) + 1
        grid = np.linspace(low, high, n_points)
        per_state = 2 / len(self.energies)
        tables = []
        for part in self.energies:
            total = np.zeros(n_points)
            for row, weight in zip(part, np.asarray(weights), strict=True):
                distance = (grid[:, None] - row) / width
                total += weight * np.exp(-(distance**2)).sum(axis=1)
            total *= per_state / (width * math.sqrt(math.pi))
            integral = np.cumsum(total) * (grid[1] - grid[0])
            tables.append(np.column_stack([grid, total, integral]))
        return tables


def make_bands(
    inputs: RunInputs, structure: Structure, moments: NDArray[np.float64]
) -> Bands:
    """Return bands at the k-points of a run.

    Parameters
    ----------
    inputs
        Of the run.
    structure
        At its end.
    moments
        Of the atoms, muB.
    """
    n_electrons = float(inputs.parameters["NELECT"])
    n_valence = math.ceil(n_electrons / 2)
    n_empty = int(inputs.parameters["NBANDS"]) - n_valence
    levels = _levels(structure, inputs.grid.points)
    highest = float(_levels(structure, np.zeros((1, 3))).max())
    gap = find_gap(structure)
    valence = _TOP + _stack(levels - highest, n_valence)
    # The same upside down, so that a lowest state at Gamma is above the gap.
    empty = _TOP + gap - _stack(levels - highest, n_empty)
    both = np.sort(np.concatenate([valence, empty], axis=1), axis=1)
    shift = _SPLITTING * float(np.abs(moments).mean()) / 2
    energies = (both,) if inputs.n_spins == 1 else (both - shift, both + shift)
    fermi = _TOP + gap / 2
    if gap < 0:
        fermi = _fill(energies, inputs.grid.weights, n_electrons)
    occupations = tuple((part < fermi).astype(float) for part in energies)
    return Bands(energies, occupations, fermi)


def find_gap(structure: Structure) -> float:
    """Return the gap in eV that a crystal gets; negative for a metal.

    Parameters
    ----------
    structure
        Only its elements count.
    """
    elements = [Element(item.symbol) for item in structure.composition.elements]
    if all(element.is_metal for element in elements):
        return -1.0
    affinities = [float(element.X) for element in elements]
    return 0.4 + 1.6 * (max(affinities) - min(affinities))


def _levels(structure: Structure, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the eigenvalues of one s orbital per atom, sorted, at k-points."""
    centers, others, images, distances = structure.get_neighbor_list(_REACH)
    place = structure.frac_coords
    vectors = np.asarray(images) + place[others] - place[centers]
    hopping = 6 * np.exp(-distances / 0.9)
    rows = []
    for point in points:
        matrix = np.zeros((len(structure), len(structure)), complex)
        np.add.at(
            matrix, (centers, others), hopping * np.exp(2j * np.pi * vectors @ point)
        )
        rows.append(np.linalg.eigvalsh(matrix))
    return np.array(rows)


def _stack(levels: NDArray[np.float64], n_bands: int) -> NDArray[np.float64]:
    """Return as many bands as asked for, in shells that go down from the levels.

    The first shell is full, so that its top is there; of the last the lowest are left,
    which symmetry cannot tell apart.
    """
    n_atoms = levels.shape[1]
    n_shells = max(1, -(-n_bands // n_atoms))
    shells = [_WIDTH * levels - _SHELL * shell for shell in range(n_shells)]
    if n_bands < n_atoms:
        return shells[0][:, n_atoms - n_bands :]
    return np.concatenate(shells, axis=1)[:, :n_bands]


def _fill(
    energies: tuple[NDArray[np.float64], ...],
    weights: NDArray[np.float64],
    n_electrons: float,
) -> float:
    """Return the level below which the electrons have room."""
    values = np.concatenate([part.ravel() for part in energies])
    each = np.repeat(weights, energies[0].shape[1]) * 2 / len(energies)
    room = np.tile(each, len(energies))
    order = np.argsort(values)
    filled = np.cumsum(room[order])
    at = int(np.searchsorted(filled, n_electrons))
    return float(values[order][min(at, len(values) - 1)])
