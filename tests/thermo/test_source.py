"""References by path and by version, and tables of numbers."""

from __future__ import annotations

import gzip

import pytest

from wyckflow.errors import ReferenceDataError
from wyckflow.thermo.entry import EnergyOrigin, ReferenceEntry
from wyckflow.thermo.reference import ReferenceSet
from wyckflow.thermo.reference_table import parse_formula, read_reference_table
from wyckflow.thermo.source import is_version, load_reference, path_of_version


@pytest.fixture
def reference():
    entry = ReferenceEntry({"Na": 1}, -1.0, "na")
    return ReferenceSet.from_entries("toy", [entry], scale="pbe-fine", kind="total")


def test_a_reference_is_found_by_path_and_by_version(reference, tmp_path):
    path = path_of_version(tmp_path, reference.version)
    reference.save(path)
    assert load_reference(str(path)).version == reference.version
    found = load_reference(reference.version, folder=tmp_path)
    assert found.version == reference.version
    assert is_version(reference.version)
    assert not is_version("bundled")


def test_a_reference_of_another_version_is_refused(reference, tmp_path):
    path = tmp_path / "x.npz"
    reference.save(path)
    with pytest.raises(ReferenceDataError, match="was asked for"):
        load_reference(str(path), version="0" * 16)
    with pytest.raises(ReferenceDataError, match="wyckflow hull export"):
        load_reference("0" * 16, folder=tmp_path)
    path.rename(path_of_version(tmp_path, "0" * 16))
    with pytest.raises(ReferenceDataError, match=reference.version):
        load_reference("0" * 16, folder=tmp_path)


def test_a_table_becomes_a_set(tmp_path):
    path = tmp_path / "phases.csv.gz"
    text = (
        "material_id,pretty_formula,energy_per_atom,origin\n"
        "mp-1,Ca3(PO4)2,-7.1,evaluated\nmp-2,O2,-4.9,\n"
    )
    path.write_bytes(gzip.compress(text.encode()))
    found = read_reference_table(path, scale="mp2020-gga-u", kind="total")
    assert found.name == "phases"
    assert found[0].composition == {"Ca": 3, "P": 2, "O": 8}
    assert (found[0].origin, found[0].source) == (EnergyOrigin.EVALUATED, "phases")
    assert found[1].energy_per_atom == -4.9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,energy_per_atom\na,1\n", "no column 'formula'"),
        ("id,formula\na,NaCl\n", "no column 'energy_per_atom'"),
        ("formula,energy_per_atom\nNaCl,1\n", "no column 'id'"),
        ("id,formula,energy_per_atom\na,NaCl,-1\nb,NaCl,low\n", "Line 3"),
        ("id,formula,energy_per_atom\na,Nacl,-1\n", "Line 2.*no chemical formula"),
        ("", "none"),
    ],
)
def test_a_table_that_cannot_be_read_names_the_place(tmp_path, text, words):
    path = tmp_path / "phases.csv"
    path.write_text(text)
    with pytest.raises(ReferenceDataError, match=words):
        read_reference_table(path, scale="pbe-fine", kind="total")
    with pytest.raises(ReferenceDataError, match="cannot be read"):
        read_reference_table(tmp_path / "none.csv", scale="pbe-fine", kind="total")


def test_a_formula_is_read_or_refused():
    assert parse_formula("Ca3(PO4)2") == {"Ca": 3, "P": 2, "O": 8}
    for text in ("", "Xx2", "sodium"):
        with pytest.raises(ReferenceDataError, match="formula"):
            parse_formula(text)
