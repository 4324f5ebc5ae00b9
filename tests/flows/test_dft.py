"""The DFT flow: how it is wired, and whole runs with the simulator for VASP."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from jobflow import Flow, run_locally
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

pytest.importorskip("atomate2", reason="install wyckflow[dft]")
pytest.importorskip("ase", reason="install wyckflow[ml]")

from wyckflow.flows.dft import DftFlowMaker
from wyckflow.makers._identity import job_uuid
from wyckflow.makers.dispersion import DispersionMaker
from wyckflow.resources import check_routed, route
from wyckflow.schemas.dft import RunMark
from wyckflow.vasp.jobs import VaspMaker, fresh_handlers, prepare
from wyckflow.vasp.steps import Step

FACES = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]


def two_lattices(size, species, shift):
    places = FACES + [[x + shift for x in face] for face in FACES]
    return Structure(Lattice.cubic(size), [s for s in species for _ in FACES], places)


SEMICONDUCTOR = two_lattices(5.65, ["Ga", "As"], 0.25)
MAGNET = two_lattices(4.33, ["Fe", "O"], 0.5)
METAL = Structure(Lattice.cubic(3.61), ["Cu"] * 4, FACES)
UNSTABLE = Structure(
    Lattice.cubic(3.89),
    ["Ca", "Ti", "O", "O", "O"],
    [[0, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]],
)
WHOLE = [
    "dft gate", "vasp preflight", "vasp relax normal", "vasp magnetism",
    "vasp relax precise", "vasp static", "vasp bands", "electronic structure",
    "vasp dfpt", "gamma phonon", "vasp mp relax", "vasp mp static", "dft hull",
    "dft audit",
]  # fmt: skip


def names(flow):
    return [job.name for job in flow.jobs]


# --- how it is wired -----------------------------------------------------------------


def test_the_whole_flow_has_every_step_in_order():
    assert names(DftFlowMaker().make(SEMICONDUCTOR)) == WHOLE


def test_every_job_runs_on_its_kind_of_worker():
    flow = route(DftFlowMaker().make(SEMICONDUCTOR))
    check_routed(flow)
    kinds = {j.name: j.config.manager_config["_category"] for j in flow.jobs}
    assert {name for name, kind in kinds.items() if kind == "vasp"} == {
        name for name in WHOLE if name.startswith("vasp")
    }
    assert set(kinds.values()) == {"cpu", "vasp"}


@pytest.mark.parametrize(
    ("off", "missing"),
    [
        (["gate_maker"], {"dft gate"}),
        (["preflight_maker"], {"vasp preflight"}),
        (["electronic_maker"], {"electronic structure"}),
        (["bands_maker", "electronic_maker"], {"vasp bands", "electronic structure"}),
        (["lattice_maker"], {"gamma phonon"}),
        (["dfpt_maker", "lattice_maker"], {"vasp dfpt", "gamma phonon"}),
        (["hull_maker"], {"dft hull"}),
        (["mp_relax_maker"], {"vasp mp relax"}),
        (["audit_maker"], {"dft audit"}),
        (["relax_normal_maker"], {"vasp relax normal", "vasp magnetism"}),
        (["magnetism_maker"], {"vasp magnetism"}),
    ],
)
def test_a_step_that_is_switched_off_is_left_out(off, missing):
    maker = replace(DftFlowMaker(), **dict.fromkeys(off))
    assert set(WHOLE) - set(names(maker.make(SEMICONDUCTOR))) == missing


def test_the_phonons_of_the_whole_zone_are_an_option():
    flow = DftFlowMaker(dispersion_maker=DispersionMaker()).make(METAL)
    assert set(names(flow)) - set(WHOLE) == {"dft displacements"}
    check_routed(route(flow))


def test_runs_that_a_displacement_adds_go_to_vasp_nodes(job_store):
    flow = route(
        Flow([DispersionMaker(min_length=6).make(METAL.get_primitive_structure())])
    )
    flow.update_metadata({"campaign": "c"})
    (job,) = flow.jobs
    added = job.run(job_store).replace.jobs
    kinds = {item.name: item.config.manager_config["_category"] for item in added}
    assert kinds.pop("vasp displaced 1/1") == "vasp"
    assert set(kinds.values()) == {"cpu"}
    assert {item.metadata["campaign"] for item in added} == {"c"}


def test_without_a_decision_displaced_cells_start_with_spin_as_well():
    maker = DftFlowMaker(magnetism_maker=None, dispersion_maker=DispersionMaker())
    (job,) = [job for job in maker.make(MAGNET).jobs if job.name == "dft displacements"]
    assert job.maker.force_maker.input_set_generator.spin == "high"


@pytest.mark.parametrize(
    "off", ["static_maker", "bands_maker", "dfpt_maker", "mp_static_maker"]
)
def test_a_step_without_the_one_before_is_refused(off):
    with pytest.raises(ValueError, match=off):
        replace(DftFlowMaker(), **{off: None})


@pytest.mark.parametrize("off", ["relax_normal_maker", "magnetism_maker"])
def test_without_a_decision_every_run_starts_with_spin(off):
    flow = replace(DftFlowMaker(), **{off: None}).make(MAGNET)
    ours = [job.maker for job in flow.jobs if job.name in {"vasp static", "vasp dfpt"}]
    assert [maker.input_set_generator.spin for maker in ours] == ["high", "high"]
    decided = DftFlowMaker().make(MAGNET).jobs[5].maker
    assert decided.input_set_generator.spin == "structure"


def test_the_same_crystal_submitted_twice_has_the_same_jobs():
    made = [DftFlowMaker().make(METAL, identity="campaign/abc") for _ in range(2)]
    assert made[0].job_uuids == made[1].job_uuids
    assert len(set(made[0].job_uuids)) == len(WHOLE)


def test_a_disordered_crystal_is_refused_before_anything_is_submitted():
    from wyckflow.errors import StructureError

    alloy = Structure(Lattice.cubic(3), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]])
    with pytest.raises(StructureError, match="partly"):
        DftFlowMaker().make(alloy)


# --- what a worker adds --------------------------------------------------------------


def test_the_command_is_that_of_the_worker_and_not_of_the_submitter(monkeypatch):
    maker = VaspMaker(name=Step.STATIC.value)
    monkeypatch.setenv("WYCKFLOW_VASP_COMMAND", "srun -n 8 vasp_std")
    ready = prepare(maker)
    assert ready.run_vasp_kwargs["vasp_cmd"] == "srun -n 8 vasp_std"
    assert ready.run_vasp_kwargs["vasp_job_kwargs"] == {"auto_gamma": False}
    assert ready.write_input_set_kwargs["apply_incar_updates"] is False
    assert maker.run_vasp_kwargs == {}


def test_what_a_user_gives_is_kept():
    mine = {"vasp_cmd": "mine", "vasp_job_kwargs": {"auto_gamma": True}}
    ready = prepare(VaspMaker(name=Step.STATIC.value, run_vasp_kwargs=mine))
    assert ready.run_vasp_kwargs["vasp_cmd"] == "mine"
    assert ready.run_vasp_kwargs["vasp_job_kwargs"] == {"auto_gamma": True}


def test_no_job_gets_the_error_handlers_of_another():
    first, second = fresh_handlers(), fresh_handlers()
    first[0].error_count["brmix"] = 5
    assert second[0].error_count["brmix"] == 0
    assert fresh_handlers()[0].error_count["brmix"] == 0
    assert [type(one) for one in first] == [type(one) for one in second]


def test_settings_are_overridden_as_in_any_flow_of_atomate2():
    """Their power-ups reach our jobs, and the audit will say that it was done."""
    from atomate2.vasp.powerups import update_user_incar_settings

    flow = update_user_incar_settings(
        DftFlowMaker().make(METAL), {"ENCUT": 600}, name_filter="vasp static"
    )
    given = {
        job.name: job.maker.input_set_generator.user_incar_settings
        for job in flow.jobs
        if isinstance(job.maker, VaspMaker)
    }
    assert given.pop("vasp static") == {"ENCUT": 600}
    assert set(map(str, given.values())) == {"{}"}


# --- with the simulator --------------------------------------------------------------


@pytest.fixture
def simulated_vasp(tmp_path, monkeypatch):
    """Put our simulator in the place of VASP; return what runs a flow with it."""
    from pymatgen.io.vasp import inputs

    from wyckflow.vasp.simulator.potcars import write_potcars

    library = write_potcars(tmp_path / "potcars")
    monkeypatch.setitem(inputs.SETTINGS, "PMG_VASP_PSP_DIR", str(library))

    def run(flow, store, *options):
        command = " ".join([sys.executable, "-m wyckflow.vasp.simulator", *options])
        monkeypatch.setenv("WYCKFLOW_VASP_COMMAND", command)
        quick = {"custodian_kwargs": {"polling_time_step": 0.1, "monitor_freq": 5}}
        flow.update_maker_kwargs({"run_vasp_kwargs": quick}, class_filter=VaspMaker)
        folder = tmp_path / "runs"
        folder.mkdir()
        run_locally(flow, store=store, root_dir=folder, create_folders=True, log=False)
        found = {}
        for job in flow.jobs:
            stored = store.query_one({"uuid": job.uuid}, load=False)
            found[job.name] = stored["output"] if stored else None
        return found

    return run


def short_flow(**changes):
    """Return the flow with one relaxation and the spin decision alone."""
    off = (
        "relax_precise_maker", "static_maker", "bands_maker", "electronic_maker",
        "dfpt_maker", "lattice_maker", "mp_relax_maker", "mp_static_maker",
        "hull_maker",
    )  # fmt: skip
    return replace(DftFlowMaker(), **(dict.fromkeys(off) | changes))


def test_a_relaxation_runs_through_custodian_and_back(simulated_vasp, job_store):
    flow = short_flow().make(MAGNET, approved_by="ada")
    found = simulated_vasp(flow, job_store, "--fault", "brmix:1")
    relaxed = found["vasp relax normal"]
    assert relaxed["state"] == "successful"
    assert relaxed["vasp_version"] == "6.4.2-simulated"
    assert relaxed["orig_inputs"]["incar"]["LDAUU"] == [5.3, 0]
    assert found["vasp magnetism"]["is_magnetic"] is True
    audit = found["dft audit"]
    assert audit["mark"] == RunMark.SIMULATED
    (step,) = audit["steps"]
    assert step["deviations"] == []
    (correction,) = step["corrections"]
    assert (correction["handler"], correction["errors"]) == (
        "VaspErrorHandler",
        ["brmix"],
    )
    assert '"IMIX": 1' in correction["actions"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("crystal", "expected"),
    [
        (METAL, {"is_magnetic": False, "kind": "metal", "is_soft": False}),
        (SEMICONDUCTOR, {"is_magnetic": False, "kind": "semiconductor"}),
        (MAGNET, {"is_magnetic": True, "kind": "semiconductor", "is_soft": False}),
        (UNSTABLE, {"is_magnetic": False, "kind": "semiconductor", "is_soft": True}),
    ],
    ids=["metal", "semiconductor", "magnet with U", "unstable"],
)
def test_a_whole_crystal_runs_and_nothing_of_it_counts_as_dft(
    crystal, expected, simulated_vasp, job_store
):
    """With an error that custodian mends in every job; the first remedy in each."""
    flow = DftFlowMaker().make(crystal, approved_by="ada")
    found = simulated_vasp(flow, job_store, "--fault", "brmix:1")
    assert [name for name, output in found.items() if output is None] == []
    assert found["vasp magnetism"]["is_magnetic"] is expected["is_magnetic"]
    assert found["electronic structure"]["kind"] == expected["kind"]
    assert found["electronic structure"]["is_simulated"] is True
    lattice, hull = found["gamma phonon"], found["dft hull"]
    assert (lattice["verdict"], lattice["mark"]) == ("cannot_judge", "simulated")
    if lattice["optical_thz"]:
        assert (lattice["min_frequency_thz"] < -0.05) is expected.get("is_soft", False)
    assert (hull["verdict"], hull["mark"]) == ("cannot_judge", "simulated")
    assert hull["energy_per_atom"] is None
    audit = found["dft audit"]
    assert audit["mark"] == "simulated"
    always = [step.value for step in Step if step is not Step.DISPLACED]
    assert [step["step"] for step in audit["steps"]] == always
    for step in audit["steps"]:
        (correction,) = step["corrections"]
        has_files = step["step"] in {"vasp bands", "vasp mp static"}
        remedy = "ISTART" if has_files else "IMIX"
        assert f'"{remedy}": 1' in correction["actions"]
        if not step["step"].startswith("vasp mp"):
            assert step["deviations"] == []


@pytest.mark.slow
def test_displaced_supercells_give_the_phonons_of_the_zone(simulated_vasp, job_store):
    """One run is added for each displacement, with its own number and evidence."""
    from monty.json import MontyDecoder

    maker = short_flow(dispersion_maker=DispersionMaker(min_length=6))
    flow = maker.make(METAL, approved_by="ada", gene="225 Cu:a", identity="c/dft/x")
    assert maker.count_vasp_jobs(METAL) == 2
    found = simulated_vasp(flow, job_store)
    assert found["vasp relax normal"]["state"] == "successful"
    runs = list(job_store.query({"name": {"$regex": "^vasp displaced"}}, load=False))
    assert [run["name"] for run in runs] == ["vasp displaced 1/1"]
    assert runs[0]["uuid"] == job_uuid("c/dft/x", "vasp displaced 1/1")
    (last,) = job_store.query({"name": "dft dispersion"}, load=True)
    document = MontyDecoder().process_decoded(last["output"])
    assert (document.verdict, document.mark) == ("cannot_judge", "simulated")
    assert document.n_atoms_supercell == 32
    assert document.min_frequency_thz > 0
    assert document.spectrum().bands.shape[1] == 3
    audit = found["dft audit"]["steps"]
    assert [step["deviations"] for step in audit] == [[]]


RUNS = [step.value for step in Step if step is not Step.DISPLACED]
AFTER = {
    "vasp relax normal": set(WHOLE[3:-1]),
    "vasp relax precise": set(WHOLE[5:-1]),
    "vasp static": {"vasp bands", "electronic structure"},
    "vasp bands": {"electronic structure"},
    "vasp dfpt": {"gamma phonon"},
    "vasp mp relax": {"vasp mp static", "dft hull"},
    "vasp mp static": {"dft hull"},
}
"""What builds on each run."""


@pytest.mark.slow
@pytest.mark.parametrize("n_spared", range(len(RUNS)))
def test_a_death_in_any_run_ends_what_builds_on_it_and_nothing_else(
    n_spared, simulated_vasp, job_store, tmp_path
):
    """One run after the other dies, in whatever order the branches come."""
    flow = DftFlowMaker().make(METAL, approved_by="ada")
    options = ["--count-in", str(tmp_path / "count"), "--spare", str(n_spared)]
    found = simulated_vasp(flow, job_store, *options, "--fault", "crash:1")
    missing = {name for name, output in found.items() if output is None}
    (dead,) = [step for step in RUNS if missing == {step} | AFTER[step]]
    assert (dead == RUNS[0]) is (n_spared == 0)
    audit = found["dft audit"]
    assert audit["mark"] == ("simulated" if n_spared else "incomplete")
    by_name = {item["step"]: item for item in audit["steps"]}
    assert by_name[dead]["mark"] == "incomplete"


@pytest.mark.slow
def test_a_death_of_vasp_fails_its_job_and_the_audit_says_so(simulated_vasp, job_store):
    flow = short_flow().make(METAL, approved_by="ada")
    found = simulated_vasp(flow, job_store, "--fault", "crash:99")
    assert found["vasp relax normal"] is None
    assert found["vasp magnetism"] is None
    assert found["dft audit"]["mark"] == RunMark.INCOMPLETE


@pytest.mark.slow
@pytest.mark.mongo
def test_bands_and_task_documents_come_back_from_mongodb(simulated_vasp, database):
    """No forbidden key, no document too large; bulk in the store of the blobs."""
    store = database.job_store()
    store.connect()
    off = (
        "dfpt_maker", "lattice_maker", "mp_relax_maker", "mp_static_maker",
        "hull_maker", "relax_precise_maker",
    )  # fmt: skip
    maker = replace(DftFlowMaker(), **dict.fromkeys(off))
    flow = maker.make(SEMICONDUCTOR, approved_by="ada")
    found = simulated_vasp(flow, store)
    assert [name for name, output in found.items() if output is None] == []
    stored = found["vasp bands"]["vasp_objects"]["bandstructure"]
    assert set(stored) >= {"blob_uuid", "store"}
    assert found["electronic structure"]["kind"] == "semiconductor"
    assert found["dft audit"]["n_deviations"] == 0
    store.close()
