"""Filled and empty: counted, or told by the Fermi level."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.electronic.analyse import analyse_bands
from wyckflow.electronic.bands import Bands
from wyckflow.electronic.edges import find_edges
from wyckflow.schemas.electronic import BandKind, FitQuality

LINE = np.linspace(0, 0.5, 21)


def make(*spins, fermi=0.0, **more):
    """Bands along one line, each given by its two ends."""
    kpoints = np.stack([LINE, 0 * LINE, 0 * LINE], axis=1)
    rise = 1 - np.cos(2 * np.pi * LINE)
    energies = [[a + (b - a) * rise / 2 for a, b in spin] for spin in spins]
    return Bands(3 * np.eye(3), kpoints, np.array(energies), fermi, **more)


def test_a_semiconductor_has_its_gap_between_the_extremes():
    edges = find_edges(make([(-0.5, -2), (0.7, 3)]))
    assert edges.kind is BandKind.SEMICONDUCTOR
    assert (edges.vbm, edges.cbm) == pytest.approx((-0.5, 0.7))
    assert edges.gap == pytest.approx(1.2)
    assert edges.direct_gap == pytest.approx(1.2)


@pytest.mark.parametrize("fermi", [-0.5, 0.7, 0.0])
def test_a_fermi_level_on_an_edge_is_still_in_the_gap(fermi):
    edges = find_edges(make([(-0.5, -2), (0.7, 3)], fermi=fermi))
    assert edges.gap == pytest.approx(1.2)


def test_counting_puts_a_misplaced_fermi_level_right_and_says_so():
    """A run along lines can report a level that lies in a band."""
    bands = make([(-0.5, -2), (0.7, 3)], fermi=0.9)
    assert find_edges(bands).kind is BandKind.METAL
    counted = make([(-0.5, -2), (0.7, 3)], fermi=0.9, n_electrons=2.0)
    edges = find_edges(counted)
    assert edges.gap == pytest.approx(1.2)
    assert "counting" in edges.reason


def test_spin_orbit_bands_hold_one_electron_each():
    levels = [(-0.5, -2), (-0.5, -2), (0.7, 3), (0.7, 3)]
    bands = make(levels, n_electrons=2.0, is_noncollinear=True)
    assert find_edges(bands).channels[0].n_filled == 2


def test_metals_and_half_metals_are_values_with_reasons():
    metal = analyse_bands(make([(-1, 1)], fermi=0.0))
    assert (metal.kind, metal.band_gap, metal.valleys) == (BandKind.METAL, 0.0, [])
    assert metal.is_gap_direct is None
    assert metal.holes.quality is FitQuality.CANNOT_FIT
    assert "no gap" in metal.electrons.reason
    half = analyse_bands(make([(-1, 1), (1.5, 2)], [(-2, -3), (1, 2)]))
    assert half.kind is BandKind.HALF_METAL
    assert "spin up crosses" in half.reason
    assert [one.band_gap for one in half.channels] == pytest.approx([0, 3])
    assert half.band_gap == 0.0


def test_overlapping_bands_are_a_metal_though_none_crosses_at_any_point():
    edges = find_edges(make([(-1.0, 0.2), (0.1, 1.5)], fermi=5.0, n_electrons=2.0))
    assert edges.kind is not BandKind.SEMICONDUCTOR
    semimetal = find_edges(make([(0.3, -1.0), (1.0, 0.1)], fermi=0.2))
    assert semimetal.kind is BandKind.METAL


def test_spins_have_gaps_of_their_own():
    """As in a magnetic semiconductor, where the edges are of different spins."""
    bands = make([(-0.5, -2), (1.5, 3)], [(-1.0, -2), (0.7, 3)], n_electrons=2.0)
    document = analyse_bands(bands)
    assert [one.band_gap for one in document.channels] == pytest.approx([2.0, 1.7])
    assert document.band_gap == pytest.approx(1.2)
    assert document.direct_gap == pytest.approx(1.7)
    spins = {one.carrier.value: one.spin for one in document.valleys}
    assert spins == {"hole": "up", "electron": "down"}
    assert all(one.spin_degeneracy == 1 for one in document.valleys)
    assert "without moments" not in " ".join(document.notes)  # no atoms came at all


def test_too_few_bands_cannot_be_judged():
    filled = find_edges(make([(-2, -1)], n_electrons=2.0))
    assert filled.kind is BandKind.CANNOT_JUDGE
    assert "NBANDS" in filled.reason
    none = find_edges(make([(-2, -1)], n_electrons=7.0))
    assert none.kind is BandKind.CANNOT_JUDGE
    assert "do not fit" in none.reason
    assert find_edges(make([(1, 2)])).kind is BandKind.CANNOT_JUDGE


def test_an_odd_number_of_electrons_is_judged_by_the_level():
    edges = find_edges(make([(-1, 1), (2, 3)], fermi=0.0, n_electrons=1.0))
    assert edges.kind is BandKind.METAL


def test_every_document_has_a_reason_where_it_has_no_number():
    for bands in (make([(-1, 1)]), make([(-2, -1)], n_electrons=2.0)):
        document = analyse_bands(bands)
        for carrier in (document.holes, document.electrons):
            assert carrier.conductivity_mass is None
            assert carrier.reason
