"""Status counts what the LaunchPad holds; every command explains itself."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))


@pytest.mark.mongo
def test_status_counts_by_name_kind_and_state(wyckflow, project, database):
    from jobflow import Flow
    from toy_jobs import ToyMaker

    from wyckflow.store.submit import submit

    first = ToyMaker().make(1)
    second = ToyMaker(name="chgnet relax").make(first.output.value)
    submit(Flow([first, second]), campaign="one", database=database)
    submit(ToyMaker().make(2), campaign="two", database=database)
    done = wyckflow("status", "--json", "-p", project.folder)
    rows = {(row["name"], row["category"]): row for row in json.loads(done.out)["rows"]}
    assert rows["gene screen", "cpu"]["by_state"] == {"READY": 2}
    assert rows["chgnet relax", "gpu"]["by_state"] == {"WAITING": 1}
    done = wyckflow("status", "-p", project.folder, "-c", "two")
    assert "0 done, 1 open" in done.out
    assert "no worker is alive" in done.out
    assert "wyckflow worker start --category cpu" in done.out


@pytest.mark.mongo
def test_a_worker_that_fell_silent_is_shown_as_lost(wyckflow, project, database):
    from wyckflow.store.worker.heartbeat import WORKERS, Heartbeat

    beat = Heartbeat(database, "w-cpu-1", "cpu", period_s=60, current_job=lambda: None)
    with beat, database.client() as client:
        assert "lost?" not in wyckflow("status", "-p", project.folder).out
        workers = client[database.name][WORKERS]
        workers.update_one({}, [{"$set": {"seen_at": {"$subtract": ["$$NOW", 91e3]}}}])
        done = wyckflow("status", "-p", project.folder)
    assert "lost?" in done.out
    assert "wyckflow doctor" in done.out


@pytest.mark.mongo
def test_failures_are_counted_by_reason(wyckflow, project, database):
    from toy_jobs import ToyMaker

    from wyckflow.store.submit import submit

    ids = [
        submit(ToyMaker().make(n), campaign="one", database=database)[0]
        for n in range(3)
    ]
    messages = ["KeyError: 'O'", "ValueError: step 12 failed", "ValueError: step 7"]
    messages[2] = "ValueError: step 345 failed"
    with database.client() as client:
        mongo = client[database.name]
        for number, (fw_id, message) in enumerate(zip(ids, messages, strict=True), 1):
            trace = {"_exception": {"_stacktrace": f"Traceback\n{message}"}}
            launch = {"launch_id": number, "fw_id": fw_id, "state": "FIZZLED"}
            launch |= {"action": {"stored_data": trace}}
            mongo.launches.insert_one(launch)
            change = {"$set": {"state": "FIZZLED", "launches": [number]}}
            mongo.fireworks.update_one({"fw_id": fw_id}, change)
    shown = wyckflow("status", "one", "-p", project.folder).out
    assert re.search(r"gene screen 2 .*ValueError: step # failed", shown)
    assert re.search(r"gene screen 1 .*KeyError: 'O'", shown)
    data = json.loads(wyckflow("status", "one", "--json", "-p", project.folder).out)
    assert [item["n_jobs"] for item in data["reasons"]] == [2, 1]


@pytest.mark.mongo
def test_an_unknown_campaign_is_an_error(wyckflow, project):
    done = wyckflow("status", "oxides", "-p", project.folder)
    assert done.code == 1
    assert "No campaign 'oxides'" in done.err


@pytest.mark.mongo
def test_status_of_an_empty_database_is_no_error(wyckflow, project):
    done = wyckflow("status", "-p", project.folder)
    assert done.code == 0
    assert "no jobs yet" in done.out


def test_outside_a_project_every_command_says_how_to_get_into_one(wyckflow, tmp_path):
    import os

    os.chdir(tmp_path)
    commands = (["status"], ["db", "start"], ["worker", "start", "--category", "cpu"])
    for words in commands:
        done = wyckflow(*words)
        assert done.code == 1
        assert "wyckflow init" in done.err
        assert "Traceback" not in done.err


def test_a_traceback_is_shown_to_those_who_ask(wyckflow, tmp_path):
    from wyckflow.errors import ConfigurationError

    with pytest.raises(ConfigurationError):
        wyckflow("--traceback", "status", "-p", tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["init"],
        ["db"],
        ["db", "start"],
        ["worker", "start"],
        ["status"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_help_teaches(wyckflow, words):
    done = wyckflow(*words, "--help")
    assert done.code == 0
    assert "Usage" in done.out


def test_version_names_the_package_and_python(wyckflow):
    import wyckflow as package

    assert package.__version__ in wyckflow("version").out
