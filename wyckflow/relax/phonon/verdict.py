"""When phonons speak against a crystal, and when they only seem to.

CHGNet's phonons are too soft, so a mode that is a little imaginary proves nothing, and
only clear instabilities reject. Nor does one that exists only between the wave vectors
that fit the supercell: it was interpolated and not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.relax.phonon.modes import measure_translation, shorten_point
from wyckflow.schemas.phonon import LatticeStability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.relax.phonon.options import PhononOptions

    Floats = NDArray[np.float64]

_MOSTLY: Final = 0.5


@dataclass(frozen=True, eq=False, slots=True)
class Softest:
    """The lowest frequency of some wave vectors.

    Attributes
    ----------
    frequency
        In THz.
    q
        Fractional.
    """

    frequency: float
    q: Floats

    def describe(self) -> str:
        """Write it as ``-1.23 THz at (1/2, 0, 0)``."""
        return f"{self.frequency:.2f} THz at {write_point(self.q)}"


def judge(
    exact: Softest | None,
    interpolated: Softest,
    options: PhononOptions,
    *,
    is_dip_near_gamma: bool,
) -> tuple[LatticeStability, str]:
    """Weigh what fits the supercell and what was interpolated.

    Parameters
    ----------
    exact
        The softest mode that fits the supercell, translations left out; None if there
        are only translations.
    interpolated
        The softest on mesh and path.
    options
        With the two tolerances.
    is_dip_near_gamma
        Whether the latter is an acoustic one near the zone centre.

    Returns
    -------
    tuple
        The verdict and the reason in words.
    """
    if exact is not None and exact.frequency < -options.reject_thz:
        return LatticeStability.UNSTABLE, (
            f"{exact.describe()}, below -{options.reject_thz:g} THz"
        )
    if exact is not None and exact.frequency < -options.tolerance_thz:
        return LatticeStability.BORDERLINE, (
            f"{exact.describe()}, not below -{options.reject_thz:g} THz, and CHGNet's "
            "phonons are too soft"
        )
    if interpolated.frequency < -options.tolerance_thz:
        what = "an acoustic branch near the zone centre" if is_dip_near_gamma else "it"
        return LatticeStability.BORDERLINE, (
            f"{interpolated.describe()}, but {what} was interpolated between wave "
            "vectors that fit the supercell and are stable"
        )
    return LatticeStability.STABLE, ""


def is_acoustic_dip(
    softest: Softest,
    eigenvector: Floats,
    masses: Floats,
    lattice: Floats,
    fitting: Floats,
) -> bool:
    """Return whether a mode is acoustic and nearer to the centre than all that fit.

    Parameters
    ----------
    softest
        The mode.
    eigenvector
        Mass-weighted.
    masses, lattice
        Of the primitive cell; rows are its vectors, in A.
    fitting
        Wave vectors that fit the supercell, the centre among them.
    """
    reciprocal = np.linalg.inv(lattice).T
    own = float(np.linalg.norm(shorten_point(softest.q, lattice) @ reciprocal))
    lengths = [
        float(np.linalg.norm(shorten_point(q, lattice) @ reciprocal)) for q in fitting
    ]
    nearest = min((length for length in lengths if length > 0), default=np.inf)
    part = float(measure_translation(eigenvector, masses))
    return own < nearest and part > _MOSTLY


def write_point(q: Floats) -> str:
    """Write a wave vector with fractions where it has small denominators.

    Parameters
    ----------
    q
        Fractional.
    """
    from fractions import Fraction

    words = []
    for value in q:
        part = Fraction(float(value)).limit_denominator(12)
        near = abs(float(part) - float(value)) < 1e-4  # noqa: PLR2004 (as it is printed)
        words.append(str(part) if near else f"{float(value):.3f}")
    return f"({', '.join(words)})"
