"""A job that others keep killing gets done; one that kills its workers is given up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from fireworks import FWorker
from jobflow import Flow
from toy_jobs import ToyMaker, kill_worker
from waiting import wait_until

from wyckflow.store.campaign.control import retry_campaign
from wyckflow.store.doctor import Level, examine
from wyckflow.store.monitor import read_status
from wyckflow.store.submit import submit
from wyckflow.store.worker.recovery import (
    Fate,
    Loss,
    LostJob,
    find_lost_jobs,
    rerun_lost_job,
)
from wyckflow.store.worker.tries import (
    FAILED,
    MAX_TRIES,
    count_tries,
    find_suspects,
    give_last_chance,
    quarantine,
)

pytestmark = pytest.mark.mongo
PATIENCE_S = 120


@pytest.fixture
def launchpad(database):
    pad = database.launchpad()
    yield pad
    pad.connection.close()


@pytest.fixture
def lose(launchpad):
    """Take the only job that is ready, and lose it."""

    def call(*, got_on=False):
        firework, launch_id = launchpad.checkout_fw(FWorker("w", ["cpu"]), "/nowhere")
        numbers = firework.fw_id, launch_id
        job = LostJob(
            *numbers, "x", "w", 99.0, Loss.GONE, has_heartbeat=True, got_on=got_on
        )
        return rerun_lost_job(launchpad, job)

    return call


@pytest.fixture
def fail(launchpad):
    """Take the only job that is ready, and let it fail, as its worker would."""

    def call(*, is_last=False):
        from wyckflow.store.worker.recovery import return_to_queue

        firework, launch_id = launchpad.checkout_fw(FWorker("w", ["cpu"]), "/nowhere")
        note = f"{FAILED}ValueError: no"
        if not is_last:
            return_to_queue(launchpad, firework.fw_id, launch_id, note=note)
            return
        launchpad.complete_launch(launch_id, None, "FIZZLED")
        n_tries = count_tries(launchpad, firework.fw_id) + 1
        quarantine(launchpad, launch_id, n_tries=n_tries, note=note)

    return call


@pytest.fixture
def fw_id(database):
    (number,) = submit(ToyMaker().make(1), campaign="c", database=database)
    return number


def state(launchpad, fw_id):
    return launchpad.fireworks.find_one({"fw_id": fw_id})["state"]


def test_a_job_that_only_lost_its_workers_gets_one_more_try_and_no_more(
    launchpad, lose, fw_id
):
    assert [lose() for _ in range(MAX_TRIES)][-1] is Fate.QUARANTINED
    (suspect,) = find_suspects(launchpad)
    assert (suspect.fw_id, suspect.may_try) == (fw_id, True)
    assert give_last_chance(launchpad, suspect)
    assert state(launchpad, fw_id) == "READY"
    assert find_suspects(launchpad) == []
    assert not give_last_chance(launchpad, suspect)  # a doctor who looked before
    assert lose() is Fate.QUARANTINED
    (suspect,) = find_suspects(launchpad)
    assert not suspect.may_try
    assert not give_last_chance(launchpad, suspect)
    assert state(launchpad, fw_id) == "FIZZLED"


def test_a_pardon_gives_the_last_chance_again_too(launchpad, lose, fw_id, database):
    for _ in range(MAX_TRIES):
        lose()
    assert give_last_chance(launchpad, find_suspects(launchpad)[0])
    lose()
    retry_campaign(database, "c")
    assert count_tries(launchpad, fw_id) == 0
    fates = [lose() for _ in range(MAX_TRIES)]
    assert fates == [Fate.READY, Fate.READY, Fate.QUARANTINED]
    assert find_suspects(launchpad)[0].may_try


def test_what_gets_on_in_its_last_try_may_be_interrupted(launchpad, lose, fw_id):
    for _ in range(MAX_TRIES):
        lose()
    give_last_chance(launchpad, find_suspects(launchpad)[0])
    assert [lose(got_on=True) for _ in range(3)] == [Fate.READY] * 3
    assert lose() is Fate.QUARANTINED


def test_three_errors_of_its_own_leave_no_doubt(launchpad, fail, fw_id):
    fail()
    fail()
    fail(is_last=True)
    assert find_suspects(launchpad) == []


@pytest.mark.parametrize("order", ["loss first", "loss last"])
def test_two_errors_and_a_loss_leave_one_try(launchpad, fail, lose, fw_id, order):
    if order == "loss first":
        lose()
        fail()
        fail(is_last=True)
    else:
        fail()
        fail()
        lose()
    assert give_last_chance(launchpad, find_suspects(launchpad)[0])
    fail(is_last=True)
    (suspect,) = find_suspects(launchpad)
    assert not suspect.may_try


def test_a_doctor_who_was_killed_half_way_is_followed_by_another(
    launchpad, lose, fw_id, monkeypatch
):
    for _ in range(MAX_TRIES):
        lose()
    monkeypatch.setattr(launchpad, "rerun_fw", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        give_last_chance(launchpad, find_suspects(launchpad)[0])
    monkeypatch.undo()
    assert state(launchpad, fw_id) == "FIZZLED"
    (suspect,) = find_suspects(launchpad)
    assert give_last_chance(launchpad, suspect)
    assert lose() is Fate.QUARANTINED
    assert not find_suspects(launchpad)[0].may_try


def test_the_doctor_says_what_is_suspect_and_mends_it_once(
    launchpad, lose, fw_id, project
):
    def say(*, fix):
        found = examine(project, fix=fix)
        (line,) = [item for item in found if item.topic == "suspects"]
        return line

    assert say(fix=False).level is Level.OK
    for _ in range(MAX_TRIES):
        lose()
    line = say(fix=False)
    assert line.level is Level.WARNING
    assert f"job {fw_id} (gene screen)" in line.text
    assert "doctor --fix" in line.text
    assert "ready for one last try" in say(fix=True).text
    lose()
    line = say(fix=True)
    assert "quarantined again" in line.text
    assert state(launchpad, fw_id) == "FIZZLED"


# --- real workers ---------------------------------------------------------------------


def doctor(project, environment):
    """As a person would; return what it says about suspects."""
    command = [sys.executable, "-m", "wyckflow.cli.main", "doctor", "--fix", "--json"]
    done = subprocess.run(
        [*command, "-p", str(project.folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return [
        item["text"] for item in json.loads(done.stdout) if item["topic"] == "suspects"
    ]


def count(database, **query):
    with database.client() as client:
        return client[database.name].fireworks.count_documents(query)


def work_until_done(database, start_worker):
    """Start a worker after each that died, until nothing can run any more."""
    deadline = time.monotonic() + PATIENCE_S
    worker = None
    n_dead = 0
    while count(database, state={"$in": ["READY", "RESERVED", "RUNNING"]}):
        assert time.monotonic() < deadline, "the campaign did not end"
        if worker is None or worker.poll() is not None:
            n_dead += worker is not None
            worker = start_worker("cpu", "--idle", "3")
        time.sleep(0.1)
    worker.terminate()
    worker.wait()
    return n_dead


@pytest.mark.slow
def test_a_job_that_always_kills_its_worker_is_given_up_and_the_others_end(
    database, project, start_worker, environment
):
    bad = kill_worker()
    bad.name = "gene screen"
    after = ToyMaker().make(bad.output)
    submit(Flow([bad, after]), campaign="c", database=database)
    submit(ToyMaker().make(1), campaign="c", database=database)
    assert work_until_done(database, start_worker) == MAX_TRIES
    assert count(database, state="FIZZLED") == 1
    (line,) = doctor(project, environment)
    assert "ready for one last try" in line
    assert work_until_done(database, start_worker) == 1
    (line,) = doctor(project, environment)
    assert "quarantined again" in line
    states = {"COMPLETED": 1, "FIZZLED": 1, "WAITING": 1}
    assert {name: count(database, state=name) for name in states} == states
    (reason,) = read_status(database).reasons
    assert "lost: worker" in reason.reason


@pytest.mark.slow
def test_a_job_whose_workers_are_killed_three_times_is_done_after_the_doctor(
    database, project, start_worker, environment, tmp_path
):
    diary = tmp_path / "diary"
    maker = ToyMaker(seconds=2.0, diary=str(diary))
    submit(maker.make(1), campaign="c", database=database)
    for n_begun in range(1, MAX_TRIES + 1):
        worker = start_worker("cpu")

        def has_begun(wanted=n_begun):
            return diary.exists() and diary.read_text().count("start") == wanted

        wait_until(has_begun, what="start of the job")
        worker.kill()
        worker.wait()
    start_worker("cpu", "--idle", "3").wait(60)  # which finds the last loss
    assert count(database, state="FIZZLED") == 1
    (line,) = doctor(project, environment)
    assert "ready for one last try" in line
    work_until_done(database, start_worker)
    assert count(database, state="COMPLETED") == 1
    with database.client() as client:
        (output,) = client[database.name].outputs.find()
    assert output["output"]["value"] == 10


def test_what_a_job_has_kept_is_told_at_once(database, start_worker, project, tmp_path):
    """Killed before the next sign of life, it would be blamed for it."""
    path = project.path("wyckflow.yaml")
    path.write_text(path.read_text().replace("heartbeat_s: 0.5", "heartbeat_s: 600"))
    diary = tmp_path / "diary"
    maker = ToyMaker(seconds=60.0, diary=str(diary), keeps=True)
    submit(maker.make(1), campaign="c", database=database)
    worker = start_worker("cpu")
    wait_until(diary.exists, what="start of the job")

    def is_told():
        with database.client() as client:
            beat = client[database.name]["workers"].find_one({"n_steps_kept": 1})
        return beat is not None and beat["fw_id"] is not None

    wait_until(is_told, what="the sign of life", seconds=30)
    os.kill(worker.pid, 9)
    worker.wait()
    pad = database.launchpad()
    (job,) = find_lost_jobs(pad, lost_after_s=60)
    assert job.got_on
    pad.connection.close()
