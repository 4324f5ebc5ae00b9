"""The DFT of a crystal through real workers, with the simulator in VASP's place."""

from __future__ import annotations

import sys

import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from waiting import wait_until

pytest.importorskip("atomate2", reason="install wyckflow[dft]")
pytest.importorskip("ase", reason="install wyckflow[ml]")

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.flows.dft import DftFlowMaker
from wyckflow.schemas.campaign import CampaignDoc, CampaignSpec
from wyckflow.schemas.screening import Verdict
from wyckflow.store.campaign.control import retry_campaign
from wyckflow.store.candidates.builder import build_candidates, new_candidate
from wyckflow.store.candidates.query import find_candidates
from wyckflow.store.gate.progress import read_dft_progress
from wyckflow.store.submit import submit
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


def simulator(folder, *options):
    """Return the variables that put the simulator in the place of VASP."""
    words = [sys.executable, "-m wyckflow.vasp.simulator", *options]
    return {
        "PMG_VASP_PSP_DIR": str(write_potcars(folder / "potcars")),
        "WYCKFLOW_VASP_COMMAND": " ".join(words),
    }


@pytest.fixture
def begin(mongo):
    """Store a campaign whose own rule lets its one crystal through."""

    def call(**request):
        spec = CampaignSpec.model_validate(
            {
                "name": "oxides",
                "dft": {"opens_below": 0.05, **request},
                "budget": {"vasp_jobs": 7},
            }
        )
        mongo.campaigns.insert_one(CampaignDoc(name="oxides", spec=spec).model_dump())
        known = {
            "structure": WUSTITE.as_dict(),
            "energy_above_hull": 0.0,
            "verdict": Verdict.PASS,
        }
        item = new_candidate("oxides", WyckoffGene.from_text(GENE))
        mongo.candidates.insert_one(item.model_copy(update=known).model_dump())

    return call


def candidate(database):
    build_candidates(database, campaign="oxides")
    (found,) = find_candidates(database, campaign="oxides")
    return found


def test_a_worker_sends_what_the_rule_lets_through_and_it_comes_back(
    database, mongo, begin, start_worker, tmp_path
):
    """Nobody submits: the gate, VASP, custodian's remedy in each run, the candidate."""
    begin()
    variables = simulator(tmp_path, "--fault", "brmix:1")
    for category in ("cpu", "vasp"):
        start_worker(category, **variables)
    ends = {"COMPLETED", "FIZZLED", "DEFUSED"}
    wait_until(
        lambda: (
            set(mongo.fireworks.distinct("state")) <= ends
            and mongo.fireworks.count_documents({}) > 0
        ),
        what="the end of every job",
        seconds=500,
    )
    assert mongo.fireworks.distinct("state") == ["COMPLETED"]
    found = candidate(database)
    assert found.is_simulated
    assert found.dft_mark == "simulated"
    assert found.dft_energy_above_hull is None
    assert found.dft_lattice_stability == "cannot_judge"
    assert found.band_gap is not None
    audit = mongo.outputs.find_one({"name": "dft audit"})["output"]
    assert [len(step["corrections"]) for step in audit["steps"]] == [1] * 7
    (progress,) = read_dft_progress(database, "oxides")
    assert (progress.state, progress.is_simulated) == ("done", True)


@pytest.mark.parametrize("fault", ["crash", "truncated", "silent", "unconverged"])
def test_a_run_that_stops_tells_its_candidate(
    fault, database, mongo, *, begin, start_worker, tmp_path
):
    begin(without=["hull", "vibrations", "bands"])
    variables = simulator(tmp_path, "--fault", f"{fault}:99")
    for category in ("cpu", "vasp"):
        start_worker(category, **variables)
    wait_until(
        lambda: candidate(database).dft_mark is not None,
        what="the audit of what stopped",
        seconds=240,
    )
    found = candidate(database)
    assert found.dft_mark == "incomplete"
    (outcome,) = [item for item in found.outcomes if item.stage == "dft audit"]
    assert "vasp relax normal is not there" in outcome.outcome
    (progress,) = read_dft_progress(database, "oxides")
    assert progress.state == "failed: vasp relax normal"
    assert mongo.fireworks.count_documents({"name": "dft audit"}) == 2


def test_what_stopped_is_run_once_more_and_its_audit_replaced(
    database, mongo, begin, start_worker, tmp_path
):
    begin(without=["hull", "vibrations", "bands"])
    shared = str(tmp_path / "count")
    options = ["--fault", "crash:1", "--count-in", shared, "--spare", "1"]
    variables = simulator(tmp_path, *options)
    for category in ("cpu", "vasp"):
        start_worker(category, **variables)
    wait_until(
        lambda: candidate(database).dft_mark is not None,
        what="the audit of what stopped",
        seconds=240,
    )
    (before,) = candidate(database).outcomes
    assert "vasp relax precise is not there" in before.outcome
    retry_campaign(database, "oxides")
    wait_until(
        lambda: mongo.fireworks.count_documents({"state": {"$ne": "COMPLETED"}}) == 0,
        what="the end of every job",
        seconds=240,
    )
    (after,) = candidate(database).outcomes
    assert after.outcome == "simulated: a simulator ran instead of VASP"


def test_a_crystal_waits_for_approval_then_runs_on_its_workers(
    project, database, mongo, start_worker, tmp_path
):
    """Nothing is computed before; then each job on its kind of worker, to the end."""
    flow = DftFlowMaker(
        static_maker=None, bands_maker=None, electronic_maker=None, mp_relax_maker=None
    ).make(WUSTITE, gene=GENE)
    submit(flow, campaign="c", database=database)
    variables = simulator(tmp_path)
    for category in ("cpu", "vasp"):
        start_worker(category, **variables)

    def state(name):
        return mongo.fireworks.find_one({"name": name})["state"]

    wait_until(lambda: state("vasp preflight") == "DEFUSED", what="the gate to hold")
    wait_until(lambda: state("dft gate") == "COMPLETED", what="the end of the gate")
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
