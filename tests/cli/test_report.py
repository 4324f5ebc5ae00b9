"""A campaign becomes a report, and figures, at the command line."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

pytestmark = pytest.mark.mongo


@pytest.fixture
def campaign(tiny_model, tmp_path, project, wyckflow):
    """A campaign that was run here, with phonons of what it relaxed."""
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    content = {
        "name": "salts",
        "model": str(tiny_model),
        "target": {"space_groups": "221, 225", "n_elements": {"max": 2}},
        "n_genes": 3,
        "generate": {"keep_known": True, "max_atoms": 8},
        "screen": {"name": "easy", "filters": ["uniqueness"]},
        "relax": {"n_trials": 1, "max_steps": 4, "n_coarse_stages": 0},
        "hull": {"threshold": 9.0},
        "phonon": {"min_length": 3.0, "max_force": 9.0, "max_stress_gpa": 1e3},
        "budget": {"relaxations": 2},
    }
    file = tmp_path / "salts.yaml"
    file.write_text(yaml.safe_dump(content))
    place = ("-p", project.folder)
    done = wyckflow("submit", file, "--local", "-o", tmp_path / "out", *place)
    assert done.code == 0, done.err
    return place


def make_known(path):
    """A data set of the salts that the tiny model has learned from."""
    from tiny_model import make_salts

    make_salts().save(path)
    return path


def test_a_campaign_becomes_a_page_markdown_and_figures(wyckflow, campaign, tmp_path):
    page = tmp_path / "salts.html"
    known = make_known(tmp_path / "minerals.npz")
    more = ("--known", known, "--free", 4)
    done = wyckflow("report", "salts", "-o", page, *more, *campaign)
    assert done.code == 0, done.err
    assert "open it in a browser" in done.out
    text = page.read_text()
    n_sections = len(re.findall(r'<template id="t-[0-9a-f]{16}"', text))
    assert n_sections == text.count('<tr data-id="') >= 2
    assert text.count('class="viewer"') == 2  # as many as were relaxed
    assert "What it learned" not in text
    assert "learned from: 90" in text
    assert "without a target: 4" in text
    assert "letters side by side" in text
    assert 'class="bands"' in text
    assert "known gene" in text
    assert not re.search(r'(?:src|href)="https?:', text)

    notes = tmp_path / "salts.md"
    assert wyckflow("report", "salts", "-f", "md", "-o", notes, *campaign).code == 0
    written = notes.read_text()
    figures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", written)
    assert figures
    assert all((tmp_path / figure).stat().st_size > 1000 for figure in figures)
    assert "novelty" in written

    folder = tmp_path / "figures"
    made = wyckflow("report", "salts", "-f", "pdf-ready", "-o", folder, *campaign)
    assert f"{len(list(folder.glob('*.pdf')))} figures" in made.out
    assert all(one.read_bytes()[:5] == b"%PDF-" for one in folder.glob("*.pdf"))

    for figure in ("funnel", "parity", "energies", "distributions", "latent"):
        drawn = tmp_path / f"{figure}.png"
        done = wyckflow("plot", figure, "salts", "-o", drawn, *campaign)
        assert done.code == 0, done.err
        assert drawn.read_bytes()[:4] == b"\x89PNG"
    gene_id = re.search(r'id="t-([0-9a-f]{16})"', text)[1]
    drawn = tmp_path / "phonons.svg"
    done = wyckflow("plot", "phonons", "salts", gene_id[:12], "-o", drawn, *campaign)
    assert drawn.exists(), done.err
    done = wyckflow("plot", "bands", "salts", gene_id, *campaign)
    assert done.code == 1
    assert "wyckflow approve" in done.err


def test_a_report_is_made_without_the_model_too(wyckflow, project, database, tmp_path):
    """What the model would tell is left out, and a line says why."""
    from wyckflow.schemas.campaign import CampaignDoc
    from wyckflow.store.campaign.record import CAMPAIGNS

    card = {"number": 0, "n_genes": 5, "model_id": "ab" * 32, "model_name": "gone"}
    campaign = CampaignDoc.model_validate(
        {
            "name": "lost",
            "spec": {"name": "lost"},
            "rounds": [card | {"submitted_at": "2026-01-31T12:00:00Z"}],
        }
    )
    with database.client() as client:
        client[database.name][CAMPAIGNS].insert_one(campaign.model_dump(mode="json"))
    page = tmp_path / "lost.html"
    done = wyckflow("report", "lost", "-o", page, "-p", project.folder)
    assert done.code == 0, done.err
    assert "The model could not be read" in done.out
    text = page.read_text()
    assert "What is missing here" in text
    assert "There are no candidates yet" in text
    drawn = wyckflow("plot", "latent", "lost", "-p", project.folder)
    assert "no data for a figure of latent. The model could not be read" in drawn.err


def test_what_is_not_there_is_refused_with_what_is(wyckflow, project, tmp_path):
    place = ("-p", project.folder)
    done = wyckflow("report", "nothing", *place)
    assert done.code == 1
    assert "Nothing is known of a campaign 'nothing'; there are: none" in done.err
    done = wyckflow("report", "x", "--known", tmp_path / "none.npz", *place)
    assert "wyckflow data import" in done.err
    done = wyckflow("plot", "funnel", "nothing", *place)
    assert "Nothing is known of a campaign 'nothing'" in done.err
