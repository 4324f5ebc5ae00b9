"""``wyckflow phonon``, called as a person calls it."""

from __future__ import annotations

import csv

import pytest
from pymatgen.core import Lattice, Structure

from wyckflow.schemas.phonon import PhononBatchDoc

pytest.importorskip("chgnet", reason="install wyckflow[ml]")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a metal, and one of an element that the network does not know."""
    monkeypatch.chdir(tmp_path)
    cifs = tmp_path / "cifs"
    cifs.mkdir()
    for name, edge, element in (("copper", 3.6, "Cu"), ("radon", 5.0, "Rn")):
        cell = Lattice.from_parameters(*[edge / 2**0.5] * 3, 60, 60, 60)
        structure = Structure(cell, [element], [[0, 0, 0]])
        structure.to(filename=str(cifs / f"{name}.cif"))
    return tmp_path


def read_rows(path):
    with path.open(newline="") as stream:
        return {row["name"]: row for row in csv.DictReader(stream)}


@pytest.mark.filterwarnings("ignore::UserWarning:pymatgen.io.cif")
def test_crystals_end_in_a_table_a_document_and_plots(wyckflow, folder):
    words = ["phonon", "cifs", "-o", "out", "--min-length", "5", "--device", "cpu"]
    done = wyckflow(*words)
    assert done.code == 0, done.err
    assert "1 stable" in done.out
    assert "CHGNet's phonons are too soft" in done.out
    rows = read_rows(folder / "out" / "phonons.csv")
    assert rows["copper"]["verdict"] == "stable"
    assert float(rows["copper"]["min_frequency_thz"]) > 0.5
    assert rows["radon"]["verdict"] == "cannot_judge"
    assert "Rn" in rows["radon"]["reason"]
    plots = [path.name for path in (folder / "out" / "bands").iterdir()]
    assert plots == ["copper.png"]
    text = (folder / "out" / "phonons.json").read_text()
    document = PhononBatchDoc.model_validate_json(text)
    assert document.spectrum("copper") is not None
    again = wyckflow(*words)
    assert again.code == 1
    assert "--overwrite" in again.err


@pytest.mark.filterwarnings("ignore::UserWarning:pymatgen.io.cif")
def test_what_is_no_minimum_is_not_judged_as_it_is(wyckflow, folder):
    done = wyckflow("phonon", "cifs/copper.cif", "-o", "x", "--as-is", "--max-atoms", 9)
    assert done.code == 1
    assert "0 stable" in done.out
    row = read_rows(folder / "x" / "phonons.csv")["copper"]
    assert row["verdict"] == "cannot_judge"


def test_help_teaches(wyckflow):
    done = wyckflow("phonon", "--help")
    assert done.code == 0
    for words in ("THz", "imaginary", "Example: wyckflow phonon", "too soft"):
        assert words in done.out
