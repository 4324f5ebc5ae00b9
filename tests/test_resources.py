"""Every job gets its kind of worker, also one that a running job creates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest
from jobflow import Flow, Maker, Response, job

from wyckflow.errors import RoutingError
from wyckflow.resources import (
    CATEGORY_BY_JOB_NAME,
    GLUE_JOB,
    Category,
    check_routed,
    iter_jobs,
    route,
)
from wyckflow.store.submit import prepare


@dataclass
class PartMaker(Maker):
    """A job of any name that returns its argument."""

    name: str = "hull distance"
    category: str | None = None

    def make(self, value):
        part = echo(value)
        part.name = self.name
        if self.category:
            part.config.manager_config["_category"] = self.category
        return part


@job
def echo(value):
    return value


@job
def fan_out(makers):
    """Replace itself by one job per maker, as a campaign does at run time."""
    parts = [maker.make(number) for number, maker in enumerate(makers)]
    return Response(replace=Flow(parts, output=[part.output for part in parts]))


@job
def fan_out_by(kind, makers):
    parts = [maker.make(number) for number, maker in enumerate(makers)]
    return Response(**{kind: Flow(parts)})


@job
def fan_out_twice(makers):
    return Response(replace=Flow([named(fan_out(makers), "gene screen")]))


def named(made, name):
    made.name = name
    return made


def parent(makers, create=fan_out):
    """A GPU job that creates others while it runs."""
    return named(create(makers), "gene generate")


def created(made, store, kind="replace"):
    """Run a job and return those that it created, by name."""
    response = made.run(store)
    return {child.name: child for child in iter_jobs(getattr(response, kind))}


def category(made):
    return made.config.manager_config.get("_category")


CHILDREN = [
    PartMaker("hull distance"),
    PartMaker("chgnet relax"),
    PartMaker("vasp static"),
    PartMaker("somebody's own"),
    PartMaker("somebody's labelled", category="gpu-big"),
]


def test_every_name_of_ours_gets_its_category():
    jobs = [PartMaker(name).make(1) for name in CATEGORY_BY_JOB_NAME]
    route(Flow(jobs))
    assert {made.name: category(made) for made in jobs} == CATEGORY_BY_JOB_NAME


def test_nested_flows_are_routed_to_the_last_job():
    inner = Flow([PartMaker("vasp static").make(1)])
    flow = Flow([PartMaker("gene screen").make(1), Flow([inner])])
    route(flow)
    assert [category(made) for made in iter_jobs(flow)] == ["cpu", "vasp"]


def test_created_jobs_get_the_category_of_their_name_not_of_their_parent(job_store):
    made = route(parent(CHILDREN))
    assert category(made) == "gpu"
    children = created(made, job_store)
    assert category(children["hull distance"]) == "cpu"
    assert category(children["chgnet relax"]) == "gpu"
    assert category(children["vasp static"]) == "vasp"


def test_a_created_job_of_a_foreign_name_is_left_to_the_cpu_workers(job_store):
    """They pull what carries no category; the label of another kind it keeps."""
    children = created(route(parent(CHILDREN)), job_store)
    assert category(children["somebody's own"]) is None
    assert category(children["somebody's labelled"]) == "gpu-big"


def test_the_glue_behind_a_replaced_job_runs_on_a_cpu_worker(job_store):
    children = created(route(parent(CHILDREN)), job_store)
    assert category(children[GLUE_JOB]) == Category.CPU


@pytest.mark.parametrize("kind", ["addition", "detour"])
def test_added_jobs_and_detours_are_routed_like_replacements(job_store, kind):
    made = parent(CHILDREN[:3], partial(fan_out_by, kind))
    children = created(route(made), job_store, kind)
    assert {name: category(child) for name, child in children.items()} == {
        "hull distance": "cpu",
        "chgnet relax": "gpu",
        "vasp static": "vasp",
    }


def test_grandchildren_are_routed_too(job_store):
    children = created(route(parent(CHILDREN, fan_out_twice)), job_store)
    middle = children["gene screen"]
    assert category(middle) == "cpu"
    grandchildren = created(middle, job_store)
    assert category(grandchildren["chgnet relax"]) == "gpu"
    assert category(grandchildren["vasp static"]) == "vasp"
    assert category(grandchildren[GLUE_JOB]) == "cpu"


def test_an_override_reaches_jobs_now_and_later(job_store):
    made = Flow([parent(CHILDREN), named(echo(1), "chgnet relax")])
    route(made, overrides={"chgnet relax": "gpu-big"})
    assert category(made.jobs[1]) == "gpu-big"
    children = created(made.jobs[0], job_store)
    assert category(children["chgnet relax"]) == "gpu-big"
    assert category(children["hull distance"]) == "cpu"


def test_a_label_given_before_routing_is_kept():
    made = PartMaker("chgnet relax", category="node17").make(1)
    assert category(route(made)) == "node17"


def test_a_users_update_before_or_after_routing_wins_for_children(job_store):
    wish = {"_set": {"manager_config->_category": "mine"}}
    change = {"config": wish, "name_filter": "chgnet relax", "dict_mod": True}
    for order in ("before", "after"):
        made = parent(CHILDREN)
        if order == "before":
            made.update_config(**change)
        route(made)
        if order == "after":
            made.update_config(**change)
        children = created(made, job_store)
        assert category(children["chgnet relax"]) == "mine", order
        assert category(children["vasp static"]) == "vasp", order


def test_routing_twice_is_the_same_as_once(job_store):
    children = created(route(route(parent(CHILDREN))), job_store)
    assert category(children["chgnet relax"]) == "gpu"
    assert category(children["hull distance"]) == "cpu"


def test_priority_and_campaign_survive_routing_in_parent_and_children(job_store):
    made = parent(CHILDREN)
    prepare(made, campaign="oxides", priority=7)
    assert made.config.manager_config == {"_category": "gpu", "_priority": 7}
    child = created(made, job_store)["chgnet relax"]
    assert child.config.manager_config == {"_category": "gpu", "_priority": 7}
    assert child.metadata["campaign"] == "oxides"


def test_an_override_of_an_unknown_job_is_refused_with_the_nearest():
    with pytest.raises(RoutingError, match="'chgnet relaks'") as caught:
        route(PartMaker().make(1), overrides={"chgnet relaks": "gpu"})
    assert "Did you mean 'chgnet relax'?" in str(caught.value)


def test_a_job_that_names_no_worker_is_refused_with_both_ways_out():
    lost = PartMaker("chgnat relax").make(1)
    with pytest.raises(RoutingError, match="'chgnat relax'") as caught:
        route(Flow([PartMaker().make(1), lost]))
    sentence = str(caught.value)
    assert "Did you mean 'chgnet relax'?" in sentence
    assert "update_config" in sentence
    assert "wyckflow.resources" in sentence
    with pytest.raises(RoutingError):
        check_routed(lost)


def test_the_way_out_that_the_error_names_works():
    lost = PartMaker("surprise").make(1)
    lost.update_config({"manager_config": {"_category": "cpu"}})
    assert category(route(lost)) == "cpu"
