"""The calibration plot draws what the card says."""

from __future__ import annotations

import pytest

from wyckflow.errors import DocumentError
from wyckflow.report.calibration_plot import plot_calibration
from wyckflow.schemas.classifier import ClassifierCard, ReliabilityPoint


def card(*points):
    return ClassifierCard(
        name="toy",
        task="metal",
        identity="0" * 64,
        meaning="A toy.",
        threshold=0.5,
        reliability=[
            ReliabilityPoint(mean_score=x, share=y, low=y - 0.1, high=y + 0.1, n=10)
            for x, y in points
        ],
    )


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_figure_is_written(tmp_path, ending):
    path = tmp_path / f"plot.{ending}"
    plot_calibration(path, card((0.1, 0.2), (0.5, 0.5), (0.9, 0.8)))
    assert path.stat().st_size > 1000


def test_a_single_point_can_be_drawn(tmp_path):
    plot_calibration(tmp_path / "plot.png", card((0.5, 0.5)))


def test_a_card_without_figures_is_refused(tmp_path):
    with pytest.raises(DocumentError, match="--test"):
        plot_calibration(tmp_path / "plot.png", card())


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(DocumentError, match="cannot be drawn"):
        plot_calibration(tmp_path / "nowhere" / "plot.png", card((0.5, 0.5)))
