"""Lost workers are told from living ones by what changes, at nobody's clock."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from fireworks import FWAction, FWorker
from toy_jobs import ToyMaker

from wyckflow.store.embedded.process import start_mark
from wyckflow.store.submit import submit
from wyckflow.store.worker.heartbeat import (
    WORKERS,
    Heartbeat,
    boot_id,
    is_gone_from_here,
)
from wyckflow.store.worker.recovery import (
    Fate,
    Loss,
    Watch,
    find_lost_jobs,
    rerun_lost_job,
)
from wyckflow.store.worker.tries import MAX_TRIES, count_tries, forgive

pytestmark = pytest.mark.mongo


class Clock:
    """Seconds that pass when told to."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def launchpad(database):
    pad = database.launchpad()
    yield pad
    pad.connection.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(clock):
    return Watch(lost_after_s=90, period_s=15, clock=clock)


@pytest.fixture
def take(database, launchpad):
    """Take a job as a worker on another machine; return what beats for it."""

    def call(name="far-1", *, clock_ahead_s=0.0):
        (fw_id,) = submit(ToyMaker().make(1), campaign="c", database=database)
        _, launch_id = launchpad.checkout_fw(FWorker(name, ["cpu"]), "/nowhere")
        ahead = timedelta(seconds=clock_ahead_s)
        began = (datetime.now(UTC) + ahead).isoformat()
        launchpad.launches.update_one(
            {"launch_id": launch_id}, {"$set": {"state_history.0.updated_on": began}}
        )

        def beat(state="alive", **fields):
            known = {"host": "far", "boot_id": "x", "pid": 1, "category": "cpu"}
            known |= {"own_time": datetime.now(UTC) + ahead, "fw_id": fw_id}
            launchpad.db[WORKERS].update_one(
                {"_id": name},
                {
                    "$set": {**known, "state": state, **fields},
                    "$currentDate": {"seen_at": True},
                },
                upsert=True,
            )

        return fw_id, beat

    return call


def looks(watch, launchpad, clock, *, n, beat=None, step_s=15):
    """What each of several looks finds."""
    found = []
    for _ in range(n):
        if beat is not None:
            beat()
        found.append([(job.worker, job.loss) for job in watch.look(launchpad)])
        clock.now += step_s
    return found


def test_a_worker_that_beats_is_never_lost(take, watch, launchpad, clock):
    _, beat = take()
    assert looks(watch, launchpad, clock, n=10, beat=beat) == [[]] * 10


def test_a_worker_that_falls_silent_is_lost_within_two_minutes(
    take, watch, launchpad, clock
):
    _, beat = take()
    beat()
    found = looks(watch, launchpad, clock, n=9)
    # Seen at 0 s; unchanged at 15, 30, ... 90 s.
    assert found == [[]] * 6 + [[("far-1", Loss.SILENT)]] * 3


@pytest.mark.parametrize("ahead_s", [-7200, 7200], ids=["behind", "ahead"])
def test_a_clock_that_is_hours_off_changes_nothing(
    take, watch, launchpad, clock, ahead_s
):
    _, beat = take(clock_ahead_s=ahead_s)
    assert looks(watch, launchpad, clock, n=9, beat=beat) == [[]] * 9
    assert find_lost_jobs(launchpad, lost_after_s=90) == []
    found = looks(watch, launchpad, clock, n=9)
    assert found[-1] == [("far-1", Loss.SILENT)]


@pytest.mark.parametrize("ahead_s", [-7200, 7200], ids=["behind", "ahead"])
def test_a_job_just_taken_by_a_worker_with_another_clock_is_not_lost(
    take, launchpad, ahead_s
):
    """Between two heartbeats, the last one speaks of no job."""
    _, beat = take(clock_ahead_s=ahead_s)
    beat(fw_id=None)
    assert find_lost_jobs(launchpad, lost_after_s=90) == []


def test_a_watch_goes_on_where_one_was_killed(take, watch, launchpad, clock):
    _, beat = take()
    beat()
    assert looks(watch, launchpad, clock, n=5) == [[]] * 5  # 60 s of silence seen
    clock.now += 300  # nobody watched
    heir = Watch(lost_after_s=90, period_s=15, clock=clock)
    assert looks(heir, launchpad, clock, n=2) == [[]] * 2  # 60 and 75 s
    assert looks(heir, launchpad, clock, n=1) == [[("far-1", Loss.SILENT)]]


def test_a_sign_of_life_ends_what_another_watch_has_counted(
    take, watch, launchpad, clock
):
    _, beat = take()
    beat()
    looks(watch, launchpad, clock, n=5)
    beat()
    heir = Watch(lost_after_s=90, period_s=15, clock=clock)
    assert looks(heir, launchpad, clock, n=6) == [[]] * 6


def test_two_watches_do_not_add_up(take, watch, launchpad, clock):
    """A server that stood still counts as little for both as for one."""
    _, beat = take()
    beat()
    other = Watch(lost_after_s=90, period_s=15, clock=clock)
    for wait_s in (0, 3600, 3600):  # 30 s each, at most
        clock.now += wait_s
        assert watch.look(launchpad) == other.look(launchpad) == []
    clock.now += 15
    assert watch.look(launchpad) == other.look(launchpad) == []
    clock.now += 15
    assert watch.look(launchpad) != []


def test_a_server_that_stood_still_makes_no_worker_look_dead(
    take, watch, launchpad, clock
):
    _, beat = take()
    beat()
    assert watch.look(launchpad) == []
    clock.now += 3600  # the look of 15 s later was answered after an hour
    assert watch.look(launchpad) == []
    clock.now += 15
    beat()
    assert watch.look(launchpad) == []


def test_a_worker_without_heartbeat_gets_half_an_hour(take, watch, launchpad, clock):
    take("rlaunch")
    found = looks(watch, launchpad, clock, n=122)
    assert found[119] == []
    assert found[120] == [("rlaunch", Loss.SILENT)]


@pytest.mark.parametrize(
    ("state", "loss"), [("left", Loss.GONE), ("stuck", Loss.STUCK)]
)
def test_a_worker_that_said_so_is_lost_at_once(take, watch, launchpad, state, loss):
    _, beat = take()
    beat(state)
    assert [job.loss for job in watch.look(launchpad)] == [loss]


def test_a_worker_that_does_something_else_has_lost_its_job(
    take, watch, launchpad, clock
):
    _, beat = take()
    found = looks(watch, launchpad, clock, n=8, beat=lambda: beat(fw_id=999))
    assert found[-1] == [("far-1", Loss.SILENT)]


def test_a_dead_process_is_known_even_if_nobody_has_asked_how_it_ended():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    mark = start_mark(child.pid)
    beat = {"host": __import__("socket").gethostname(), "boot_id": boot_id()}
    beat |= {"pid": child.pid, "process_start": mark}
    child.stdin = None
    while start_mark(child.pid) is not None:  # it is a zombie in the end
        pass
    assert is_gone_from_here(beat)
    child.wait()
    assert is_gone_from_here(beat)


def test_another_process_of_the_same_number_is_another():
    import os
    import socket

    beat = {"host": socket.gethostname(), "boot_id": boot_id(), "pid": os.getpid()}
    assert not is_gone_from_here({**beat, "process_start": start_mark(os.getpid())})
    assert is_gone_from_here({**beat, "process_start": "1"})
    assert not is_gone_from_here({**beat, "host": "elsewhere", "process_start": "1"})


def test_a_lost_job_is_tried_three_times_and_a_pardon_gives_it_all_again(
    take, launchpad
):
    fw_id, beat = take()
    fates = []
    for _ in range(MAX_TRIES):
        beat("left")
        (job,) = find_lost_jobs(launchpad, lost_after_s=90)
        fates.append(rerun_lost_job(launchpad, job))
        if fates[-1] is Fate.READY:
            launchpad.checkout_fw(FWorker("far-1", ["cpu"]), "/nowhere")
    assert fates == [Fate.READY, Fate.READY, Fate.QUARANTINED]
    assert launchpad.fireworks.find_one({"fw_id": fw_id})["state"] == "FIZZLED"
    notes = launchpad.launches.distinct("wyckflow_note")
    assert any(note.startswith("quarantined: tries: 3") for note in notes)
    forgive(launchpad, fw_id)
    assert count_tries(launchpad, fw_id) == 0


def test_a_job_that_had_got_on_is_not_to_blame(take, launchpad, monkeypatch):
    monkeypatch.setattr("wyckflow.store.worker.recovery.MAX_INTERRUPTIONS", 5)
    fw_id, beat = take()
    fates = []
    for _ in range(6):
        beat("left", n_steps_kept=2)
        (job,) = find_lost_jobs(launchpad, lost_after_s=90)
        fates.append(rerun_lost_job(launchpad, job))
        launchpad.checkout_fw(FWorker("far-1", ["cpu"]), "/nowhere")
    assert fates == [Fate.READY] * 5 + [Fate.QUARANTINED]
    assert count_tries(launchpad, fw_id) == 0


def test_what_another_job_kept_excuses_nobody(take, launchpad):
    _, beat = take()
    beat("left", fw_id=999, n_steps_kept=2)
    assert not find_lost_jobs(launchpad, lost_after_s=0)[0].got_on


def test_of_two_who_find_a_lost_job_one_reruns_it(take, launchpad):
    fw_id, beat = take()
    beat("left")
    (job,) = find_lost_jobs(launchpad, lost_after_s=90)
    assert rerun_lost_job(launchpad, job) is Fate.READY
    _, other = launchpad.checkout_fw(FWorker("w-2", ["cpu"]), "/nowhere")
    assert rerun_lost_job(launchpad, job) is Fate.ENDED  # the second, who looked before
    assert launchpad.fireworks.find_one({"fw_id": fw_id})["launches"] == [other]


def test_a_job_that_ends_as_it_is_found_lost_stays_ended(take, launchpad):
    fw_id, beat = take()
    beat("left")
    (job,) = find_lost_jobs(launchpad, lost_after_s=90)
    launchpad.complete_launch(job.launch_id, FWAction())
    assert rerun_lost_job(launchpad, job) is Fate.ENDED
    assert launchpad.fireworks.find_one({"fw_id": fw_id})["state"] == "COMPLETED"


def test_a_heartbeat_holds_both_clocks_and_the_version(database, launchpad):
    from wyckflow import __version__

    beat = Heartbeat(database, "w", "cpu", period_s=9, current_job=lambda: None)
    with beat:
        found = launchpad.db[WORKERS].find_one({"_id": "w"})
    assert found["wyckflow_version"] == __version__
    assert abs((found["own_time"] - found["seen_at"]).total_seconds()) < 60
    assert launchpad.db[WORKERS].find_one({"_id": "w"})["state"] == "left"


STUCK = """
import sys, time
from wyckflow.store.connect import Database
from wyckflow.store.worker.heartbeat import Heartbeat
database = Database(sys.argv[1], sys.argv[2])
options = {"period_s": 0.1, "stuck_after_s": 0.5}
with Heartbeat(database, "w", "cpu", current_job=lambda: 7, **options):
    deadline = time.monotonic() + float(sys.argv[3])
    while time.monotonic() < deadline:
        if sys.argv[4] == "works":
            sum(range(20000))
        else:
            time.sleep(60)
"""


@pytest.mark.parametrize(
    ("what", "code", "state"), [("hangs", -9, "stuck"), ("works", 0, "left")]
)
def test_a_worker_whose_job_hangs_ends_itself(database, launchpad, what, code, state):
    command = [sys.executable, "-c", STUCK, database.uri, database.name, "2", what]
    assert subprocess.run(command, timeout=100).returncode == code
    assert launchpad.db[WORKERS].find_one({"_id": "w"})["state"] == state
