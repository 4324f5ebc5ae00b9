"""What another version of wyckflow has stored is read as it was meant, or refused."""

from __future__ import annotations

import pytest

from wyckflow.errors import DocumentError
from wyckflow.schemas.campaign import CampaignDoc, CampaignSpec
from wyckflow.schemas.relaxation import (
    Outcome,
    RelaxationBatchDoc,
    RelaxationDoc,
    RelaxationSettings,
)
from wyckflow.store.campaign.funnel import read_funnel
from wyckflow.store.campaign.record import CAMPAIGNS, read_campaign
from wyckflow.store.candidates.builder import CANDIDATES, build_candidates
from wyckflow.store.candidates.query import find_candidates
from wyckflow.store.candidates.versions import check_output_version

pytestmark = pytest.mark.mongo

GENE, NAME = "225 Cl:b Na:a", "chgnet relax"
NEWEST = RelaxationBatchDoc.SCHEMA_VERSION
OTHERS = pytest.mark.parametrize("version", [99, str(NEWEST), None, 0])


@pytest.fixture
def mongo(database):
    with database.client() as client:
        yield client[database.name]


@pytest.fixture
def put(database, mongo):
    """Store the output of a job, of some version."""
    from monty.json import jsanitize

    from wyckflow.crystal.gene import WyckoffGene

    gene = WyckoffGene.from_text(GENE)
    result = RelaxationDoc(
        outcome=Outcome.CONVERGED,
        energy_per_atom=-3.0,
        gene=gene.to_text(),
        gene_id=gene.gene_id,
        formula_pretty=gene.formula,
        space_group_number_before=225,
    )
    settings = RelaxationSettings(
        relaxer="r",
        engine="e",
        n_trials=1,
        seed=0,
        fmax=0.01,
        max_stress_gpa=0.1,
        max_steps=9,
        symprec=0.01,
    )
    document = RelaxationBatchDoc(
        energy_scale="toy", settings=settings, n_converged=1, results=[result]
    )

    def call(version):
        output = jsanitize(document, strict=True, enum_values=True, allow_bson=True)
        entry = {"uuid": "u", "index": 1, "name": NAME, "metadata": {"campaign": "c"}}
        entry |= {"output": output | {"schema_version": version}}
        mongo.outputs.replace_one(
            {"uuid": "u"}, entry | {"completed_at": repr(version)}, upsert=True
        )

    return call


@OTHERS
def test_an_output_of_another_layout_becomes_no_candidate(
    database, mongo, put, version
):
    put(version)
    with pytest.raises(DocumentError, match="RelaxationBatchDoc has schema_version"):
        build_candidates(database, campaign="c")
    assert mongo[CANDIDATES].count_documents({}) == 0
    with pytest.raises(DocumentError, match="schema_version"):
        read_funnel(database, "c")


@OTHERS
def test_a_candidate_keeps_what_it_had_when_an_output_changes_its_layout(
    database, put, version
):
    put(NEWEST)
    build_candidates(database, campaign="c")
    put(version)
    with pytest.raises(DocumentError):
        build_candidates(database, campaign="c")
    (candidate,) = find_candidates(database, campaign="c")
    assert candidate.energy_per_atom == -3.0
    put(NEWEST)
    assert build_candidates(database, campaign="c").n_outputs == 0


def test_an_older_layout_that_lacks_fields_is_read(database, put):
    put(1)
    build_candidates(database, campaign="c")
    (candidate,) = find_candidates(database, campaign="c")
    assert candidate.energy_per_atom == -3.0


@pytest.mark.parametrize("version", [99, "1", None, 0])
def test_a_candidate_of_another_layout_is_neither_shown_nor_overwritten(
    database, mongo, put, version
):
    put(NEWEST)
    build_candidates(database, campaign="c")
    mongo[CANDIDATES].update_one({}, {"$set": {"schema_version": version}})
    before = mongo[CANDIDATES].find_one()
    with pytest.raises(DocumentError, match="CandidateDoc has schema_version"):
        find_candidates(database, campaign="c")
    mongo["built"].delete_many({})
    with pytest.raises(DocumentError, match="CandidateDoc has schema_version"):
        build_candidates(database, campaign="c")
    assert mongo[CANDIDATES].find_one() == before


@pytest.mark.parametrize("version", [99, "1", None, 0])
def test_a_campaign_of_another_layout_is_refused(database, mongo, version):
    campaign = CampaignDoc(name="c", spec=CampaignSpec(name="c")).model_dump()
    mongo[CAMPAIGNS].insert_one(campaign | {"schema_version": version})
    with pytest.raises(DocumentError, match="CampaignDoc has schema_version"):
        read_campaign(database, "c")


def test_what_is_not_ours_is_let_through():
    check_output_version({})
    check_output_version({"@module": "emmet.core.tasks", "@class": "TaskDoc"})
    check_output_version({"@module": "wyckflow.schemas.base", "@class": "Provenance"})
