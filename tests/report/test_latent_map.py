"""The map: its plane is that of PCA, and genes lie on it where their latents say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from report_things import make_data
from sklearn.decomposition import PCA

from wyckflow.report.latent import find_plane, project_on_plane
from wyckflow.report.latent_map import draw_genes, draw_map
from wyckflow.report.look import _THEME, new_figure
from wyckflow.report.panels import list_panels
from wyckflow.schemas.report import LatentPoints, PlacedGenes


def make_cloud(n=400, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 6)) @ rng.normal(size=(6, 6)) + 3.0


def test_other_points_are_placed_as_pca_transforms_them():
    """Against scikit-learn, which may turn an axis round."""
    known, others = make_cloud(), make_cloud(50, seed=1)
    plane = find_plane(known)
    peer = PCA(n_components=2, svd_solver="full").fit(known)
    assert plane.shares == pytest.approx(peer.explained_variance_ratio_)
    theirs, ours = peer.transform(others), plane.project(others)
    for axis in range(2):
        sign = np.sign(theirs[:, axis] @ ours[:, axis])
        assert ours[:, axis] == pytest.approx(sign * theirs[:, axis])
    again, shares = project_on_plane(known)
    assert again == pytest.approx(plane.project(known))
    assert shares == pytest.approx(plane.shares)


def make_space(placed=()):
    groups = np.tile([1, 225], 200)
    return LatentPoints("m", make_cloud(), {}, groups, placed)


def draw(space):
    figure = new_figure(3, 3)
    axes = figure.add_subplot()
    draw_genes(axes, space)
    return figure, axes


def test_genes_are_drawn_where_their_latents_are():
    genes = make_cloud(30, seed=2)
    placed = PlacedGenes("proposed", genes, 900), PlacedGenes("best", genes[:3], 3)
    figure, axes = draw(make_space(placed))
    plane = find_plane(make_space().latents)
    drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
    assert drawn["proposed"] == pytest.approx(plane.project(genes))
    assert drawn["best"] == pytest.approx(plane.project(genes[:3]))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["learned from", "proposed", "best"]


def test_the_best_are_never_off_the_map():
    far = make_cloud(1, seed=3) * 50
    _, axes = draw(make_space((PlacedGenes("best", far, 1),)))
    (place,) = find_plane(make_space().latents).project(far)
    assert axes.get_xlim()[0] < place[0] < axes.get_xlim()[1]
    assert axes.get_ylim()[0] < place[1] < axes.get_ylim()[1]


def test_the_caption_says_how_many_and_that_it_is_a_sample():
    (panel,) = [one for one in list_panels(make_data()) if one.name == "latent-genes"]
    for words in ("proposed: 40 by chance", "of 300", "accepted: all 6", "best: all 2"):
        assert words in panel.caption


def test_without_placed_genes_the_map_of_the_model_remains():
    data = make_data()
    bare = replace(data, latent=replace(data.latent, placed=()))
    names = [panel.name for panel in list_panels(bare, "latent")]
    assert "latent-genes" not in names
    assert "latent-crystal-system" in names


def test_colours_of_the_picture_are_none_that_the_page_changes():
    """Else the legend would change in the dark, and the picture would not."""
    figure = new_figure(3, 3)
    axes = figure.add_subplot()
    draw_map(axes, make_space(), None, "")
    pixels = axes.images[0].get_array().reshape(-1, 4)
    drawn = {to_hex(colour) for colour in pixels if colour[3]}
    legend = {to_hex(one.get_facecolor()) for one in axes.get_legend().legend_handles}
    assert len(drawn) == 2  # triclinic and cubic
    assert drawn < legend
    assert not legend & set(_THEME)
