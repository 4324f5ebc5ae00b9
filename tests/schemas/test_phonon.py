"""The documents of phonons: round trip, soft modes, what is left out of a blob."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.errors import DocumentError
from wyckflow.relax.phonon import pack
from wyckflow.relax.phonon.analysis import CrystalPhonons
from wyckflow.relax.phonon.options import PhononOptions
from wyckflow.relax.phonon.pack import make_document
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.phonon import (
    LatticeStability,
    PhononBatchDoc,
    PhononCell,
    PhononDoc,
    PhononSettings,
    SoftMode,
    Spectrum,
)

CELL = PhononCell(
    np.eye(3) * 4.0,
    np.array([[0, 0, 0], [0.5, 0.5, 0.5]]),
    np.array([55, 17]),
    np.array([132.9, 35.5]),
)


def make_spectrum(n_points=5):
    return Spectrum(
        distances=np.linspace(0, 1, n_points),
        q_points=np.zeros((n_points, 3)),
        bands=np.random.default_rng(0).normal(size=(n_points, 6)),
        segment_starts=np.array([0]),
        labels=np.array([("GAMMA", "X")]),
        dos_frequencies=np.linspace(-1, 5, 7),
        dos=np.ones(7),
    )


def make_crystal(name, verdict, *, n_modes=0, spectrum=None):
    mode = np.array([[1j, 0, 0], [0, 0.5, 0]])
    modes = tuple(
        SoftMode(CELL, np.array([0.5, 0, 0]), -2.0 + k, mode, np.diag([2, 1, 1]))
        for k in range(n_modes)
    )
    document = PhononDoc(name=name, formula_pretty="CsCl", verdict=verdict)
    return CrystalPhonons(document, CELL, modes, spectrum)


def make_batch(*crystals):
    options = PhononOptions()
    settings = PhononSettings(
        **{name: getattr(options, name) for name in PhononSettings.model_fields}
    )
    return make_document(
        crystals, settings, Provenance.collect(), energy_scale="chgnet-0.3.0"
    )


@pytest.fixture
def batch():
    return make_batch(
        make_crystal("soft", LatticeStability.UNSTABLE, n_modes=2),
        make_crystal("firm", LatticeStability.STABLE, spectrum=make_spectrum()),
    )


def test_a_batch_survives_json(batch):
    again = PhononBatchDoc.model_validate_json(batch.model_dump_json())
    assert again == batch
    assert (again.n_stable, again.n_unstable, again.n_cannot_judge) == (1, 1, 0)


def test_soft_modes_come_back_as_they_were(batch):
    first, second = batch.soft_modes("soft")
    assert (first.frequency_thz, second.frequency_thz) == (-2.0, -1.0)
    assert first.eigenvector[0, 0] == 1j
    assert first.supercell_matrix.tolist() == [[2, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert first.cell.numbers.tolist() == [55, 17]
    assert first.cell.lattice == pytest.approx(CELL.lattice)
    assert batch.soft_modes("firm") == []


def test_the_spectrum_comes_back(batch):
    expected, found = make_spectrum(), batch.spectrum("firm")
    assert found.bands == pytest.approx(expected.bands, abs=1e-6)
    assert found.labels.tolist() == [["GAMMA", "X"]]
    assert batch.spectrum("soft") is None


def test_an_unknown_crystal_is_refused_with_the_nearest_name(batch):
    with pytest.raises(DocumentError, match="'soft'"):
        batch.soft_modes("sift")


def test_large_spectra_are_left_out_and_soft_modes_are_not(monkeypatch):
    monkeypatch.setattr(pack, "_ROOM", 20_000)
    found = make_batch(
        make_crystal(
            "large",
            LatticeStability.UNSTABLE,
            n_modes=1,
            spectrum=make_spectrum(n_points=2000),
        ),
        make_crystal("small", LatticeStability.STABLE, spectrum=make_spectrum()),
    )
    assert found.n_spectra_left_out == 1
    assert found.spectrum("large") is None
    assert found.spectrum("small") is not None
    assert len(found.soft_modes("large")) == 1


def test_a_batch_without_a_verdict_has_no_blob():
    document = PhononDoc(
        name="x", formula_pretty="Po", verdict=LatticeStability.CANNOT_JUDGE
    )
    found = make_batch(CrystalPhonons(document))
    assert found.blob is None
    assert found.soft_modes("x") == []
    assert found.n_cannot_judge == 1
