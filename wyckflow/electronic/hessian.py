"""Full tensors of inverse masses: from dense points around an extremum, or a model."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.electronic.masses import GOOD, HBAR2_PER_MASS, UNCERTAIN
from wyckflow.schemas.electronic import FitQuality

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RADIUS: Final = 0.03
"""Default half width of a dense mesh around an extremum, in 1/A."""
N_ACROSS: Final = 7
"""Default of its points along each axis."""
_NOISE: Final = 1e-5


@dataclass(frozen=True, eq=False, slots=True)
class MassTensor:
    """The masses of one band around its extremum.

    Attributes
    ----------
    quality, reason
        How far to trust it, and why no further.
    principal
        Masses along the axes, ascending, of the free electron.
    axes
        Rows are the axes, Cartesian.
    center
        The extremum, Cartesian in 1/A.
    error
        Of the masses, relative.
    """

    quality: FitQuality
    reason: str = ""
    principal: tuple[float, ...] = ()
    axes: Floats | None = None
    center: Floats | None = None
    error: float | None = None

    @property
    def dos_mass(self) -> float | None:
        """Density-of-states mass of one pocket and band."""
        if not self.principal:
            return None
        return float(np.prod(self.principal) ** (1 / 3))

    @property
    def conductivity_mass(self) -> float | None:
        """Conductivity mass of one pocket and band."""
        if not self.principal:
            return None
        return float(3 / np.sum(1 / np.array(self.principal)))


def dense_points(
    reciprocal: Floats,
    kpoint: Floats,
    *,
    radius: float = RADIUS,
    across: int = N_ACROSS,
) -> Floats:
    """Return wave vectors of a dense mesh around one, fractional.

    Parameters
    ----------
    reciprocal
        Rows are the reciprocal vectors in 1/A.
    kpoint
        The centre, fractional.
    radius
        Half width of the mesh in 1/A.
    across
        Points along each Cartesian axis, odd.
    """
    ticks = np.linspace(-radius, radius, across)
    offsets = np.array(list(product(ticks, repeat=3)))
    return np.asarray(kpoint + offsets @ np.linalg.inv(reciprocal))


def finite_difference_tensor(
    energy: Callable[[Floats], float], at: Floats, *, step: float = 1e-3
) -> Floats:
    """Return the second derivatives of a band at a point, in eV A^2.

    Differences of fourth order.

    Parameters
    ----------
    energy
        Of a Cartesian wave vector in 1/A, in eV.
    at
        Cartesian.
    step
        In 1/A.
    """
    offsets = np.array([-2, -1, 1, 2])
    weights = np.array([1, -8, 8, -1]) / 12
    tensor = np.empty((3, 3))
    unit = np.eye(3) * step
    for i, j in combinations_with_replacement(range(3), 2):
        total = sum(
            a * b * energy(at + m * unit[i] + n * unit[j])
            for a, m in zip(weights, offsets, strict=True)
            for b, n in zip(weights, offsets, strict=True)
        )
        tensor[i, j] = tensor[j, i] = total / step**2
    return tensor


def fit_tensor(points: Floats, energies: Floats) -> MassTensor:
    """Fit the tensor to energies around a minimum.

    A polynomial of degree four, with its minimum wherever it lies between the points,
    is compared with one through the nearer half of them; what they leave open is the
    error.

    Parameters
    ----------
    points
        Cartesian in 1/A, around the minimum, shape (points, 3).
    energies
        Of the carrier in eV, rising from the minimum.
    """
    start = points[int(np.argmin(energies))]
    distance = np.linalg.norm(points - start, axis=1)
    order = np.argsort(distance)
    n_full, n_small = _count_terms(4), _count_terms(2)
    if len(points) < n_small + 2:
        return MassTensor(
            FitQuality.CANNOT_FIT,
            f"{len(points)} wave vectors are too few for a mass tensor, at least "
            f"{n_small + 2} are needed",
        )
    if float(np.ptp(energies)) < 20 * _NOISE:
        return MassTensor(FitQuality.NON_PARABOLIC, "flat around the extremum")
    half = order[: max(n_small + 2, len(points) // 2)]
    degree = 4 if len(points) >= n_full + 10 else 2
    wide = _fit_polynomial(points, energies, start, degree)
    inner = 4 if degree == 4 and len(half) >= n_full + 10 else 2  # noqa: PLR2004
    narrow = _fit_polynomial(points[half], energies[half], start, inner)
    if wide is None or narrow is None:
        return MassTensor(
            FitQuality.CANNOT_FIT, "the points do not surround a minimum of the band"
        )
    center, tensor, misfit = wide
    values, vectors = np.linalg.eigh(tensor)
    others = np.linalg.eigvalsh(narrow[1])
    if values.min() <= 0 or others.min() <= 0:
        return MassTensor(
            FitQuality.CANNOT_FIT, "the extremum is a saddle: it has no mass tensor"
        )
    error = float(np.abs(others / values - 1).max())
    error = max(error, misfit / float(np.ptp(energies)))
    quality = FitQuality.GOOD if error <= GOOD else FitQuality.UNCERTAIN
    if error > UNCERTAIN:
        return MassTensor(
            FitQuality.NON_PARABOLIC,
            f"strongly non-parabolic: fits leave {100 * error:.0f} % open",
            error=error,
        )
    return MassTensor(
        quality,
        "" if quality is FitQuality.GOOD else f"fits leave {100 * error:.0f} % open",
        tuple(float(HBAR2_PER_MASS / value) for value in values[::-1]),
        vectors.T[::-1],
        center,
        error,
    )


def _count_terms(degree: int) -> int:
    return len(_list_terms(degree))


def _list_terms(degree: int) -> list[tuple[int, ...]]:
    """Return the powers of all products of x, y, z up to a degree."""
    return [
        term for term in product(range(degree + 1), repeat=3) if sum(term) <= degree
    ]


def _fit_polynomial(
    points: Floats, energies: Floats, start: Floats, degree: int
) -> tuple[Floats, Floats, float] | None:
    """Return minimum, second derivatives there and misfit; None without a minimum."""
    scale = float(np.abs(points - start).max())
    x = (points - start) / scale
    terms = np.array(_list_terms(degree))
    columns = np.prod(x[:, None, :] ** terms[None], axis=2)
    found, _, rank, _ = np.linalg.lstsq(columns, energies, rcond=1e-10)
    if rank < len(terms):
        return None
    misfit = float(np.sqrt(np.mean((columns @ found - energies) ** 2)))
    at = np.zeros(3)
    for _ in range(20):
        slope, bend = _derive(found, terms, at)
        try:
            move = np.linalg.solve(bend, slope)
        except np.linalg.LinAlgError:
            return None
        at = at - move
        if np.abs(at).max() > 1:
            return None
        if np.abs(move).max() < 1e-12:  # noqa: PLR2004
            break
    _, bend = _derive(found, terms, at)
    return start + at * scale, bend / scale**2, misfit


def _derive(
    found: Floats, terms: NDArray[np.int64], at: Floats
) -> tuple[Floats, Floats]:
    """Return first and second derivatives of a polynomial at a point."""

    def value(orders: tuple[int, int, int]) -> float:
        left = terms - np.array(orders)
        is_there = (left >= 0).all(axis=1)
        factor = np.ones(len(terms))
        for axis, order in enumerate(orders):
            for down in range(order):
                factor *= terms[:, axis] - down
        powers = np.prod(at ** np.maximum(left, 0), axis=1)
        return float(np.sum((found * factor * powers)[is_there]))

    units = np.eye(3, dtype=int)
    slope = np.array([value(tuple(units[i])) for i in range(3)])
    bend = np.array(
        [[value(tuple(units[i] + units[j])) for j in range(3)] for i in range(3)]
    )
    return slope, bend


def sphere_masses(
    energy: Callable[[Floats], float], at: Floats, *, radius: float = 1e-3
) -> tuple[float, float]:
    """Return density-of-states and conductivity mass of a band that may be warped.

    Near its extremum the band is ``k^2`` times a function of the direction, as where
    several bands meet; both masses are means over the sphere, exact in that limit.

    Parameters
    ----------
    energy
        Of a Cartesian wave vector in 1/A, in eV, rising from the extremum.
    at
        The extremum, Cartesian.
    radius
        Distance at which the band is asked, in 1/A.
    """
    cosines, across = np.polynomial.legendre.leggauss(16)
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    bottom = energy(at)
    density = flow = 0.0
    for cosine, weight in zip(cosines, across, strict=True):
        sine = np.sqrt(1 - cosine**2)
        for angle in angles:
            k = radius * np.array([sine * np.cos(angle), sine * np.sin(angle), cosine])
            bend = (energy(at + k) - bottom) / radius**2
            slope = np.array(
                [
                    (energy(at + k + move) - energy(at + k - move)) / (2e-3 * radius)
                    for move in np.eye(3) * 1e-3 * radius
                ]
            )
            part = weight / (2 * len(angles))
            # On the surface of one energy k goes as bend^-1/2, so states inside go as
            # bend^-3/2, and the flow through it as velocity^2 over its radial part.
            density += part * bend**-1.5
            flow += part * bend**-2.5 * float(slope @ slope) / (4 * radius**2)
    dos_mass = HBAR2_PER_MASS / 2 * density ** (2 / 3)
    return dos_mass, float(HBAR2_PER_MASS / 2 * density / flow)
