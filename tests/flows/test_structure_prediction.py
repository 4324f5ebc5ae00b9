"""From a formula to its crystals: the flow, run in one process."""

from __future__ import annotations

import pytest
from jobflow import run_locally

from wyckflow.errors import TargetError
from wyckflow.flows.structure_prediction import CrystalStructurePredictionFlowMaker
from wyckflow.makers.order_phases import OrderPhasesMaker
from wyckflow.makers.phonon import PhononMaker
from wyckflow.makers.propose import ProposeMaker
from wyckflow.makers.relax import RelaxMaker
from wyckflow.resources import iter_jobs, route
from wyckflow.schemas.structure_prediction import StructurePredictionDoc

MEASURED = 5.64  # A, rock salt at room temperature


def test_the_jobs_and_their_workers():
    flow = CrystalStructurePredictionFlowMaker(
        n_shards=2, phonon_maker=PhononMaker()
    ).make("CaTiO3", 221, identity="x")
    jobs = list(iter_jobs(route(flow)))
    assert [job.name for job in jobs] == [
        "gene propose",
        "chgnet relax",
        "hull distance",
        "chgnet relax",
        "hull distance",
        "phase order",
        "chgnet phonon",
        "chgnet phonon",
    ]
    kinds = [job.config.manager_config["_category"] for job in jobs]
    assert kinds == ["gpu", "gpu", "cpu", "gpu", "cpu", "cpu", "gpu", "gpu"]
    again = CrystalStructurePredictionFlowMaker(n_shards=2).make(
        "CaTiO3", 221, identity="x"
    )
    assert [job.uuid for job in iter_jobs(again)] == [job.uuid for job in jobs[:6]]


def test_a_flow_without_an_answer_is_refused_before_it_is_sent():
    with pytest.raises(TargetError, match="40 atoms"):
        CrystalStructurePredictionFlowMaker().make("CaTiO3", 230)


def test_the_budget_is_counted_as_it_is_spent():
    with pytest.raises(ValueError, match="budget would not hold"):
        CrystalStructurePredictionFlowMaker(relax_maker=RelaxMaker(n_trials=3))
    with pytest.raises(ValueError, match="n_shards"):
        CrystalStructurePredictionFlowMaker(n_shards=0)


def test_rock_salt_comes_out_of_its_formula(
    tiny_model, job_store, tmp_path, monkeypatch
):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    monkeypatch.setenv("WYCKFLOW_SCRATCH", str(tmp_path / "scratch"))
    maker = CrystalStructurePredictionFlowMaker(
        propose_maker=ProposeMaker(
            budget=8, n_trials=1, n_decoded=60, max_atoms=2, max_assignments=10
        ),
        relax_maker=RelaxMaker(n_trials=1, engine="sampler"),
        order_maker=OrderPhasesMaker(n_best=1),
        n_shards=2,
    )
    flow = maker.make("NaCl", 225, str(tiny_model))
    run_locally(
        flow,
        store=job_store,
        root_dir=tmp_path,
        ensure_success=True,
        log=False,
    )
    output = job_store.get_output(flow.output.uuid, load=True)
    own = {name: value for name, value in output.items() if name[0] != "@"}
    found = StructurePredictionDoc.model_validate(own)
    best = found.phases[0]
    assert best.space_group_number == 225
    assert best.lattice_lengths[0] == pytest.approx(MEASURED, rel=0.02)
    assert best.energy_above_hull == pytest.approx(0, abs=5e-3)
    assert found.energy_scale == "chgnet-0.3.0"
    assert found.n_known_phases >= 3
    assert len(found.best_gene_ids) == 1
    assert found.n_trials <= 8
