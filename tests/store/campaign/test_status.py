"""Time left of a campaign: worked out by hand, and read from a database."""

from __future__ import annotations

import pytest

from wyckflow.errors import CampaignError
from wyckflow.store.campaign.costs import JobCost
from wyckflow.store.campaign.progress import Usage
from wyckflow.store.campaign.status import estimate_time_left, read_campaign_status
from wyckflow.store.monitor import JobRow, Status, WorkerRow


def make_status(rows, workers=("gpu", "cpu")):
    return Status(
        rows=[JobRow(name, kind, states) for name, kind, states in rows],
        workers=[
            WorkerRow(f"w{place}", kind, "here", 0.0, True, None)  # noqa: FBT003
            for place, kind in enumerate(workers)
        ],
        failures=[],
        jobs_per_minute=1.0,
    )


def cost(job, category, n_jobs, wall_s):
    return JobCost(job, category, n_jobs, wall_s, wall_s, n_jobs, n_jobs)


def test_kinds_of_worker_go_on_side_by_side():
    jobs = make_status(
        [
            ("chgnet relax", "gpu", {"READY": 2, "COMPLETED": 2}),
            ("chgnet phonon", "gpu", {"WAITING": 2, "COMPLETED": 2}),
            ("hull distance", "cpu", {"WAITING": 2, "COMPLETED": 2}),
        ],
        workers=("gpu", "gpu", "cpu"),
    )
    usage = Usage(
        rest_hours=100 / 3600,
        jobs={
            "chgnet phonon": cost("chgnet phonon", "gpu", 2, 60.0),
            "hull distance": cost("hull distance", "cpu", 2, 4.0),
        },
    )
    # 100 s of relaxations and 2 x 30 s of phonons on two workers; 4 s of hulls.
    assert estimate_time_left(jobs, usage) == (pytest.approx(80.0), "")


def test_without_a_worker_of_a_kind_no_time_is_promised():
    jobs = make_status([("chgnet relax", "gpu", {"READY": 1})], workers=("cpu",))
    left, why = estimate_time_left(jobs, Usage(rest_hours=1))
    assert left is None
    assert why == "no gpu worker lives"


def test_before_the_plan_nobody_knows():
    jobs = make_status([("campaign plan", "cpu", {"WAITING": 1})])
    left, why = estimate_time_left(jobs, Usage())
    assert left is None
    assert "once it is planned" in why


def test_what_was_never_done_is_left_out_and_named():
    jobs = make_status(
        [
            ("chgnet relax", "gpu", {"READY": 1}),
            ("chgnet phonon", "gpu", {"WAITING": 1}),
        ]
    )
    left, why = estimate_time_left(jobs, Usage(rest_hours=0.5))
    assert left == pytest.approx(1800)
    assert why == "chgnet phonon not counted: none is done yet"


def test_nothing_open_needs_no_time():
    jobs = make_status([("chgnet relax", "gpu", {"COMPLETED": 5, "FIZZLED": 1})])
    assert estimate_time_left(jobs, Usage()) == (0.0, "")


@pytest.mark.mongo
def test_an_unknown_campaign_is_refused(database):
    with pytest.raises(CampaignError, match="No campaign 'oxides'"):
        read_campaign_status(database, "oxides")
