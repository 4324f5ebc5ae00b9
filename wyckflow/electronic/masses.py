"""The mass of one band along one line, by two independent fits and with its error.

Kane's dispersion, ``hbar^2 k^2 / 2m = E (1 + alpha E)``, is linear in ``m`` and
``m alpha``; a polynomial in ``k`` knows nothing of it. Where both agree, in a window of
energies that is as wide as they allow, the mass means something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.schemas.electronic import FitQuality

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

HBAR2_PER_MASS: Final = 7.619964231
"""hbar^2 over the free electron's mass, in eV A^2."""
FIT_WINDOW: Final = 0.25
"""Default of the largest energy that is fitted, in eV."""
GOOD: Final = 0.05
"""A mass is good if it is sure within this part."""
UNCERTAIN: Final = 0.20
"""Beyond, the edge is called strongly non-parabolic."""

_CLEAR: Final = 0.02
_MISFIT: Final = {FitQuality.GOOD: 0.03, FitQuality.UNCERTAIN: 0.10}
_FEWEST: Final = 4
_SHRINK: Final = 0.7
_FLAT: Final = 5e-3
_NOISE: Final = 3e-4
_LINEAR, _QUARTIC = 1.4, 3.0


@dataclass(frozen=True, slots=True)
class LineFit:
    """What the fits of one line give; energies in eV, masses of the free electron.

    Attributes
    ----------
    quality, reason
        How far to trust it, and why no further.
    mass, alpha
        By Kane's dispersion; alpha in 1/eV. None if there is no mass.
    polynomial_mass
        By a polynomial.
    error
        Relative.
    residual
        Root mean square misfit of Kane's form in eV.
    n_points, k_range, energy_range
        What was fitted: wave vectors, farthest distance in 1/A, farthest energy.
    """

    quality: FitQuality
    reason: str = ""
    mass: float | None = None
    alpha: float | None = None
    polynomial_mass: float | None = None
    error: float | None = None
    residual: float | None = None
    n_points: int = 0
    k_range: float | None = None
    energy_range: float | None = None


@dataclass(frozen=True, slots=True)
class _Trial:
    """Both fits in one window."""

    mass: float
    alpha: float
    polynomial_mass: float
    scatter: float
    residual: float
    n_points: int
    k_range: float
    energy_range: float

    @property
    def disagreement(self) -> float:
        return abs(self.mass / self.polynomial_mass - 1)


def fit_line(
    k: Floats, energy: Floats, *, is_even: bool, window: float = FIT_WINDOW
) -> LineFit:
    """Fit the mass of a band along a line through its extremum.

    Parameters
    ----------
    k
        Signed distance from the extremum in 1/A, ascending, zero among them; on one
        side or on both.
    energy
        Of the carrier in eV, rising from the extremum.
    is_even
        Whether symmetry makes the energy even in ``k``. If not, the extremum is looked
        for between the points.
    window
        Largest energy that is fitted, in eV.
    """
    k, energy = _climb(k, energy)
    refusal = _refuse(k, energy, is_even=is_even)
    if refusal is not None:
        return refusal
    is_two_sided = bool(k.min() < 0 < k.max())
    has_odd = not is_even and is_two_sided
    if has_odd:
        k, energy = _refine(k, energy)
    widened = _widen(k, energy, window, has_odd=has_odd)
    trials = list(_try_windows(k, energy, widened, has_odd=has_odd))
    if not trials:
        return _explain_failure(int((energy <= window).sum()), window)
    chosen, error = _choose(trials)
    reason = ""
    if widened > window:
        reason = f"the path is coarse: points up to {widened:.2f} eV were needed"
    if not is_even and not is_two_sided:
        reason = "the path ends where symmetry does not hold the extremum"
    return _report(chosen, error, reason)


def _refuse(k: Floats, energy: Floats, *, is_even: bool) -> LineFit | None:
    """Return why a line cannot have a mass, if that shows before any fit."""
    if len(k) - 1 < _FEWEST:
        return LineFit(
            FitQuality.CANNOT_FIT,
            f"the energy rises over {len(k)} wave vectors only: too coarse, or another "
            "extremum or band is too near",
            n_points=len(k),
        )
    if energy.max() < _FLAT:
        return LineFit(
            FitQuality.NON_PARABOLIC,
            f"flat: the energy changes by {1e3 * energy.max():.1f} meV along the line",
            n_points=len(k),
        )
    if is_even and (reason := _find_power(k, energy)):
        return LineFit(FitQuality.NON_PARABOLIC, reason, n_points=len(k))
    return None


def _explain_failure(n_points: int, window: float) -> LineFit:
    """Return why no window gave a fit."""
    if n_points > _FEWEST + 2:
        return LineFit(
            FitQuality.NON_PARABOLIC,
            "strongly non-parabolic: neither form fits, in no window",
            n_points=n_points,
        )
    return LineFit(
        FitQuality.CANNOT_FIT,
        f"only {n_points} wave vectors within {window:g} eV of the edge: the path is "
        f"too coarse, {_FEWEST + 1} are needed",
        n_points=n_points,
    )


def _climb(k: Floats, energy: Floats) -> tuple[Floats, Floats]:
    """Keep what rises without a break on both sides of zero."""
    start = int(np.abs(k).argmin())
    last = start
    while last + 1 < len(k) and energy[last + 1] > energy[last] - _NOISE:
        last += 1
    first = start
    while first > 0 and energy[first - 1] > energy[first] - _NOISE:
        first -= 1
    return k[first : last + 1], energy[first : last + 1] - energy[start]


def _refine(k: Floats, energy: Floats) -> tuple[Floats, Floats]:
    """Move zero to the extremum between the points, by a polynomial through them."""
    near = np.argsort(np.abs(k))[:7]
    degree = 4 if len(near) > 5 else 2  # noqa: PLR2004
    scale = np.abs(k[near]).max()
    curve = np.polynomial.Polynomial.fit(k[near] / scale, energy[near], degree)
    step = np.abs(np.diff(k)).min() / scale
    roots = curve.deriv().roots()
    real = roots[np.abs(roots.imag) < 1e-9].real  # noqa: PLR2004
    real = real[np.abs(real) <= 1.01 * step]
    if len(real) == 0:
        return k, energy
    at = float(real[np.argmin(curve(real))])
    return k - at * scale, energy - float(curve(at))


def _find_power(k: Floats, energy: Floats) -> str:
    """Return words if the energy does not begin with the square of the distance.

    Extrapolated from three distances: a large non-parabolicity looks linear at a
    distance, but not in its limit.
    """
    side = k > 0 if (k > 0).sum() >= (k < 0).sum() else k < 0
    order = np.argsort(np.abs(k[side]))
    x, e = np.abs(k[side])[order], energy[side][order]
    is_clear = e > 5e-4  # noqa: PLR2004
    x, e = x[is_clear][:4], e[is_clear][:4]
    if len(x) < 3:  # noqa: PLR2004
        return ""
    powers = np.diff(np.log(e)) / np.diff(np.log(x))
    if powers[0] < _LINEAR and powers[0] <= powers[-1] + 0.1:
        return f"linear: near the edge the energy rises as k^{powers[0]:.1f}"
    if powers[0] > _QUARTIC:
        return f"flat at the edge: the energy rises as k^{powers[0]:.1f}"
    return ""


def _widen(k: Floats, energy: Floats, window: float, *, has_odd: bool) -> float:
    """Return the window, up to twice as wide where it holds too few points."""
    rising = np.sort(energy[np.abs(k) > 0])
    fewest = _FEWEST + (2 if has_odd else 0)
    if len(rising) < fewest or rising[fewest - 1] > 2 * window:
        return window
    return max(window, float(rising[fewest - 1]))


def _try_windows(
    k: Floats, energy: Floats, window: float, *, has_odd: bool
) -> Iterator[_Trial]:
    """Fit in ever smaller windows, until too few points are left."""
    fewest = _FEWEST + (2 if has_odd else 0)
    before = len(k) + 1
    while True:
        chosen = (energy <= window) & (np.abs(k) > 0)
        n = int(chosen.sum())
        if n < fewest:
            return
        if n < before:
            before = n
            trial = _fit(k[chosen], energy[chosen], has_odd=has_odd)
            if trial is not None:
                yield trial
        window *= _SHRINK


def _fit(k: Floats, energy: Floats, *, has_odd: bool) -> _Trial | None:
    """Fit both forms; None if one of them has no positive mass."""
    gamma = HBAR2_PER_MASS * k**2 / 2
    weight = 1 / np.sqrt(gamma)
    cubic = k * gamma
    columns = [energy, energy**2, *([cubic] if has_odd else [])]
    (mass, bend, *odd), scatter = _solve(columns, gamma, weight)
    powers = [gamma, gamma**2, *([cubic] if has_odd else [])]
    if len(k) > _FEWEST + len(powers):
        powers.append(gamma**3)
    (curvature, *_), _ = _solve(powers, energy, weight)
    if mass <= 0 or curvature <= 0:
        return None
    alpha = bend / mass
    reduced = (gamma - (odd[0] * cubic if odd else 0)) / mass
    inside = 1 + 4 * alpha * reduced
    if (inside <= 0).any() or (1 + 2 * alpha * energy <= 0).any():
        return None
    model = 2 * reduced / (1 + np.sqrt(inside))
    return _Trial(
        mass=float(mass),
        alpha=float(alpha),
        polynomial_mass=float(1 / curvature),
        scatter=float(scatter / mass),
        residual=float(np.sqrt(np.mean((model - energy) ** 2))),
        n_points=len(k) + 1,
        k_range=float(np.abs(k).max()),
        energy_range=float(energy.max()),
    )


def _solve(columns: list[Floats], aim: Floats, weight: Floats) -> tuple[Floats, float]:
    """Solve least squares; return the coefficients and the first one's error."""
    matrix = np.stack(columns, axis=1) * weight[:, None]
    sizes = np.linalg.norm(matrix, axis=0)
    sizes[sizes == 0] = 1.0
    scaled = matrix / sizes
    found, *_ = np.linalg.lstsq(scaled, aim * weight, rcond=None)
    rest = scaled @ found - aim * weight
    free = max(1, len(aim) - len(columns))
    spread = float(np.sum(rest**2) / free) * np.linalg.pinv(scaled.T @ scaled)
    return found / sizes, float(np.sqrt(max(0.0, spread[0, 0])) / sizes[0])


def _choose(trials: list[_Trial]) -> tuple[_Trial, float]:
    """Return the widest window in which all agree, else the one that does best."""
    errors = []
    for place, trial in enumerate(trials):
        later = trials[place + 1 : place + 3]
        drifts = [abs(trial.mass / other.mass - 1) for other in later]
        errors.append(max(trial.disagreement, trial.scatter, *drifts, 0.0))
    for trial, error in zip(trials, errors, strict=True):
        if error < _CLEAR:
            return trial, error
    best = int(np.argmin(errors))
    return trials[best], errors[best]


def _report(trial: _Trial, error: float, reason: str) -> LineFit:
    """Say how far a fit can be trusted; one that fails gives no number.

    One that comes with a reason is uncertain at best.
    """
    misfit = trial.residual / trial.energy_range
    quality = FitQuality.NON_PARABOLIC
    if error <= UNCERTAIN and misfit <= _MISFIT[FitQuality.UNCERTAIN]:
        quality = FitQuality.UNCERTAIN
    if not reason and error <= GOOD and misfit <= _MISFIT[FitQuality.GOOD]:
        quality = FitQuality.GOOD
    if quality is FitQuality.NON_PARABOLIC:
        reason = (
            f"strongly non-parabolic: fits leave {100 * error:.0f} % open and miss "
            f"{100 * misfit:.0f} % of the energy"
        )
    elif quality is FitQuality.UNCERTAIN and not reason:
        reason = f"fits leave {100 * error:.0f} % open"
    is_fit = quality is not FitQuality.NON_PARABOLIC
    return LineFit(
        quality=quality,
        reason=reason,
        mass=trial.mass if is_fit else None,
        alpha=trial.alpha if is_fit else None,
        polynomial_mass=trial.polynomial_mass if is_fit else None,
        error=error,
        residual=trial.residual,
        n_points=trial.n_points,
        k_range=trial.k_range,
        energy_range=trial.energy_range,
    )
