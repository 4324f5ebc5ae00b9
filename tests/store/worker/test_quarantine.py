"""What always fails is put aside after three tries, and everything else goes on."""

from __future__ import annotations

import signal
import time

import pytest
from fireworks import FWorker
from fireworks.core.rocket import Rocket
from jobflow import Flow
from toy_jobs import FanMaker, ToyMaker
from waiting import wait_until

from wyckflow.errors import ConfigurationError
from wyckflow.makers._release import (
    RELEASE,
    refuse_newer_job,
    release_number,
    release_text,
)
from wyckflow.makers._running import when_stored
from wyckflow.store.campaign.control import retry_campaign
from wyckflow.store.fence import FencedJobStore, Superseded
from wyckflow.store.monitor import read_status, read_traceback
from wyckflow.store.submit import submit
from wyckflow.store.worker.failure import gave_up_itself, ran_out_of_room
from wyckflow.store.worker.preemption import PreemptibleLaunchPad
from wyckflow.store.worker.recovery import Loss, LostJob, rerun_lost_job
from wyckflow.store.worker.repair import TornJob, TornWatch, drop_known_children, mend
from wyckflow.store.worker.room import LEAST_FREE_MB, Room

WORKER = FWorker("w", ["cpu", "gpu"])
mongo_only = pytest.mark.mongo


@pytest.fixture
def launchpad(database, monkeypatch):
    """That of a worker in this process, with its fence."""
    import jobflow

    pad = PreemptibleLaunchPad(**database.launchpad_options())
    store = FencedJobStore.from_dict_spec(database.job_store_spec())
    store.is_ours = pad.still_has_job
    monkeypatch.setattr(jobflow.SETTINGS, "JOB_STORE", store)
    yield pad
    pad.connection.close()


@pytest.fixture
def run(launchpad, monkeypatch, tmp_path):
    """Run one job as a worker does."""
    monkeypatch.chdir(tmp_path)

    def call():
        import io

        return Rocket(launchpad, WORKER, None).run(err_file=io.StringIO())

    return call


def states(launchpad):
    return sorted(job["state"] for job in launchpad.fireworks.find())


@mongo_only
def test_three_tries_then_quarantine_with_the_traceback(launchpad, run, database):
    bad = ToyMaker().make(-1)
    after = ToyMaker().make(bad.output.value)
    last = ToyMaker().make(after.output.value)
    submit(Flow([bad, after, last]), campaign="c", database=database)
    submit(ToyMaker().make(2), campaign="c", database=database)
    n_runs = 0
    while run():
        n_runs += 1
    assert n_runs == 4
    assert states(launchpad) == ["COMPLETED", "FIZZLED", "WAITING", "WAITING"]
    status = read_status(database, campaign="c")
    assert status.n_open == 0  # what waits for a quarantined job is not open
    (reason,) = status.reasons
    assert (reason.name, reason.n_jobs) == ("gene screen", 1)
    assert "is negative" in reason.reason
    (hint,) = [hint for hint in status.hints if "quarantined" in hint]
    assert "2 jobs wait for them" in hint
    trace = read_traceback(database, status.failures[0].fw_id)
    assert trace.startswith("Traceback")
    assert "value=-1 is negative" in trace
    notes = [item.get("wyckflow_note", "") for item in launchpad.launches.find()]
    assert sum(note.startswith("failed: ValueError") for note in notes) == 2
    assert sum(note.startswith("quarantined: tries: 3") for note in notes) == 1


@mongo_only
def test_a_retry_gives_all_three_tries_again(launchpad, run, database):
    submit(ToyMaker().make(-1), campaign="c", database=database)
    while run():
        pass
    assert retry_campaign(database, "c").n_changed == 1
    n_runs = 0
    while run():
        n_runs += 1
    assert n_runs == 3
    assert states(launchpad) == ["FIZZLED"]


@mongo_only
def test_what_a_job_kept_is_removed_when_its_result_is_stored_and_not_before(
    launchpad, run, database, monkeypatch
):
    """Killed in between, it would otherwise begin anew."""
    done = []
    inner = ToyMaker.make.original

    def keep_until_stored(self, value):
        when_stored(lambda: done.append(launchpad.db.outputs.count_documents({})))
        assert done == []
        return inner(self, value)

    for value in (-1, 1):
        submit(ToyMaker().make(value), campaign="c", database=database)
    monkeypatch.setattr(ToyMaker.make, "original", keep_until_stored)
    while run():
        pass
    assert done == [1]  # once, and the output was there
    when_stored(lambda: done.append("at once"))  # outside a worker
    assert done == [1, "at once"]


# --- a worker that was taken for dead -------------------------------------------------


def take_away(launchpad):
    """What another worker does with a job whose worker is silent."""
    launch = launchpad.launches.find_one({"state": "RUNNING"})
    numbers = launch["fw_id"], launch["launch_id"]
    job = LostJob(*numbers, "x", "w", 100.0, Loss.SILENT, has_heartbeat=True)
    rerun_lost_job(launchpad, job)


@mongo_only
@pytest.mark.parametrize("value", [1, -1], ids=["a result", "an error"])
def test_what_a_worker_brings_late_is_not_stored(
    launchpad, run, database, monkeypatch, value
):
    submit(ToyMaker().make(value), campaign="c", database=database)
    inner = ToyMaker.make.original

    def lose_job_meanwhile(self, given):
        take_away(launchpad)
        database.launchpad().checkout_fw(FWorker("other", ["cpu"]), "/nowhere")
        return inner(self, given)

    monkeypatch.setattr(ToyMaker.make, "original", lose_job_meanwhile)
    assert run()
    assert launchpad.lost_to_another is not None
    assert launchpad.db.outputs.count_documents({}) == 0
    assert states(launchpad) == ["RUNNING"]  # the other's, untouched
    running = launchpad.launches.find({"state": "RUNNING"})
    assert [item["fworker"]["name"] for item in running] == ["other"]


@mongo_only
def test_a_fence_lets_the_owner_in(database):
    store = FencedJobStore.from_dict_spec(database.job_store_spec())
    store.connect()
    store.is_ours = lambda: True
    store.update({"uuid": "a", "index": 1, "output": 2})
    store.is_ours = lambda: False
    with pytest.raises(Superseded):
        store.update({"uuid": "a", "index": 1, "output": 3})
    assert store.query_one({"uuid": "a"})["output"] == 2


@mongo_only
def test_a_result_whose_writing_was_cut_off_is_written_again(database, monkeypatch):
    from pymongo.errors import AutoReconnect

    store = FencedJobStore.from_dict_spec(database.job_store_spec())
    store.connect()
    inner, calls = store.docs_store.update, []

    def cut_off(*args, **kwargs):
        calls.append(args)
        inner(*args, **kwargs)
        if len(calls) == 1:
            raise AutoReconnect("reset by peer")

    monkeypatch.setattr(store.docs_store, "update", cut_off)
    store.update({"uuid": "a", "index": 1, "output": 2}, key=["uuid", "index"])
    assert len(calls) == 2
    assert list(store.query({"uuid": "a"}, properties=["output"])) != []
    assert store.count({"uuid": "a"}) == 1


@mongo_only
@pytest.mark.slow
def test_a_worker_that_stood_still_finds_its_job_done_by_another(
    database, start_worker, tmp_path, project
):
    path = project.path("wyckflow.yaml")
    path.write_text(path.read_text() + "rerun_after_s: 2\n")
    diary = tmp_path / "diary"
    maker = ToyMaker(seconds=2.0, diary=str(diary))
    submit(maker.make(1), campaign="c", database=database)
    sleeper = start_worker("cpu")
    wait_until(diary.exists, what="start of the job")
    sleeper.send_signal(signal.SIGSTOP)
    other = start_worker("cpu", "--max-jobs", "1")
    out, _ = other.communicate(timeout=120)
    assert "made ready again" in out
    sleeper.send_signal(signal.SIGCONT)
    with database.client() as client:
        mongo = client[database.name]
        first = mongo.outputs.find_one({})
        wait_until(lambda: diary.read_text().count("end 1") == 2, what="the late end")
        time.sleep(1)
        assert mongo.outputs.find_one({}) == first
        assert mongo.fireworks.distinct("state") == ["COMPLETED"]
    sleeper.terminate()
    out, _ = sleeper.communicate(timeout=60)
    assert "its result here is not stored" in out


# --- a full disk ----------------------------------------------------------------------


@mongo_only
def test_a_job_without_room_is_given_back_as_often_as_need_be(launchpad, run, database):
    full = "/dev/full"
    submit(ToyMaker(needs_room_at=full).make(1), campaign="c", database=database)
    for _ in range(5):
        assert run()
        assert "No space left" in launchpad.no_room
        launchpad.no_room = None
    assert states(launchpad) == ["READY"]


@mongo_only
def test_a_worker_without_room_says_so_and_takes_no_more(
    database, start_worker, project
):
    submit(ToyMaker(needs_room_at="/dev/full").make(1), campaign="c", database=database)
    path = project.path("wyckflow.yaml")
    path.write_text(path.read_text().replace("recovery_period_s: 0.5", ""))
    worker = start_worker("cpu", "--idle", "2")
    out, _ = worker.communicate(timeout=90)
    assert worker.returncode == 0
    assert "takes no job for want of room" in out
    assert "No space left on device" in out
    with database.client() as client:
        assert client[database.name].fireworks.distinct("state") == ["READY"]
        assert client[database.name].launches.count_documents({}) == 1


def test_room_is_measured_and_each_failure_waits_longer(tmp_path, monkeypatch):
    now = [0.0]
    room = Room(tmp_path / "not" / "yet", wait_s=10, clock=lambda: now[0])
    assert room.lacks() == ""
    room.close("full")
    assert room.lacks() == "full"
    now[0] = 10.0
    assert room.lacks() == ""
    room.close("full")
    now[0] = 29.0
    assert room.lacks() == "full"
    now[0] = 30.0
    assert room.lacks() == ""
    room.prove()
    room.close("full")
    now[0] = 40.0
    assert room.lacks() == ""
    few = type("Usage", (), {"free": (LEAST_FREE_MB - 1) * 1e6})
    monkeypatch.setattr("shutil.disk_usage", lambda _: few)
    assert "MB free" in room.lacks()


@pytest.mark.parametrize(
    ("text", "is_room"),
    [
        ("OSError: [Errno 28] No space left on device: 'x'", True),
        ("OSError: [Errno 122] Disk quota exceeded", True),
        ("ValueError: no space group", False),
    ],
)
def test_only_a_full_disk_counts_as_one(text, is_room):
    stored = {"stored_data": {"_exception": {"_stacktrace": text}}}
    assert ran_out_of_room(stored) is is_room


def test_only_custodian_says_itself_that_trying_is_over():
    def action(text):
        return {"stored_data": {"_exception": {"_stacktrace": text}}}

    assert gave_up_itself(action("...\ncustodian.custodian.NonRecoverableError: x\n"))
    assert not gave_up_itself(action('File "custodian/x.py"\nValueError: y\n'))


# --- versions -------------------------------------------------------------------------


def test_releases_sort_as_versions_do():
    versions = ["0.1.0", "0.1.1", "0.2.0", "0.10.0", "1.0.0", "1.0.12"]
    numbers = [release_number(version) for version in versions]
    assert numbers == sorted(set(numbers))
    assert [release_text(number) for number in numbers] == versions
    assert release_number("0.2.0.dev3") == release_number("0.2.0")


def test_a_job_of_a_newer_wyckflow_is_refused_with_the_remedy():
    refuse_newer_job(None)
    refuse_newer_job({RELEASE: release_number()})
    with pytest.raises(ConfigurationError, match=r"wyckflow 99\.2\.1.*install"):
        refuse_newer_job({RELEASE: release_number("99.2.1")})


@mongo_only
def test_a_worker_leaves_jobs_of_a_newer_wyckflow_alone_and_says_so(
    database, start_worker
):
    submit(FanMaker(n_parts=1).make(), campaign="c", database=database)
    (fw_id,) = submit(ToyMaker().make(1), campaign="c", database=database)
    submit(ToyMaker().make(2), campaign="c", database=database)
    newer = {"$set": {f"spec.{RELEASE}": release_number("99.0.0")}}
    with database.client() as client:
        mongo = client[database.name]
        mongo.fireworks.update_one({"fw_id": fw_id}, newer)
        out, _ = start_worker("cpu", "--idle", "1").communicate(timeout=90)
        assert "leaves jobs alone that wyckflow 99.0.0 submitted" in " ".join(
            out.split()
        )
        assert mongo.fireworks.find_one({"fw_id": fw_id})["state"] == "READY"
        assert mongo.outputs.distinct("output.value") == [20]
        assert any("newer wyckflow" in h for h in read_status(database).hints)


# --- torn and doubled -----------------------------------------------------------------


@mongo_only
def test_only_what_is_torn_at_every_look_is_mended(launchpad, database):
    """At nobody's clock: the job may have been written by one that is hours behind."""
    now = [0.0]
    watch = TornWatch(grace_s=60, clock=lambda: now[0])
    (fw_id,) = submit(ToyMaker().make(1), campaign="c", database=database)
    change = {"state": "RESERVED", "updated_on": "2001-01-01T00:00:00"}
    launchpad.fireworks.update_one({"fw_id": fw_id}, {"$set": change})
    assert watch.look(launchpad) == []
    now[0] = 40.0
    launchpad.fireworks.update_one({"fw_id": fw_id}, {"$set": {"state": "READY"}})
    assert watch.look(launchpad) == []
    launchpad.fireworks.update_one({"fw_id": fw_id}, {"$set": change})
    now[0] = 70.0
    assert watch.look(launchpad) == []
    now[0] = 130.0
    (torn,) = watch.look(launchpad)
    mend(launchpad, torn)
    assert launchpad.fireworks.find_one({"fw_id": fw_id})["state"] == "READY"


@mongo_only
def test_children_that_the_workflow_has_are_not_added_again(launchpad, run, database):
    """A job that ended, whose worker died before it heard that this was stored."""
    (fw_id,) = submit(FanMaker().make(), campaign="c", database=database)
    run()
    n_jobs = launchpad.fireworks.count_documents({})
    assert n_jobs == 1 + 3 + 2
    launchpad.fireworks.update_one({"fw_id": fw_id}, {"$set": {"state": "FIZZLED"}})
    mend(launchpad, TornJob(fw_id, "FIZZLED", reset_to="RUNNING"))
    assert launchpad.fireworks.count_documents({}) == n_jobs
    assert launchpad.fireworks.find_one({"fw_id": fw_id})["state"] == "COMPLETED"


@mongo_only
def test_other_children_are_added(launchpad, database):
    from fireworks import FWAction
    from jobflow.managers.fireworks import flow_to_workflow

    (fw_id,) = submit(ToyMaker().make(1), campaign="c", database=database)
    fresh = flow_to_workflow(ToyMaker().make(3))
    action = FWAction(additions=[fresh])
    drop_known_children(launchpad, fw_id, action)
    assert action.additions == [fresh]
