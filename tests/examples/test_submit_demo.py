"""The example script does what it prints, in a process of its own."""

from __future__ import annotations

import pytest

SCRIPT = "submit_demo.py"


@pytest.mark.mongo
def test_it_submits_into_the_project_it_is_run_in(project, database, run_example):
    done = run_example(SCRIPT, folder=project.folder)
    assert done.returncode == 0, done.stderr
    with database.client() as client:
        jobs = list(client[database.name].fireworks.find())
    assert {(job["name"], job["spec"]["_category"]) for job in jobs} == {
        ("gene screen", "cpu"),
        ("chgnet relax", "gpu"),
    }
    assert {job["spec"]["campaign"] for job in jobs} == {"my-first"}
    assert f"{len(jobs)} jobs" in done.stdout


def test_outside_a_project_it_says_what_to_do(run_example):
    done = run_example(SCRIPT)
    assert done.returncode != 0
    assert "wyckflow init" in done.stderr
