"""One round of a campaign: wired, cut into shards, run in one process."""

from __future__ import annotations

from dataclasses import replace

import pytest
from jobflow import run_locally

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import CampaignError
from wyckflow.flows.campaign import CampaignFlowMaker, uuid_of_stage
from wyckflow.flows.shard import ShardFlowMaker
from wyckflow.makers.phonon import PhononMaker
from wyckflow.makers.plan import PlanMaker
from wyckflow.resources import iter_jobs, route
from wyckflow.schemas.campaign import MOST_GENES, CampaignSpec
from wyckflow.schemas.target import PAPER_TARGET, Target

EASY = {"name": "easy", "filters": ["uniqueness"]}


def spec(**options):
    return CampaignSpec.model_validate({"name": "c", **options})


def test_a_round_is_three_jobs_until_it_runs():
    maker = CampaignFlowMaker.from_spec(spec(target=PAPER_TARGET, seed=3, n_genes=7))
    generate, screen, plan = maker.make("bundled", "c/0").jobs
    assert [generate.name, screen.name, plan.name] == [
        "gene generate",
        "gene screen",
        "campaign plan",
    ]
    assert generate.uuid in screen.input_uuids
    assert {generate.uuid, screen.uuid} <= set(plan.input_uuids)
    made = maker.generate_maker
    assert Target.model_validate(made.target) == PAPER_TARGET
    assert (made.n_genes, made.seed) == (7, 3)
    assert maker.screen_maker.screen.name == "published"
    shard = maker.plan_maker.shard_maker
    assert shard.relax_maker.seed == 3
    assert shard.phonon_maker is None


def test_every_section_of_the_file_reaches_its_maker():
    maker = CampaignFlowMaker.from_spec(
        spec(
            generate={"temperature": 0.8},
            screen=EASY,
            relax={"n_trials": 1, "seed": 5},
            hull={"threshold": 0.05},
            phonon={"min_length": 8.0},
            shard_minutes=3,
        ),
        number=2,
        max_genes=9,
    )
    shard = maker.plan_maker.shard_maker
    assert maker.generate_maker.temperature == 0.8
    assert (shard.relax_maker.n_trials, shard.relax_maker.seed) == (1, 5)
    assert shard.hull_maker.threshold == 0.05
    assert shard.phonon_maker == PhononMaker(min_length=8.0)
    assert (maker.plan_maker.shard_minutes, maker.plan_maker.max_genes) == (3, 9)
    (generate, *_) = maker.make("bundled").jobs
    assert generate.function_kwargs["shard"] == 2  # so that a round draws other genes


@pytest.mark.parametrize(
    ("section", "options", "says"),
    [
        ("relax", {"n_trial": 3}, "Did you mean 'n_trials'"),
        ("relax", {"fmax": -1}, "'relax'"),
        ("generate", {"n_genes": 3}, "at the top of the file"),
        ("hull", {"threshold": 100}, "eV/atom"),
        ("phonon", {"weights": "0.9"}, "0.3.0"),
        ("screen", "publishd", "Did you mean 'published'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_option_that_cannot_be_is_refused_before_anything_runs(
    section, options, says
):
    with pytest.raises(CampaignError, match=says):
        CampaignFlowMaker.from_spec(spec(**{section: options}))


def test_ids_follow_from_campaign_round_and_stage():
    maker = CampaignFlowMaker()
    first, again, other = (maker.make("m", name) for name in ("a/0", "a/0", "a/1"))
    assert first.job_uuids == again.job_uuids
    assert not set(first.job_uuids) & set(other.job_uuids)
    assert first.job_uuids[2] == uuid_of_stage("a", 0, "campaign plan")
    assert len(set(first.job_uuids)) == 3


def test_ids_of_a_shard_follow_from_its_number():
    maker = ShardFlowMaker()
    one, again = maker.make(["225 Na:a Cl:b"], "a/0/1"), maker.make([], "a/0/1")
    assert one.job_uuids == again.job_uuids
    assert set(one.job_uuids).isdisjoint(maker.make([], "a/0/2").job_uuids)
    assert set(maker.make([]).job_uuids).isdisjoint(maker.make([]).job_uuids)


def test_a_shard_relaxes_then_asks_the_hull_then_the_lattice():
    relax, hull, phonon = ShardFlowMaker().make(["225 Na:a Cl:b"]).jobs
    assert hull.input_uuids == (relax.uuid,)
    assert set(phonon.input_uuids) == {relax.uuid, hull.uuid}
    assert phonon.function_kwargs["only"].attributes == (("a", "passed"),)
    assert len(ShardFlowMaker(phonon_maker=None).make([]).jobs) == 2


def test_every_job_of_a_round_is_routed():
    flow = route(CampaignFlowMaker().make("bundled"))
    kinds = [job.config.manager_config["_category"] for job in iter_jobs(flow)]
    assert kinds == ["gpu", "cpu", "cpu"]


def test_a_round_fits_into_one_workflow():
    from wyckflow.store.submit import MAX_JOBS

    per_shard = len(ShardFlowMaker().make([]).jobs)
    largest = CampaignFlowMaker.from_spec(spec(n_genes=MOST_GENES))
    before = len(largest.make("bundled").jobs)
    assert before == 21
    assert before + per_shard * PlanMaker().max_shards <= MAX_JOBS


def test_many_genes_are_made_and_screened_in_parts():
    maker = CampaignFlowMaker.from_spec(spec(n_genes=250_001, seed=3), number=2)
    jobs = maker.make("bundled", "a/2").jobs
    names = [job.name for job in jobs]
    assert names == ["gene generate"] * 3 + ["gene screen"] * 3 + ["campaign plan"]
    generated, screened, plan = jobs[:3], jobs[3:6], jobs[6]
    assert [job.maker.n_genes for job in generated] == [83_333, 83_334, 83_334]
    assert [job.function_kwargs["part"] for job in generated] == [0, 1, 2]
    assert {job.function_kwargs["shard"] for job in generated} == {2}
    for one, other in zip(generated, screened, strict=True):
        assert other.input_uuids == (one.uuid,)
    assert set(plan.input_uuids) == {job.uuid for job in jobs[:6]}
    uuids = [job.uuid for job in jobs]
    assert len(set(uuids)) == 7
    assert tuple(uuids) == maker.make("bundled", "a/2").job_uuids
    # The first part keeps its ids, by which a round is found in the LaunchPad.
    assert generated[0].uuid == uuid_of_stage("a", 2, "gene generate")


def test_parts_draw_other_genes_and_are_planned_together(
    tiny_model, job_store, tmp_path
):
    maker = replace(
        CampaignFlowMaker.from_spec(
            spec(
                target=Target(space_groups="221, 225", n_elements={"max": 2}),
                n_genes=9,
                generate={"keep_known": True, "max_atoms": 8},
                screen=EASY,
            ),
            max_genes=0,
        ),
        genes_per_part=3,
    )
    flow = maker.make(str(tiny_model), "c/0")
    run_locally(
        flow, store=job_store, root_dir=tmp_path, ensure_success=True, log=False
    )
    outputs = [job_store.get_output(uuid, load=True) for uuid in flow.job_uuids]
    generated, screened, plan = outputs[:3], outputs[3:6], outputs[6]
    assert [item["part"] for item in generated] == [0, 1, 2]
    assert len({item["chunks"][0]["blob"] for item in generated}) == 3
    accepted = [text for item in screened for text in item["accepted"]]
    distinct = {WyckoffGene.from_text(text).gene_id for text in accepted}
    assert plan["n_accepted"] == len(accepted)
    assert plan["n_repeated"] == len(accepted) - len(distinct)
    assert plan["n_over_budget"] == len(distinct)


def test_the_maker_survives_its_dictionary():
    maker = CampaignFlowMaker.from_spec(
        spec(target=PAPER_TARGET, phonon={}, relax={"n_trials": 2}), number=1
    )
    assert CampaignFlowMaker.from_dict(maker.as_dict()) == maker


def test_a_round_runs_from_genes_to_verdicts(tiny_model, job_store, tmp_path):
    """With phonons, and the document of each stage speaks of the one before."""
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    maker = CampaignFlowMaker.from_spec(
        spec(
            target=Target(space_groups="221, 225", n_elements={"max": 2}),
            n_genes=3,
            generate={"keep_known": True, "max_atoms": 8},
            screen=EASY,
            relax={"n_trials": 1, "max_steps": 4, "n_coarse_stages": 0},
            hull={"threshold": 9.0},
            phonon={"min_length": 3.0, "max_force": 9.0, "max_stress_gpa": 1e3},
            shard_minutes=1e-6,
        ),
        max_genes=2,
    )
    flow = maker.make(str(tiny_model), "c/0")
    flow.update_metadata({"campaign": "c"})
    run_locally(
        flow, store=job_store, root_dir=tmp_path, ensure_success=True, log=False
    )

    def output(uuid):
        return job_store.get_output(uuid, load=True)

    generated, screened, plan = map(output, flow.job_uuids)
    assert screened["n_genes"] == generated["n_genes"] == 3
    assert plan["n_accepted"] == screened["n_accepted"]
    assert plan["n_planned"] == 2
    assert plan["n_over_budget"] == plan["n_accepted"] - 2
    assert plan["ranked_by"].startswith("predicted energy above the hull")
    assert [shard["n_genes"] for shard in plan["shards"]] == [1, 1]
    for shard in plan["shards"]:
        relaxed, judged, lattice = map(output, shard["job_uuids"])
        (gene,) = (item["gene_id"] for item in relaxed["results"])
        assert [item["gene_id"] for item in judged["results"]] == [gene]
        assert judged["passed"] == [gene]  # threshold of 9 eV/atom
        assert [item["gene_id"] for item in lattice["results"]] == [gene]
    names = job_store.distinct("name", {"metadata.campaign": "c"})
    assert len(names) == 6  # what the plan added belongs to the campaign, too
