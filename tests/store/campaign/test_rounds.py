"""Campaigns sent to real workers, sent twice, extended, and held by their budget."""

from __future__ import annotations

import pytest
from waiting import wait_until

from wyckflow.errors import CampaignError, ModelError, TargetError
from wyckflow.flows.campaign import uuid_of_stage
from wyckflow.schemas.campaign import CampaignState
from wyckflow.store.campaign.file import parse_campaign
from wyckflow.store.campaign.funnel import read_funnel
from wyckflow.store.campaign.progress import (
    Usage,
    advance_campaign,
    read_usage,
    rest_hours,
)
from wyckflow.store.campaign.record import campaign_names, read_campaign
from wyckflow.store.campaign.rounds import (
    extend_campaign,
    flow_of_round,
    submit_campaign,
)
from wyckflow.store.candidates.explain import explain_candidate
from wyckflow.store.candidates.query import find_candidates
from wyckflow.store.models import find_model, list_models

pytestmark = pytest.mark.mongo


@pytest.fixture
def mongo(database):
    with database.client() as client:
        yield client[database.name]


@pytest.fixture
def make_spec(tiny_model):
    """A campaign on a tiny model that costs next to nothing."""

    def make(**options):
        content = {
            "name": "salts",
            "model": str(tiny_model),
            "target": {"space_groups": "221, 225", "n_elements": {"max": 2}},
            "n_genes": 3,
            "generate": {"keep_known": True, "max_atoms": 8},
            "screen": {"name": "easy", "filters": ["uniqueness"]},
            "relax": {"n_trials": 1, "max_steps": 4, "n_coarse_stages": 0},
            "hull": {"threshold": 9.0},
            "shard_minutes": 1e-6,
        }
        return parse_campaign(content | options)

    return make


def count(mongo):
    """How many of everything there is."""
    names = ("campaigns", "models", "fireworks", "workflows", "outputs")
    return {name: mongo[name].count_documents({}) for name in names}


def states(mongo):
    return sorted(job["state"] for job in mongo.fireworks.find())


def finish(mongo, start_worker):
    """Let one worker of each kind run everything."""
    workers = [start_worker("gpu"), start_worker("cpu")]
    open_states = {"READY", "WAITING", "RUNNING", "RESERVED"}
    wait_until(
        lambda: "FIZZLED" in states(mongo) or not open_states & set(states(mongo)),
        what="the end",
        seconds=120,
    )
    for worker in workers:
        worker.terminate()
        worker.wait(30)


def test_a_campaign_runs_through_real_workers(
    database, mongo, make_spec, start_worker, project
):
    """Children that the plan adds keep their kind, their campaign and their ids."""
    spec = make_spec(phonon={"min_length": 3.0}, budget={"relaxations": 2})
    sent = submit_campaign(database, spec)
    assert len(sent.fw_ids) == 3
    finish(mongo, start_worker)
    assert set(states(mongo)) == {"COMPLETED"}
    kinds = {}
    for job in mongo.fireworks.find():
        launch = mongo.launches.find_one({"launch_id": job["launches"][0]})
        name = launch["fworker"]["name"]
        kinds.setdefault(job["name"], set()).add(name.split("-")[-2])
        assert job["spec"]["campaign"] == "salts"
    assert kinds == {
        "gene generate": {"gpu"},
        "gene screen": {"cpu"},
        "campaign plan": {"cpu"},
        "chgnet relax": {"gpu"},
        "hull distance": {"cpu"},
        "chgnet phonon": {"gpu"},
    }
    (plan,) = mongo.outputs.find({"name": "campaign plan"})
    planned = {u for shard in plan["output"]["shards"] for u in shard["job_uuids"]}
    found = {doc["uuid"] for doc in mongo.outputs.find() if "metadata" in doc}
    first = {uuid_of_stage("salts", 0, n) for n in ("gene generate", "gene screen")}
    assert planned | first <= found
    assert len(planned) == 3 * plan["output"]["n_planned"] == 6
    assert mongo.workflows.count_documents({}) == 1
    _check_order(mongo, plan["output"])
    _check_summary(database, plan["output"])
    assert database.uri not in str(list(mongo.fireworks.find()))  # no password in jobs


def _check_order(mongo, plan):
    """The most promising shard was begun first."""
    begun = {}
    for job in mongo.fireworks.find({"name": "chgnet relax"}):
        launch = mongo.launches.find_one({"launch_id": job["launches"][0]})
        begun[job["spec"]["_tasks"][0]["job"]["uuid"]] = launch["time_start"]
    wanted = [shard["job_uuids"][0] for shard in plan["shards"]]
    assert sorted(wanted, key=begun.get) == wanted


def _check_summary(database, plan):
    """Funnel, costs and candidates of a finished campaign agree with each other."""
    advanced = advance_campaign(database, "salts")
    assert advanced.held is None
    usage = advanced.usage
    assert (usage.n_planned, usage.n_relaxed, usage.rest_hours) == (2, 2, 0)
    assert usage.gpu_hours > 0
    assert usage.cpu_hours > 0
    steps = {step.filter: step for step in read_funnel(database, "salts")}
    names = ["generation", "uniqueness", "plan", "relaxation", "hull", "phonons"]
    assert list(steps) == names
    assert steps["generation"].n_pass == steps["uniqueness"].n_in == 3
    assert steps["plan"].n_in == steps["uniqueness"].n_pass
    assert steps["plan"].n_fail == plan["n_over_budget"]
    assert steps["relaxation"].n_in == steps["plan"].n_pass == 2
    assert steps["hull"].n_in == 2
    assert steps["phonons"].n_in == steps["hull"].n_pass
    for step in steps.values():
        assert step.n_in == step.n_pass + step.n_fail + step.n_cannot_judge
    candidates = find_candidates(database, campaign="salts")
    assert len(candidates) == steps["uniqueness"].n_in
    assert sum(item.energy_per_atom is not None for item in candidates) == 2
    (round_0,) = read_campaign(database, "salts").rounds
    assert {item.round for item in candidates} == {0}
    assert {item.model_id for item in candidates} == {round_0.model_id}
    assert all(item.predicted_band_gap is not None for item in candidates)
    for item in candidates:
        assert {one.job_uuid for one in item.verdicts} <= set(item.job_uuids)
        explained = explain_candidate(database, item.gene_id)
        assert {job.uuid for job in explained.jobs} == set(item.job_uuids)
        assert all(job.host and job.ended_at and job.fw_id for job in explained.jobs)
        assert 0 < explained.cpu_s < sum(job.job_cpu_s for job in explained.jobs)


def test_sending_twice_changes_nothing(database, mongo, make_spec):
    first = submit_campaign(database, make_spec())
    before = count(mongo)
    again = submit_campaign(database, make_spec())
    assert count(mongo) == before
    assert again.fw_ids == ()
    assert again.campaign.rounds == first.campaign.rounds
    assert before["models"] == before["campaigns"] == before["workflows"] == 1


def test_a_round_lost_between_register_and_send_is_sent_by_the_next_try(
    database, mongo, make_spec
):
    submit_campaign(database, make_spec())
    ids = {job["spec"]["_tasks"][0]["job"]["uuid"] for job in mongo.fireworks.find()}
    mongo.fireworks.delete_many({})
    assert len(submit_campaign(database, make_spec()).fw_ids) == 3
    again = {job["spec"]["_tasks"][0]["job"]["uuid"] for job in mongo.fireworks.find()}
    assert again == ids


def test_another_campaign_of_the_same_name_is_refused_with_what_differs(
    database, mongo, make_spec
):
    submit_campaign(database, make_spec())
    before = count(mongo)
    other = make_spec(seed=1, hull={"threshold": 0.1})
    with pytest.raises(CampaignError, match=r"differs in hull, seed\."):
        submit_campaign(database, other)
    assert count(mongo) == before
    assert read_campaign(database, "salts").spec.seed == 0


def test_another_model_under_the_same_words_is_another_campaign(
    database, make_spec, tiny_model, tmp_path
):
    path = tmp_path / "mine.npz"
    path.write_bytes(tiny_model.read_bytes())
    submit_campaign(database, make_spec(model=str(path)))
    submit_campaign(database, make_spec())  # other words, the same model: the same
    with database.client() as client:
        change = {"$set": {"rounds.0.model_id": "0" * 64}}
        client[database.name].campaigns.update_one({}, change)
    with pytest.raises(CampaignError, match=r"differs in model\."):
        submit_campaign(database, make_spec())


def test_a_model_can_be_named_by_its_registered_name(database, make_spec):
    submit_campaign(database, make_spec())
    (card,) = list_models(database)
    sent = submit_campaign(database, make_spec(name="more", model="tiny"))
    assert sent.round.model_id == card.model_id == find_model(database, "tiny").model_id
    assert campaign_names(database) == ["more", "salts"]


@pytest.mark.slow
def test_an_extension_draws_other_genes_within_what_the_budget_leaves(
    database, mongo, make_spec, start_worker
):
    submit_campaign(database, make_spec(budget={"relaxations": 4}))
    finish(mongo, start_worker)
    sent = extend_campaign(database, "salts", 6)
    assert (sent.round.number, sent.round.n_genes) == (1, 6)
    assert sent.round.max_relaxations == 1  # 4 less the 3 of round 0
    assert len(sent.fw_ids) == 3
    finish(mongo, start_worker)
    assert set(states(mongo)) == {"COMPLETED"}
    seeds = {doc["output"]["shard"] for doc in mongo.outputs.find({"output.shard": 1})}
    assert seeds == {1}
    assert read_usage(database, "salts").n_relaxed == 4
    with pytest.raises(CampaignError, match="no relaxation left of the 4"):
        extend_campaign(database, "salts", 2)
    submit_campaign(database, make_spec(budget={"relaxations": 9}))
    assert extend_campaign(database, "salts", 2).round.max_relaxations == 5


def test_what_an_earlier_round_may_still_plan_counts_as_used(database, make_spec):
    submit_campaign(database, make_spec(budget={"relaxations": 4}))
    assert extend_campaign(database, "salts", 9).round.max_relaxations == 1
    with pytest.raises(CampaignError, match="still plan counts as used"):
        extend_campaign(database, "salts", 1)


def test_a_round_leaves_out_what_earlier_ones_have_planned_when_it_is_sent(
    database, mongo, make_spec
):
    """Written down in the round, so that it stays the same whenever it is sent."""
    submit_campaign(database, make_spec())
    assert extend_campaign(database, "salts", 3).round.leaves_out == []
    plan = {"uuid": uuid_of_stage("salts", 0, "campaign plan"), "index": 1}
    mongo.outputs.insert_one({**plan, "output": {"n_planned": 3}})
    sent = extend_campaign(database, "salts", 3)
    assert sent.round.leaves_out == [0]
    ours = {"name": "campaign plan", "fw_id": {"$in": list(sent.fw_ids)}}
    (job,) = mongo.fireworks.find(ours)
    kwargs = job["spec"]["_tasks"][0]["job"]["function_kwargs"]
    assert [item["uuid"] for item in kwargs["earlier"]] == [plan["uuid"]]
    assert read_campaign(database, "salts").rounds[2].leaves_out == [0]
    first = flow_of_round(sent.campaign, sent.campaign.rounds[2]).jobs[-1]
    second = flow_of_round(sent.campaign, sent.campaign.rounds[2]).jobs[-1]
    assert first.uuid == second.uuid
    assert first.function_kwargs == second.function_kwargs


@pytest.mark.slow
def test_no_gene_is_relaxed_by_two_rounds(database, mongo, make_spec, start_worker):
    submit_campaign(database, make_spec(n_genes=16, shard_minutes=1))
    finish(mongo, start_worker)
    assert extend_campaign(database, "salts", 16).round.leaves_out == [0]
    finish(mongo, start_worker)
    assert set(states(mongo)) == {"COMPLETED"}
    plans = [item["output"] for item in mongo.outputs.find({"name": "campaign plan"})]
    assert [plan["n_planned_before"] > 0 for plan in plans] == [False, True]
    assert all(
        plan["n_accepted"]
        == plan["n_planned"] + plan["n_planned_before"] + plan["n_repeated"]
        for plan in plans
    )
    relaxed = [
        result["gene_id"]
        for doc in mongo.outputs.find({"name": "chgnet relax"})
        for result in doc["output"]["results"]
    ]
    assert len(set(relaxed)) == len(relaxed) == sum(plan["n_planned"] for plan in plans)
    (step,) = [s for s in read_funnel(database, "salts") if s.filter == "plan"]
    reasons = {item.reason: item.n_genes for item in step.reasons}
    assert reasons["planned by an earlier round"] == plans[1]["n_planned_before"]
    advance_campaign(database, "salts")
    proposed = [uuid_of_stage("salts", k, "gene generate") for k in (0, 1)]
    both = [
        item
        for item in mongo.candidates.find({"campaign": "salts"})
        if set(proposed) <= set(item["job_uuids"])
    ]
    assert len(both) == plans[1]["n_planned_before"]
    assert {item["round"] for item in both} == {0}
    assert all(item["energy_per_atom"] is not None for item in both)


@pytest.mark.slow
def test_a_failing_shard_leaves_the_others_alone(
    database, mongo, make_spec, start_worker
):
    """One job is broken in the database, as a bug that hits one shard would do."""
    submit_campaign(database, make_spec())
    for category, names in (
        ("gpu", ["gene generate"]),
        ("cpu", ["gene screen", "campaign plan"]),
    ):
        worker = start_worker(category, "--max-jobs", str(len(names)))
        worker.wait(90)
    broken = mongo.fireworks.find_one({"name": "chgnet relax"})
    place = "spec._tasks.0.job.function_args"
    mongo.fireworks.update_one(
        {"fw_id": broken["fw_id"]}, {"$set": {place: [["no gene at all"]]}}
    )
    start_worker("gpu", "--idle", "3").wait(90)
    start_worker("cpu", "--idle", "1").wait(90)
    n_shards = mongo.fireworks.count_documents({"name": "chgnet relax"})
    assert n_shards > 1
    found = {job["name"]: [] for job in mongo.fireworks.find()}
    for job in mongo.fireworks.find():
        found[job["name"]].append(job["state"])
    done = ["COMPLETED"] * (n_shards - 1)
    assert sorted(found["chgnet relax"]) == [*done, "FIZZLED"]
    assert sorted(found["hull distance"]) == [*done, "WAITING"]
    assert advance_campaign(database, "salts").usage.n_relaxed == n_shards - 1


def test_a_used_up_budget_holds_the_open_jobs(database, mongo, make_spec, start_worker):
    submit_campaign(database, make_spec(budget={"gpu_hours": 1e-9}))
    assert advance_campaign(database, "salts").held is None  # nothing has run yet
    start_worker("gpu", "--max-jobs", "1").wait(90)
    advanced = advance_campaign(database, "salts")
    assert advanced.held.n_changed == 2
    assert "gpu hours are used" in advanced.reason
    assert states(mongo) == ["COMPLETED", "PAUSED", "PAUSED"]
    campaign = read_campaign(database, "salts")
    assert campaign.state is CampaignState.PAUSED
    assert campaign.reason == advanced.reason


def test_a_worker_holds_what_the_budget_does_not_cover(
    database, mongo, make_spec, start_worker
):
    """Nobody looks at the campaign: the worker does."""
    submit_campaign(database, make_spec(budget={"gpu_hours": 1e-9}))
    worker = start_worker("gpu")
    wait_until(
        lambda: states(mongo) == ["COMPLETED", "PAUSED", "PAUSED"], what="the hold"
    )
    worker.terminate()
    out, _ = worker.communicate(timeout=30)
    assert "gpu hours are used; 2 open jobs held" in " ".join(out.split())
    assert read_campaign(database, "salts").state is CampaignState.PAUSED


def test_a_model_without_the_property_that_is_asked_for_is_refused(
    database, mongo, make_spec, tiny_model, monkeypatch
):
    from wyckflow.ml import model_file

    describe = model_file.describe_model

    def describe_without_gap(path, **options):
        model = describe(path, **options)
        scalers = {k: v for k, v in model.card["scalers"].items() if k != "band_gap"}
        return model.model_copy(update={"card": model.card | {"scalers": scalers}})

    monkeypatch.setattr(model_file, "describe_model", describe_without_gap)
    before = count(mongo)
    target = {"properties": {"band_gap": {"min": 0.5}}}
    with pytest.raises(ModelError, match="band_gap"):
        submit_campaign(database, make_spec(target=target))
    assert count(mongo) == before


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        (
            {"target": {"properties": {"band_gp": {"min": 1}}}},
            ModelError,
            "Did you mean 'band_gap'",
        ),
        ({"target": {"elements_all": ["U"]}}, TargetError, "U"),
        ({"model": "no/such.npz"}, ModelError, "no model's file"),
        ({"model": "unheard"}, ModelError, "names no single model"),
        ({"relax": {"n_trial": 1}}, CampaignError, "Did you mean 'n_trials'"),
    ],
    ids=["property", "element", "file", "name", "option"],
)
def test_a_campaign_that_would_fail_is_refused_and_leaves_nothing(
    database, mongo, make_spec, *, options, error, says
):
    before = count(mongo)
    with pytest.raises(error, match=says):
        submit_campaign(database, make_spec(**options))
    assert count(mongo) == before


def test_an_unknown_campaign_is_refused_with_the_nearest(database, make_spec):
    submit_campaign(database, make_spec())
    with pytest.raises(CampaignError, match="Did you mean 'salts'"):
        extend_campaign(database, "salt", 5)


def test_hours_are_held_against_their_limits():
    budget = parse_campaign({"name": "c", "budget": {"cpu_hours": 2}}).budget
    assert Usage(cpu_hours=1.9, gpu_hours=99).exceeded(budget) == ""
    assert Usage(cpu_hours=2.0).exceeded(budget) == "2 of 2 cpu hours are used"


def test_the_rest_is_estimated_by_the_pace_of_the_finished_shards():
    shards = [
        {"estimated_cpu_s": seconds, "job_uuids": [name, f"{name}-hull"]}
        for name, seconds in (("a", 100.0), ("b", 300.0), ("c", 60.0))
    ]
    assert rest_hours(shards, {}) == pytest.approx(460 / 3600)
    # The first took twice its estimate.
    assert rest_hours(shards, {"a": 200.0}) == pytest.approx(2 * 360 / 3600)
    done = {"a": 200.0, "b": 1.0, "c": 2.0}
    assert rest_hours(shards, done) == 0
