"""A signal is answered at once where that is safe, and not forgotten elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from fireworks import FWorker
from fireworks.core.rocket import Rocket
from toy_jobs import ToyMaker

from wyckflow.store.submit import submit
from wyckflow.store.worker import preemption
from wyckflow.store.worker.preemption import (
    LEAVE_SIGNALS,
    Preempted,
    PreemptibleLaunchPad,
)

pytestmark = pytest.mark.mongo

WORKER = FWorker("w", ["cpu"])


@pytest.fixture
def launchpad(database, monkeypatch):
    """A listening LaunchPad in this process; its handlers end with the test."""
    import jobflow

    # Here, unlike in a worker, the server is a child of this very process.
    monkeypatch.setattr(preemption, "end_child_processes", lambda: None)
    monkeypatch.setattr(jobflow.SETTINGS, "JOB_STORE", database.job_store())
    before = {number: signal.getsignal(number) for number in LEAVE_SIGNALS}
    pad = PreemptibleLaunchPad(**database.launchpad_options())
    pad.listen()
    yield pad
    for number, handler in before.items():
        signal.signal(number, handler)


def state_of(launchpad, fw_id):
    return launchpad.fireworks.find_one({"fw_id": fw_id})["state"]


def test_an_idle_worker_is_interrupted_at_once(launchpad):
    with pytest.raises(Preempted, match="SIGTERM"):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_during_the_update_waits_for_its_end(launchpad):
    with launchpad.uninterrupted():
        os.kill(os.getpid(), signal.SIGTERM)
        reached = True
    assert reached
    assert launchpad.is_leaving


def test_a_signal_during_checkout_hands_the_job_straight_back(
    launchpad, database, monkeypatch
):
    (fw_id,) = submit(ToyMaker().make(1), campaign="c", database=database)
    inner = launchpad._upsert_fws

    def interrupted(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        return inner(*args, **kwargs)

    monkeypatch.setattr(launchpad, "_upsert_fws", interrupted)
    assert Rocket(launchpad, WORKER, None).run() is False
    assert state_of(launchpad, fw_id) == "READY"
    assert launchpad.gave_back == fw_id


def test_a_signal_just_before_the_jobs_own_code_is_repeated_inside_it(
    launchpad, database, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    slow = ToyMaker(seconds=30.0, diary=str(tmp_path / "diary"))
    (fw_id,) = submit(slow.make(1), campaign="c", database=database)
    inner = launchpad.checkout_fw

    def checkout(*args, **kwargs):
        taken = inner(*args, **kwargs)
        launchpad.signal_number = signal.SIGTERM  # after the last look at it
        return taken

    monkeypatch.setattr(launchpad, "checkout_fw", checkout)
    assert Rocket(launchpad, WORKER, None).run(err_file=sys.stdout) is True
    assert state_of(launchpad, fw_id) == "READY"
    assert (tmp_path / "diary").read_text() == "start 1\n"


def test_a_finished_job_is_stored_even_if_a_signal_comes_at_its_end(
    launchpad, database, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    (fw_id,) = submit(ToyMaker().make(1), campaign="c", database=database)
    inner = PreemptibleLaunchPad.__mro__[1].complete_launch

    def complete(pad, *args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        return inner(pad, *args, **kwargs)

    monkeypatch.setattr(PreemptibleLaunchPad.__mro__[1], "complete_launch", complete)
    Rocket(launchpad, WORKER, None).run()
    assert state_of(launchpad, fw_id) == "COMPLETED"
    assert launchpad.is_leaving


def test_the_programs_that_a_job_started_end_with_it():
    script = """
import subprocess, sys
from wyckflow.store.worker.preemption import end_child_processes
shell = subprocess.Popen(["/bin/sh", "-c", "sleep 60 & wait"])
end_child_processes()
sys.exit(shell.wait(10) == 0)
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=30).returncode == 0
