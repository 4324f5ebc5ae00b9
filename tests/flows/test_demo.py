"""The demonstration flow from genes to relaxed structures, end to end."""

from __future__ import annotations

import pytest
from jobflow import run_locally

from wyckflow.errors import GeneError
from wyckflow.flows.demo import DemoFlowMaker
from wyckflow.makers.relax import RelaxMaker
from wyckflow.makers.screen import ScreenMaker
from wyckflow.schemas.relaxation import Outcome, RelaxationBatchDoc

PEROVSKITE, ROCKSALT = "221 Sr:a Ti:b O:c", "225 Na:a Cl:b"
NOT_NEUTRAL = "225 Mg:a F:b"


def test_two_known_crystals_come_out_as_known(job_store, tmp_path):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    maker = DemoFlowMaker(relax_maker=RelaxMaker(n_trials=1), n_shards=2)
    flow = maker.make([PEROVSKITE, NOT_NEUTRAL, ROCKSALT])
    run_locally(
        flow, store=job_store, root_dir=tmp_path, ensure_success=True, log=False
    )
    documents = [
        RelaxationBatchDoc.model_validate(
            {
                name: value
                for name, value in job_store.get_output(uuid, load=True).items()
                if name[0] != "@"
            }
        )
        for uuid in flow.job_uuids[1:]
    ]
    assert [item.gene for doc in documents for item in doc.results] == [
        PEROVSKITE,
        ROCKSALT,
    ]
    # Lattice parameters of the Materials Project (PBE).
    for document, expected in zip(documents, (3.94, 5.69), strict=True):
        (result,) = document.results
        structure = document.structures()[result.gene_id]
        assert result.outcome is Outcome.CONVERGED
        assert result.is_symmetry_kept
        assert structure.lattice[0, 0] == pytest.approx(expected, rel=0.02)
        assert (document.shard, document.n_shards) == (documents.index(document), 2)


def test_jobs_are_one_screen_and_one_relax_per_shard():
    flow = DemoFlowMaker(n_shards=3).make([PEROVSKITE])
    assert [job.name for job in flow.jobs] == ["gene screen"] + ["chgnet relax"] * 3
    screen, *shards = flow.jobs
    assert [job.function_kwargs["shard"] for job in shards] == [0, 1, 2]
    assert all(screen.uuid in job.input_uuids for job in shards)


def test_every_job_is_routed():
    from wyckflow.resources import check_routed, route

    flow = route(DemoFlowMaker(n_shards=2).make([PEROVSKITE]))
    check_routed(flow)
    categories = [job.config.manager_config["_category"] for job in flow.jobs]
    assert categories == ["cpu", "gpu", "gpu"]


def test_the_flow_becomes_a_small_workflow_and_survives_it():
    import bson
    from fireworks import Workflow
    from jobflow import Job
    from jobflow.managers.fireworks import flow_to_workflow
    from monty.json import MontyDecoder

    flow = DemoFlowMaker(n_shards=2).make([PEROVSKITE, ROCKSALT])
    stored = bson.encode(flow_to_workflow(flow).to_dict())
    assert len(stored) < 100_000
    read = Workflow.from_dict(bson.decode(stored))
    jobs = [MontyDecoder().process_decoded(fw.tasks[0]["job"]) for fw in read.fws]
    assert all(isinstance(job, Job) for job in jobs)
    makers = {job.name: job.maker for job in jobs}
    assert makers == {"gene screen": ScreenMaker(), "chgnet relax": RelaxMaker()}


def test_a_shard_without_a_gene_is_an_empty_document(job_store, tmp_path):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    flow = DemoFlowMaker().make([NOT_NEUTRAL])
    run_locally(
        flow, store=job_store, root_dir=tmp_path, ensure_success=True, log=False
    )
    output = job_store.get_output(flow.job_uuids[1], load=True)
    assert (output["results"], output["n_converged"], output["blob"]) == ([], 0, None)


def test_the_maker_survives_its_dictionary():
    maker = DemoFlowMaker(
        screen_maker=ScreenMaker(screen="sustainable"),
        relax_maker=RelaxMaker(n_trials=2),
        n_shards=4,
    )
    assert DemoFlowMaker.from_dict(maker.as_dict()) == maker


def test_a_text_that_is_no_gene_fails_before_anything_is_submitted():
    with pytest.raises(GeneError, match="Xx"):
        DemoFlowMaker().make(["221 Xx:a"])


def test_a_flow_without_a_shard_is_refused():
    with pytest.raises(ValueError, match="n_shards"):
        DemoFlowMaker(n_shards=0)
