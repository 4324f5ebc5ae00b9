"""The genes of a campaign, read from the database."""

from __future__ import annotations

import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import CampaignError
from wyckflow.store.candidates.builder import CANDIDATES, new_candidate
from wyckflow.store.candidates.genes import count_candidates, iter_candidate_genes

pytestmark = pytest.mark.mongo

SALTS = ["225 Na:a Cl:b", "225 Mg:a O:b"]


@pytest.fixture
def filled(database):
    """A database with two campaigns."""
    rows = [
        new_candidate(campaign, WyckoffGene.from_text(text)).model_dump()
        for campaign, texts in (("salts", SALTS), ("others", ["221 Sr:a Ti:b O:c"]))
        for text in texts
    ]
    with database.client() as client:
        client[database.name][CANDIDATES].insert_many(rows)
    return database


def test_only_the_genes_of_the_campaign_come(filled):
    assert count_candidates(filled, "salts") == 2
    found = dict(iter_candidate_genes(filled, "salts"))
    assert sorted(found.values()) == sorted(SALTS)
    for gene_id, text in found.items():
        assert WyckoffGene.from_text(text).gene_id == gene_id
    assert list(found) == sorted(found)


def test_a_campaign_without_candidates_is_refused_with_the_nearest(filled):
    with pytest.raises(CampaignError, match="Did you mean 'salts'"):
        count_candidates(filled, "salt")
