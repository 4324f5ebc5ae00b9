"""Figures of bands: they are drawn, and name what they show."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.electronic.analyse import analyse_bands
from wyckflow.electronic.bands import Bands
from wyckflow.errors import ConfigurationError
from wyckflow.report.bands_plot import plot_bands

X = np.linspace(0, 0.5, 30)


def make_bands(*, spins=1, gap=1.0):
    square = 4 * X**2
    levels = np.stack([-square, gap + 2 * square])
    energies = np.stack([levels, levels + 0.3 * levels**2])[:spins]
    kpoints = np.stack([X, 0 * X, 0 * X], axis=1)
    labels = ("Γ", *[""] * 28, "X")
    return Bands(4 * np.eye(3), kpoints, energies, 0.5, labels)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_figure_is_drawn(tmp_path, ending):
    bands = make_bands()
    path = tmp_path / f"bands.{ending}"
    plot_bands(bands, analyse_bands(bands), path)
    assert path.stat().st_size > 5_000


@pytest.fixture
def drawn(monkeypatch):
    """Keep the figure that would be written."""
    from matplotlib.figure import Figure

    kept = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: kept.append(self))
    return kept


def test_it_names_gap_points_and_valleys(drawn, tmp_path):
    bands = make_bands()
    plot_bands(bands, analyse_bands(bands, name="x"), tmp_path / "x.png")
    (figure,) = drawn
    (axes,) = figure.axes
    assert "gap 1.00 eV, direct" in figure.get_suptitle()
    assert [one.get_text() for one in axes.get_xticklabels()] == ["Γ", "X"]
    assert {one.get_text() for one in axes.texts} == {"1 x 1"}
    assert "valence band edge" in axes.get_ylabel()


def test_the_fit_lies_on_the_band(drawn, tmp_path):
    bands = make_bands()
    plot_bands(bands, analyse_bands(bands), tmp_path / "x.png")
    (axes,) = drawn[0].axes
    thick = [line for line in axes.lines if line.get_linewidth() > 2]
    assert len(thick) == 2
    along = X * 2 * np.pi / 4
    for line in thick:
        x, y = line.get_data()
        band = 1 + 8 * X**2 if y.mean() > 0.5 else -4 * X**2
        np.testing.assert_allclose(y, np.interp(x, along, band), atol=2e-3)


def test_a_metal_is_drawn_from_its_fermi_level(drawn, tmp_path):
    bands = make_bands(gap=-0.5)
    plot_bands(bands, analyse_bands(bands), tmp_path / "x.png")
    assert "metal" in drawn[0].get_suptitle()
    assert "Fermi level" in drawn[0].axes[0].get_ylabel()


def test_spins_are_told_apart(drawn, tmp_path):
    bands = make_bands(spins=2)
    plot_bands(bands, analyse_bands(bands), tmp_path / "x.png")
    legend = drawn[0].axes[0].get_legend()
    names = [one.get_text() for one in legend.get_texts()]
    assert names == ["spin up", "spin down"]


def test_what_cannot_be_drawn_says_why(tmp_path):
    bands = make_bands()
    document = analyse_bands(bands)
    with pytest.raises(ConfigurationError, match="cannot be drawn"):
        plot_bands(bands, document, tmp_path / "none" / "x.png")
    point = Bands(np.eye(3), np.zeros((1, 3)), np.zeros((1, 2, 1)), 0.0)
    with pytest.raises(ConfigurationError, match="no path"):
        plot_bands(point, document, tmp_path / "x.png")
