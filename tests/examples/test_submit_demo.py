"""The example script does what it prints, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import wyckflow

SCRIPT = Path(wyckflow.__file__).parents[1] / "examples" / "submit_demo.py"


@pytest.mark.mongo
def test_it_submits_into_the_project_it_is_run_in(project, database):
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    with database.client() as client:
        jobs = list(client[database.name].fireworks.find())
    assert {(job["name"], job["spec"]["_category"]) for job in jobs} == {
        ("gene screen", "cpu"),
        ("chgnet relax", "gpu"),
    }
    assert {job["spec"]["campaign"] for job in jobs} == {"my-first"}
    assert f"{len(jobs)} jobs" in done.stdout


def test_outside_a_project_it_says_what_to_do(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode != 0
    assert "wyckflow init" in done.stderr
