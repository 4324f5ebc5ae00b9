"""``wyckflow relax``, called as a person calls it."""

from __future__ import annotations

import csv
import json

import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifParser

pytest.importorskip("chgnet", reason="install wyckflow[ml]")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a crystal, one that is disordered, and a list of genes."""
    monkeypatch.chdir(tmp_path)
    points = [[0, 0, 0], [0.5, 0.5, 0.5]]
    cifs = tmp_path / "cifs"
    cifs.mkdir()
    cell = Lattice.cubic(4.3)
    Structure(cell, ["Cs", "Cl"], points).to(filename=str(cifs / "salt.cif"))
    mixed = Structure(cell, [{"Cs": 0.5, "K": 0.5}, "Cl"], points)
    mixed.to(filename=str(cifs / "mixed.cif"))
    (tmp_path / "genes.txt").write_text("221 Ba:a Ti:b O:c\n225 Rn:a\n")
    return tmp_path


def read_rows(path):
    with path.open(newline="") as stream:
        return {row["name"]: row for row in csv.DictReader(stream)}


@pytest.mark.filterwarnings("ignore::UserWarning:pymatgen.io.cif")
def test_crystals_and_genes_end_in_a_table_and_a_folder(wyckflow, folder):
    words = ["cifs", "genes.txt", "-o", "out", "--check-free", "--device", "cpu"]
    done = wyckflow("relax", *words)
    assert done.code == 0, done.err
    rows = read_rows(folder / "out" / "results.csv")
    assert set(rows) == {"salt", "mixed", "BaTiO3-221", "Rn-225"}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "salt": "converged",
        "mixed": "refused",
        "BaTiO3-221": "converged",
        "Rn-225": "unsupported_element",
    }
    assert rows["salt"]["symmetry"] == "kept"
    assert rows["BaTiO3-221"]["symmetry"] == "broken"
    assert rows["salt"]["energy_scale"] == "chgnet-0.3.0"
    assert float(rows["salt"]["magnetic_moments_mu_b"].split()[0]) < 0.05
    assert rows["mixed"]["magnetic_moments_mu_b"] == ""
    cif = (folder / "out" / "structures" / "salt.cif").read_text()
    assert "_atom_site_wyckflow_moment_size" in cif
    written = {path.name for path in (folder / "out" / "structures").iterdir()}
    assert written == {"salt.cif", "BaTiO3-221.cif"}
    parser = CifParser(folder / "out" / "structures" / "salt.cif")
    (relaxed,) = parser.parse_structures(primitive=False)
    volume = float(rows["salt"]["volume_a3_per_atom"])
    assert relaxed.volume / len(relaxed) == pytest.approx(volume, rel=1e-4)
    metadata = json.loads((folder / "out" / "metadata.json").read_text())
    assert metadata["options"]["free"]["kick"] > 0
    assert metadata["options"]["halving"]["n_coarse_stages"] > 0
    assert "sha256" in metadata["potential"]
    assert "salt CsCl 221 converged" in done.out
    assert "broken" in done.out
    assert "mixed: refused: disordered" in done.out
    assert "4 crystals: 2 converged" in done.out
    again = wyckflow("relax", *words)
    assert again.code == 1
    assert "--overwrite" in again.err


def test_nothing_is_overwritten_unless_asked(wyckflow, folder):
    words = ["relax", "cifs/salt.cif", "-o", "out", "--device", "cpu"]
    assert wyckflow(*words).code == 0
    first = read_rows(folder / "out" / "results.csv")
    assert wyckflow(*words, "--symprec", "0.1", "--overwrite").code == 0
    second = read_rows(folder / "out" / "results.csv")
    first["salt"].pop("cpu_s")
    second["salt"].pop("cpu_s")
    assert first == second


def test_if_nothing_could_be_relaxed_the_command_fails(wyckflow, folder):
    done = wyckflow("relax", "cifs/mixed.cif", "-o", "out", "--device", "cpu")
    assert done.code == 1
    assert "1 crystals: 1 refused" in done.out
    assert read_rows(folder / "out" / "results.csv")["mixed"]["reason"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Nothing came to relax"),
        (["absent.cif"], "no file or folder"),
        (["--gene", "225 Na:z"], "no Wyckoff letter"),
        (["cifs", "--weights", "9"], "no weights"),
        (["cifs", "--device", "abacus"], "is no device"),
    ],
    ids=["nothing", "absent", "gene", "weights", "device"],
)
def test_what_cannot_be_is_one_sentence(wyckflow, folder, words, message):
    done = wyckflow("relax", *words)
    assert done.code == 1
    assert message in done.err
    assert not (folder / "relaxed").exists()


def test_help_teaches(wyckflow):
    text = wyckflow("relax", "--help").out
    words = ("--gene", "--check-free", "--exhaustive", "results.csv")
    for word in ("Example: wyckflow relax", *words):
        assert word in text
