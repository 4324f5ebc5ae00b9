"""When imaginary modes speak against a crystal."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.relax.phonon.options import PhononOptions
from wyckflow.relax.phonon.verdict import Softest, is_acoustic_dip, judge, write_point
from wyckflow.schemas.phonon import LatticeStability

OPTIONS = PhononOptions(tolerance_thz=0.1, reject_thz=1.0)
X = np.array([0.5, 0, 0])


@pytest.mark.parametrize(
    ("exact", "between", "verdict"),
    [
        (0.5, 0.0, LatticeStability.STABLE),
        (0.5, -0.09, LatticeStability.STABLE),
        (-0.09, -0.09, LatticeStability.STABLE),
        (-0.5, -0.6, LatticeStability.BORDERLINE),
        (0.5, -3.0, LatticeStability.BORDERLINE),
        (-1.1, -1.2, LatticeStability.UNSTABLE),
        (None, 0.0, LatticeStability.STABLE),
    ],
)
def test_only_a_clear_mode_that_fits_the_supercell_rejects(exact, between, verdict):
    found, reason = judge(
        None if exact is None else Softest(exact, X),
        Softest(between, X / 3),
        OPTIONS,
        is_dip_near_gamma=False,
    )
    assert found is verdict
    assert bool(reason) == (verdict is not LatticeStability.STABLE)


def test_the_reason_names_softness_and_interpolation():
    soft = judge(Softest(-0.5, X), Softest(-0.5, X), OPTIONS, is_dip_near_gamma=False)
    assert "CHGNet's phonons are too soft" in soft[1]
    assert "(1/2, 0, 0)" in soft[1]
    dip = judge(Softest(0.5, X), Softest(-0.5, X), OPTIONS, is_dip_near_gamma=True)
    assert "acoustic branch near the zone centre was interpolated" in dip[1]


def test_a_dip_is_acoustic_and_nearer_than_what_fits():
    masses, lattice = np.array([20.0, 60.0]), np.eye(3) * 4
    fitting = np.array([[0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0]])
    alike = np.kron(np.sqrt(masses / 80), [1, 0, 0])
    against = np.kron(np.sqrt(masses[::-1] / 80) * [1, -1], [1, 0, 0])
    near, far = Softest(-0.3, X / 5), Softest(-0.3, np.array([0.4, 0.4, 0]))
    assert is_acoustic_dip(near, alike, masses, lattice, fitting)
    assert not is_acoustic_dip(near, against, masses, lattice, fitting)
    assert not is_acoustic_dip(far, alike, masses, lattice, fitting)


def test_points_are_written_as_fractions_where_they_are():
    assert write_point(np.array([1 / 3, -0.5, 0.2113])) == "(1/3, -1/2, 0.211)"
