"""One decomposition by linear programming: slow, and independent of facets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.thermo.hull.facets import Points

_SUPPORT: Final = 1e-9


def solve_decomposition(
    points: Points, fractions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the shares of points that make up a composition at the least energy.

    Parameters
    ----------
    points
        What the hull is made of.
    fractions
        Atomic fractions of the composition.
    """
    from scipy.optimize import linprog

    found = linprog(
        points.energies, A_eq=points.fractions.T, b_eq=fractions, method="highs"
    )
    # The elements are among the points and unbounded shares cannot lower the energy,
    # so there always is a solution; its support is solved again without tolerances.
    support = np.flatnonzero(found.x > _SUPPORT)
    shares = np.zeros(len(points.energies))
    shares[support] = np.linalg.lstsq(
        points.fractions[support].T, fractions, rcond=None
    )[0]
    return shares
