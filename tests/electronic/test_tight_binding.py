"""Bands of real shape: gaps as published, masses as the second derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from model_bands import CRYSTALS, FCC_POINTS, SCALE, walk
from tight_binding import energies

from wyckflow.electronic.analyse import analyse_bands
from wyckflow.electronic.bands import Bands, read_atoms
from wyckflow.electronic.hessian import (
    dense_points,
    finite_difference_tensor,
    sphere_masses,
)
from wyckflow.schemas.electronic import Carrier, FitQuality


def bands_of(name, kpoints, labels=()):
    structure = CRYSTALS[name]
    edge = structure.lattice.a * 2**0.5
    k = kpoints @ (2 * np.pi * np.linalg.inv(structure.lattice.matrix).T)
    levels = energies(name, k, edge)
    return Bands(
        structure.lattice.matrix,
        kpoints,
        levels[None],
        0.5,
        labels,
        n_electrons=8.0,
        atoms=read_atoms(structure),
    )


def path_of(name, n=60):
    return bands_of(name, *walk(FCC_POINTS, ["L", "Γ", "X", "W", "K", "Γ"], n))


def carrier(document, which):
    return next(one for one in document.valleys if one.carrier is which)


def band(name, number, sign):
    """One band as a function of a Cartesian wave vector."""
    edge = CRYSTALS[name].lattice.a * 2**0.5
    return lambda k: sign * float(energies(name, k, edge)[number][0])


@pytest.mark.parametrize(
    ("name", "gap", "is_direct", "n_electron_valleys"),
    [("Si", 1.17, False, 6), ("GaAs", 1.55, True, 1)],
)
def test_gaps_are_those_of_the_publication(name, gap, is_direct, n_electron_valleys):
    document = analyse_bands(path_of(name))
    assert document.band_gap == pytest.approx(gap, abs=0.02)
    assert document.is_gap_direct is is_direct
    assert document.electrons.n_valleys == n_electron_valleys
    assert (document.holes.n_k, document.holes.n_b) == (1, 3)


def test_electrons_of_gallium_arsenide_have_the_mass_of_the_second_derivative():
    edge = carrier(analyse_bands(path_of("GaAs")), Carrier.ELECTRON)
    tensor = finite_difference_tensor(band("GaAs", 4, 1), np.zeros(3), step=2e-3)
    truth = SCALE / np.linalg.eigvalsh(tensor).mean()
    assert edge.quality is not FitQuality.CANNOT_FIT
    assert edge.conductivity_mass == pytest.approx(truth, rel=0.05)


def test_electrons_of_silicon_have_the_masses_of_the_second_derivative():
    """Along by the path, across by a dense mesh around the pocket."""
    path = path_of("Si")
    edge = carrier(analyse_bands(path), Carrier.ELECTRON)
    start = np.array(edge.kpoint)
    energy = band("Si", 4, 1)
    # The bottom lies between the points of the path: follow the slope to it.
    at = start @ path.reciprocal
    along = at / np.linalg.norm(at)
    shifts = np.linspace(-0.05, 0.05, 2001)
    at = at + along * shifts[np.argmin([energy(at + s * along) for s in shifts])]
    tensor = finite_difference_tensor(energy, at, step=2e-3)
    truth = np.sort(SCALE / np.linalg.eigvalsh(tensor))
    assert edge.path_mass == pytest.approx(SCALE / (along @ tensor @ along), rel=0.05)
    dense = bands_of("Si", dense_points(path.reciprocal, start))
    whole = carrier(analyse_bands(path, dense=[dense]), Carrier.ELECTRON)
    np.testing.assert_allclose(whole.principal_masses, truth, rtol=0.05)
    assert whole.quality is FitQuality.GOOD


@pytest.mark.parametrize("name", ["Si", "GaAs"])
def test_warped_holes_have_the_masses_of_the_mean_over_the_sphere(name):
    holes = carrier(analyse_bands(path_of(name)), Carrier.HOLE)
    found = [
        sphere_masses(band(name, number, -1), np.zeros(3), radius=5e-3)
        for number in (1, 2, 3)
    ]
    density = sum(dos**1.5 for dos, _ in found)
    flow = sum(dos**1.5 / conductivity for dos, conductivity in found)
    assert holes.quality is FitQuality.UNCERTAIN
    assert "warped" in holes.reason
    assert holes.dos_mass == pytest.approx(density ** (2 / 3), rel=0.1)
    assert holes.conductivity_mass == pytest.approx(density / flow, rel=0.2)
