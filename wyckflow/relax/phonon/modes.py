"""Modes at the wave vectors that fit a supercell, where they are exact.

Elsewhere phonopy interpolates between these. A displacement pattern with such a wave
vector repeats itself in the supercell, so what it costs was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_DIGITS: Final = 6
_IS_TRANSLATION: Final = 0.5
_NEIGHBORS: Final = np.array(list(product((1, 0, -1), repeat=3)))


@dataclass(frozen=True, eq=False, slots=True)
class GammaModes:
    """Modes at the zone centre, translations apart from the others.

    Attributes
    ----------
    acoustic
        Frequencies of the three translations, in THz; zero but for noise.
    optical
        Frequencies of all other modes, ascending, in THz.
    eigenvectors
        Of the optical modes, in columns, mass-weighted.
    overlaps
        How much of each mode of the whole matrix, in ascending order of frequency, is
        a translation; 1 for three of them and 0 for the others.
    """

    acoustic: Floats
    optical: Floats
    eigenvectors: Floats
    overlaps: Floats

    @property
    def acoustic_places(self) -> list[int]:
        """Which modes of the whole matrix are translations."""
        places: list[int] = np.argsort(-self.overlaps, kind="stable")[:3].tolist()
        return sorted(places)

    @property
    def is_clear(self) -> bool:
        """Whether exactly three modes are mostly translations."""
        return int((self.overlaps > _IS_TRANSLATION).sum()) == len(self.acoustic)


def split_gamma(dynamical_matrix: Floats, masses: Floats, factor: float) -> GammaModes:
    """Separate the translations from the other modes at the zone centre.

    A soft optical mode can lie below the translations, or mix with them where both are
    near zero. So they are told by what moves, not by their frequency.

    Parameters
    ----------
    dynamical_matrix
        At the zone centre.
    masses
        Of the atoms of the primitive cell.
    factor
        From the root of an eigenvalue to THz.
    """
    matrix = np.real(dynamical_matrix)
    translations = make_translations(masses)
    rest = np.linalg.svd(translations, full_matrices=True)[0][:, 3:]
    values, inside = np.linalg.eigh(rest.T @ matrix @ rest)
    whole = np.linalg.eigh(matrix)[1]
    return GammaModes(
        acoustic=to_frequencies(
            np.linalg.eigvalsh(translations.T @ matrix @ translations), factor
        ),
        optical=to_frequencies(values, factor),
        eigenvectors=rest @ inside,
        overlaps=np.square(translations.T @ whole).sum(axis=0),
    )


def make_translations(masses: Floats) -> Floats:
    """Return the mass-weighted translations, orthonormal, in three columns.

    Parameters
    ----------
    masses
        Of the atoms.
    """
    weights = np.sqrt(np.asarray(masses) / np.sum(masses))
    return np.asarray(np.kron(weights[:, None], np.eye(3)), dtype=np.float64)


def measure_translation(eigenvectors: Any, masses: Floats) -> Floats:
    """Return how much of each mode moves all atoms alike, from 0 to 1.

    Parameters
    ----------
    eigenvectors
        In columns, mass-weighted, with phases of the atoms' own positions.
    masses
        Of the atoms.
    """
    inside = make_translations(masses).T @ np.asarray(eigenvectors)
    return np.asarray(np.square(abs(inside)).sum(axis=0), dtype=np.float64)


def to_frequencies(eigenvalues: Any, factor: float) -> Floats:
    """Return frequencies in THz; those of negative eigenvalues are negative.

    Parameters
    ----------
    eigenvalues
        Of a dynamical matrix.
    factor
        From the root of an eigenvalue to THz.
    """
    frequencies: Floats = np.sign(eigenvalues) * np.sqrt(abs(eigenvalues)) * factor
    return frequencies


def list_fitting_points(supercell_matrix: Integers, rotations: Integers) -> Floats:
    """Return one wave vector of each star that fits a supercell, the centre first.

    Parameters
    ----------
    supercell_matrix
        Rows are its vectors as sums of primitive ones.
    rotations
        Of the point group, acting on fractional coordinates.
    """
    size = round(float(np.linalg.det(supercell_matrix)))
    # q fits if matrix @ q is a vector of integers.
    adjugate = np.rint(np.linalg.inv(supercell_matrix) * size).astype(np.int64)
    found = _close(adjugate.T, size)
    inverses = np.rint(np.linalg.inv(rotations)).astype(np.int64)
    both = np.concatenate([inverses, -inverses])
    seen: set[tuple[int, ...]] = set()
    points = []
    for numerators in found:
        star = {tuple(row) for row in ((numerators @ both) % size).tolist()}
        if not seen & star:
            points.append(numerators / size)
        seen |= star
    return np.array(points)


def shorten_point(q: Floats, lattice: Floats) -> Floats:
    """Return the equivalent wave vector nearest to the zone centre.

    Parameters
    ----------
    q
        Fractional.
    lattice
        Rows are the primitive vectors, in A.
    """
    images = np.asarray(q) - np.rint(q) + _NEIGHBORS
    lengths = np.linalg.norm(images @ np.linalg.inv(lattice).T, axis=1)
    shortest: Floats = images[np.argmin(np.round(lengths, _DIGITS))]
    return shortest


def _close(generators: Integers, size: int) -> Integers:
    """Return the group that some vectors generate modulo a number, sorted."""
    steps = np.arange(size)
    group = np.zeros((1, 3), dtype=np.int64)
    for generator in generators:
        sums = group[:, None] + steps[:, None] * generator
        group = np.unique(sums.reshape(-1, 3) % size, axis=0)
    return group
