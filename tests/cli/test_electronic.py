"""``wyckflow masses``, called as a person calls it."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from wyckflow.cli import electronic
from wyckflow.electronic.bands import Bands, read_atoms
from wyckflow.errors import BandsError
from wyckflow.schemas.electronic import ElectronicDoc

MASS = 7.619964 / 2


def cubic_bands(gap=1.0):
    """Γ-X of a cube, the electrons at X, so that the path does not lead across."""
    cell = Structure(Lattice.cubic(4.0), ["Po"], [(0, 0, 0)])
    x = np.linspace(0, 0.5, 40)
    k = 2 * np.pi / 4.0 * x
    levels = np.stack([-MASS * k**2, gap + MASS / 0.3 * (k - k[-1]) ** 2])
    return Bands(
        cell.lattice.matrix,
        np.stack([x, 0 * x, 0 * x], axis=1),
        levels[None],
        0.5,
        ("Γ", *[""] * 38, "X"),
        n_electrons=2.0,
        atoms=read_atoms(cell),
    )


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Folders of runs; reading them is replaced where files would be parsed."""
    monkeypatch.chdir(tmp_path)
    known = {"open": cubic_bands(), "metal": cubic_bands(gap=-3.0)}

    def load(path):
        if path.name not in known:
            raise BandsError(f"{path} does not exist; name a vasprun.xml.")
        return known[path.name]

    monkeypatch.setattr(electronic, "load_bands", load)
    for name in known:
        (tmp_path / name).mkdir()
    return tmp_path


def test_runs_end_in_a_table_documents_plots_and_meshes(wyckflow, runs):
    done = wyckflow("masses", "open", "metal", "torn", "-o", "out")
    assert done.code == 0, done.err
    assert "1.000 indirect" in done.out
    assert "3x1 (2) X" in done.out
    assert "metal" in done.out
    assert "torn: torn does not exist" in done.out
    with (runs / "out" / "masses.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    (electron,) = [row for row in rows if row["carrier"] == "electron"]
    assert electron["direction"] == "X→Γ"
    assert float(electron["mass"]) == pytest.approx(0.3, rel=1e-3)
    assert {row["kind"] for row in rows} == {"semiconductor", "metal", "cannot_judge"}
    documents = json.loads((runs / "out" / "masses.json").read_text())
    read = [ElectronicDoc.model_validate(one) for one in documents]
    assert [one.name for one in read] == ["open", "metal", "torn"]
    plots = {path.name for path in (runs / "out" / "bands").iterdir()}
    assert plots == {"open.png", "metal.png"}
    (mesh,) = (runs / "out" / "dense").iterdir()
    lines = mesh.read_text().splitlines()
    assert (lines[1], lines[2], len(lines)) == ("343", "Reciprocal", 346)
    middle = np.mean([list(map(float, row.split()[:3])) for row in lines[3:]], axis=0)
    np.testing.assert_allclose(middle, [0.5, 0, 0], atol=1e-9)
    again = wyckflow("masses", "open", "-o", "out")
    assert again.code == 1
    assert "--overwrite" in again.err


def test_the_written_mesh_is_one_that_pymatgen_reads(wyckflow, runs):
    from pymatgen.io.vasp.inputs import Kpoints

    assert wyckflow("masses", "open", "-o", "out").code == 0
    (mesh,) = (runs / "out" / "dense").iterdir()
    kpoints = Kpoints.from_file(mesh)
    assert kpoints.num_kpts == len(kpoints.kpts) == 343


def test_without_a_folder_it_only_prints(wyckflow, runs):
    assert wyckflow("masses", "open").code == 0
    assert {path.name for path in runs.iterdir()} == {"open", "metal"}


def test_nothing_readable_is_a_failure_and_wrong_calls_say_what_to_do(wyckflow, runs):
    assert wyckflow("masses", "torn").code == 1
    both = wyckflow("masses", "open", "metal", "--dense", "open")
    assert both.code == 1
    assert "one crystal" in both.err
    (runs / "file").touch()
    taken = wyckflow("masses", "open", "-o", "file")
    assert "is a file" in taken.err


def test_help_teaches(wyckflow):
    done = wyckflow("masses", "--help")
    assert done.code == 0
    for words in ("effective masses", "Example: wyckflow masses", "pockets x bands"):
        assert words in done.out
