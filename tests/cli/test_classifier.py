"""``wyckflow classifier``: scores, cards, and what it refuses."""

from __future__ import annotations

import csv
import json

import pytest
from typer.testing import CliRunner

from wyckflow.cli.main import app
from wyckflow.errors import GeneError, ModelError

GENES = ("221 Sr:a Ti:b O:c", "225 Na:a Cl:b", "221 Cu:c Au:a")


def call(*words):
    return CliRunner().invoke(app, ["classifier", *map(str, words)])


def test_genes_are_scored_and_an_unknown_element_has_a_reason(tmp_path):
    target = tmp_path / "scores.csv"
    words = [word for gene in (*GENES, "225 Rn:a Cl:b") for word in ("--gene", gene)]
    done = call("score", *words, "--model", "metal", "-o", target)
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(target.open()))
    metal = {row["gene"]: row["score"] for row in rows}
    assert float(metal["225 Na:a Cl:b"]) < 0.3
    assert float(metal["221 Cu:c Au:a"]) > 0.9
    assert rows[-1]["score"] == ""
    assert "Rn is in 0 training crystals" in rows[-1]["reason"]


def test_genes_come_from_a_file(tmp_path):
    source = tmp_path / "genes.txt"
    source.write_text("\n".join(GENES))
    done = call("score", source)
    assert done.exit_code == 0, done.output
    assert "225 Na:a Cl:b" in done.output


def test_no_genes_are_refused_with_an_example():
    assert isinstance(call("score", "--model", "metal").exception, ModelError)
    assert isinstance(call("score", "--gene", "225 Xx:a").exception, GeneError)


def test_an_unknown_classifier_is_refused_with_the_nearest():
    error = call("card", "metals").exception
    assert isinstance(error, ModelError)
    assert "'metal'" in str(error)


@pytest.mark.parametrize("name", ["metal", "synthesizability"])
def test_a_card_says_what_it_is_and_how_good(name, tmp_path):
    done = call("card", name, "--plot", tmp_path / "card.png")
    assert done.exit_code == 0, done.output
    assert "recall at" in done.output
    assert "assumed" in done.output
    assert (tmp_path / "card.png").stat().st_size > 10_000
    card = json.loads(call("card", name, "--json").output)
    assert card["task"] == name
