"""The doctor explains itself with nothing running, and mends what can be mended."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))


@pytest.fixture
def findings(wyckflow):
    """Return the findings of an examination as (topic, level, text)."""

    def call(*words):
        done = wyckflow("doctor", "--json", *words)
        return done.code, [tuple(item.values()) for item in json.loads(done.out)]

    return call


def texts(found, level):
    return " | ".join(text for _, grade, text in found if grade == level)


def test_without_a_project_it_examines_the_installation_and_says_how_to_go_on(
    wyckflow, tmp_path
):
    os.chdir(tmp_path)
    done = wyckflow("doctor")
    assert done.code == 0
    assert "wyckflow init" in done.out
    assert "mongod" in done.out


def test_with_nothing_running_it_says_what_to_start(findings, tmp_path, wyckflow):
    from wyckflow.settings import WyckflowSettings
    from wyckflow.store.connect import Database
    from wyckflow.store.project import Project

    home = Project(tmp_path / "p", WyckflowSettings())
    home.write_files(
        Database.from_uri("mongodb://127.0.0.1:9/", "w"), store_password=True
    )
    code, found = findings("-p", home.folder)
    assert code == 1
    assert "wyckflow db start" in texts(found, "failure")


@pytest.mark.mongo
def test_a_healthy_project_has_nothing_wrong(findings, project):
    code, found = findings("-p", project.folder)
    assert code == 0
    assert not texts(found, "failure")
    topics = {topic for topic, _, _ in found}
    assert {"database", "indexes", "clock", "disk", "locks", "lost jobs"} <= topics


@pytest.mark.mongo
def test_missing_indexes_are_named_and_created(findings, project, database):
    with database.client() as client:
        client[database.name].outputs.drop_indexes()
        code, found = findings("-p", project.folder)
        assert code == 1
        assert "outputs.uuid_1_index_1" in texts(found, "failure")
        code, found = findings("-p", project.folder, "--fix")
        assert code == 0
        assert "uuid_1_index_1" in client[database.name].outputs.index_information()


@pytest.mark.mongo
def test_a_worker_file_without_a_category_is_wrong(findings, project):
    path = project.path("fworker_gpu.yaml")
    path.write_text("name: x\ncategory: ''\nquery: '{}'\n")
    code, found = findings("-p", project.folder)
    assert code == 1
    assert "names no category" in texts(found, "failure")
    path.write_text("name: x\n")
    assert "lacks category, query" in texts(
        findings("-p", project.folder)[1], "failure"
    )


@pytest.mark.mongo
def test_a_password_that_others_can_read_is_wrong(findings, project):
    project.path("launchpad.yaml").chmod(0o644)
    code, found = findings("-p", project.folder)
    assert code == 1
    assert "chmod 600" in texts(found, "failure")


@pytest.mark.mongo
def test_a_job_store_that_points_elsewhere_is_wrong(findings, project):
    path = project.path("jobflow.yaml")
    content = yaml.safe_load(path.read_text())
    content["JOB_STORE"]["docs_store"]["database"] = "other"
    path.write_text(yaml.safe_dump(content))
    code, found = findings("-p", project.folder)
    assert code == 1
    assert "'other'" in texts(found, "failure")


@pytest.mark.mongo
def test_a_lock_that_nobody_holds_is_released(findings, project, database):
    from toy_jobs import ToyMaker

    from wyckflow.store.submit import submit

    submit(ToyMaker().make(1), campaign="c", database=database)
    with database.client() as client:
        workflows = client[database.name].workflows
        workflows.update_one({}, {"$set": {"locked": True}})
        assert "locked" in texts(findings("-p", project.folder)[1], "warning")
        findings("-p", project.folder, "--fix")
        assert "locked" not in workflows.find_one()


@pytest.mark.mongo
def test_a_lost_job_is_named_and_made_ready_again(findings, project, database):
    from fireworks import FWorker
    from toy_jobs import ToyMaker

    from wyckflow.store.submit import submit
    from wyckflow.store.worker.heartbeat import Heartbeat

    (fw_id,) = submit(ToyMaker().make(1), campaign="c", database=database)
    launchpad = database.launchpad()
    with Heartbeat(database, "dead-1", "cpu", period_s=9, current_job=lambda: fw_id):
        launchpad.checkout_fw(FWorker("dead-1", ["cpu"]), "/nowhere")
    code, found = findings("-p", project.folder)
    assert code == 1
    assert "dead-1 is lost" in texts(found, "failure")
    findings("-p", project.folder, "--fix")
    job = launchpad.fireworks.find_one({"fw_id": fw_id})
    assert job["state"] == "READY"
    assert job["archived_launches"]


@pytest.mark.mongo
def test_a_silent_but_perhaps_living_worker_keeps_its_job(findings, project, database):
    from datetime import UTC, datetime, timedelta

    from fireworks import FWorker
    from toy_jobs import ToyMaker

    from wyckflow.store.submit import submit

    project.path("wyckflow.yaml").write_text("lost_after_s: 0.001\n")
    (fw_id,) = submit(ToyMaker().make(1), campaign="c", database=database)
    launchpad = database.launchpad()
    _, launch_id = launchpad.checkout_fw(FWorker("far-1", ["cpu"]), "/nowhere")
    long_ago = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    launchpad.launches.update_one(
        {"launch_id": launch_id}, {"$set": {"state_history.0.updated_on": long_ago}}
    )
    _, found = findings("-p", project.folder, "--fix")
    assert "silent for" in texts(found, "warning")
    assert launchpad.fireworks.find_one({"fw_id": fw_id})["state"] == "RUNNING"


@pytest.mark.mongo
def test_jobs_that_no_worker_will_take_are_pointed_out(findings, project, database):
    from toy_jobs import ToyMaker

    from wyckflow.store.submit import submit

    submit(ToyMaker(name="vasp static").make(1), campaign="c", database=database)
    _, found = findings("-p", project.folder)
    assert "wyckflow worker start --category vasp" in texts(found, "warning")
