"""The jobs around VASP: gate, spin, audit, hull and lattice."""

from __future__ import annotations

import numpy as np
import pytest
from jobflow import Flow, OnMissing, run_locally
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.entries.computed_entries import ComputedEntry

from wyckflow.errors import DocumentError, ReferenceDataError
from wyckflow.makers.dft_audit import DftAuditMaker, read_run
from wyckflow.makers.dft_gate import DftGateMaker
from wyckflow.makers.dft_hull import DftStabilityMaker
from wyckflow.makers.dispersion import DispersionAnalysisMaker, DispersionMaker
from wyckflow.makers.lattice import LatticeStabilityMaker
from wyckflow.makers.vasp import MagnetismMaker
from wyckflow.schemas.dft import GateOpener, RunMark
from wyckflow.schemas.phonon import LatticeStability
from wyckflow.schemas.screening import Verdict
from wyckflow.thermo.entry import ReferenceEntry
from wyckflow.thermo.reference import ReferenceSet

pytest.importorskip("atomate2", reason="install wyckflow[dft]")

CUBE = Structure(Lattice.cubic(3.0), ["Po"], [[0, 0, 0]])


def do(maker, *arguments, **options):
    """Run ``make`` at once; return its document."""
    made = type(maker).make.original(maker, *arguments, **options)
    return getattr(made, "output", made)


def salt(*moments):
    places = [[0, 0, 0], [0.5, 0.5, 0.5]]
    properties = {"magmom": list(moments)} if moments else {}
    return Structure(
        Lattice.cubic(3.0), ["Fe", "O"], places, site_properties=properties
    )


# --- the spin decision ------------------------------------------------------------


@pytest.mark.parametrize(
    ("moments", "is_magnetic"),
    [((0.15, 0), True), ((0.149, -0.1), False), ((0, -0.2), True), ((0, None), False)],
)
def test_spin_is_kept_from_the_published_moment_on(moments, is_magnetic):
    document = do(MagnetismMaker(), salt(*moments))
    assert document.is_magnetic is is_magnetic
    assert ("magmom" in document.structure.site_properties) is is_magnetic


def test_without_moments_nothing_is_magnetic():
    document = do(MagnetismMaker(), salt())
    assert (document.is_magnetic, document.max_moment) == (False, None)
    assert "no moments" in document.reason


def test_the_structure_that_came_keeps_its_moments():
    mine = salt(0.01, 0.01)
    do(MagnetismMaker(), mine)
    assert mine.site_properties["magmom"] == [0.01, 0.01]


# --- the gate ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maker", "arguments", "opener"),
    [
        (DftGateMaker(), (0.0,), GateOpener.NOBODY),
        (DftGateMaker(), (None, "ada"), GateOpener.USER),
        (DftGateMaker(opens_below=0.1), (0.1,), GateOpener.RULE),
        (DftGateMaker(opens_below=0.1), (0.11,), GateOpener.NOBODY),
        (DftGateMaker(opens_below=0.1), (0.11, "ada"), GateOpener.USER),
        (DftGateMaker(opens_below=0.1), (None,), GateOpener.NOBODY),
        (DftGateMaker(opens_below=0.1, max_atoms=1), (0.0,), GateOpener.RULE),
        (DftGateMaker(opens_below=0.1, max_atoms=0), (0.0,), GateOpener.NOBODY),
        (DftGateMaker(opens_below=0.1, budget=3), (0, None, 2), GateOpener.RULE),
        (DftGateMaker(opens_below=0.1, budget=3), (0, None, 3), GateOpener.NOBODY),
        (DftGateMaker(opens_below=0.1, budget=3), (0,), GateOpener.NOBODY),
    ],
)
def test_the_gate_opens_for_users_and_within_every_limit(maker, arguments, opener):
    response = DftGateMaker.make.original(maker, CUBE, *arguments)
    assert response.output.opened_by is opener
    assert response.output.is_open is (opener is not GateOpener.NOBODY)
    assert response.stop_children is not response.output.is_open
    assert response.output.reason


def test_a_closed_gate_holds_what_follows(job_store, tmp_path):
    for opener, n_outputs in ((None, 1), ("ada", 2)):
        gate = DftGateMaker().make(CUBE, approved_by=opener)
        after = MagnetismMaker().make(gate.output.structure)
        outputs = run_locally(
            Flow([gate, after]), store=job_store, root_dir=tmp_path, log=False
        )
        assert len(outputs) == n_outputs


# --- the audit ---------------------------------------------------------------------


def stored_run(**changes):
    """Return a run as it comes through a store where VASP has not run."""
    names = ("inputs", "last", "custodian", "vasp_version", "state", "additional")
    return {"step": "vasp static", **dict.fromkeys(names), **changes}


def test_a_run_that_is_missing_is_incomplete_and_not_an_error():
    document = do(DftAuditMaker(), [stored_run(), stored_run(step="vasp bands")])
    assert document.mark is RunMark.INCOMPLETE
    assert [step.mark for step in document.steps] == [RunMark.INCOMPLETE] * 2
    assert document.n_deviations == 0


@pytest.mark.parametrize(
    ("changes", "mark", "words"),
    [
        ({}, "as_published", ""),
        ({"state": "unsuccessful"}, "incomplete", "vasp dfpt did not converge"),
        ({"vasp_version": None}, "incomplete", "vasp dfpt is not there"),
        ({"last": {"incar": {"ISYM": 0}}}, "deviates", "vasp dfpt had other ISYM"),
        (
            {"vasp_version": "6.4.2-SIMULATED", "state": "failed"},
            "simulated",
            "a simulator ran instead of VASP; vasp dfpt did not converge",
        ),
    ],
)
def test_the_audit_says_which_step_is_why(changes, mark, words):
    incar = {"GGA": "PE", "ISYM": 2, "SYMPREC": 1e-5, "ENCUT": 520, "EDIFF": 1e-8}
    good = {"incar": incar | {"IBRION": 8}}
    if "last" in changes:
        changes = {"last": {"incar": good["incar"] | changes["last"]["incar"]}}
    document = do(DftAuditMaker(), [dfpt_run(**({"last": good} | changes))])
    assert document.mark == mark
    assert document.reason == words


def test_what_is_no_run_is_refused():
    with pytest.raises(DocumentError, match="vasp static"):
        read_run({"step": "vasp static"})


def test_the_audit_runs_where_a_step_has_failed():
    from wyckflow.flows.dft import DftFlowMaker

    audit = DftFlowMaker().make(CUBE).jobs[-1]
    assert audit.name == "dft audit"
    assert audit.config.on_missing_references is OnMissing.NONE


# --- the hull ----------------------------------------------------------------------

MINUS_OXIDE, MINUS_IRON_U = 0.687, 2.256


def iron_oxide(energy, **parameters):
    known = {
        "run_type": "GGA+U",
        "is_hubbard": True,
        "hubbards": {"Fe": 5.3, "O": 0.0},
        "potcar_spec": [
            {"titel": "PAW_PBE Fe_pv 02Aug2007", "hash": None},
            {"titel": "PAW_PBE O 08Apr2002", "hash": None},
        ],
    }
    data = {"oxide_type": "oxide", "oxidation_states": {"Fe": 2, "O": -2}}
    return ComputedEntry("FeO", energy, parameters=known | parameters, data=data)


def mp_run(**changes):
    """Return a run of the Materials Project that its validator accepts."""
    last = {"incar": {"ENCUT": 520}, "potcar_spec": [{"titel": "PAW_PBE O 08Apr2002"}]}
    good = {
        "step": "vasp mp static",
        "last": last,
        "vasp_version": "6.4.2",
        "state": "successful",
        "additional": {"mp_validation": {"is_valid": True, "reasons": []}},
    }
    return stored_run(**(good | changes))


@pytest.fixture
def reference(tmp_path):
    """Iron at -8, oxygen at -5, one oxide 2 eV/atom below them."""
    entries = [
        ReferenceEntry({"Fe": 1}, -8.0, "fe"),
        ReferenceEntry({"O": 1}, -5.0, "o"),
        ReferenceEntry({"Fe": 2, "O": 3}, (2 * -8 + 3 * -5) / 5 - 2, "fe2o3"),
    ]
    made = ReferenceSet.from_entries(
        "by hand", entries, scale="mp2020-gga-u", kind="total"
    )
    path = tmp_path / "iron.reference.npz"
    made.save(path)
    return str(path)


def test_a_distance_is_that_of_a_hull_by_hand(reference):
    """FeO between Fe and Fe2O3: five sixths of its atoms are in the oxide."""
    energy = -19.0 + MINUS_OXIDE + MINUS_IRON_U
    document = do(
        DftStabilityMaker(reference=reference), iron_oxide(energy), [mp_run()]
    )
    assert document.energy_per_atom == pytest.approx(-9.5)
    assert document.uncorrected_energy_per_atom == pytest.approx(energy / 2)
    assert document.formation_energy_per_atom == pytest.approx(-9.5 + 6.5)
    assert document.energy_above_hull == pytest.approx(-3.0 + 2 * 5 / 6)
    assert document.verdict is Verdict.PASS
    products = {item.formula_pretty: item.fraction for item in document.decomposition}
    assert products == pytest.approx({"Fe2O3": 5 / 6, "Fe": 1 / 6})
    assert document.energy_scale == "mp2020-gga-u"
    assert document.mark is RunMark.AS_PUBLISHED
    assert len(document.corrections) == 2


@pytest.mark.parametrize("ending", [".json", ".json.gz"])
def test_entries_of_the_materials_project_are_corrected_alike(ending, tmp_path):
    """The same hull by hand, from entries that carry another correction already."""
    from monty.serialization import dumpfn

    def element(symbol, energy):
        titel = {"Fe": "PAW_PBE Fe_pv 02Aug2007", "O": "PAW_PBE O 08Apr2002"}[symbol]
        spec = {"run_type": "GGA", "is_hubbard": False, "hubbards": {}}
        spec["potcar_spec"] = [{"titel": titel, "hash": None}]
        return ComputedEntry(symbol, energy, parameters=spec, entry_id=symbol)

    plain = 2 * -8 + 3 * -5 - 2 * 5 + 3 * MINUS_OXIDE + 2 * MINUS_IRON_U
    oxide = iron_oxide(0.0).as_dict() | {"energy": plain, "entry_id": "fe2o3"}
    oxide |= {"composition": {"Fe": 2, "O": 3}, "correction": 1.0}
    oxide["data"] = {"oxide_type": "oxide", "oxidation_states": {"Fe": 3, "O": -2}}
    other = iron_oxide(-99.0, hubbards={"Fe": 4.0, "O": 0.0}).as_dict()
    path = tmp_path / f"entries{ending}"
    dumpfn([element("Fe", -8.0), element("O", -5.0), oxide, other], path)
    maker = DftStabilityMaker(reference=str(path))
    energy = -19.0 + MINUS_OXIDE + MINUS_IRON_U
    document = do(maker, iron_oxide(energy), [mp_run()])
    assert document.energy_above_hull == pytest.approx(-3.0 + 2 * 5 / 6)
    assert document.reference_name == path.name


@pytest.mark.parametrize("content", ["", "[1]", "{}", "[]"])
def test_a_file_without_entries_is_refused(content, tmp_path):
    path = tmp_path / "entries.json"
    path.write_text(content)
    with pytest.raises(ReferenceDataError, match=r"entries\.json"):
        do(DftStabilityMaker(reference=str(path)), iron_oxide(-19), [mp_run()])


def test_a_crystal_above_the_threshold_fails(reference):
    document = do(DftStabilityMaker(reference=reference), iron_oxide(-13), [mp_run()])
    assert document.verdict is Verdict.FAIL
    assert "meV/atom above the hull" in document.reason


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ([], "evidence"),
        ([mp_run(vasp_version="6.4.2-simulated")], "simulator"),
        ([mp_run(state="unsuccessful")], "converge"),
        ([mp_run(additional=None)], "not compatible"),
        ([mp_run(), mp_run(vasp_version="6.4.2-SIMULATED")], "simulator"),
    ],
    ids=["nothing", "simulated", "unconverged", "not validated", "one of two"],
)
def test_nothing_but_validated_dft_enters_a_hull(runs, reason, reference):
    document = do(DftStabilityMaker(reference=reference), iron_oxide(-19), runs)
    assert document.verdict is Verdict.CANNOT_JUDGE
    assert reason in document.reason
    assert document.energy_per_atom is None
    assert document.energy_above_hull is None


def test_without_a_reference_the_corrected_energy_is_all_there_is():
    document = do(DftStabilityMaker(), iron_oxide(-19), [mp_run()])
    assert document.verdict is Verdict.CANNOT_JUDGE
    assert document.energy_per_atom is not None
    assert document.energy_above_hull is None


def test_an_element_that_the_reference_lacks_cannot_be_judged(tmp_path):
    path = tmp_path / "oxygen.reference.npz"
    ReferenceSet.from_entries(
        "o", [ReferenceEntry({"O": 1}, -5.0, "o")], scale="mp2020-gga-u", kind="total"
    ).save(path)
    maker = DftStabilityMaker(reference=str(path))
    document = do(maker, iron_oxide(-19), [mp_run()])
    assert document.verdict is Verdict.CANNOT_JUDGE
    assert "Fe" in document.reason


# --- the lattice -------------------------------------------------------------------


def pair_modes(optical):
    """Return the modes of two equal atoms on a spring."""
    half = np.sqrt(0.5)
    together = np.stack([np.eye(3) * half, np.eye(3) * half], axis=1)
    against = np.stack([np.eye(3) * half, -np.eye(3) * half], axis=1)
    vectors = np.concatenate([together, against])
    return [0.0] * 3 + [optical] * 3, vectors.tolist()


def dfpt_run(**changes):
    last = {"incar": {"ISYM": 2}, "potcar_spec": []}
    good = {"last": last, "vasp_version": "6.4.2", "state": "successful"}
    return stored_run(step="vasp dfpt", **(good | changes))


PAIR = Structure(Lattice.cubic(4.0), ["Si", "Si"], [[0, 0, 0], [0.25, 0.25, 0.25]])


@pytest.mark.parametrize(
    ("optical", "verdict"),
    [(15.0, "stable"), (-0.04, "stable"), (-0.06, "unstable"), (-3.8, "unstable")],
)
def test_a_lattice_is_judged_by_its_optical_modes(optical, verdict):
    document = do(LatticeStabilityMaker(), PAIR, *pair_modes(optical), run=dfpt_run())
    assert document.verdict == verdict
    assert document.min_frequency_thz == optical
    assert document.acoustic_thz == [0, 0, 0]


@pytest.mark.parametrize(
    ("modes", "run", "reason"),
    [
        (pair_modes(15), dfpt_run(vasp_version="6.4.2-simulated"), "simulator"),
        (pair_modes(15), dfpt_run(state="unsuccessful"), "converge"),
        (pair_modes(15), None, "converge"),
        ((None, None), dfpt_run(), "no modes"),
        (([1.0, 2.0], [[0.0]]), dfpt_run(), "do not belong"),
    ],
    ids=["simulated", "unconverged", "no evidence", "no modes", "other crystal"],
)
def test_what_is_no_finished_dft_run_is_not_judged(modes, run, reason):
    document = do(LatticeStabilityMaker(), PAIR, *modes, run=run)
    assert document.verdict is LatticeStability.CANNOT_JUDGE
    assert reason in document.reason


# --- the phonons of the whole zone ---------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_atoms": 10}, "has 48 atoms, more than 10"),
        ({"max_runs": 1}, "2 displaced supercells, more than 1"),
    ],
)
def test_a_supercell_that_is_too_large_is_a_reason(options, reason):
    maker = DispersionMaker(**options)
    document = do(maker, PAIR, gene="227 Si:a")
    assert document.verdict is LatticeStability.CANNOT_JUDGE
    assert reason in document.reason
    assert document.gene == "227 Si:a"
    assert maker.count_runs(PAIR) == 0


def test_every_displacement_is_a_run_with_an_id_of_its_own():
    maker = DispersionMaker(min_length=6)
    made = [
        DispersionMaker.make.original(maker, PAIR, identity="c/dft/x") for _ in range(2)
    ]
    flows = [response.replace for response in made]
    assert flows[0].job_uuids == flows[1].job_uuids
    names = [job.name for job in flows[0].jobs]
    n_runs = maker.count_runs(PAIR)
    assert names == [
        *(f"vasp displaced {place}/{n_runs}" for place in range(1, n_runs + 1)),
        "dft dispersion",
    ]


@pytest.mark.parametrize(
    ("forces", "runs", "reason"),
    [
        ([None], [stored_run(step="vasp displaced")], "not every displaced"),
        ([], [], "cells came for"),
        ([[[0.0, 0.0, 0.0]]], [stored_run(step="vasp displaced")], "cells came for"),
    ],
    ids=["a run that died", "nothing", "another crystal"],
)
def test_forces_that_are_not_there_are_a_reason(forces, runs, reason):
    matrix = np.eye(3, dtype=int).tolist()
    document = do(DispersionAnalysisMaker(), PAIR, matrix, forces, runs)
    assert document.verdict is LatticeStability.CANNOT_JUDGE
    assert reason in document.reason
    assert document.mark is RunMark.INCOMPLETE


# --- the electrons -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "is_simulated", "reason"),
    [
        ({"state": "unsuccessful"}, False, "did not converge"),
        ({"state": "failed", "vasp_version": "6.4.2"}, False, "did not converge"),
        ({"vasp_version": "6.4.2-SIMULATED"}, True, "NoneType"),
        ({"is_simulated": True}, True, "NoneType"),
    ],
)
def test_what_a_run_says_of_itself_goes_along(options, is_simulated, reason):
    from wyckflow.makers.electronic import ElectronicMaker

    document = do(ElectronicMaker(), None, **options)
    assert document.is_simulated is is_simulated
    assert reason in document.reason
    assert document.band_gap is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: MagnetismMaker(threshold=0),
        lambda: DftGateMaker(opens_below=100),
        lambda: DftGateMaker(budget=-1),
        lambda: DftStabilityMaker(threshold=50),
        lambda: LatticeStabilityMaker(tolerance_thz=-1),
        lambda: DispersionMaker(displacement=2.0),
    ],
)
def test_options_that_cannot_be_meant_are_refused_at_once(make):
    with pytest.raises(ValueError, match=r"cannot be meant|must not be negative"):
        make()
