"""Figures of a report: what they say in numbers is right, what lacks is left out."""

from __future__ import annotations

import re

import numpy as np
import pytest
from report_things import NOW, make_candidate, make_data, make_sets

from wyckflow.errors import DocumentError
from wyckflow.report.documents import write_figures, write_markdown
from wyckflow.report.energies import list_hull_distances
from wyckflow.report.latent_map import draw_map
from wyckflow.report.look import inline_svg, new_figure, save_figure
from wyckflow.report.panels import join_panels, list_panels
from wyckflow.report.parity import find_pairs
from wyckflow.schemas.report import Evidence, LatentPoints, ReportData


def evidence_of(*candidates, deviation=0.1):
    found = Evidence(deviations={"formation_energy_per_atom": deviation})
    return {item.gene_id: found for item in candidates}


def test_parity_counts_errors_and_the_interval():
    """By hand: off by +0.1, -0.3; 1.96 x 0.1 holds the first alone."""
    one = make_candidate(
        0, predicted_formation_energy_per_atom=-1.0, formation_energy_per_atom=-1.1
    )
    two = make_candidate(
        1, predicted_formation_energy_per_atom=-2.0, formation_energy_per_atom=-1.7
    )
    three = make_candidate(2, formation_energy_per_atom=None)
    data = make_data(candidates=(one, two, three), evidence=evidence_of(one, two))
    pairs = find_pairs(data, "formation_energy_per_atom")
    words = pairs.summary("eV/atom")
    assert "2 candidates, computed by CHGNet" in words
    assert "mean absolute error 0.20 eV/atom" in words
    assert "-0.10 eV/atom on average" in words
    assert "50 % lie within the interval that should hold 95 %" in words


def test_energies_of_two_methods_are_never_put_together():
    one = make_candidate(0, dft_formation_energy_per_atom=-1.5)
    two = make_candidate(1)  # by CHGNet alone
    pairs = find_pairs(make_data(candidates=(one, two)), "formation_energy_per_atom")
    assert pairs.method == "DFT"
    assert pairs.computed.tolist() == [-1.5]


def test_simulated_dft_is_called_so():
    item = make_candidate(0, band_gap=1.0, is_simulated=True)
    pairs = find_pairs(make_data(candidates=(item,)), "band_gap")
    assert "SIMULATED" in pairs.method
    item = make_candidate(0, dft_energy_above_hull=0.1, is_simulated=True)
    labels = [one.label for one in list_hull_distances(make_data(candidates=(item,)))]
    assert labels == ["by chgnet-0.3.0", "by DFT (some of it SIMULATED)"]


def test_a_predicted_gap_is_no_computed_one():
    assert find_pairs(make_data(), "band_gap") is None


def test_distances_are_counted_below_the_limits():
    items = [
        make_candidate(place, energy_above_hull=value)
        for place, value in enumerate((-0.2, 0.0, 0.04, 0.07, 0.3))
    ]
    (found,) = list_hull_distances(make_data(candidates=tuple(items)))
    assert "2 at or below 0 eV/atom" in found.caption
    assert "3 at or below 0.05 eV/atom" in found.caption
    assert "4 at or below 0.1 eV/atom" in found.caption


def test_there_is_a_figure_for_what_there_is_and_none_for_what_is_not():
    names = [panel.name for panel in list_panels(make_data())]
    assert len(names) == len(set(names)) == 12
    assert list_panels(ReportData("empty", NOW, "0.1.0")) == []
    groups = {panel.group for panel in list_panels(make_data(), "latent")}
    assert groups == {"latent"}
    partial = make_data(latent=None, gene_sets=make_sets()[1:])
    assert "latent" not in {panel.group for panel in list_panels(partial)}


@pytest.mark.parametrize("panel", list_panels(make_data()), ids=lambda one: one.name)
def test_every_axis_that_counts_has_a_label_with_its_unit(panel):
    axes = panel.figure().axes[0]
    label = axes.get_xlabel()
    assert label
    if "energy" in label or "gap" in label:
        assert "(eV" in label
    if panel.group in {"parity", "energies"}:
        assert axes.get_ylabel()


def test_bars_of_elements_are_shares_of_the_genes():
    (panel,) = [one for one in list_panels(make_data()) if one.title == "elements"]
    axes = panel.figure().axes[0]
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    widths = [bar.get_width() for bar in axes.containers[0]]
    assert dict(zip(names, widths, strict=True)) == {
        "O": pytest.approx(50),
        "Na": pytest.approx(100 / 3),
        "Cl": pytest.approx(20),
    }


def test_squares_of_the_map_hold_means():
    """Two heaps of points: the square of each has the mean of its heap."""
    points = np.repeat([[0.0, 0.0], [1.0, 3.0]], 50, axis=0)
    values = np.repeat([1.0, 5.0], 50) + np.tile([-0.5, 0.5], 50)
    latent = LatentPoints(
        "m", points, {"band_gap": values}, np.full(100, 225, dtype=int)
    )
    figure = new_figure(3, 3)
    axes = figure.add_subplot()
    draw_map(axes, latent, "band_gap", "gap (eV)")
    shown = axes.images[0].get_array()
    assert sorted(shown[np.isfinite(shown)].tolist()) == pytest.approx([1.0, 5.0])


def test_a_figure_in_the_page_takes_its_colours_and_clashes_with_no_other():
    first, second = list_panels(make_data())[:2]
    texts = [
        inline_svg(panel.figure(), name=panel.name, title="a &lt; b")
        for panel in (first, second)
    ]
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in texts]
    assert not ids[0] & ids[1]
    for text in texts:
        assert text.startswith("<svg viewBox=")
        assert "<title>a &lt; b</title>" in text
        assert "var(--ink)" in text
        assert "<style" not in text
    again = inline_svg(first.figure(), name=first.name, title="a &lt; b")
    assert again == texts[0]


# --- files --------------------------------------------------------------------------


def test_every_figure_becomes_a_file(tmp_path):
    data = make_data()
    written = write_figures(data, tmp_path / "new", ending="pdf")
    assert len(written) == len(list_panels(data)) + 1  # and the funnel
    assert all(path.read_bytes().startswith(b"%PDF") for path in written)


def test_figures_stand_side_by_side(tmp_path):
    panels = list_panels(make_data(), "latent")
    figure = join_panels(panels, title="all")
    save_figure(figure, tmp_path / "x.png")
    assert figure.get_size_inches()[0] == pytest.approx(7.0)  # four: two by two
    with pytest.raises(DocumentError, match="cannot be drawn"):
        save_figure(figure, tmp_path / "x.what")


def test_markdown_holds_tables_figures_and_no_markup_of_others(tmp_path):
    hostile = make_candidate(0, gene="225 Na:a Cl:b", formula_pretty="a|b<i>")
    data = make_data(
        candidates=(hostile,), evidence=make_data().evidence, notes=("*loud*",)
    )
    path, *figures = write_markdown(data, tmp_path / "x.md")
    text = path.read_text()
    assert "a\\|b\\<i\\>" in text
    assert "\\*loud\\*" in text
    assert all(f"({one.parent.name}/{one.name})" in text for one in figures)
    table = text[text.index("| formula") :].splitlines()
    n_columns = table[0].count("|")
    assert table[1].count("|") == table[2].replace("\\|", "").count("|") == n_columns
    assert "gap (eV)" in text  # Table 3, since one has bands
    assert "~" in text or "1.000" in text


def test_an_empty_report_says_what_lacks_in_markdown_too(tmp_path):
    path, *figures = write_markdown(
        ReportData("empty", NOW, "0.1.0"), tmp_path / "x.md"
    )
    text = path.read_text()
    assert figures == []
    for words in ("No stage has finished", "no candidates yet", "No DFT bands"):
        assert words in text
