"""Masses along one line: known bands come back, and what has no mass says why."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_bands import SCALE, kane

from wyckflow.electronic.masses import fit_line
from wyckflow.schemas.electronic import FitQuality


def sample(mass, alpha, step=0.02, n=40):
    k = np.arange(n) * step
    return k, kane(SCALE / 2 * k**2 / mass, alpha)


@pytest.mark.parametrize(
    ("mass", "alpha", "step"),
    [(0.2, 0.8, 0.02), (0.5, 0.3, 0.02), (1.5, 0.0, 0.03), (0.067, 0.6, 0.01)],
)
def test_kane_bands_come_back_to_a_thousandth(mass, alpha, step):
    fit = fit_line(*sample(mass, alpha, step), is_even=True)
    assert fit.quality is FitQuality.GOOD
    assert fit.mass == pytest.approx(mass, rel=1e-3)
    assert fit.alpha == pytest.approx(alpha, abs=1e-3)
    assert fit.residual < 1e-6


@given(mass=st.floats(0.05, 3), alpha=st.floats(-0.1, 1.0), seed=st.integers(0, 99))
def test_the_error_covers_the_truth_for_noisy_bands(mass, alpha, seed):
    """The error is no confidence interval, but three of it must hold."""
    k = np.arange(40) * np.sqrt(2 * mass * 0.4 / SCALE) / 39
    noise = np.random.default_rng(seed).normal(0, 5e-5, len(k))
    energy = kane(SCALE / 2 * k**2 / mass, alpha) + noise * (k > 0)
    fit = fit_line(k, energy, is_even=True)
    assert fit.quality is FitQuality.GOOD
    assert abs(fit.mass / mass - 1) < max(3 * fit.error, 0.01)


def test_an_extremum_between_the_points_is_found():
    """Moved by a third of a step, on a band that is not even."""
    k = np.arange(-20, 21) * 0.02
    x = k - 0.0067
    energy = SCALE / 2 * x**2 / 0.3 + 1.5 * x**3 + 2 * x**4
    low = int(energy.argmin())
    fit = fit_line(k - k[low], energy - energy[low], is_even=False)
    assert fit.quality is FitQuality.GOOD
    assert fit.mass == pytest.approx(0.3, rel=5e-3)
    fixed = fit_line(k - k[low], energy - energy[low], is_even=True)
    assert fixed.quality is not FitQuality.GOOD


def test_a_band_that_another_one_cuts_is_fitted_below_the_cut():
    k = np.arange(60) * 0.01
    energy = np.minimum(SCALE / 2 * k**2 / 0.2, 0.12 + SCALE / 2 * k**2 / 2)
    fit = fit_line(k, energy, is_even=True)
    assert fit.mass == pytest.approx(0.2, rel=0.02)
    assert fit.energy_range < 0.13


@pytest.mark.parametrize(
    ("shape", "quality", "words"),
    [
        (lambda k: 2 * k, FitQuality.NON_PARABOLIC, "linear"),
        (lambda k: 40 * k**4, FitQuality.NON_PARABOLIC, "flat at the edge"),
        (lambda k: 1e-3 * k**2, FitQuality.NON_PARABOLIC, "flat"),
        (lambda k: 600 * k**2, FitQuality.CANNOT_FIT, "coarse"),
        (lambda k: np.sin(12 * k) ** 2, FitQuality.CANNOT_FIT, "coarse"),
        (lambda k: 0.05 * k**1.2, FitQuality.NON_PARABOLIC, "linear"),
    ],
    ids=["linear", "quartic", "flat", "steep", "wavy", "cusp"],
)
def test_what_has_no_mass_gets_a_reason_and_no_number(shape, quality, words):
    k = np.arange(30) * 0.03
    fit = fit_line(k, shape(k), is_even=True)
    assert (fit.quality, fit.mass, fit.alpha) == (quality, None, None)
    assert words in fit.reason


def test_strong_non_parabolicity_is_no_good_fit():
    """With alpha E of ten both forms cannot agree on a path of usual steps."""
    fit = fit_line(*sample(0.01, 40.0, 0.02), is_even=True)
    assert fit.quality is not FitQuality.GOOD


def test_a_coarse_path_widens_the_window_and_says_so():
    fit = fit_line(*sample(0.12, 0.5, 0.03), is_even=True)
    assert fit.quality is FitQuality.UNCERTAIN
    assert "coarse" in fit.reason
    assert fit.mass == pytest.approx(0.12, rel=0.01)
    assert 0.25 < fit.energy_range <= 0.5


def test_a_path_that_ends_on_nothing_is_uncertain():
    fit = fit_line(*sample(0.3, 0.0), is_even=False)
    assert fit.quality is FitQuality.UNCERTAIN
    assert "ends" in fit.reason


def test_effmass_agrees_on_a_kane_band():
    analysis = pytest.importorskip("effmass.analysis", reason="pip install effmass")
    inputs = pytest.importorskip("effmass.inputs")
    k, energy = sample(0.2, 0.8)
    data = inputs.Data.__new__(inputs.Data)
    data.spin_channels, data.number_of_bands, data.number_of_kpoints = 1, 2, len(k)
    data.energies = np.array([-1 - energy, energy])
    data.kpoints = np.stack([k, 0 * k, 0 * k], axis=1)
    data.reciprocal_lattice = np.eye(3)
    data.fermi_energy, data.VBM, data.CBM = -0.5, -1.0, 0.0
    data.occupancy = np.array([[1.0], [0.0]]) * np.ones(len(k))
    segment = analysis.Segment(data, 1, list(range(8)))
    fit = fit_line(k, energy, is_even=True)
    assert fit.mass == pytest.approx(segment.kane_mass_band_edge(), rel=0.01)
