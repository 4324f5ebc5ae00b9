"""``wyckflow dft``, called as a person calls it."""

from __future__ import annotations

import json

import pytest
from pymatgen.core import Lattice, Structure

pytest.importorskip("atomate2", reason="install wyckflow[dft]")

FACES = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
STEPS = (
    "vasp relax normal", "vasp relax precise", "vasp static", "vasp bands",
    "vasp dfpt", "vasp mp relax", "vasp mp static",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with wustite, without VASP and without POTCARs."""
    from pymatgen.io.vasp import inputs

    monkeypatch.delitem(inputs.SETTINGS, "PMG_VASP_PSP_DIR", raising=False)
    monkeypatch.setenv("WYCKFLOW_VASP_COMMAND", "no_vasp_here")
    monkeypatch.chdir(tmp_path)
    places = FACES + [[x + 0.5 for x in face] for face in FACES]
    species = ["Fe"] * 4 + ["O"] * 4
    crystal = Structure(Lattice.cubic(4.33), species, places)
    crystal.to(filename="POSCAR", fmt="poscar")
    crystal.to(filename="wustite.cif")
    return tmp_path


def test_a_machine_without_vasp_is_told_everything_that_is_missing(wyckflow, folder):
    done = wyckflow("dft", "preflight", "POSCAR")
    assert done.code == 1
    for part in ("no_vasp_here", "PMG_VASP_PSP_DIR", "problems", "space group 225"):
        assert part in done.out
    for step in STEPS:
        assert step in done.out


def test_elsewhere_only_what_concerns_the_inputs_is_asked(wyckflow, folder):
    done = wyckflow("dft", "preflight", "POSCAR", "--elsewhere", "--json")
    document = json.loads(done.out)
    assert done.code == 1
    assert len(document["problems"]) == 1
    assert document["potcars"] == ["Fe_pv", "O"]
    assert [cost["step"] for cost in document["costs"]] == list(STEPS)


def test_with_potcars_a_machine_that_submits_is_ready(wyckflow, folder, monkeypatch):
    from pymatgen.io.vasp import inputs

    from wyckflow.vasp.simulator.potcars import write_potcars

    library = str(write_potcars(folder / "potcars"))
    monkeypatch.setitem(inputs.SETTINGS, "PMG_VASP_PSP_DIR", library)
    done = wyckflow("dft", "preflight", "POSCAR", "--elsewhere")
    assert done.code == 0
    assert "ready" in done.out
    assert "stand-ins" in done.out


def test_inputs_of_every_step_are_written(wyckflow, folder):
    from pymatgen.io.vasp.inputs import Incar

    done = wyckflow("dft", "inputs", "POSCAR", "-o", "out")
    assert done.code == 0, done.err
    for step in STEPS:
        made = folder / "out" / step.replace(" ", "-")
        names = {path.name for path in made.iterdir()}
        assert names == {"INCAR", "KPOINTS", "POSCAR", "POTCAR.spec"}
        assert Incar.from_file(made / "INCAR")["LDAUU"] == [5.3, 0]
    assert "tetrahedra" in done.out
    again = wyckflow("dft", "inputs", "POSCAR", "-o", "out")
    assert again.code == 1
    assert "--overwrite" in again.err
    assert wyckflow("dft", "inputs", "POSCAR", "-o", "out", "--overwrite").code == 0


@pytest.mark.filterwarnings("ignore::UserWarning:pymatgen.io.cif")
def test_one_step_of_a_cif(wyckflow, folder):
    words = ["wustite.cif", "-o", "out", "--step", "vasp static"]
    done = wyckflow("dft", "inputs", *words)
    assert done.code == 0, done.err
    assert [path.name for path in (folder / "out").iterdir()] == ["vasp-static"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["inputs", "POSCAR", "--step", "vasp statc"], "Did you mean 'vasp static'"),
        (["inputs", "absent"], "There is no file absent"),
        (["preflight", "notes.txt"], "no crystal that can be read"),
    ],
)
def test_a_mistake_is_one_sentence(words, text, wyckflow, folder):
    (folder / "notes.txt").write_text("call Ada\n")
    done = wyckflow("dft", *words)
    assert done.code == 1
    assert text in done.err
