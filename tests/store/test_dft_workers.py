"""The DFT of a crystal through real workers, with the simulator in VASP's place."""

from __future__ import annotations

import sys

import pytest
from conftest import wait_until
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

pytest.importorskip("atomate2", reason="install wyckflow[dft]")
pytest.importorskip("ase", reason="install wyckflow[ml]")

from wyckflow.flows.dft import DftFlowMaker
from wyckflow.store.submit import submit
from wyckflow.vasp.jobs import VaspMaker
from wyckflow.vasp.simulator.potcars import write_potcars

pytestmark = [pytest.mark.mongo, pytest.mark.slow]

GENE = "225 Fe:a O:b"
FACES = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
WUSTITE = Structure(
    Lattice.cubic(4.33),
    ["Fe"] * 4 + ["O"] * 4,
    FACES + [[x + 0.5 for x in face] for face in FACES],
)


@pytest.fixture
def mongo(database):
    with database.client() as client:
        yield client[database.name]


def test_a_crystal_waits_for_approval_then_runs_on_its_workers(
    project, database, mongo, start_worker, tmp_path
):
    """Nothing is computed before; then each job on its kind of worker, to the end."""
    flow = DftFlowMaker(
        static_maker=None, bands_maker=None, electronic_maker=None, mp_relax_maker=None
    ).make(WUSTITE, gene=GENE)
    quick = {"custodian_kwargs": {"polling_time_step": 0.1, "monitor_freq": 5}}
    flow.update_maker_kwargs({"run_vasp_kwargs": quick}, class_filter=VaspMaker)
    submit(flow, campaign="c", database=database)
    variables = {
        "PMG_VASP_PSP_DIR": str(write_potcars(tmp_path / "potcars")),
        "WYCKFLOW_VASP_COMMAND": f"{sys.executable} -m wyckflow.vasp.simulator",
    }
    for category in ("cpu", "vasp"):
        start_worker(category, **variables)

    def state(name):
        return mongo.fireworks.find_one({"name": name})["state"]

    wait_until(lambda: state("vasp preflight") == "DEFUSED", what="the gate to hold")
    assert state("dft gate") == "COMPLETED"
    assert mongo.outputs.count_documents({"name": {"$regex": "^vasp"}}) == 0
    launchpad = database.launchpad()
    held = mongo.fireworks.find({"state": "DEFUSED"}).distinct("fw_id")
    for number in held:
        launchpad.reignite_fw(number)
    launchpad.connection.close()
    ends = {"COMPLETED", "FIZZLED"}
    wait_until(
        lambda: set(mongo.fireworks.distinct("state")) <= ends,
        what="the end of every job",
        seconds=240,
    )
    assert mongo.fireworks.distinct("state") == ["COMPLETED"]
    found = {item["name"]: item["output"] for item in mongo.outputs.find()}
    assert found["dft audit"]["mark"] == "simulated"
    assert found["dft hull"]["verdict"] == "cannot_judge"
    assert found["gamma phonon"]["gene"] == GENE
    assert len(found["gamma phonon"]["optical_thz"]) == 3
