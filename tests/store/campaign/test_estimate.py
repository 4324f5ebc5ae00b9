"""What a round will take, by hand and by what a database has measured."""

from __future__ import annotations

import pytest

from wyckflow.schemas.campaign import CampaignSpec
from wyckflow.store.campaign.costs import read_costs
from wyckflow.store.campaign.estimate import (
    BEFORE_ANY,
    StageCost,
    estimate_round,
    measure_costs,
    warn_of_budget,
)

COSTS = {
    "gene generate": StageCost(0.5),
    "gene screen": StageCost(0.1, passed=0.4),
    "chgnet relax": StageCost(9.0),
    "hull distance": StageCost(0.2, passed=0.5),
    "chgnet phonon": StageCost(36.0),
}


def estimate(n_genes=1000, max_relaxations=None, **options):
    spec = CampaignSpec(name="c", **options)
    return estimate_round(spec, COSTS, n_genes=n_genes, max_relaxations=max_relaxations)


def test_each_stage_sees_what_the_one_before_let_through():
    found = {item.job: item for item in estimate(phonon={})}
    seen = {job: item.n_items for job, item in found.items()}
    assert seen == {
        "gene generate": 1000,
        "gene screen": 1000,
        "chgnet relax": 400,
        "hull distance": 400,
        "chgnet phonon": 200,
    }
    assert found["chgnet relax"].hours == pytest.approx(400 * 9 / 3600)
    assert found["chgnet phonon"].hours == pytest.approx(2.0)
    kinds = [item.category for item in found.values()]
    assert kinds == ["gpu", "cpu", "gpu", "cpu", "gpu"]


def test_fixed_starts_count_where_nothing_was_measured_yet():
    def hours(**options):
        (found,) = [i for i in estimate(**options) if i.job == "chgnet relax"]
        return found.hours

    usual = hours()
    assert hours(relax={"n_trials": 12}) == pytest.approx(
        2 * hours(relax={"n_trials": 6})
    )
    assert hours(relax={"n_trials": 6}) < usual < hours(relax={"n_trials": 12})
    measured = COSTS | {"chgnet relax": StageCost(9.0, n_items=50)}
    spec = CampaignSpec(name="c", relax={"n_trials": 6})
    found = estimate_round(spec, measured, n_genes=1000, max_relaxations=None)
    assert found[2].hours == pytest.approx(400 * 9 / 3600)  # as it was done here


def test_the_budget_of_relaxations_limits_what_follows():
    found = {item.job: item.n_items for item in estimate(max_relaxations=100)}
    assert found["gene screen"] == 1000
    assert found["chgnet relax"] == found["hull distance"] == 100
    assert "chgnet phonon" not in found  # was not asked for


def test_a_rule_for_vasp_is_estimated_by_its_budget_without_a_time():
    dft = {"opens_below": 0.03}
    (*_, last) = estimate(dft=dft, budget={"vasp_jobs": 14})
    assert (last.job, last.category, last.n_items) == ("vasp", "vasp", 14)
    assert last.hours is None
    assert all(item.job != "vasp" for item in estimate(dft={}))


def test_a_limit_that_will_be_met_is_said_before():
    spec = CampaignSpec(name="c", phonon={}, budget={"gpu_hours": 1, "cpu_hours": 9})
    found = estimate_round(spec, COSTS, n_genes=1000, max_relaxations=None)
    (warning,) = warn_of_budget(spec, found)
    assert "3.1 gpu hours are expected and 1 allowed" in warning


@pytest.fixture
def enter(database):
    """Store the output of a job that took so long."""

    def enter_output(name, cpu_s, wall_s, campaign="c", **output):
        output |= {"provenance": {"cpu_s": cpu_s, "wall_s": wall_s}}
        with database.client() as client:
            outputs = client[database.name].outputs
            number = outputs.count_documents({})
            metadata = {"campaign": campaign} if campaign else {}
            outputs.insert_one(
                {
                    "uuid": f"u{number}",
                    "index": 1,
                    "name": name,
                    "metadata": metadata,
                    "output": output,
                }
            )

    return enter_output


@pytest.mark.mongo
def test_an_empty_database_estimates_by_what_comes_along(database):
    assert measure_costs(database) == dict(BEFORE_ANY)


@pytest.mark.mongo
def test_costs_are_those_of_the_jobs_of_all_campaigns(database, enter):
    results = [{"gene_id": str(place)} for place in range(20)]
    enter("chgnet relax", 30.0, 40.0, results=results)
    enter("chgnet relax", 10.0, 20.0, campaign="d", results=results[:10])
    enter("chgnet relax", 999.0, 999.0, campaign=None, results=results)
    funnel = [{"n_in": 50, "n_pass": 30}, {"n_in": 30, "n_pass": 20}]
    enter("gene screen", 5.0, 7.0, funnel=funnel)
    enter("hull distance", 1.0, 1.0, results=results[:3], n_pass=1)
    costs = measure_costs(database)
    # Elapsed on gpu workers, of the processor on cpu workers.
    assert costs["chgnet relax"] == StageCost(2.0, n_items=30)
    assert costs["gene screen"] == StageCost(0.1, passed=0.4, n_items=50)
    assert costs["hull distance"] == BEFORE_ANY["hull distance"]  # three are too few
    with database.client() as client:
        only = read_costs(client[database.name], "d")
    assert (only["chgnet relax"].n_jobs, only["chgnet relax"].n_seen) == (1, 10)


@pytest.mark.mongo
def test_vasp_runs_tell_their_time_and_others_are_counted_all_the_same(database, enter):
    enter("vasp static", None, None, run_stats={"overall": {"elapsed_time": 1800.0}})
    enter("vasp static", None, None, run_stats={"overall": {"elapsed_time": 5400.0}})
    enter("vasp preflight", None, None)
    with database.client() as client:
        costs = read_costs(client[database.name])
    static = costs["vasp static"]
    assert (static.category, static.n_jobs, static.hours) == ("vasp", 2, 2.0)
    other = costs["vasp preflight"]
    assert (other.n_jobs, other.hours) == (1, 0)
