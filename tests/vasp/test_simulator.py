"""The simulator writes files that the readers of VASP's files take for VASP's."""

from __future__ import annotations

import gzip
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from pymatgen.io.vasp.outputs import Oszicar, Outcar, Vasprun

pytest.importorskip("ase", reason="install wyckflow[ml]")

from wyckflow.errors import ConfigurationError
from wyckflow.makers import vasp as makers
from wyckflow.vasp.path import find_primitive_structure
from wyckflow.vasp.preflight import write_inputs
from wyckflow.vasp.simulator.engine import make_calculator
from wyckflow.vasp.simulator.faults import Faults
from wyckflow.vasp.simulator.inputs import SimulatedFailureError, count_valence
from wyckflow.vasp.simulator.run import VERSION, main, simulate


def prepare(folder, maker, structure, **tags):
    """Write the inputs of a step into a folder."""
    made = write_inputs(structure, maker.input_set_generator)
    made["INCAR"].update(tags)
    folder.mkdir(exist_ok=True)
    for name, content in made.items():
        (folder / name).write_text(str(content))
    return folder


@pytest.fixture
def primitive(gallium_arsenide):
    return find_primitive_structure(gallium_arsenide, symprec=1e-3)


@pytest.fixture
def coarse():
    """A static run with a mesh that is quick."""
    from dataclasses import replace

    maker = makers.static_maker()
    quick = replace(maker.input_set_generator, kspacing=0.5)
    return replace(maker, input_set_generator=quick)


def read(folder, **options):
    return Vasprun(folder / "vasprun.xml", parse_potcar_file=False, **options)


def test_a_static_run_is_read_as_a_finished_one(tmp_path, coarse, primitive):
    folder = prepare(tmp_path / "run", coarse, primitive)
    assert simulate(folder) == 0
    run, outcar = read(folder), Outcar(folder / "OUTCAR")
    assert run.converged
    assert run.final_energy == pytest.approx(outcar.final_energy, abs=1e-6)
    assert Oszicar(folder / "OSZICAR").final_energy == pytest.approx(run.final_energy)
    assert run.final_structure == run.initial_structure
    assert run.incar["SYMPREC"] == 1e-5
    assert run.parameters["NELECT"] == count_valence("Ga") + count_valence("As")
    gap, _, _, is_direct = run.eigenvalue_band_properties
    assert gap == pytest.approx(0.4 + 1.6 * (2.18 - 1.81), abs=0.01)
    assert is_direct
    assert (folder / "CHGCAR").stat().st_size > 0


def test_everything_it_writes_says_so(tmp_path, coarse, primitive, capsys):
    folder = prepare(tmp_path / "run", coarse, primitive)
    simulate(folder)
    assert "SIMULATED" in VERSION
    assert "simulated" in read(folder).vasp_version.lower()
    assert "SIMULATED" in (folder / "OUTCAR").read_text().splitlines()[0]
    assert all("SIMULATED" in text for text in read(folder).potcar_symbols)
    assert "SIMULATED" in capsys.readouterr().out


def test_forces_are_minus_the_slope_of_the_energy():
    from ase import Atoms

    atoms = Atoms("GaAs", [[0, 0, 0], [1.5, 1.3, 1.4]], cell=[5, 5.2, 5.4], pbc=True)
    atoms.calc = make_calculator("toy")
    step, forces, start = 1e-4, atoms.get_forces(), atoms.get_positions()
    for axis in range(3):
        energies = []
        for sign in (1, -1):
            moved = start.copy()
            moved[1, axis] += sign * step
            atoms.set_positions(moved)
            energies.append(atoms.get_potential_energy())
        slope = (energies[0] - energies[1]) / (2 * step)
        assert forces[1, axis] == pytest.approx(-slope, abs=1e-6)
        atoms.set_positions(start)


def test_the_stress_is_the_slope_of_the_energy_with_strain():
    from ase import Atoms
    from ase.calculators.fd import calculate_numerical_stress

    atoms = Atoms("GaAs", [[0, 0, 0], [1.5, 1.3, 1.4]], cell=[5, 5.2, 5.4], pbc=True)
    atoms.calc = make_calculator("toy")
    stress = atoms.get_stress(voigt=False)
    numeric = calculate_numerical_stress(atoms, voigt=False, eps=1e-5)
    assert stress == pytest.approx(numeric, abs=1e-6)


def test_a_relaxation_stops_where_incar_says(tmp_path, primitive):
    maker = makers.relax_normal_maker()
    folder = prepare(tmp_path / "whole", maker, primitive, ISPIN=1)
    simulate(folder)
    run = read(folder)
    assert run.converged_ionic
    assert np.abs(run.ionic_steps[-1]["forces"]).max() <= 1e-3
    folder = prepare(tmp_path / "short", maker, primitive, NSW=2)
    simulate(folder)
    assert not read(folder).converged_ionic


def test_bands_have_the_symmetry_of_the_crystal(tmp_path, coarse, primitive):
    """A wave vector and its image under a rotation have the same energies."""
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    from wyckflow.vasp.simulator.bands import _levels

    point = np.array([0.13, 0.21, 0.37])
    rotations = SpacegroupAnalyzer(primitive).get_symmetry_dataset().rotations
    images = np.array([rotation.T @ point for rotation in rotations])
    levels = _levels(primitive, images)
    assert len(rotations) == 24
    assert levels == pytest.approx(np.tile(levels[0], (24, 1)), abs=1e-9)


def test_vibrations_have_three_translations_and_the_right_sign(tmp_path, primitive):
    from emmet.core.vasp.calculation import Calculation

    folder = prepare(tmp_path / "run", makers.dfpt_maker(), primitive)
    simulate(folder)
    assert read(folder).converged  # in spite of all the cycles of the response
    calculation, _ = Calculation.from_vasp_files(
        folder, "dfpt", vasprun_file="vasprun.xml", outcar_file="OUTCAR",
        contcar_file="CONTCAR", volumetric_files=[],
    )  # fmt: skip
    found = sorted(calculation.output.normalmode_frequencies)
    assert np.allclose(found[:3], 0, atol=1e-3)
    assert min(found[3:]) > 1


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda f: (f / "POTCAR.spec").write_text("As\nGa_d\n"), "another order"),
        (lambda f: (f / "POTCAR.spec").unlink(), "POTCAR could not be opened"),
        (lambda f: (f / "POSCAR").unlink(), "POSCAR"),
        (lambda f: (f / "INCAR").write_text("ICHARG = 11\n"), "CHGCAR"),
        (
            lambda f: (f / "KPOINTS").write_text("few\n0\nGamma\n1 1 1\n"),
            "Tetrahedron",
        ),
    ],
    ids=["order", "no POTCAR", "no POSCAR", "no density", "few points"],
)
def test_it_stops_where_vasp_would(spoil, text, tmp_path, coarse, primitive):
    folder = prepare(tmp_path / "run", coarse, primitive)
    spoil(folder)
    with pytest.raises(SimulatedFailureError, match=text):
        simulate(folder)


def test_a_fault_strikes_as_often_as_asked(tmp_path, coarse, primitive, capsys):
    folder = prepare(tmp_path / "run", coarse, primitive)
    faults = ["crash:1", "brmix:1"]
    assert simulate(folder, faults=faults) == 174
    assert simulate(folder, faults=faults) == 0
    assert "BRMIX" in capsys.readouterr().out
    assert not (folder / "vasprun.xml").exists()
    assert simulate(folder, faults=faults) == 0
    assert (folder / "vasprun.xml").exists()


@pytest.mark.slow
def test_its_energies_are_those_of_chgnet_where_asked(tmp_path, coarse, primitive):
    """The same crystal through CHGNet's own interface, and still marked."""
    model = pytest.importorskip("chgnet.model.model", reason="install wyckflow[ml]")
    folder = prepare(tmp_path / "run", coarse, primitive)
    simulate(folder, engine="chgnet")
    run = read(folder)
    found = model.CHGNet.load(verbose=False).predict_structure(run.initial_structure)
    expected = float(found["e"]) * len(primitive)
    assert run.final_energy == pytest.approx(expected, abs=1e-4)
    assert run.ionic_steps[-1]["forces"] == pytest.approx(found["f"], abs=1e-4)
    assert "simulated" in run.vasp_version.lower()


def test_faults_can_be_counted_over_all_jobs(tmp_path, coarse, primitive):
    """The second run of all dies, once, wherever it is."""
    shared = tmp_path / "count"
    ends = []
    for number in range(4):
        folder = prepare(tmp_path / f"run-{number}", coarse, primitive)
        faults = Faults(shared, ["crash:1"], n_spared=1)
        ends.append(simulate(folder, faults=faults))
    assert ends == [0, 174, 0, 0]


def test_electrons_that_do_not_converge_are_seen(tmp_path, coarse, primitive):
    folder = prepare(tmp_path / "run", coarse, primitive, NELM=30)
    simulate(folder, faults=["unconverged:1"])
    assert not read(folder).converged_electronic
    simulate(folder, faults=["unconverged:1"])
    assert read(folder).converged


@pytest.mark.parametrize("fault", ["truncated", "silent"])
def test_a_file_that_is_torn_or_missing_is_seen(fault, tmp_path, coarse, primitive):
    from custodian.vasp.validators import VasprunXMLValidator

    folder = prepare(tmp_path / "run", coarse, primitive)
    simulate(folder, faults=[f"{fault}:1"])
    assert VasprunXMLValidator().check(str(folder))
    whole = prepare(tmp_path / "whole", coarse, primitive)
    simulate(whole)
    assert not VasprunXMLValidator().check(str(whole))


def test_the_installed_program_is_this_one():
    import tomllib

    import wyckflow
    from wyckflow.vasp.preflight import is_simulator

    path = Path(wyckflow.__file__).parents[1] / "pyproject.toml"
    if not path.is_file():
        pytest.skip("needs the source tree")
    scripts = tomllib.loads(path.read_text())["project"]["scripts"]
    assert scripts["wyckflow-vasp-simulator"] == f"{main.__module__}:{main.__name__}"
    assert is_simulator("srun -n 4 wyckflow-vasp-simulator --engine chgnet")
    assert is_simulator("python -m wyckflow.vasp.simulator")
    assert not is_simulator("srun vasp_std")


def test_an_unknown_fault_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(ConfigurationError, match="Did you mean 'brmix'"):
        simulate(tmp_path, faults=["brmx:1"])


def test_the_program_ends_with_an_error_code_where_vasp_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([]) == 1


def outline(root, depth=3):
    """Return which elements are in which, as far as asked."""
    found = set()

    def visit(node, path, left):
        here = f"{path}/{node.tag}"
        found.add(here)
        if left:
            for child in node:
                visit(child, here, left - 1)

    visit(root, "", depth)
    return found


def real_file(*parts):
    """Return a file that real VASP wrote, unpacked."""
    folder = Path(os.environ.get("WYCKFLOW_DATA", "missing")).parent / "vasp_outputs"
    path = folder.joinpath(*parts)
    if not path.is_file():
        pytest.skip("needs real outputs of VASP beside the data folder")
    with gzip.open(path) as stream:
        return stream.read()


def test_its_modes_stand_where_real_vasp_writes_them(tmp_path, primitive):
    """The dynamical matrix, its signs, and the cycles of the response."""
    real = ET.fromstring(real_file("NaCl_gamma_dfpt", "vasprun.xml.gz"))  # noqa: S314
    run = prepare(tmp_path / "run", makers.dfpt_maker(), primitive)
    simulate(run)
    mine = ET.parse(run / "vasprun.xml").getroot()  # noqa: S314 - ours
    counts = []
    for root in (real, mine):
        (step,) = root.findall("calculation")
        modes = step.find("dynmat")
        assert {child.get("name") for child in modes} >= {
            "hessian", "eigenvalues", "eigenvectors"
        }  # fmt: skip
        values = np.array(modes.find("v[@name='eigenvalues']").text.split(), float)
        # Stable modes are negative; all but the three translations are.
        assert (np.sort(values)[:3] < 0).all()
        assert len(values) == 3 * len(
            root.findall("atominfo/array[@name='atoms']/set/rc")
        )
        counts.append(len(step.findall("scstep")))
    # Both list more cycles than an energy needs: pymatgen counts them against NELM.
    assert min(counts) > 30


def test_its_outcar_has_the_lines_that_are_looked_for(tmp_path, coarse, primitive):
    """Each stands in the OUTCAR of real VASP as well, in the same words."""
    real = real_file("GaAs_r2scan_static", "OUTCAR.gz").decode("latin-1")
    run = prepare(tmp_path / "run", coarse, primitive)
    simulate(run)
    mine = (run / "OUTCAR").read_text()
    for words in (
        "mpi-ranks, with    1 threads/rank, on    1 nodes", "NBANDS=",
        "total plane-waves  NPLWV =", "E-fermi :",
        "aborting loop because EDIFF is reached", "entropy T*S    EENTRO =",
        "free  energy   TOTEN  =", "energy  without entropy=", "energy(sigma->0) =",
        "TOTAL-FORCE (eV/Angst)", "total drift:", "number of electron",
        "General timing and accounting informations for this job:",
        "Total CPU time used (sec):", "Elapsed time (sec):", "in kB",
    ):  # fmt: skip
        assert words in real, words
        assert words in mine, words


def test_its_vasprun_is_a_part_of_what_real_vasp_writes(tmp_path, coarse, primitive):
    """Every element stands where one of that name stands in a file of VASP itself."""
    real = outline(ET.fromstring(real_file("Si_uniform", "vasprun.xml.gz")))  # noqa: S314
    run = prepare(tmp_path / "run", coarse, primitive)
    simulate(run)
    mine = outline(ET.parse(run / "vasprun.xml").getroot())  # noqa: S314 - ours
    flat = {"/modeling/parameters/i", "/modeling/parameters/v"}  # VASP groups them
    assert mine - real - flat == set()
