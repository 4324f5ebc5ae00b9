"""Figures of phonons: they are drawn, and name what they show."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.errors import ConfigurationError
from wyckflow.relax.phonon.options import PhononOptions
from wyckflow.report.phonon_bands import plot_phonons
from wyckflow.schemas.phonon import (
    LatticeStability,
    PhononDoc,
    PhononSettings,
    Spectrum,
)

SETTINGS = PhononSettings(
    **{name: getattr(PhononOptions(), name) for name in PhononSettings.model_fields}
)
DOCUMENT = PhononDoc(
    name="x", formula_pretty="SrTiO3", verdict=LatticeStability.UNSTABLE
)


def make_spectrum(lowest):
    bands = np.linspace(lowest, 10, 20).reshape(10, 2)
    return Spectrum(
        distances=np.concatenate([np.linspace(0, 1, 5), np.linspace(1, 2, 5)]),
        q_points=np.zeros((10, 3)),
        bands=bands,
        segment_starts=np.array([0, 5]),
        labels=np.array([("GAMMA", "X_0"), ("K", "L")]),
        dos_frequencies=np.linspace(lowest, 10, 30),
        dos=np.ones(30),
    )


def test_points_of_the_path_and_the_limit_are_written(tmp_path):
    path = tmp_path / "bands.svg"
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none"}):
        plot_phonons(DOCUMENT, make_spectrum(-3.0), SETTINGS, path)
    text = path.read_text()
    for words in ("Γ", "|K", ">L<", "SrTiO3: unstable", "imaginary below 0"):
        assert words in text
    assert "stroke-dasharray" in text  # the limit


def test_without_imaginary_modes_there_is_no_limit_to_show(tmp_path):
    path = tmp_path / "bands.svg"
    plot_phonons(DOCUMENT, make_spectrum(0.0), SETTINGS, path, title="mine")
    assert "stroke-dasharray" not in path.read_text()


def test_an_ending_that_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be drawn"):
        plot_phonons(DOCUMENT, make_spectrum(0.0), SETTINGS, tmp_path / "x.what")
