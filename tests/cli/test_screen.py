"""``wyckflow screen``: files in, a funnel, verdicts and a figure out."""

from __future__ import annotations

import csv
import json

import pytest

GENES = """\
221 Sr:a Ti:b O:c
225 Na:a Cl:b
225 Na:a F:c   # two fluorides to one sodium
225 U:a O:c
225 He:a O:b
"""


@pytest.fixture
def genes(tmp_path):
    path = tmp_path / "genes.txt"
    path.write_text(GENES)
    return path


def test_the_funnel_is_printed_and_the_verdicts_written(wyckflow, genes, tmp_path):
    verdicts, figure = tmp_path / "verdicts.csv", tmp_path / "funnel.png"
    done = wyckflow("screen", genes, "-o", verdicts, "--plot", figure)
    assert done.code == 0
    assert "2 of 5 genes pass (40.0%)" in done.out
    assert "holds U, which is excluded (radioactive) (1)" in done.out
    assert "drops 7.0% of 2,116 stable semiconductors" in done.out
    with verdicts.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["verdict"] for row in rows] == ["pass"] * 2 + ["fail"] * 2 + [
        "cannot_judge"
    ]
    assert (rows[2]["filter"], rows[2]["value"]) == ("charge_neutrality", "-1.0")
    assert rows[4]["reason"] == "not known: oxidation states of He"
    assert [row["row"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert figure.stat().st_size > 5000


def test_columns_are_evidence(wyckflow, tmp_path):
    path = tmp_path / "genes.csv"
    path.write_text(
        "gene,metal,band_gap,band_gap_deviation\n"
        "221 Sr:a Ti:b O:c,0.1,1.9,0.2\n225 Na:a Cl:b,0.1,5.0,0.5\n225 Cu:a,0.9,0,0.1\n"
    )
    screen = tmp_path / "mine.yaml"
    screen.write_text(
        "filters:\n- {filter: maximum_score, score: metal, below: 0.5}\n"
        "- {filter: target_window, prediction: band_gap, max: 1.8, max_sigma: 1}\n"
    )
    done = wyckflow("screen", path, "--screen", screen, "--json")
    document = json.loads(done.out)
    assert (document["n_genes"], document["n_accepted"]) == (3, 1)
    assert document["evidence"]["metal"] == "column of genes.csv"
    assert [step["n_fail"] for step in document["funnel"]] == [1, 1]


def test_rows_that_are_no_genes_are_said(wyckflow, genes):
    genes.write_text(GENES + "225 Na:q9x\n")
    done = wyckflow("screen", genes)
    assert done.code == 0
    assert "row 6 is no gene" in done.out


def test_a_screen_is_shown_in_the_form_that_is_read(wyckflow, tmp_path, genes):
    done = wyckflow("screen", "--screen", "published", "--show")
    assert "published_neutrality" in done.out
    own = tmp_path / "own.yaml"
    from wyckflow.screening.presets import load_preset, load_screen, write_screen

    own.write_text(write_screen(load_preset("default")))
    assert load_screen(own) == load_preset("default")
    assert wyckflow("screen", genes, "-s", own).code == 0


def test_the_cost_of_a_screen_is_measured_on_a_dataset(wyckflow, tmp_path):
    from pymatgen.core import Lattice, Structure

    salt = Structure.from_spacegroup(
        225, Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    (tmp_path / "salt.cif").write_text(salt.to(fmt="cif"))
    known = tmp_path / "known.npz"
    assert wyckflow("data", "import", tmp_path / "salt.cif", "-o", known).code == 0
    done = wyckflow("screen", known, "--cost")
    assert "This screen drops 0.0% of 1 known crystals of dataset" in done.out
    done = wyckflow("screen", known, "--cost", "--json")
    assert json.loads(done.out)["n_crystals"] == 1
    done = wyckflow("screen", known, "--cost", "--group", "stable_semiconductors")
    assert done.code == 1
    assert "band_gap" in done.err


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("screen",), "No genes came"),
        (("screen", "absent.txt"), "absent.txt"),
        (("screen", "{genes}", "-s", "publishd"), "Did you mean 'published'"),
        (("screen", "{genes}", "{genes}"), "one at a time"),
        (("screen", "{genes}", "-o", "{genes}/x.csv"), "cannot be written"),
    ],
    ids=["nothing", "absent", "screen", "two", "output"],
)
def test_mistakes_are_one_sentence(wyckflow, genes, words, match):
    done = wyckflow(*(str(word).format(genes=genes) for word in words))
    assert done.code == 1
    assert match in done.err
