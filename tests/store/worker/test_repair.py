"""States that a crash leaves are found and mended; healthy ones are left alone."""

from __future__ import annotations

import traceback

import pytest
from fireworks import FWAction, FWorker
from jobflow import Flow
from pymongo.errors import AutoReconnect
from toy_jobs import FanMaker, ToyMaker

from wyckflow.store.submit import submit
from wyckflow.store.worker.failure import was_cut_off
from wyckflow.store.worker.preemption import PreemptibleLaunchPad
from wyckflow.store.worker.repair import archive_orphans, find_torn_jobs, mend

pytestmark = pytest.mark.mongo

WORKER = FWorker("w-cpu-1", ["cpu", "gpu"])


@pytest.fixture
def launchpad(database):
    pad = database.launchpad()
    yield pad
    pad.connection.close()


@pytest.fixture
def parent(database):
    """A job with a child; the id of the parent."""
    first = ToyMaker().make(1)
    second = ToyMaker(name="chgnet relax").make(first.output.value)
    ids = submit(Flow([first, second]), campaign="c", database=database)
    pad = database.launchpad()
    (fw_id,) = (
        i for i in ids if pad.fireworks.find_one({"fw_id": i})["state"] == "READY"
    )
    return fw_id


def states(launchpad):
    return sorted(job["state"] for job in launchpad.fireworks.find())


def mend_all(launchpad):
    torn = find_torn_jobs(launchpad, grace_s=0)
    for job in torn:
        mend(launchpad, job)
    return [job.fw_id for job in torn]


def set_state(launchpad, fw_id, state):
    launchpad.fireworks.update_one({"fw_id": fw_id}, {"$set": {"state": state}})


def finish_launch(launchpad, launch_id, state="COMPLETED", **more):
    """Write the first of the three writes, and no more: as a killed worker would."""
    launch = launchpad.get_launch_by_id(launch_id)
    launch.state, launch.action = state, FWAction()
    entry = {**launch.to_db_dict(), **more}
    launchpad.launches.find_one_and_replace({"launch_id": launch_id}, entry)


def test_a_running_job_of_a_living_worker_is_left_alone(launchpad, parent):
    launchpad.checkout_fw(WORKER, "/nowhere")
    assert mend_all(launchpad) == []


def test_what_changed_a_moment_ago_is_left_alone(launchpad, parent):
    _, launch_id = launchpad.checkout_fw(WORKER, "/nowhere")
    finish_launch(launchpad, launch_id)
    assert find_torn_jobs(launchpad, grace_s=60) == []


def test_a_job_that_finished_as_its_worker_died_completes(launchpad, parent):
    _, launch_id = launchpad.checkout_fw(WORKER, "/nowhere")
    finish_launch(launchpad, launch_id)
    assert states(launchpad) == ["RUNNING", "WAITING"]
    assert mend_all(launchpad) == [parent]
    assert states(launchpad) == ["COMPLETED", "READY"]
    assert mend_all(launchpad) == []


def test_a_job_of_whose_end_the_workflow_never_heard_releases_its_child(
    launchpad, parent
):
    _, launch_id = launchpad.checkout_fw(WORKER, "/nowhere")
    finish_launch(launchpad, launch_id)
    set_state(launchpad, parent, "COMPLETED")
    assert mend_all(launchpad) == [parent]
    assert states(launchpad) == ["COMPLETED", "READY"]


def test_a_job_that_was_taken_but_never_begun_is_ready_again(launchpad, parent):
    set_state(launchpad, parent, "RESERVED")
    assert mend_all(launchpad) == [parent]
    assert states(launchpad) == ["READY", "WAITING"]


def test_a_job_waiting_in_a_queue_keeps_its_reservation(launchpad, parent):
    launchpad.reserve_fw(WORKER, "/nowhere")
    assert mend_all(launchpad) == []
    assert states(launchpad) == ["RESERVED", "WAITING"]


def test_a_job_that_was_being_given_back_is_ready_again(launchpad, parent):
    _, launch_id = launchpad.checkout_fw(WORKER, "/nowhere")
    note = {"wyckflow_note": "given back on a signal"}
    finish_launch(launchpad, launch_id, "FIZZLED", **note)
    assert mend_all(launchpad) == [parent]
    assert states(launchpad) == ["READY", "WAITING"]


def test_a_job_called_failed_as_the_update_broke_off_completes(launchpad, parent):
    _, launch_id = launchpad.checkout_fw(WORKER, "/nowhere")
    finish_launch(launchpad, launch_id)
    set_state(launchpad, parent, "FIZZLED")
    assert mend_all(launchpad) == [parent]
    assert states(launchpad) == ["COMPLETED", "READY"]


def test_a_job_that_waits_for_nobody_is_ready(launchpad, parent):
    """Its parent ended, and the workflow heard of it, but no more."""
    _, launch_id = launchpad.checkout_fw(WORKER, "/nowhere")
    finish_launch(launchpad, launch_id)
    set_state(launchpad, parent, "COMPLETED")
    states_of = {f"fw_states.{parent}": "COMPLETED"}
    launchpad.workflows.update_one({"nodes": parent}, {"$set": states_of})
    (child,) = mend_all(launchpad)
    assert child != parent
    assert states(launchpad) == ["COMPLETED", "READY"]
    assert mend_all(launchpad) == []


def test_a_job_that_really_failed_stays_failed(launchpad, parent):
    _, launch_id = launchpad.checkout_fw(WORKER, "/nowhere")
    launchpad.complete_launch(launch_id, FWAction(), "FIZZLED")
    assert mend_all(launchpad) == []
    assert states(launchpad) == ["FIZZLED", "WAITING"]


def test_children_without_a_workflow_are_put_aside(launchpad, parent):
    lonely = launchpad.fireworks.find_one({"fw_id": parent}, {"_id": 0})
    launchpad.fireworks.insert_one({**lonely, "fw_id": 999})
    assert archive_orphans(launchpad, grace_s=60) == []
    assert archive_orphans(launchpad, grace_s=0) == [999]
    assert launchpad.fireworks.find_one({"fw_id": 999})["state"] == "ARCHIVED"
    assert launchpad.fireworks.find_one({"fw_id": parent})["state"] == "READY"


def test_a_worker_puts_aside_a_job_without_a_workflow(database, parent, monkeypatch):
    from wyckflow.store.worker import preemption

    monkeypatch.setattr(preemption, "WORKFLOW_FOLLOWS_S", 0.1)
    pad = PreemptibleLaunchPad(**database.launchpad_options())
    pad.workflows.delete_many({})
    assert pad.checkout_fw(WORKER, "/nowhere") == (None, None)
    assert "ARCHIVED" in states(pad)


def test_dynamic_children_are_made_once_more_after_a_torn_update(
    database, launchpad, start_worker
):
    """Children stored, workflow not: the second generation is the one that counts."""
    (fw_id,) = submit(FanMaker().make(), campaign="c", database=database)
    inner = launchpad.workflows
    worker = start_worker("gpu", "--max-jobs", "1")
    worker.wait(60)
    workflow = inner.find_one({"nodes": fw_id})
    torn = {"nodes": [fw_id], "links": {str(fw_id): []}, "state": "RUNNING"}
    torn |= {"fw_states": {str(fw_id): "RUNNING"}, "parent_links": {}}
    inner.update_one({"_id": workflow["_id"]}, {"$set": torn})
    first_generation = {job["fw_id"] for job in launchpad.fireworks.find()} - {fw_id}
    assert mend_all(launchpad) == [fw_id]
    assert set(archive_orphans(launchpad, grace_s=0)) == first_generation
    open_jobs = launchpad.fireworks.count_documents({"state": {"$ne": "ARCHIVED"}})
    assert open_jobs == 1 + len(first_generation)


@pytest.mark.parametrize("broken_at", ["job", "between", "workflow"])
def test_an_end_that_was_cut_off_is_stored_again(
    database, parent, monkeypatch, broken_at
):
    """Not the work done again: the child is ready, and there is one launch."""
    pad = PreemptibleLaunchPad(**database.launchpad_options())
    _, launch_id = pad.checkout_fw(WORKER, "/nowhere")
    n_calls = []

    def cut_off(inner):
        def call(*args, **kwargs):
            n_calls.append(broken_at)
            if broken_at == "job" and len(n_calls) == 1:
                raise AutoReconnect("reset by peer")
            done = inner(*args, **kwargs)
            if broken_at != "job" and len(n_calls) == 1:
                raise AutoReconnect("reset by peer")
            return done

        return call

    name = "_update_wf" if broken_at == "workflow" else "_upsert_fws"
    monkeypatch.setattr(pad, name, cut_off(getattr(pad, name)))
    pad.complete_launch(launch_id, FWAction(), "COMPLETED")
    assert len(n_calls) >= 2
    assert states(pad) == ["COMPLETED", "READY"]
    assert pad.launches.distinct("state") == ["COMPLETED"]
    assert find_torn_jobs(pad, grace_s=0) == []


def test_only_a_lost_connection_counts_as_being_cut_off():
    def action(trace):
        return FWAction(stored_data={"_exception": {"_stacktrace": trace}})

    with pytest.raises(AutoReconnect) as caught:
        raise AutoReconnect("reset by peer")
    trace = "".join(traceback.format_exception(caught.value))
    assert was_cut_off(action(trace))
    assert not was_cut_off(action("ValueError: no"))
    assert not was_cut_off(None)


def test_a_job_that_the_database_fails_is_tried_again_but_not_for_ever(
    database, launchpad, start_worker
):
    submit(ToyMaker(breaks_off=True).make(1), campaign="c", database=database)
    worker = start_worker("cpu", "--max-jobs", "3")
    out, _ = worker.communicate(timeout=60)
    assert worker.returncode == 0, out
    assert states(launchpad) == ["FIZZLED"]
    assert launchpad.launches.count_documents({}) == 3
