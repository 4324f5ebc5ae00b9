"""``wyckflow evaluate``, from files to a table, a figure and JSON."""

from __future__ import annotations

import csv
import json

import pytest
from typer.testing import CliRunner

from wyckflow.cli.main import app
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import DatasetError
from wyckflow.schemas.evaluation import EvaluationDoc
from wyckflow.screening.novelty import KnownGenes

REAL = ["225 Na:a Cl:b", "221 Sr:a Ti:b O:c", "194 Zn:c S:d", "62 Fe:c2 S:c2"]
MADE = ["225 K:a Cl:b", "225 Na:a Cl:b", "225 Cl:a K:b", "194 Ti:a,g Sn:c"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "real.txt").write_text("\n".join(REAL))
    (tmp_path / "made.txt").write_text("\n".join([*MADE, "225 K:z"]))
    with (tmp_path / "other.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["gene", "band_gap", "energy_above_hull"])
        writer.writerows([[text, gap, 0.05] for gap, text in enumerate(MADE)])
    return tmp_path


@pytest.fixture
def call(folder, monkeypatch):
    monkeypatch.chdir(folder)

    def call(*words):
        words = [*words, "--resamples", "10"]
        return CliRunner().invoke(app, ["evaluate", *map(str, words)])

    return call


def printed(result):
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return " ".join(result.stdout.split())


def test_sets_stand_side_by_side(call, folder):
    text = printed(call("made.txt", "other.csv", "-r", "real.txt", "-k", "real.txt"))
    for part in (
        "made other floor reference",
        "rows 5 4",
        "valid genes 4 4",
        "different genes 3 3",
        "new gene 66.7 %",
        "S.U.N. at 0.08 eV/atom -",
        "made: 1 rows hold no gene (unknown_letter)",
        "other: 3 of 3 different genes have an energy above the hull",
    ):
        assert part in text


def test_json_is_the_documents(call):
    result = call("made.txt", "-r", "real.txt", "--json", "--attempts", 10, "--seed", 3)
    (content,) = json.loads(result.stdout)
    document = EvaluationDoc.model_validate(content)
    assert document.seed == 3
    assert document.metric("validity_share").value == 0.4


def test_a_target_a_figure_and_a_table_of_genes(call, folder):
    words = ["other.csv", "-r", "real.txt", "--target", "band_gap=0.5:", "--genes"]
    text = printed(call(*words, "genes.csv", "--plot", "sets.png"))
    assert "in target" in text
    assert (folder / "sets.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "genes.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["gene"] for row in rows] == [
        str(WyckoffGene.from_text(t)) for t in MADE
    ]
    assert [row["is_in_target"] for row in rows] == ["False", "True", "True", "True"]


def test_energies_may_stand_in_any_column(call):
    words = ["other.csv", "made.txt", "-r", "real.txt", "--json", "--energy"]
    documents = map(
        EvaluationDoc.model_validate, json.loads(call(*words, "band_gap").stdout)
    )
    # "gaps" of 0, 1 and 3 eV taken for energies, for the sake of the test
    shares = [document.metric("metastable_80mev_share") for document in documents]
    assert shares[0].value == pytest.approx(1 / 3)
    assert shares[1] is None


def test_known_genes_come_from_their_own_file_or_from_a_set(call, folder):
    genes = [WyckoffGene.from_text(text) for text in REAL[:1]]
    KnownGenes.from_genes(genes, name="salt").save(folder / "salt.npz")
    words = ["made.txt", "-r", "real.txt", "-k", "salt.npz", "-k", "real.txt", "--json"]
    (content,) = json.loads(call(*words).stdout)
    assert content["known"]["name"] == "salt + real"
    assert content["known"]["n_genes"] == len(REAL)
    assert content["novelty_levels"]["known_gene"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--target", "band_gap"], "write it like band_gap=0.5:2"),
        (["--target", "band_gap=a:2"], "write it like band_gap=0.5:2"),
        (["--target", "bandgap=1:2"], "Did you mean 'band_gap'"),
        (["--attempts", 9, "--attempts", 9], "2 numbers of attempts came for 1 sets"),
        (["--population", "novel"], "nothing says what is known"),
        (["--genes", "gone/x.csv"], "cannot be written"),
        (["--energy", "band_gab"], "Did you mean 'band_gap'"),
    ],
)
def test_wrong_words_are_one_sentence(call, words, message):
    result = call("other.csv", "-r", "real.txt", *words)
    assert isinstance(result.exception, DatasetError)
    assert message in str(result.exception)


def test_the_command_teaches_with_an_example(call):
    assert "Example: wyckflow evaluate" in printed(call("--help"))
