"""The figure of a funnel: what is drawn, read back from the axes."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from wyckflow.errors import DocumentError
from wyckflow.report.funnel import _draw_bars, plot_funnel
from wyckflow.schemas.screening import FilterCost, FunnelStep, ScreenCost

FUNNEL = [
    FunnelStep(
        filter="uniqueness",
        rule="r",
        n_in=900,
        n_pass=700,
        n_fail=200,
        n_cannot_judge=0,
    ),
    FunnelStep(
        filter="charge_neutrality",
        rule="r",
        n_in=700,
        n_pass=30,
        n_fail=600,
        n_cannot_judge=70,
    ),
]
COST = ScreenCost(
    reference="crystals",
    n_crystals=9,
    share_dropped=0.11,
    filters=[
        FilterCost(filter="uniqueness", share_alone=0.0),
        FilterCost(filter="charge_neutrality"),
    ],
)


def test_bars_add_up_to_what_came_in():
    figure = Figure(layout="constrained")
    axes = figure.add_subplot()
    _draw_bars(axes, FUNNEL)
    by_place = {}
    for bar in axes.patches:
        place = round(bar.get_y() + bar.get_height() / 2)
        by_place[place] = by_place.get(place, 0) + bar.get_width()
    assert by_place == {0: 900, 1: 900, 2: 700}
    assert {text.get_text() for text in axes.texts} == {"900", "700", "30"}
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["passed", "failed", "could not be judged"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "genes",
        "uniqueness",
        "charge neutrality",
    ]
    assert max(axes.get_xticks()) <= 900


@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_the_figure_is_written(tmp_path, ending):
    path = tmp_path / f"funnel.{ending}"
    plot_funnel(path, FUNNEL, costs=[COST], title="genes")
    assert path.stat().st_size > 5000


def test_an_empty_list_of_genes_can_be_drawn(tmp_path):
    nothing = [
        step.model_copy(
            update=dict.fromkeys(("n_in", "n_pass", "n_fail", "n_cannot_judge"), 0)
        )
        for step in FUNNEL
    ]
    plot_funnel(tmp_path / "funnel.png", nothing)


def test_a_funnel_without_steps_is_refused(tmp_path):
    with pytest.raises(DocumentError, match="without steps"):
        plot_funnel(tmp_path / "funnel.png", [])
