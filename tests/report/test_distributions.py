"""Distances to the hull of several sets: shares as counted, scales told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from report_things import make_candidate, make_data

from wyckflow.report.distributions import draw_hull_shares
from wyckflow.report.look import new_figure
from wyckflow.report.panels import list_panels
from wyckflow.schemas.report import HullDistanceSet


def find_panel(data):
    found = [one for one in list_panels(data) if one.title == "distance to the hull"]
    return found[0] if found else None


def draw(sets):
    axes = new_figure(3, 3).add_subplot()
    draw_hull_shares(axes, sets)
    return {line.get_label(): line for line in axes.lines if len(line.get_xdata()) > 2}


def make_set(label, values, scale="mp2020-gga-u"):
    return HullDistanceSet(label, "DFT", scale, np.array(values), len(values))


def test_a_line_is_the_share_within_each_distance():
    """By hand: of -0.1, 0, 0.05 and 0.4 three quarters lie within 0.1."""
    (line,) = draw([make_set("known", [-0.1, 0.0, 0.05, 0.4])]).values()
    x, y = line.get_data()
    found = {limit: y[np.abs(x - limit).argmin()] for limit in (-0.2, 0.0, 0.1, 0.5)}
    assert found == {-0.2: 0, 0.0: 50, 0.1: 75, 0.5: 100}


def test_another_scale_is_dashed_and_named():
    lines = draw([make_set("a", [0.0]), make_set("b", [0.1], "chgnet-0.3.0")])
    assert lines["a, DFT"].get_linestyle() == "-"
    assert lines["b, DFT (chgnet-0.3.0)"].get_linestyle() == "--"


def test_lines_have_the_scale_of_most_sets_whichever_comes_first():
    unstated = make_set("file", [0.0], "scale not stated")
    lines = draw([unstated, make_set("a", [0.1]), make_set("b", [0.2])])
    styles = {name: line.get_linestyle() for name, line in lines.items()}
    assert styles == {
        "file, DFT (scale not stated)": "--",
        "a, DFT": "-",
        "b, DFT": "-",
    }


def test_what_was_relaxed_is_compared_and_each_scale_is_in_the_caption():
    items = [make_candidate(n, energy_above_hull=0.1 * n) for n in range(4)]
    panel = find_panel(make_data(candidates=tuple(items)))
    assert "for the target: 50 of 300, predicted, mp2020-gga-u" in panel.caption
    assert "relaxed: 4, CHGNet, chgnet-0.3.0" in panel.caption
    labels = panel.figure().axes[0].get_legend_handles_labels()[1]
    assert labels[-1] == "relaxed, CHGNet (chgnet-0.3.0)"


def test_candidates_of_two_scales_are_left_out_rather_than_mixed():
    items = [make_candidate(n, hull_scale=s) for n, s in enumerate(("one", "two"))]
    panel = find_panel(make_data(candidates=tuple(items)))
    assert "relaxed" not in panel.caption


def test_one_set_alone_is_no_comparison():
    data = make_data(candidates=())
    alone = replace(data, hull_distances=data.hull_distances[:1])
    assert find_panel(alone) is None
    assert find_panel(data).figure().axes[0].get_ylim()[1] == pytest.approx(101)
