"""``wyckflow explain``: a candidate's decisions, printed."""

from __future__ import annotations

import json

import pytest

from wyckflow.schemas.candidate import CandidateDoc, StageVerdict
from wyckflow.store.candidates.builder import CANDIDATES, new_candidate

pytestmark = pytest.mark.mongo


@pytest.fixture
def candidate(database):
    """One candidate that a hull gate stopped."""
    from wyckflow.crystal.gene import WyckoffGene

    made = new_candidate("c", WyckoffGene.from_text("225 Na:a Cl:b"))
    verdict = StageVerdict(
        stage="hull distance",
        filter="energy_above_hull",
        verdict="fail",
        value=0.25,
        threshold=0.1,
        reason="too far above the hull",
    )
    document = CandidateDoc.model_validate(
        made.model_dump() | {"verdicts": [verdict], "verdict": "fail"}
    )
    with database.client() as client:
        client[database.name][CANDIDATES].insert_one(document.model_dump())
    return document


def test_the_chain_is_printed(wyckflow, project, candidate):
    done = wyckflow("explain", candidate.gene_id[:6], "--project", project.folder)
    assert done.code == 0, done.err
    for word in ("NaCl", "hull distance", "fail", "0.25", "0.1", "0.15", "too far"):
        assert word in done.out


def test_programs_get_json(wyckflow, project, candidate):
    done = wyckflow("explain", candidate.gene_id, "--json", "--project", project.folder)
    found = json.loads(done.out)
    assert found["links"][0]["value"] == 0.25
    assert found["campaign"] == "c"


def test_without_candidates_it_says_how_to_make_them(wyckflow, project):
    done = wyckflow("explain", "419f61", "--project", project.folder)
    assert done.code == 1
    assert "There are no candidates yet: 'wyckflow candidates' makes them" in done.err


def test_job_time_and_cost_of_each_decision_are_told(
    wyckflow, project, database, candidate
):
    job = {
        "uuid": "abcdef12-3456",
        "index": 1,
        "name": "chgnet relax",
        "completed_at": "2026-01-31T12:34:56",
        "metadata": {"fw_id": 17},
        "output": {
            "results": [
                {"gene_id": candidate.gene_id, "n_evaluations_of_gene": 30},
                {"gene_id": "other", "n_evaluations_of_gene": 90},
            ],
            "provenance": {"host": "node7", "cpu_s": 8.0, "wall_s": 4.0},
        },
    }
    with database.client() as client:
        mongo = client[database.name]
        mongo.outputs.insert_one(job)
        known = {"$set": {"job_uuids": [job["uuid"]], "round": 2, "model_id": "f" * 64}}
        mongo[CANDIDATES].update_one({}, known)
    place = ("--project", project.folder)
    shown = wyckflow("explain", candidate.gene_id, *place).out
    # A quarter of the evaluations, so a quarter of the job.
    assert "chgnet relax abcdef12 17 node7 2026-01-31 12:34 2 2 s 8 s" in shown
    assert "Proposed in round 2 by the model ffffffff" in shown
    data = json.loads(wyckflow("explain", candidate.gene_id, "--json", *place).out)
    assert data["jobs"][0]["wall_s"] == 1.0
    assert data["cpu_s"] == 2.0
