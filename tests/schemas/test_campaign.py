"""What a campaign's file may say, and what makes two campaigns the same."""

from __future__ import annotations

import pytest

from wyckflow.errors import CampaignError, TargetError
from wyckflow.schemas.campaign import MOST_GENES, CampaignDoc, CampaignSpec


def test_only_a_name_is_needed_and_nothing_is_limited():
    spec = CampaignSpec(name="c")
    assert (spec.model, spec.screen, spec.phonon) == ("bundled", "published", None)
    assert spec.target.is_open
    assert spec.budget.relaxations is None


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "x" * 65, "$where"])
def test_a_name_that_cannot_be_typed_or_stored_is_refused(name):
    with pytest.raises(CampaignError, match="no name of a campaign"):
        CampaignSpec(name=name)


def test_unknown_keys_are_refused_at_every_depth():
    with pytest.raises(CampaignError, match="Did you mean 'n_genes'"):
        CampaignSpec(name="c", n_gene=3)
    with pytest.raises(CampaignError, match="Did you mean 'gpu_hours'"):
        CampaignSpec(name="c", budget={"gpu_hour": 3})
    with pytest.raises(TargetError, match="Did you mean 'elements_all'"):
        CampaignSpec(name="c", target={"element_all": "O"})


def test_a_round_has_a_largest_size():
    assert CampaignSpec(name="c", n_genes=MOST_GENES).n_genes == MOST_GENES
    with pytest.raises(ValueError, match="n_genes"):
        CampaignSpec(name="c", n_genes=MOST_GENES + 1)


def test_size_budget_and_the_words_for_the_model_are_not_its_content():
    one = CampaignSpec(name="c")
    same = CampaignSpec(name="c", n_genes=5, budget={"cpu_hours": 1}, model="x.npz")
    assert one.content == same.content
    assert one.content != CampaignSpec(name="c", seed=1).content


def test_a_document_comes_back_from_json_as_it_was():
    spec = CampaignSpec(name="c", target={"properties": {"band_gap": {"min": 1}}})
    document = CampaignDoc(name="c", spec=spec)
    assert CampaignDoc.model_validate_json(document.model_dump_json()) == document


def test_a_document_of_another_campaign_is_refused():
    with pytest.raises(CampaignError, match="damaged"):
        CampaignDoc(name="d", spec=CampaignSpec(name="c"))
