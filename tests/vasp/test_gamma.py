"""Translations are told from soft modes by what moves."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.schemas.phonon import LatticeStability
from wyckflow.vasp.gamma import sort_modes

MASSES = np.array([40.08, 47.87, 16.0, 16.0, 16.0])


def modes_of(optical, acoustic=(-0.03, -0.03, -0.03), seed=0):
    """Return modes with exact translations among them, in the order of frequency."""
    n = 3 * len(MASSES)
    weights = np.sqrt(MASSES / MASSES.sum())
    translations = np.kron(weights, np.eye(3)).reshape(3, -1)
    rest = np.random.default_rng(seed).normal(size=(n - 3, n))
    vectors = np.linalg.qr(np.vstack([translations, rest]).T)[0].T
    values = np.array([*acoustic, *optical])
    order = np.argsort(values)
    return values[order], vectors[order].reshape(n, len(MASSES), 3)


def test_a_soft_mode_below_the_translations_is_not_taken_for_one():
    values, vectors = modes_of([-3.8, -3.8, -3.8, *range(5, 14)])
    modes = sort_modes(values, vectors, MASSES)
    assert modes.acoustic_thz == pytest.approx((-0.03,) * 3)
    assert modes.optical_thz[:3] == (-3.8, -3.8, -3.8)
    assert modes.acoustic_share == pytest.approx(1)
    verdict, reason = modes.judge(0.05)
    assert verdict is LatticeStability.UNSTABLE
    assert "3 imaginary modes" in reason
    assert "-3.80 THz" in reason


def test_translations_that_the_grid_pulls_below_zero_do_not_count():
    values, vectors = modes_of(range(2, 14), acoustic=(-0.4, -0.4, -0.4))
    verdict, _ = sort_modes(values, vectors, MASSES).judge(0.05)
    assert verdict is LatticeStability.STABLE


def test_mixed_modes_are_not_judged():
    values, _ = modes_of(range(2, 14))
    random = np.random.default_rng(1).normal(size=(15, 15))
    vectors = np.linalg.qr(random)[0].reshape(15, 5, 3)
    modes = sort_modes(values, vectors, MASSES)
    assert modes.acoustic_share < 0.5
    assert modes.judge(0.05)[0] is LatticeStability.CANNOT_JUDGE


@pytest.mark.parametrize("spoil", ["shape", "nan"])
def test_what_does_not_belong_together_is_refused(spoil):
    values, vectors = modes_of(range(2, 14))
    if spoil == "shape":
        values = values[:-1]
    else:
        values[0] = np.nan
    with pytest.raises(ValueError, match=r"belong|not a number"):
        sort_modes(values, vectors, MASSES)
