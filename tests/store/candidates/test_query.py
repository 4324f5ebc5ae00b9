"""Many questions over one connection: documents, a table, structures."""

from __future__ import annotations

import pytest
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.store.candidates.builder import CANDIDATES, new_candidate
from wyckflow.store.candidates.query import FIELDS, Candidates

pytestmark = pytest.mark.mongo

CELL = Structure(Lattice.cubic(3.9), ["Po"], [[0, 0, 0]])
GENES = ["225 Na:a Cl:b", "225 Mg:a O:b", "221 Sr:a Ti:b O:c", "225 K:a Cl:b"]
DISTANCES = [0.03, None, 0.01, 0.02]
CAMPAIGNS = ["a", "a", "a", "b"]


@pytest.fixture
def filled(database):
    """Three candidates of one campaign, one of another."""
    rows = []
    for text, distance, campaign in zip(GENES, DISTANCES, CAMPAIGNS, strict=True):
        item = new_candidate(campaign, WyckoffGene.from_text(text))
        found = {"energy_above_hull": distance}
        if "Sr" in text:
            found["structure"] = CELL.as_dict()
        rows.append(item.model_copy(update=found).model_dump())
    with database.client() as client:
        client[database.name][CANDIDATES].insert_many(rows)
    return database


def test_the_lowest_come_first_the_unknown_last_the_limit_counts_both(filled):
    with Candidates(filled) as candidates:
        names = [item.formula_pretty for item in candidates.find()]
        assert names == ["SrTiO3", "KCl", "NaCl", "MgO"]
        assert len(candidates.find(limit=3)) == 3
        down = candidates.find(sort=[("energy_above_hull", -1)])
    assert [item.formula_pretty for item in down] == ["NaCl", "KCl", "SrTiO3", "MgO"]


def test_a_campaign_sees_its_own_whatever_the_conditions_say(filled):
    with Candidates(filled, campaign="a") as candidates:
        assert candidates.count() == 3
        assert candidates.count({"campaign": "b"}) == 0
        assert candidates.count("energy_above_hull < 0.025") == 1


def test_a_table_has_the_flat_fields_also_when_nothing_is_found(filled):
    with Candidates(filled) as candidates:
        table = candidates.to_pandas("nsites == 8")
        nothing = candidates.to_pandas("nsites == 7")
    assert sorted(table["formula_pretty"]) == ["KCl", "MgO", "NaCl"]
    assert "structure" in FIELDS
    assert "structure" not in table.columns
    assert list(nothing.columns) == list(table.columns)


def test_structures_come_as_pymatgen_has_them(filled):
    with Candidates(filled) as candidates:
        found = candidates.structures()
    assert list(found) == [WyckoffGene.from_text(GENES[2]).gene_id]
    assert found.popitem()[1].matches(CELL)
