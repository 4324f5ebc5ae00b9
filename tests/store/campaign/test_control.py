"""Jobs of a campaign held, freed, ended and repeated, as a worker sees it."""

from __future__ import annotations

import pytest
from jobflow import Flow
from toy_jobs import ToyMaker

from wyckflow.errors import CampaignError
from wyckflow.store.campaign.control import (
    cancel_campaign,
    pause_campaign,
    resume_campaign,
    retry_campaign,
    set_priority,
)
from wyckflow.store.submit import submit

pytestmark = pytest.mark.mongo


@pytest.fixture
def two(database):
    """Two campaigns: one job and the job that waits for it, and a single job."""
    first = ToyMaker().make(1)
    second = ToyMaker().make(first.output.value)
    submit(Flow([first, second]), campaign="a", database=database)
    submit(ToyMaker().make(-1), campaign="b", database=database)
    return database


def states(database):
    """The states of all jobs, by campaign."""
    with database.client() as client:
        found = {}
        for job in client[database.name].fireworks.find().sort("fw_id"):
            found.setdefault(job["spec"]["campaign"], []).append(job["state"])
        return {name: sorted(items) for name, items in found.items()}


def pull(database):
    """What a worker would get, left as if it ran."""
    from fireworks import FWorker

    launchpad = database.launchpad()
    job, _ = launchpad.checkout_fw(FWorker("w", category="cpu"), "/tmp")  # noqa: S108
    launchpad.connection.close()
    return job


def test_a_paused_campaign_gives_no_job_and_goes_on_where_it_was(two):
    assert pause_campaign(two, "a").n_changed == 2
    assert states(two) == {"a": ["PAUSED", "PAUSED"], "b": ["READY"]}
    assert pull(two).spec["campaign"] == "b"
    assert pull(two) is None
    assert resume_campaign(two, "a").n_changed == 2
    assert states(two)["a"] == ["READY", "WAITING"]
    assert pull(two).spec["campaign"] == "a"


def test_a_running_job_is_left_and_counted(two):
    while pull(two):
        pass
    done = pause_campaign(two, "a")
    assert (done.n_changed, done.n_running) == (1, 1)
    assert states(two)["a"] == ["PAUSED", "RUNNING"]


def test_a_cancelled_campaign_never_runs_the_other_does(two):
    pause_campaign(two, "a")
    assert cancel_campaign(two, "a").n_changed == 2
    assert states(two) == {"a": ["DEFUSED", "DEFUSED"], "b": ["READY"]}
    assert resume_campaign(two, "a").n_changed == 0
    assert pull(two).spec["campaign"] == "b"
    assert pull(two) is None


def test_failed_jobs_are_made_ready_again(two):
    with two.client() as client:
        one = {"spec.campaign": "b"}
        client[two.name].fireworks.update_one(one, {"$set": {"state": "FIZZLED"}})
    assert retry_campaign(two, "b").n_changed == 1
    assert states(two)["b"] == ["READY"]
    assert retry_campaign(two, "b").n_changed == 0


def test_the_higher_priority_runs_first(two):
    assert set_priority(two, "b", 7).n_changed == 1
    assert pull(two).spec["campaign"] == "b"


def test_a_campaign_that_does_not_exist_is_refused_with_the_nearest(two):
    submit(ToyMaker().make(1), campaign="oxides", database=two)
    with pytest.raises(CampaignError, match="Did you mean 'oxides'"):
        pause_campaign(two, "oxydes")
