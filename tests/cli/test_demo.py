"""The demonstration: both ways, with real workers and a server of its own."""

from __future__ import annotations

import re

import pytest

from wyckflow.cli.demo import GENES_PER_RELAXATION, make_campaign
from wyckflow.errors import ModelError
from wyckflow.flows.campaign import CampaignFlowMaker
from wyckflow.schemas.target import PAPER_TARGET


def test_the_campaign_of_the_demo_is_on_the_papers_target_and_small():
    spec = make_campaign("demo", 300)
    assert spec.target == PAPER_TARGET
    assert spec.model == "bundled"
    assert spec.budget.relaxations == 300 // GENES_PER_RELAXATION
    maker = CampaignFlowMaker.from_spec(spec, max_genes=spec.budget.relaxations)
    assert maker.plan_maker.shard_maker.phonon_maker is not None


@pytest.mark.mongo
@pytest.mark.slow
def test_new_crystals_come_out_of_the_demo(wyckflow, tmp_path):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    done = wyckflow("demo", tmp_path / "demo", "--genes", 24)
    assert done.code == 0, done.err
    assert "submitted campaign demo-" in done.out
    assert "generation" in done.out
    assert "scale chgnet-0.3.0" in done.out
    assert re.search(r"plan +\d+ +[1-3] ", done.out)
    (figure,) = (tmp_path / "demo").glob("demo-*/funnel.png")
    assert figure.stat().st_size > 10_000


@pytest.mark.mongo
@pytest.mark.slow
def test_without_a_bundled_model_known_crystals_are_shown(
    wyckflow, tmp_path, monkeypatch
):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")

    def refuse():
        raise ModelError("This installation of wyckflow has no bundled generator.")

    monkeypatch.setattr("wyckflow.ml.model_file.bundled_model_path", refuse)
    done = wyckflow("demo", tmp_path / "demo")
    assert done.code == 0, done.err
    assert "Known crystals are shown instead" in done.out
    assert "SrTiO3" in done.out
    assert "stopped: " in done.out


@pytest.mark.mongo
@pytest.mark.slow
def test_known_crystals_go_through_the_simulated_dft_tier(wyckflow, tmp_path):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    pytest.importorskip("atomate2", reason="install wyckflow[dft]")
    folder = tmp_path / "demo"
    done = wyckflow("demo", folder, "--known", "--with-dft-simulator")
    assert done.code == 0, done.err
    assert "approved by hand" in done.out
    assert "14/14 done" in done.out
    assert "SIMULATED" in done.out
    assert "no energy on a hull" in done.out
