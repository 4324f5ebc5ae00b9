"""The verdict chain of a candidate, from the database."""

from __future__ import annotations

import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import QueryError
from wyckflow.makers.screen import ScreenMaker
from wyckflow.schemas.screening import Verdict
from wyckflow.store.candidates.builder import CANDIDATES, build_candidates
from wyckflow.store.candidates.explain import explain_candidate
from wyckflow.store.connect import OUTPUTS

pytestmark = pytest.mark.mongo

SALT, BAD, HELIDE = "225 Na:a Cl:b", "225 Na:a F:c", "225 He:a O:b"
GOOD = "221 Cs:a Cl:b"
SCREEN = {
    "name": "own",
    "filters": [
        "uniqueness",
        "charge_neutrality",
        {"filter": "maximum_score", "name": "metal", "score": "metal", "below": 0.5},
        {"filter": "max_sites", "max_sites": 8},
    ],
}


def gene_id(text):
    return WyckoffGene.from_text(text).gene_id


@pytest.fixture
def screened(database):
    """Four genes that one screening judged, joined into candidates."""
    from monty.json import jsanitize

    document = ScreenMaker.make.original(
        ScreenMaker(screen=SCREEN),
        [SALT, BAD, HELIDE, GOOD],
        evidence={"metal": [0.7, 0.1, 0.1, 0.1]},
    )
    store = database.job_store()
    store.connect()
    output = jsanitize(document, strict=True, enum_values=True, allow_bson=True)
    entry = {"uuid": "s", "index": 1, "output": output, "name": "gene screen"}
    entry |= {"completed_at": "2026-01-01T00:00:00", "metadata": {"campaign": "c"}}
    store.update(entry | {"hosts": []}, key=["uuid", "index"], save={"blobs": "blob"})
    build_candidates(database, campaign="c")
    return database


def links_of(database, text):
    found = explain_candidate(database, gene_id(text))
    assert found.candidate.gene == WyckoffGene.from_text(text).to_text()
    return {link.filter: link for link in found.links}


def test_the_filter_that_failed_says_by_how_much(screened):
    links = links_of(screened, SALT)
    assert list(links) == ["uniqueness", "charge_neutrality", "metal", "max_sites"]
    metal = links["metal"]
    assert (metal.verdict, metal.value, metal.threshold) == (Verdict.FAIL, 0.7, 0.5)
    assert metal.excess == pytest.approx(0.2)
    assert "metal score below 0.5" in metal.rule
    assert links["charge_neutrality"].verdict is Verdict.PASS
    assert links["charge_neutrality"].value == 0.0


def test_filters_behind_it_were_not_asked_but_say_what_they_would(screened):
    links = links_of(screened, BAD)
    assert links["charge_neutrality"].verdict is Verdict.FAIL
    assert links["charge_neutrality"].excess == -1.0
    assert (links["metal"].verdict, links["metal"].reason) == (None, "not asked")
    sites = links["max_sites"]  # needs nothing but the gene
    assert (sites.verdict, sites.value, sites.threshold) == (None, 12, 8)
    assert sites.reason.startswith("not asked; it would fail: too many atoms")


def test_a_gene_that_passed_has_passed_every_filter(screened):
    links = links_of(screened, GOOD)
    assert [link.verdict for link in links.values()] == [Verdict.PASS] * 4
    assert links["max_sites"].value == 2


def test_what_could_not_be_judged_says_why(screened):
    links = links_of(screened, HELIDE)
    assert links["charge_neutrality"].verdict is Verdict.CANNOT_JUDGE
    assert "oxidation states of He" in links["charge_neutrality"].reason


def test_the_first_digits_are_enough_if_they_name_one(screened):
    whole = gene_id(SALT)
    others = [gene_id(BAD), gene_id(HELIDE), gene_id(GOOD)]
    n_digits = next(
        n for n in range(1, 17) if not any(o.startswith(whole[:n]) for o in others)
    )
    found = explain_candidate(screened, whole[:n_digits].upper(), campaign="c")
    assert found.candidate.gene_id == whole


def test_what_names_no_candidate_is_refused(screened):
    with pytest.raises(QueryError, match="no gene id"):
        explain_candidate(screened, "SrTiO3")
    with pytest.raises(QueryError, match="begins with '0000000000'"):
        explain_candidate(screened, "0000000000")
    with pytest.raises(QueryError, match="no candidates of campaign 'other' yet"):
        explain_candidate(screened, gene_id(SALT), campaign="other")


def test_what_names_several_is_refused(screened):
    with screened.client() as client:
        candidates = client[screened.name][CANDIDATES]
        salt = candidates.find_one({"gene_id": gene_id(SALT)}, {"_id": 0})
        candidates.insert_one(salt | {"campaign": "d"})
    with pytest.raises(QueryError, match="several campaigns"):
        explain_candidate(screened, gene_id(SALT))
    found = explain_candidate(screened, gene_id(SALT), campaign="d")
    assert found.candidate.campaign == "d"
    with screened.client() as client:
        near = gene_id(SALT)[:15] + ("0" if gene_id(SALT)[15] != "0" else "1")
        client[screened.name][CANDIDATES].insert_one(salt | {"gene_id": near})
    with pytest.raises(QueryError, match="give more digits"):
        explain_candidate(screened, gene_id(SALT)[:15])


def test_a_screen_that_this_version_does_not_know_leaves_the_stored_verdicts(screened):
    with screened.client() as client:
        client[screened.name][OUTPUTS].update_one(
            {"uuid": "s"}, {"$set": {"output.screen.filters.0": "from_the_future"}}
        )
    links = links_of(screened, SALT)
    assert links["metal"].excess == pytest.approx(0.2)
    assert links["charge_neutrality"].verdict is Verdict.PASS
    assert links["charge_neutrality"].value is None


def test_without_a_screening_the_verdicts_of_the_stages_are_told(screened):
    with screened.client() as client:
        client[screened.name][OUTPUTS].delete_many({})
    (link,) = explain_candidate(screened, gene_id(SALT)).links
    assert (link.stage, link.filter, link.value) == ("gene screen", "metal", 0.7)
