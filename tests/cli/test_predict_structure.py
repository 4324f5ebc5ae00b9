"""``wyckflow predict-structure`` and ``wyckflow gene``, in an empty folder."""

from __future__ import annotations

import csv
import json

import pytest


@pytest.fixture(autouse=True)
def _empty_folder(monkeypatch, tmp_path):
    """Run where there is no project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WYCKFLOW_SCRATCH", str(tmp_path / "scratch"))


def test_rock_salt_is_predicted_without_a_database(wyckflow, tiny_model, tmp_path):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    words = ("predict-structure", "NaCl", "-s", "225", "-m", tiny_model)
    done = wyckflow(*words, "-b", "4", "--trials", "1", "--max-atoms", "2")
    assert done.code == 0, done.err
    assert "Fm-3m (225)" in done.out
    assert "chgnet-0.3.0" in done.out
    assert "The best one in space group 225 is number 1." in done.out
    assert "ways to fill Wyckoff positions" in done.out
    (row, *_) = csv.DictReader((tmp_path / "NaCl-225" / "phases.csv").open())
    assert float(row["a_a"]) == pytest.approx(5.64, rel=0.02)
    assert (tmp_path / "NaCl-225" / row["file"]).is_file()
    assert (tmp_path / "NaCl-225" / "phases.png").is_file()
    assert not done.err.count("oxidation")
    again = wyckflow(*words)
    assert again.code == 1
    assert "--overwrite" in again.err


def test_a_formula_that_cannot_be_neutral_is_a_warning(wyckflow, tiny_model):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    words = ("predict-structure", "Na2Cl", "-m", tiny_model, "--no-generator")
    done = wyckflow(*words, "-b", "1", "--trials", "1", "--max-atoms", "3", "--json")
    assert "no oxidation states" in done.err
    assert '"formula_pretty": "Na2Cl"' in done.out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("CaTiO3", "-s", "230"), "8 formula units, 40 atoms"),
        (("PoO2",), "not trained on Po"),
        (("Hallo",), "no chemical formula"),
        (("CaTiO3", "--no-generator", "--no-enumeration"), "no source of genes"),
        (("CaTiO3", "-m", "nowhere.npz"), "no model"),
    ],
    ids=str,
)
def test_what_cannot_be_predicted_is_refused_in_one_sentence(wyckflow, words, reason):
    done = wyckflow("predict-structure", *words)
    assert done.code == 1
    assert reason in done.err


def test_the_equivalent_genes_of_the_paper_come_out_of_the_tables(wyckflow):
    """CaTiO3 in Pnma: titanium on 4a or 4b, and nothing else changes."""
    done = wyckflow("gene", "equivalents", "62 Ca:c Ti:b O:cd", "--json")
    found = json.loads(done.out)
    assert set(found["equivalents"]) == {"62 Ca:c Ti:a O:c,d", "62 Ca:c Ti:b O:c,d"}
    shown = wyckflow("gene", "equivalents", "62 Ca:c Ti:b O:cd").out
    assert "4c 4a 4c, 8d" in shown
    assert found["gene_id"] in shown


def test_a_gene_of_hidden_symmetry_says_so(wyckflow):
    done = wyckflow("gene", "equivalents", "195 Ca:a Ti:b O:c")
    assert "higher symmetry: 221" in done.out


def test_what_is_no_gene_is_refused(wyckflow):
    done = wyckflow("gene", "equivalents", "62 Ca:z")
    assert done.code == 1
    assert "no Wyckoff letter 'z'" in done.err
