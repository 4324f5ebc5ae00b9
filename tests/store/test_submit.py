"""What may enter the LaunchPad, and how it is stored there."""

from __future__ import annotations

import pytest
from jobflow import Flow, job
from pymongo.errors import DuplicateKeyError
from toy_jobs import ToyMaker

from wyckflow.errors import ConfigurationError, DatabaseError, RoutingError
from wyckflow.store.connect import Database
from wyckflow.store.indexes import OUR_INDEXES, create_indexes, missing_indexes
from wyckflow.store.submit import MAX_JOBS, submit

pytestmark = pytest.mark.mongo


def test_no_address_or_password_is_stored_with_a_flow(database, mongo_server):
    submit(ToyMaker().make(1), campaign="c", database=database, priority=3)
    with database.client() as client:
        (stored,) = client[database.name].fireworks.find()
    assert stored["spec"]["_tasks"][0]["store"] is None
    assert "mongodb://" not in str(stored)
    assert stored["spec"]["campaign"] == "c"
    assert stored["spec"]["_category"] == "cpu"
    assert stored["spec"]["_priority"] == 3


def test_an_unrouted_job_is_refused_and_nothing_is_stored(database):
    @job
    def surprise():
        return 1

    unknown = surprise()
    unknown.name = "surprise"
    with pytest.raises(RoutingError, match="'surprise' names no kind of worker"):
        submit(unknown, campaign="c", database=database)
    with database.client() as client:
        assert client[database.name].fireworks.count_documents({}) == 0


def test_a_flow_too_large_for_one_workflow_is_refused(database):
    flow = Flow([ToyMaker().make(i) for i in range(MAX_JOBS + 1)])
    with pytest.raises(ConfigurationError, match="301 jobs"):
        submit(flow, campaign="c", database=database)


def test_bulky_arguments_are_refused_with_the_way_out(database):
    with pytest.raises(ConfigurationError, match="Pass a reference"):
        submit(ToyMaker().make("x" * 5_000_000), campaign="c", database=database)


def test_a_database_never_prepared_is_refused(database):
    with database.client() as client:
        client[database.name].fw_id_assigner.drop()
    with pytest.raises(DatabaseError, match="wyckflow init"):
        submit(ToyMaker().make(1), campaign="c", database=database)


def test_a_missing_database_is_refused_at_once():
    nowhere = Database.from_uri("mongodb://127.0.0.1:9/", "w")
    with pytest.raises(DatabaseError, match="No MongoDB answers"):
        submit(ToyMaker().make(1), campaign="c", database=nowhere)


def test_preparing_twice_changes_nothing_and_keeps_every_job(database):
    (fw_id,) = submit(ToyMaker().make(1), campaign="c", database=database)
    create_indexes(database)
    with database.client() as client:
        mongo = client[database.name]
        assert not missing_indexes(mongo)
        assert mongo.fireworks.find_one()["fw_id"] == fw_id
        assert mongo.fw_id_assigner.find_one()["next_fw_id"] == fw_id + 1


def test_the_same_output_cannot_be_stored_twice(database):
    with database.client() as client:
        outputs = client[database.name].outputs
        outputs.insert_one({"uuid": "u", "index": 1})
        with pytest.raises(DuplicateKeyError):
            outputs.insert_one({"uuid": "u", "index": 1})


def test_documents_against_a_unique_index_are_named_and_kept(database):
    with database.client() as client:
        outputs = client[database.name].outputs
        outputs.drop_indexes()
        outputs.insert_many([{"uuid": "u", "index": 1}, {"uuid": "u", "index": 1}])
        with pytest.raises(DatabaseError, match="Nothing was changed"):
            create_indexes(database)
        assert outputs.count_documents({}) == 2


def test_every_index_has_its_purpose_in_the_plan_of_its_query(database):
    query = {"uuid": "u", "index": 1}
    with database.client() as client:
        plan = client[database.name].outputs.find(query).explain()
    assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])
    assert len({(index.collection, index.fields) for index in OUR_INDEXES}) == len(
        OUR_INDEXES
    )
