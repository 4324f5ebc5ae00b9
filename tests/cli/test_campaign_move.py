"""A campaign to a folder and back at the command line."""

from __future__ import annotations

import json

import pytest

from wyckflow.schemas.campaign import CampaignDoc, CampaignSpec, RoundDoc
from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.store.candidates.builder import CANDIDATES, new_candidate

pytestmark = pytest.mark.mongo


@pytest.fixture
def campaign(database):
    """A campaign with two candidates that no job made."""
    from wyckflow.crystal.gene import WyckoffGene

    done = RoundDoc(
        number=0,
        n_genes=2,
        model_id="f" * 64,
        model_name="gone",
        submitted_at="2026-01-31T12:00:00Z",
    )
    spec = CampaignSpec(name="salts")
    document = CampaignDoc(name="salts", spec=spec, rounds=[done])
    with database.client() as client:
        mongo = client[database.name]
        mongo.campaigns.insert_one(document.model_dump())
        for text in ("225 Na:a Cl:b", "221 Cs:a Cl:b"):
            found = new_candidate("salts", WyckoffGene.from_text(text))
            mongo[CANDIDATES].insert_one(found.model_dump())
    return database


def candidates(database):
    with database.client() as client:
        found = client[database.name][CANDIDATES].find({}, {"_id": 0})
        return [CandidateDoc.model_validate(item) for item in found.sort("gene_id")]


def empty(database):
    with database.client() as client:
        mongo = client[database.name]
        for name in ("campaigns", CANDIDATES):
            mongo[name].delete_many({})


def test_a_campaign_goes_to_a_folder_and_comes_back(
    wyckflow, campaign, project, tmp_path
):
    place = ("-p", project.folder)
    folder = tmp_path / "out"
    done = wyckflow("campaign", "export", "salts", "-o", folder, *place)
    assert done.code == 0, done.err
    assert "2 candidates, 0 structures and 0 job outputs of salts" in done.out
    assert "without the files of the models" in done.out
    assert f"What is what: {folder}/README.md" in done.out
    content = json.loads((folder / "manifest.json").read_text())["content_id"]
    assert content in done.out
    before = candidates(campaign)
    here = wyckflow("campaign", "import", folder, *place)
    assert "was here already, and is the same" in here.out
    empty(campaign)
    done = wyckflow("campaign", "import", folder, *place)
    assert "campaign salts: 2 candidates and 0 job outputs" in done.out
    assert candidates(campaign) == before
    shown = wyckflow("campaign", "show", "salts", *place).out
    assert "paused (imported from another database)" in shown
    resumed = wyckflow("campaign", "resume", "salts", *place)
    assert resumed.code == 0, resumed.err
    assert "active" in wyckflow("status", "salts", *place).out
    listed = wyckflow("campaign", "list", *place).out
    assert "salts active 1 2 2 0 2026-01-31 12:00" in listed
    found = wyckflow("candidates", "-c", "salts", "--format", "csv", *place).out
    assert all(item.gene_id in found for item in before)


def test_mistakes_are_one_sentence(wyckflow, campaign, project, tmp_path):
    place = ("-p", project.folder)
    done = wyckflow("campaign", "export", "salt", *place)
    assert done.code == 1
    assert "Did you mean 'salts'" in done.err
    done = wyckflow("campaign", "export", "salts", "-o", tmp_path, *place)
    assert done.code == 1
    assert "There is something at" in done.err
    done = wyckflow("campaign", "import", tmp_path, *place)
    assert done.code == 1
    assert "no exported campaign" in done.err
    folder = tmp_path / "new"
    wyckflow("campaign", "export", "salts", "-o", folder, *place)
    with (folder / "candidates.csv").open("a") as stream:
        stream.write("one more\n")
    done = wyckflow("campaign", "import", folder, *place)
    assert done.code == 1
    assert "not as it was exported: candidates.csv has" in done.err
    assert "Traceback" not in done.err


def test_parquet_that_cannot_be_written_says_how_to(
    wyckflow, campaign, project, tmp_path, monkeypatch
):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    words = ("campaign", "export", "salts", "-o", tmp_path / "new", "--parquet")
    done = wyckflow(*words, "-p", project.folder)
    assert done.code == 1
    assert "pip install wyckflow[parquet]" in done.err
