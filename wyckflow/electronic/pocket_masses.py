"""The masses of a pocket: along each line, and of the ellipsoid that they determine.

The little group of a wave vector leaves few free numbers of the tensor of inverse
masses: one at a cubic point, two on an axis. A few directions along the path determine
them; where they do not, there is no density-of-states mass, and a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.electronic.hessian import sphere_masses
from wyckflow.electronic.masses import (
    FIT_WINDOW,
    GOOD,
    HBAR2_PER_MASS,
    UNCERTAIN,
    LineFit,
    fit_line,
)
from wyckflow.electronic.valleys import sign_of
from wyckflow.schemas.electronic import FitQuality, LineMass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.electronic.bands import Bands
    from wyckflow.electronic.point_group import PointGroup
    from wyckflow.electronic.valleys import Pocket

    Floats = NDArray[np.float64]

_N_CUBIC: Final = 3
"""Directions that determine a warped band at a cubic point: <100>, <110>, <111>."""
_SPHERE: Final = np.array(
    [one for one in product(range(-3, 4), repeat=3) if any(one)], dtype=np.float64
)
_RANK: Final = 0.02
_WARPED: Final = 0.1
"""What an average over few directions leaves open where bands meet, relative; for
tight-binding silicon and gallium arsenide it was 4 to 8 %."""
_ORDER: Final = {quality: place for place, quality in enumerate(FitQuality)}


@dataclass(frozen=True, eq=False, slots=True)
class Ellipsoid:
    """The masses of a pocket as a whole.

    Attributes
    ----------
    quality, reason
        How far to trust it, and why no further.
    principal
        Along the axes, ascending; empty if it is no ellipsoid.
    dos_mass, conductivity_mass
        Of one pocket, its bands together; None if not determined.
    error
        Relative.
    """

    quality: FitQuality
    reason: str = ""
    principal: tuple[float, ...] = ()
    dos_mass: float | None = None
    conductivity_mass: float | None = None
    error: float | None = None


def fit_pocket(
    bands: Bands, pocket: Pocket, group: PointGroup, *, window: float = FIT_WINDOW
) -> list[LineMass]:
    """Fit every band of a pocket along every line through it or its copies.

    Lines that symmetry makes of each other are fitted once.

    Parameters
    ----------
    bands
        On lines.
    pocket
        One of them.
    group
        Their symmetry.
    window
        Largest energy that is fitted, in eV.
    """
    cartesian = bands.kpoints @ bands.reciprocal
    home = bands.kpoints[pocket.index]
    found: list[tuple[Floats, list[LineMass]]] = []
    for first, last in bands.lines():
        for place in pocket.places:
            if not first <= place <= last:
                continue
            k = bands.kpoints[place]
            along = cartesian[last] - cartesian[first]
            along = along / np.linalg.norm(along)
            distance = (cartesian[first : last + 1] - cartesian[place]) @ along
            end = last if last > place else first
            side = along if last > place else -along
            direction = group.bring(k, home, side)
            masses = _fit_bands(
                bands,
                pocket,
                slice(first, last + 1),
                distance,
                direction=direction,
                name=f"{bands.name_of(place)}→{bands.name_of(end)}",
                is_even=group.reverses(k, along),
                window=window,
            )
            _add(found, home, direction, masses, group)
    return [mass for _, masses in found for mass in masses]


def _add(
    found: list[tuple[Floats, list[LineMass]]],
    home: Floats,
    direction: Floats,
    masses: list[LineMass],
    group: PointGroup,
) -> None:
    """Keep the better of two fits along copies of one direction."""
    for place, (other, before) in enumerate(found):
        if group.is_parallel(home, direction, other) or group.is_parallel(
            home, -direction, other
        ):
            if _rank(masses) < _rank(before):
                found[place] = (direction, masses)
            return
    found.append((direction, masses))


def _rank(masses: list[LineMass]) -> tuple[float, float]:
    """Return what is lower for the better fits of one line."""
    worst = max(_ORDER[one.quality] for one in masses)
    return worst, sum(one.mass_error or 0.0 for one in masses)


def _fit_bands(
    bands: Bands,
    pocket: Pocket,
    line: slice,
    distance: Floats,
    *,
    direction: Floats,
    name: str,
    is_even: bool,
    window: float,
) -> list[LineMass]:
    """Fit all bands of a pocket along one line."""
    order = np.argsort(distance)
    masses = []
    for band in pocket.bands:
        energies = bands.energies[pocket.spin, band, line]
        carrier = sign_of(pocket.carrier) * energies[order]
        fit = fit_line(distance[order], carrier, is_even=is_even, window=window)
        masses.append(describe_fit(fit, name, direction, band))
    return masses


def describe_fit(fit: LineFit, name: str, direction: Floats, band: int) -> LineMass:
    """Return a fit as it is stored.

    Parameters
    ----------
    fit
        Of one line.
    name, direction
        Of the line.
    band
        Its index.
    """
    residual = fit.residual
    return LineMass(
        direction=name,
        vector=[float(value) for value in direction],
        band=band,
        quality=fit.quality,
        reason=fit.reason,
        mass=fit.mass,
        alpha=fit.alpha,
        polynomial_mass=fit.polynomial_mass,
        mass_error=fit.error,
        residual_mev=None if residual is None else 1e3 * residual,
        n_points=fit.n_points,
        k_range=fit.k_range,
        energy_range=fit.energy_range,
    )


def mean_line_mass(lines: list[LineMass]) -> float | None:
    """Return the harmonic mean of the masses along the path, if there are any.

    Parameters
    ----------
    lines
        Of one pocket.
    """
    inverse = [1 / line.mass for line in lines if line.mass]
    return float(1 / np.mean(inverse)) if inverse else None


def fit_ellipsoid(
    bands: Bands, pocket: Pocket, group: PointGroup, lines: list[LineMass]
) -> Ellipsoid:
    """Determine the masses of a pocket as a whole from those along lines.

    Parameters
    ----------
    bands, pocket, group
        As for the lines.
    lines
        What `fit_pocket` returned.
    """
    usable = [line for line in lines if line.mass is not None]
    if not lines:
        return Ellipsoid(FitQuality.CANNOT_FIT, "no straight line passes through it")
    if not usable:
        worst = lines[0]
        return Ellipsoid(worst.quality, worst.reason)
    if len(pocket.bands) > 1:
        return _average_bands(bands, pocket, group, lines)
    good = [line for line in usable if line.quality is FitQuality.GOOD]
    found = _solve_tensor(bands, pocket, group, good) if good else None
    if found is not None and found.principal:
        return found
    return _solve_tensor(bands, pocket, group, usable)


def _solve_tensor(
    bands: Bands, pocket: Pocket, group: PointGroup, lines: list[LineMass]
) -> Ellipsoid:
    """Solve for the inverse masses that symmetry leaves free."""
    k = bands.kpoints[pocket.index]
    basis = group.tensor_basis(k)
    vectors = np.array([line.vector for line in lines])
    matrix = np.einsum("li,nij,lj->ln", vectors, basis, vectors)
    aim = np.array([1 / line.mass for line in lines if line.mass])
    found, _, _, sizes = np.linalg.lstsq(matrix, aim, rcond=None)
    if len(sizes) < len(basis) or sizes[-1] < _RANK * sizes[0]:
        n_free = len(basis)
        return Ellipsoid(
            FitQuality.CANNOT_FIT,
            f"{len(lines)} direction(s) of the path do not determine the {n_free} "
            "numbers of the mass tensor; compute bands on a dense mesh around it",
        )
    inverse = np.linalg.eigvalsh(np.einsum("n,nij->ij", found, basis))
    if inverse.min() <= 0:
        return Ellipsoid(
            FitQuality.CANNOT_FIT, "the masses along the path make no minimum"
        )
    rest = float(np.abs(matrix @ found / aim - 1).max())
    errors = [line.mass_error or 0.0 for line in lines]
    masses = np.sort(1 / inverse)
    error = max(rest, *errors)
    return _judge(
        error,
        reason=next((line.reason for line in lines if line.reason), ""),
        principal=tuple(float(mass) for mass in masses),
        dos_mass=float(np.prod(masses) ** (1 / 3)),
        conductivity_mass=float(3 / np.sum(1 / masses)),
    )


def _average_bands(
    bands: Bands, pocket: Pocket, group: PointGroup, lines: list[LineMass]
) -> Ellipsoid:
    """Average each band of a degenerate edge over the directions, and add them up.

    Where bands meet, their energies are no ellipsoids but warped. With the density of
    states of a band going as the mean of m(direction)^1.5, the mean over the directions
    of the path is what there is. At a cubic point lines along <100>, <110> and <111>
    determine the first three cubic harmonics of 1/m, and the mean is over the sphere.
    """
    densities, flows, errors = [], [], []
    is_whole = True
    for band in pocket.bands:
        mine = [line for line in lines if line.band == band and line.mass]
        is_whole &= all(line.mass for line in lines if line.band == band)
        if not mine:
            return Ellipsoid(
                FitQuality.CANNOT_FIT, f"band {band} has a mass in no direction"
            )
        dos, conductivity = _average_band(bands, pocket, group, mine)
        densities.append(dos**1.5)
        flows.append(dos**1.5 / conductivity)
        errors += [line.mass_error or 0.0 for line in mine]
    dos_mass = float(np.sum(densities) ** (2 / 3))
    conductivity_mass = float(np.sum(densities) / np.sum(flows))
    words = "bands meet here and are warped: averaged over the directions of the path"
    if not is_whole:
        words += ", some of which have no mass"
    return _judge(
        max(_WARPED, *errors),
        reason=words,
        principal=(),
        dos_mass=dos_mass,
        conductivity_mass=conductivity_mass,
    )


def _average_band(
    bands: Bands, pocket: Pocket, group: PointGroup, lines: list[LineMass]
) -> tuple[float, float]:
    """Return density-of-states and conductivity mass of one warped band."""
    k = bands.kpoints[pocket.index]
    little = group.cartesian[group.little(k)]
    masses = np.array([line.mass for line in lines if line.mass])
    kinds = [_count_images(np.array(line.vector), little) for line in lines]
    if len(group.tensor_basis(k)) == 1 and len(set(kinds)) == _N_CUBIC:
        vectors = np.array([line.vector for line in lines])
        terms = np.asarray(
            np.linalg.solve(_cubic_harmonics(vectors), 1 / masses), dtype=np.float64
        )
        if (1 / (_cubic_harmonics(_SPHERE) @ terms)).min() > 0:
            return sphere_masses(lambda at: _warped(at, terms), np.zeros(3))
    weights = np.array(kinds) / np.sum(kinds)
    dos_power = float(weights @ masses**1.5)
    return dos_power ** (2 / 3), dos_power / float(weights @ masses**0.5)


def _cubic_harmonics(vectors: Floats) -> Floats:
    """Return the first three functions of the direction that are cubic."""
    x, y, z = (vectors.T / np.linalg.norm(vectors, axis=1)) ** 2
    fourth = x**2 + y**2 + z**2 - 3 / 5
    return np.stack(
        [np.ones_like(x), fourth, x * y * z + fourth / 22 - 1 / 105], axis=1
    )


def _warped(at: Floats, terms: Floats) -> float:
    """Return the energy of a warped band, in eV."""
    square = float(at @ at)
    if square == 0:
        return 0.0
    inverse = float(_cubic_harmonics(at[None])[0] @ terms)
    return HBAR2_PER_MASS / 2 * square * inverse


def _count_images(vector: Floats, operations: Floats) -> int:
    images = np.round(vector @ operations, 4) + 0.0
    return len(np.unique(images, axis=0))


def _judge(
    error: float,
    *,
    reason: str,
    principal: tuple[float, ...],
    dos_mass: float,
    conductivity_mass: float,
) -> Ellipsoid:
    """Name the quality of a solution by its error; with a reason it is not good."""
    quality = FitQuality.NON_PARABOLIC
    if error <= UNCERTAIN:
        quality = FitQuality.UNCERTAIN
    if error <= GOOD and not reason:
        quality = FitQuality.GOOD
    elif not reason:
        reason = f"directions and fits leave {100 * error:.0f} % open"
    if quality is FitQuality.NON_PARABOLIC:
        return Ellipsoid(quality, f"strongly non-parabolic: {reason}", error=error)
    return Ellipsoid(quality, reason, principal, dos_mass, conductivity_mass, error)
