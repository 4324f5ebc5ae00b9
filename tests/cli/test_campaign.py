"""Campaigns held, freed, ended and repeated at the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

pytestmark = pytest.mark.mongo


@pytest.fixture
def submitted(project, database):
    """A project with one job of a campaign."""
    from toy_jobs import ToyMaker

    from wyckflow.store.submit import submit

    submit(ToyMaker().make(1), campaign="oxides", database=database)
    return project.folder


def test_a_campaign_is_held_and_freed_and_status_says_so(wyckflow, submitted):
    held = wyckflow("campaign", "pause", "oxides", "-p", submitted).out
    assert "1 job held" in held
    assert "wyckflow campaign resume oxides" in held
    assert "1 jobs are held" in wyckflow("status", "-p", submitted).out
    assert (
        "1 job freed" in wyckflow("campaign", "resume", "oxides", "-p", submitted).out
    )


def test_ending_asks_first(wyckflow, submitted, monkeypatch):
    monkeypatch.setattr("typer.confirm", lambda _, abort: abort and sys.exit(1))
    assert wyckflow("campaign", "cancel", "oxides", "-p", submitted).code == 1
    done = wyckflow("campaign", "cancel", "oxides", "--yes", "-p", submitted)
    assert "1 job ended" in done.out


def test_priority_and_retry_count_what_they_changed(wyckflow, submitted):
    done = wyckflow("campaign", "priority", "oxides", "5", "-p", submitted)
    assert "1 job given priority 5" in done.out
    assert (
        "0 jobs made ready"
        in wyckflow("campaign", "retry", "oxides", "-p", submitted).out
    )


def test_an_unknown_campaign_is_an_error_with_the_nearest(wyckflow, submitted):
    done = wyckflow("campaign", "pause", "oxide", "-p", submitted)
    assert done.code == 1
    assert "Did you mean 'oxides'" in done.err


def test_failures_show_the_whole_message_of_each_kind(wyckflow, submitted, database):
    assert (
        "No job is quarantined"
        in wyckflow("campaign", "failures", "oxides", "-p", submitted).out
    )
    trace = 'Traceback\n  File "x.py", line 3, in [make]\nKeyError: 12'
    action = {"stored_data": {"_exception": {"_stacktrace": trace}}}
    with database.client() as client:
        mongo = client[database.name]
        (job,) = mongo.fireworks.find()
        launch = {"launch_id": 1, "fw_id": job["fw_id"], "action": action}
        mongo.launches.insert_one(launch)
        change = {"$set": {"state": "FIZZLED", "launches": [1]}}
        mongo.fireworks.update_one({}, change)
    shown = wyckflow("campaign", "failures", "oxides", "-p", submitted).out
    assert "1 job (gene screen): KeyError: #" in shown
    assert 'File "x.py", line 3, in [make]' in shown
