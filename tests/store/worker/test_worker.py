"""Real workers: routing, leaving, dying, outages; nothing lost, nothing doubled."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml
from jobflow import Flow
from toy_jobs import FanMaker, ToyMaker, collect, kill_worker, make_unlabelled
from waiting import wait_until

from wyckflow.schemas.blob import unpack_arrays
from wyckflow.store.submit import submit

pytestmark = pytest.mark.mongo


@pytest.fixture
def mongo(database):
    with database.client() as client:
        yield client[database.name]


def states(mongo):
    return {job["fw_id"]: job["state"] for job in mongo.fireworks.find()}


def all_in(mongo, state):
    return lambda: set(states(mongo).values()) == {state}


def values(mongo):
    return sorted(
        doc["output"]["value"]
        for doc in mongo.outputs.find({"output.value": {"$exists": True}})
    )


def test_each_worker_takes_its_kind_and_dynamic_children_keep_theirs(
    project, database, mongo, start_worker
):
    fan = FanMaker().make()
    after = ToyMaker().make(fan.output["values"][1])
    submit(Flow([fan, after]), campaign="c", database=database)
    workers = [start_worker("gpu"), start_worker("cpu")]
    wait_until(all_in(mongo, "COMPLETED"), what="completion of the whole graph")
    by_name = {}
    for job in mongo.fireworks.find():
        launch = mongo.launches.find_one({"launch_id": job["launches"][0]})
        kind = launch["fworker"]["name"].split("-")[-2]
        by_name.setdefault(job["name"], set()).add(kind)
    assert by_name == {
        "gene generate": {"gpu"},
        "chgnet relax": {"gpu"},
        "hull distance": {"cpu"},
        "store_inputs": {"cpu"},
        "gene screen": {"cpu"},
    }
    assert values(mongo) == [0, 10, 20, 100]
    assert {doc["metadata"]["campaign"] for doc in mongo.outputs.find()} == {"c"}
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0


def test_a_job_that_names_no_kind_of_worker_runs_on_a_cpu_worker(
    database, mongo, start_worker
):
    parent = make_unlabelled()
    parent.name = "gene generate"
    submit(parent, campaign="c", database=database)
    start_worker("gpu")
    start_worker("cpu")
    wait_until(all_in(mongo, "COMPLETED"), what="completion of the child")
    (child,) = mongo.fireworks.find({"name": "somebody else's analysis"})
    assert "_category" not in child["spec"]
    launch = mongo.launches.find_one({"launch_id": child["launches"][0]})
    assert "-cpu-" in launch["fworker"]["name"]


def test_a_worker_started_anywhere_takes_the_projects_settings(
    project, database, mongo, start_worker, tmp_path
):
    submit(ToyMaker().make(1), campaign="c", database=database)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    start_worker("cpu", "--max-jobs", "1", folder=elsewhere, FW_CONFIG_FILE="").wait(60)
    assert values(mongo) == [10]


def test_bulk_comes_back_from_the_blob_store_as_bytes(database, mongo, start_worker):
    job = ToyMaker().make(3)
    submit(job, campaign="c", database=database)
    start_worker("cpu", "--max-jobs", "1").wait(60)
    stored = mongo.outputs.find_one({"uuid": job.uuid})
    assert "blob_uuid" in stored["output"]["blob"]  # a pointer, not the bytes
    store = database.job_store()
    store.connect()
    document = store.get_output(job.uuid, load=True)
    assert isinstance(document["blob"], bytes)
    np.testing.assert_array_equal(
        unpack_arrays(document["blob"])["x"], np.arange(1000) * 3
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_gives_the_job_back_and_the_next_worker_finishes_it(
    database, mongo, start_worker, tmp_path, number
):
    diary = tmp_path / "diary"
    slow = ToyMaker(seconds=2.0, diary=str(diary))
    first = slow.make(7)
    gather = collect([first.output.value])
    gather.name = "hull distance"  # would run with None, were the parent FIZZLED
    submit(Flow([first, gather]), campaign="c", database=database)
    worker = start_worker("cpu")
    wait_until(diary.exists, what="start of the job")
    worker.send_signal(number)
    out, _ = worker.communicate(timeout=30)
    assert worker.returncode == 0, out
    assert "back to the queue" in out
    assert "Traceback" not in out
    assert sorted(states(mongo).values()) == ["READY", "WAITING"]
    start_worker("cpu")
    wait_until(all_in(mongo, "COMPLETED"), what="completion by the second worker")
    assert diary.read_text().split("\n")[:3] == ["start 7", "start 7", "end 7"]
    collected = mongo.outputs.find_one({"name": "hull distance"})
    assert collected["output"]["values"] == [70]


def test_the_job_of_a_killed_worker_is_found_and_finished_by_another(
    database, mongo, start_worker, tmp_path
):
    diary = tmp_path / "diary"
    submit(
        ToyMaker(seconds=1.5, diary=str(diary)).make(1), campaign="c", database=database
    )
    victim = start_worker("cpu")
    wait_until(diary.exists, what="start of the job")
    victim.kill()
    victim.wait()
    start_worker("cpu")
    wait_until(all_in(mongo, "COMPLETED"), what="completion by another worker")
    assert values(mongo) == [10]
    assert mongo.outputs.count_documents({}) == 1


def test_a_job_that_kills_its_workers_is_given_up_in_the_end(
    database, mongo, start_worker
):
    poison = kill_worker()
    poison.name = "gene screen"
    submit(poison, campaign="c", database=database)
    for _ in range(5):
        start_worker("cpu", "--idle", "2").wait(60)
        if set(states(mongo).values()) == {"FIZZLED"}:
            break
    assert set(states(mongo).values()) == {"FIZZLED"}
    assert mongo.launches.count_documents({}) == 3


def test_a_failing_job_stops_neither_its_worker_nor_its_neighbours(
    database, mongo, start_worker
):
    for value in (-1, 2):
        submit(ToyMaker().make(value), campaign="c", database=database)
    worker = start_worker("cpu", "--max-jobs", "4")
    out, _ = worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert out.count("a job failed: ValueError: value=-1 is negative") == 3
    assert sorted(states(mongo).values()) == ["COMPLETED", "FIZZLED"]


def test_workers_that_race_launch_each_job_once(database, mongo, start_worker):
    jobs = [ToyMaker().make(i) for i in range(12)]
    for job in jobs:
        submit(job, campaign="c", database=database)
    crowd = [start_worker("cpu", "--idle", "2") for _ in range(3)]
    for worker in crowd:
        worker.communicate(timeout=90)
    assert all_in(mongo, "COMPLETED")()
    assert mongo.launches.count_documents({}) == len(jobs)
    assert values(mongo) == [10 * i for i in range(12)]


def test_an_outage_while_a_job_runs_loses_nothing(
    mongo_server, database, mongo, start_worker, tmp_path
):
    diary = tmp_path / "diary"
    maker = ToyMaker(seconds=2.0, diary=str(diary))
    submit(maker.make(4), campaign="c", database=database)
    worker = start_worker("cpu")
    wait_until(diary.exists, what="start of the job")
    mongo_server.stop()
    wait_until(lambda: "end 4" in diary.read_text(), what="end of the work")
    mongo_server.start(die_with_parent=True)
    wait_until(all_in(mongo, "COMPLETED"), what="completion after the outage")
    assert values(mongo) == [40]
    assert worker.poll() is None


def test_an_idle_worker_waits_for_a_database_that_went_away(
    mongo_server, database, mongo, start_worker
):
    worker = start_worker("cpu")
    wait_until(mongo.workers.find_one, what="the first heartbeat")
    mongo_server.stop()
    mongo_server.start(die_with_parent=True)
    submit(ToyMaker().make(5), campaign="c", database=database)
    wait_until(all_in(mongo, "COMPLETED"), what="completion after the outage")
    assert worker.poll() is None


def test_running_a_flow_twice_stores_each_result_once(database, mongo, start_worker):
    job = ToyMaker().make(6)
    (fw_id,) = submit(job, campaign="c", database=database)
    start_worker("cpu", "--max-jobs", "1").wait(60)
    launchpad = database.launchpad()
    launchpad.rerun_fw(fw_id)
    start_worker("cpu", "--max-jobs", "1").wait(60)
    assert mongo.outputs.count_documents({"uuid": job.uuid}) == 1


def test_several_processes_leave_together(database, mongo, start_worker):
    workers = start_worker("cpu", "--processes", "2")
    wait_until(
        lambda: mongo.workers.count_documents({"state": "alive"}) == 2,
        what="two heartbeats",
    )
    workers.send_signal(signal.SIGTERM)
    out, _ = workers.communicate(timeout=30)
    assert workers.returncode == 0, out
    assert mongo.workers.count_documents({"state": "left"}) == 2


def test_a_worker_refuses_to_start_where_results_would_be_lost(project, start_worker):
    path = project.path("jobflow.yaml")
    path.write_text(
        yaml.safe_dump({"JOB_STORE": {"docs_store": {"type": "MemoryStore"}}})
    )
    worker = start_worker("cpu")
    out, _ = worker.communicate(timeout=30)
    assert worker.returncode == 1
    assert "every result would be lost" in " ".join(out.split())
    assert "wyckflow init" in out


def test_a_worker_refuses_to_start_without_its_database(project, start_worker):
    path = project.path("launchpad.yaml")
    content = yaml.safe_load(path.read_text()) | {"host": "mongodb://127.0.0.1:9/"}
    path.write_text(yaml.safe_dump(content))
    worker = start_worker("cpu")
    out, _ = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert "No MongoDB answers" in out
    assert "Traceback" not in out


def test_a_worker_refuses_fireworks_settings_that_are_not_the_projects(
    project, start_worker, tmp_path
):
    stray = tmp_path / "home" / ".fireworks"
    stray.mkdir(parents=True)
    (stray / "FW_config.yaml").write_text("PING_TIME_SECS: 7\n")
    project.path("FW_config.yaml").rename(project.path("elsewhere.yaml"))
    worker = start_worker("cpu", HOME=str(tmp_path / "home"))
    out, _ = worker.communicate(timeout=30)
    assert worker.returncode == 1
    assert "FW_config.yaml" in out


def test_a_worker_without_a_category_is_not_started(project, environment):
    command = [sys.executable, "-m", "wyckflow.cli.main", "worker", "start"]
    done = subprocess.run(
        command, env=environment, cwd=project.folder, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "--category" in done.stderr


def rlaunch(project, environment, kind):
    command = [f"{sys.prefix}/bin/rlaunch", "-s", "-w", f"fworker_{kind}.yaml"]
    return subprocess.run(
        [*command, "rapidfire", "--nlaunches", "0"],
        env=environment,
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_plain_rlaunch_works_in_a_sourced_shell(project, database, mongo, environment):
    submit(ToyMaker().make(8), campaign="c", database=database)
    rlaunch(project, environment, "gpu")
    assert set(states(mongo).values()) == {"READY"}
    done = rlaunch(project, environment, "cpu")
    assert set(states(mongo).values()) == {"COMPLETED"}, done.stderr
    assert values(mongo) == [80]


def test_plain_rlaunch_without_a_job_store_fails_instead_of_losing_results(
    project, database, mongo, environment, tmp_path
):
    submit(ToyMaker().make(9), campaign="c", database=database)
    environment = {**environment, "HOME": str(tmp_path)}
    del environment["JOBFLOW_CONFIG_FILE"]
    rlaunch(project, environment, "cpu")
    assert set(states(mongo).values()) == {"FIZZLED"}
    launch = mongo.launches.find_one()
    trace = launch["action"]["stored_data"]["_exception"]["_stacktrace"]
    assert "source env.sh" in trace
