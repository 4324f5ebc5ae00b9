"""The document as a whole: whatever bands come, it says something and never breaks."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_bands import CRYSTALS, FCC_POINTS, make_bands, pockets_at, walk

from wyckflow.electronic.analyse import (
    ElectronicOptions,
    analyse_bands,
    explain_refusal,
)
from wyckflow.electronic.bands import Bands, read_atoms
from wyckflow.schemas.electronic import BandKind, Carrier, ElectronicDoc, FitQuality

PATHS = (["Γ", "X", "W", "L", "Γ", "K"], ["L", "Γ"], ["W", "K"])


def draw_kpoints(kind, n):
    if kind < len(PATHS):
        return walk(FCC_POINTS, PATHS[kind], n=n)[0]
    if kind == len(PATHS):
        return np.array(list(product(np.arange(3) / 3, repeat=3)))
    return np.random.default_rng(n).random((n, 3))


@settings(max_examples=60)
@given(
    crystal=st.sampled_from([*CRYSTALS, None]),
    kind=st.integers(0, 4),
    n_points=st.integers(1, 30),
    n_spins=st.integers(1, 2),
    n_electrons=st.sampled_from([None, 1.0, 2.0, 2.5, 4.0, 9.0]),
    is_noncollinear=st.booleans(),
    scale=st.sampled_from([0.0, 0.01, 1.0, 30.0]),
    seed=st.integers(0, 1000),
)
def test_no_bands_raise_and_every_missing_number_has_a_reason(
    *, crystal, kind, n_points, n_spins, n_electrons, is_noncollinear, scale, seed
):
    """Random waves on random paths: metals, flat bands, single points and all."""
    kpoints = draw_kpoints(kind, n_points)
    structure = CRYSTALS["Si" if crystal is None else crystal]
    rng = np.random.default_rng(seed)
    waves = rng.integers(-2, 3, (n_spins, 3, 3))
    phases = 2 * np.pi * np.einsum("sbi,ki->sbk", waves, kpoints)
    centres = np.array([-2.0, -1.0, 1.0])[None, :, None]
    bands = Bands(
        lattice=structure.lattice.matrix,
        kpoints=kpoints,
        energies=centres + scale * np.cos(phases),
        fermi=0.0,
        n_electrons=n_electrons,
        is_noncollinear=is_noncollinear and n_spins == 1,
        atoms=None if crystal is None else read_atoms(structure),
    )
    document = analyse_bands(bands)
    assert ElectronicDoc.model_validate_json(document.model_dump_json()) == document
    if document.kind is not BandKind.SEMICONDUCTOR:
        assert document.reason
    for carrier in (document.holes, document.electrons):
        if carrier.conductivity_mass is None or carrier.quality is not FitQuality.GOOD:
            assert carrier.reason
    for valley in document.valleys:
        assert valley.n_k >= 1
        for line in valley.lines:
            is_number = line.quality in {FitQuality.GOOD, FitQuality.UNCERTAIN}
            assert (line.mass is not None) == is_number
            assert is_number == (line.mass_error is not None and line.mass is not None)
            assert line.quality is FitQuality.GOOD or line.reason


def test_a_refusal_is_a_whole_document():
    document = explain_refusal("torn", name="x")
    assert document.kind is BandKind.CANNOT_JUDGE
    assert (document.reason, document.name) == ("torn", "x")
    assert document.valleys == []


def test_the_document_keeps_its_options():
    bands = make_bands(
        CRYSTALS["GaAs"],
        [pockets_at("GaAs", "Γ", 0.5, 0.5)],
        [pockets_at("GaAs", "Γ", 0.2, 0.2, bottom=1.0)],
    )
    document = analyse_bands(bands, ElectronicOptions(fit_window=0.4, temperature=900))
    assert document.settings.fit_window == 0.4
    assert document.settings.temperature == 900


def test_turning_the_crystal_does_not_change_its_masses():
    """The same crystal, given in a turned cell."""
    structure = CRYSTALS["PbTe"]
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    kpoints, labels = walk(FCC_POINTS, PATHS[0], n=60)
    bands = make_bands(
        structure,
        [pockets_at("PbTe", "L", 0.3, 0.2)],
        [pockets_at("PbTe", "L", 0.4, 0.15, bottom=1.0)],
        kpoints=kpoints,
        labels=labels,
    )
    turned = Bands(
        bands.lattice @ turn.T,
        bands.kpoints,
        bands.energies,
        bands.fermi,
        labels,
        atoms=bands.atoms,
    )
    plain, other = analyse_bands(bands), analyse_bands(turned)
    for carrier in Carrier:
        one, two = (
            next(valley for valley in document.valleys if valley.carrier is carrier)
            for document in (plain, other)
        )
        assert one.principal_masses == pytest.approx(two.principal_masses, rel=1e-6)
        assert (one.n_k, one.little_group) == (two.n_k, two.little_group)
