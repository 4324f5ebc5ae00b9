"""Tensors of masses: against models whose tensors are known."""

from __future__ import annotations

import numpy as np
import pytest
from model_bands import SCALE, kane

from wyckflow.electronic.hessian import (
    dense_points,
    finite_difference_tensor,
    fit_tensor,
    sphere_masses,
)
from wyckflow.schemas.electronic import FitQuality

MASSES = (0.15, 0.4, 1.1)
TURN = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
INVERSE = TURN @ np.diag(1 / np.array(MASSES)) @ TURN.T
CUBE = np.eye(3)


def parabola(k):
    return SCALE / 2 * k @ INVERSE @ k


def test_finite_differences_give_the_tensor():
    found = finite_difference_tensor(parabola, np.array([0.1, 0, 0.2]))
    np.testing.assert_allclose(found, SCALE * INVERSE, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.5])
def test_a_dense_mesh_gives_the_masses_though_the_minimum_lies_between(alpha):
    middle = np.array([0.21, 0.0, 0.1])
    bottom = middle + np.array([0.004, -0.003, 0.002])
    points = dense_points(CUBE, middle)
    found = fit_tensor(
        points, np.array([kane(parabola(p - bottom), alpha) for p in points])
    )
    assert found.quality is FitQuality.GOOD
    np.testing.assert_allclose(found.principal, MASSES, rtol=0.01)
    np.testing.assert_allclose(found.center, bottom, atol=1e-4)
    assert np.abs(found.axes @ TURN).max(axis=1) == pytest.approx(1, abs=1e-3)
    assert found.dos_mass == pytest.approx(np.prod(MASSES) ** (1 / 3), rel=0.01)


def test_the_dense_mesh_agrees_with_finite_differences_on_a_band_of_cosines():
    """A tight-binding band, whose tensor is not that of a polynomial."""

    def band(k):
        return 3 - np.cos(2 * k[0]) - 1.5 * np.cos(k[1]) - 0.5 * np.cos(3 * k[2] + k[0])

    points = dense_points(CUBE, np.zeros(3), radius=0.08)
    found = fit_tensor(points, np.array([band(p) for p in points]))
    truth = SCALE / np.linalg.eigvalsh(finite_difference_tensor(band, np.zeros(3)))
    np.testing.assert_allclose(found.principal, np.sort(truth), rtol=0.05)
    assert found.error < 0.05


def test_the_points_lie_where_they_are_said_to():
    reciprocal = np.array([[1.0, 0.2, 0], [0, 1.3, 0], [0.1, 0, 0.9]])
    middle = np.array([0.5, 0.25, 0])
    away = (dense_points(reciprocal, middle, radius=0.02) - middle) @ reciprocal
    assert np.abs(away).max() == pytest.approx(0.02)
    assert len(np.unique(np.round(away, 9), axis=0)) == 343


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (lambda p: p[0] ** 2 + p[1] ** 2 - p[2] ** 2, "saddle"),
        (lambda p: p[0] + p[1] ** 2 + p[2] ** 2, "surround"),
        (lambda _: 0.0, "flat"),
    ],
    ids=["saddle", "slope", "flat"],
)
def test_no_minimum_is_a_value_with_a_reason(shape, words):
    points = dense_points(CUBE, np.zeros(3))
    found = fit_tensor(points, np.array([shape(p) for p in points]))
    assert found.quality in {FitQuality.CANNOT_FIT, FitQuality.NON_PARABOLIC}
    assert found.principal == ()
    assert words in found.reason


def test_a_cone_is_strongly_non_parabolic_and_few_points_are_too_few():
    points = dense_points(CUBE, np.zeros(3))
    cone = fit_tensor(points, np.linalg.norm(points, axis=1))
    assert cone.quality is FitQuality.NON_PARABOLIC
    assert fit_tensor(points[:8], np.arange(8.0)).quality is FitQuality.CANNOT_FIT


def test_means_over_the_sphere_are_those_of_the_ellipsoid():
    dos, conductivity = sphere_masses(parabola, np.zeros(3))
    assert dos == pytest.approx(np.prod(MASSES) ** (1 / 3), rel=1e-4)
    assert conductivity == pytest.approx(3 / np.sum(1 / np.array(MASSES)), rel=1e-4)
