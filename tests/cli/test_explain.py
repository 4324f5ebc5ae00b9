"""``wyckflow explain``: a candidate's decisions, printed."""

from __future__ import annotations

import json

import pytest

from wyckflow.schemas.candidate import CandidateDoc, StageVerdict
from wyckflow.store.builder import CANDIDATES, new_candidate

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
