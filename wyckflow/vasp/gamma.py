"""Whether a lattice holds at Gamma, from the modes that VASP found there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.schemas.phonon import LatticeStability

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

N_ACOUSTIC: Final = 3
_MIXED: Final = 0.5
"""Share of translation below which a mode is no translation."""


@dataclass(frozen=True)
class GammaModes:
    """The modes at Gamma, told apart by what moves.

    Attributes
    ----------
    acoustic_thz
        Frequencies of the three translations in THz.
    optical_thz
        All others, from the lowest; negative if imaginary.
    acoustic_share
        Smallest share of translation among the three, 0 to 1.
    """

    acoustic_thz: tuple[float, ...]
    optical_thz: tuple[float, ...]
    acoustic_share: float

    def judge(self, tolerance_thz: float) -> tuple[LatticeStability, str]:
        """Return the verdict and its reason.

        Parameters
        ----------
        tolerance_thz
            Modes above minus this count as stable.
        """
        if self.acoustic_share < _MIXED:
            reason = "translations and other modes are mixed, so neither is known"
            return LatticeStability.CANNOT_JUDGE, reason
        if not self.optical_thz or self.optical_thz[0] >= -tolerance_thz:
            return LatticeStability.STABLE, ""
        soft = [value for value in self.optical_thz if value < -tolerance_thz]
        reason = f"{len(soft)} imaginary modes at Gamma, the lowest {soft[0]:.2f} THz"
        return LatticeStability.UNSTABLE, reason


def sort_modes(
    frequencies_thz: ArrayLike, eigenvectors: ArrayLike, masses: ArrayLike
) -> GammaModes:
    """Tell the three translations from the other modes.

    By what moves, not by being the three lowest: an unstable mode lies below them, and
    the grid of VASP leaves them a little off zero.

    Parameters
    ----------
    frequencies_thz
        One per mode; negative if imaginary.
    eigenvectors
        Of the dynamical matrix, modes by atoms by axes.
    masses
        Of the atoms.

    Raises
    ------
    ValueError
        If these do not belong together, or are not numbers.
    """
    values: NDArray[np.float64] = np.asarray(frequencies_thz, np.float64)
    vectors: NDArray[np.float64] = np.asarray(eigenvectors, np.float64)
    weights = np.sqrt(np.asarray(masses, np.float64))
    n_atoms = len(weights)
    if values.shape != (3 * n_atoms,) or vectors.shape != (3 * n_atoms, n_atoms, 3):
        raise ValueError(
            f"{values.shape} frequencies and eigenvectors of shape {vectors.shape} do "
            f"not belong to {n_atoms} atoms"
        )
    if not (np.isfinite(values).all() and np.isfinite(vectors).all()):
        raise ValueError("a frequency or eigenvector is not a number")
    moved = np.einsum("mia,i->ma", vectors, weights / np.linalg.norm(weights))
    lengths = np.maximum(np.einsum("mia,mia->m", vectors, vectors), 1e-30)
    shares = np.einsum("ma,ma->m", moved, moved) / lengths
    chosen = np.zeros(len(values), bool)
    chosen[np.argsort(-shares, kind="stable")[:N_ACOUSTIC]] = True
    return GammaModes(
        acoustic_thz=tuple(sorted(values[chosen].tolist())),
        optical_thz=tuple(sorted(values[~chosen].tolist())),
        acoustic_share=float(shares[chosen].min()),
    )
