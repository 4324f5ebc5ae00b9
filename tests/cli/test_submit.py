"""Campaigns at the command line: written, sent, shown, extended, run here, joined."""

from __future__ import annotations

import csv
import json
import re

import pytest
import yaml

from wyckflow.cli.submit import _say_gate
from wyckflow.store.campaign.file import read_campaign_file, write_template
from wyckflow.store.campaign.record import read_campaign
from wyckflow.store.candidates.query import find_candidates

pytestmark = pytest.mark.mongo


@pytest.fixture
def write_campaign(tiny_model, tmp_path):
    """Write a file of a campaign that costs next to nothing."""

    def write(name="salts.yaml", **options):
        content = {
            "name": "salts",
            "model": str(tiny_model),
            "target": {"space_groups": "221, 225", "n_elements": {"max": 2}},
            "n_genes": 3,
            "generate": {"keep_known": True, "max_atoms": 8},
            "screen": {"name": "easy", "filters": ["uniqueness"]},
            "relax": {"n_trials": 1, "max_steps": 4, "n_coarse_stages": 0},
            "hull": {"threshold": 9.0},
            "phonon": {"min_length": 3.0},
            "budget": {"relaxations": 2},
        }
        path = tmp_path / name
        path.write_text(yaml.safe_dump(content | options))
        return path

    return write


def find(database):
    return find_candidates(database, campaign="salts")


def test_a_campaign_is_sent_shown_extended_and_sent_again(
    wyckflow, write_campaign, project
):
    place = ("-p", project.folder)
    sent = wyckflow("submit", write_campaign(), *place)
    assert "campaign salts: 3 genes, model tiny" in sent.out
    assert "wyckflow worker start --category gpu" in sent.out
    assert re.search(r"chgnet relax gpu 1 [\d.]+ s other machines", sent.out)
    seen = wyckflow("status", "salts", *place).out
    assert "no cpu and no gpu worker lives" in seen
    assert "relaxations planned 0 2" in seen
    data = json.loads(wyckflow("status", "salts", "--json", *place).out)
    assert data["budget"]["relaxations"] == 2
    assert (data["eta_s"], data["used"]["relaxations"]) == (None, 0)
    shown = wyckflow("campaign", "show", "salts", *place).out
    assert "space groups: 221, 225" in shown
    assert "Nothing has run yet" in shown
    assert "relaxations planned 0 2" in shown
    larger = write_campaign(budget={"relaxations": 5})
    assert "was sent before" in wyckflow("submit", larger, *place).out
    extended = wyckflow("campaign", "extend", "salts", "--genes", 4, *place)
    assert "round 1 of salts: 4 genes, of which 3 may be relaxed" in extended.out
    assert "round 0 had no plan yet" in " ".join(extended.out.split())
    too_many = wyckflow("campaign", "extend", "salts", "--genes", 10**7, *place)
    assert "'n_genes' is 10000000" in too_many.err
    assert (
        "relaxations planned 0 5" in wyckflow("campaign", "show", "salts", *place).out
    )


def test_holding_freeing_and_ending_are_noted_in_the_campaign(
    wyckflow, write_campaign, project, database
):
    place = ("-p", project.folder)
    wyckflow("submit", write_campaign(), *place)
    for words, state in (
        (("pause",), "paused"),
        (("resume",), "active"),
        (("cancel", "--yes"), "cancelled"),
    ):
        wyckflow("campaign", *words, "salts", *place)
        assert read_campaign(database, "salts").state == state
    done = wyckflow("campaign", "extend", "salts", "--genes", 3, *place)
    assert "was cancelled" in done.err


def test_a_campaign_runs_here_and_leaves_files_documents_and_a_figure(
    wyckflow, write_campaign, project, database, tmp_path
):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    folder = tmp_path / "found"
    place = ("-p", project.folder)
    done = wyckflow("run", write_campaign(), "-o", folder, *place)
    assert done.code == 0, done.err
    assert "0 failed" in done.out
    assert "scale chgnet-0.3.0" in done.out
    with (folder / "candidates.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    relaxed = [row for row in rows if row["energy_per_atom"]]
    assert (len(rows), len(relaxed)) == (3, 2)
    assert len(list((folder / "crystals").glob("*.cif"))) == 2
    assert (folder / "funnel.png").stat().st_size > 10_000
    shown = wyckflow("campaign", "show", "salts", *place).out
    assert "relaxations planned 2 2" in shown
    assert "uniqueness 3 3" in shown
    assert re.search(r"chgnet relax gpu \d+ 2 1 ", shown)  # beside what was estimated
    before = {item.gene_id: item.energy_per_atom for item in find(database)}
    again = wyckflow("build", "--campaign", "salts", "--from-scratch", *place)
    assert "new outputs" in again.out
    assert {item.gene_id: item.energy_per_atom for item in find(database)} == before
    assert "0 new outputs" in wyckflow("build", *place).out


def test_what_was_sent_to_workers_is_not_run_here_as_well(
    wyckflow, write_campaign, project
):
    place = ("-p", project.folder)
    wyckflow("submit", write_campaign(), *place)
    done = wyckflow("submit", write_campaign(), "--local", *place)
    assert done.code == 1
    assert "was sent to workers already" in done.err


def test_a_job_that_fails_here_is_named_and_the_rest_is_shown(
    wyckflow, write_campaign, project, tmp_path, monkeypatch
):
    def fail(*_, **__):
        raise RuntimeError("no such luck")

    monkeypatch.setattr("wyckflow.makers.plan.PlanMaker._cut", fail)
    path = write_campaign(dft={"opens_below": 0.03})
    done = wyckflow("run", path, "-o", tmp_path / "o", "-p", project.folder)
    assert done.code == 1
    assert "a job 'campaign plan' failed" in done.err
    assert "no such luck" in done.err
    assert "uniqueness 3 3" in done.out
    said = " ".join(done.out.split())
    assert "a run without workers ends at that gate" in said
    assert "'wyckflow advance salts' applies the rule" in said


def test_where_the_database_is_gone_a_run_says_that_vasp_cannot_follow(capsys):
    _say_gate("salts", is_kept=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "Nothing went on to VASP" in said
    assert "'wyckflow submit' the file in a project" in said
    assert "advance" not in said


def test_a_new_file_is_the_papers_target_and_can_be_read(wyckflow, tmp_path):
    path = tmp_path / "oxides.yaml"
    assert f"wyckflow submit {path}" in wyckflow("campaign", "new", path).out
    spec = read_campaign_file(path)
    assert spec.name == "oxides"
    assert spec.target.conditions() == {
        "band_gap": "0.5 to 2",
        "formation_energy_per_atom": "at most -0.5",
        "space_groups": "143-230",
    }
    assert "There is a file" in wyckflow("campaign", "new", path).err
    other = tmp_path / "no" / "such.yaml"
    assert "cannot be written" in wyckflow("campaign", "new", other).err
    done = wyckflow("campaign", "new", tmp_path / "b.yaml", "--name", "a b")
    assert "no name of a campaign" in done.err
    assert not (tmp_path / "b.yaml").exists()


def test_what_the_template_calls_a_default_is_one(tmp_path):
    """All but the target, the threshold's section, phonons and the budget."""
    path = tmp_path / "c.yaml"
    write_template(path)
    from wyckflow.flows.campaign import CampaignFlowMaker
    from wyckflow.makers.hull import HullMaker
    from wyckflow.schemas.campaign import CampaignSpec

    written = read_campaign_file(path)
    kept = {"target", "hull", "phonon", "budget"}
    plain = CampaignSpec(name="c").model_dump(exclude=kept)
    assert written.model_dump(exclude=kept) == plain
    shard = CampaignFlowMaker.from_spec(written).plan_maker.shard_maker
    assert shard.hull_maker == HullMaker()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("nme: x", "Did you mean 'name'"),
        ("name: x\nbudget: {relaxation: 3}", "Did you mean 'relaxations'"),
        ("name: x\nn_genes: many", "'n_genes' is 'many'"),
        ("name: x\ntarget: {space_groups: 1-400}", "from 1 to 230"),
        (
            "name: x\ntarget: {elements_all: Na, elements_none: Na}",
            "take it out of one of them",
        ),
        ("name: x\nrelax: {fmx: 1}", "Did you mean 'fmax'"),
        ("name: x\ntarget: {properties: {gap: {min: 1}}}", "band_gap"),
        ("name: x\nmodel: other.npz", "no model's file"),
        ("- a\n- b", "no 'key: value' lines"),
        ("name: [", "not valid YAML"),
        (None, "cannot be read"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_file_that_is_wrong_is_one_sentence(
    wyckflow, project, tmp_path, tiny_model, *, content, says
):
    path = tmp_path / "bad.yaml"
    if content is not None:
        if content.startswith("name: x") and "model" not in content:
            content += f"\nmodel: {tiny_model}"
        path.write_text(content)
    done = wyckflow("submit", path, "-p", project.folder)
    assert done.code == 1
    assert says in done.err
    assert "Traceback" not in done.err
    assert "No campaign" in wyckflow("campaign", "show", "x", "-p", project.folder).err


def test_another_campaign_of_the_same_name_is_refused(
    wyckflow, write_campaign, project
):
    place = ("-p", project.folder)
    wyckflow("submit", write_campaign(), *place)
    done = wyckflow("submit", write_campaign("b.yaml", seed=4), *place)
    assert done.code == 1
    assert "differs in seed" in done.err


def test_building_an_unknown_campaign_names_the_nearest(
    wyckflow, write_campaign, project
):
    place = ("-p", project.folder)
    wyckflow("submit", write_campaign(), *place)
    done = wyckflow("build", "--campaign", "salt", *place)
    assert done.code == 1
    assert "Did you mean 'salts'" in done.err
