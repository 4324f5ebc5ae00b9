"""Predicting at the command line."""

from __future__ import annotations

import csv
import json
from itertools import islice

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from wyckflow.cli.predict import _predict
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.makers._predictors import PropertyPredictor
from wyckflow.makers.models import load_generator
from wyckflow.relax.intake import Entry

ROCKSALT = Structure.from_spacegroup(
    225, Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
GENES = ["225 Na:a Cl:b", "221 Sr:a Ti:b O:c", "225 Mg:a O:b"]


@pytest.fixture
def genes_csv(tmp_path):
    """A table of genes, one of them none."""
    path = tmp_path / "genes.csv"
    path.write_text("\n".join(["gene", *GENES, "300 no:gene"]) + "\n")
    return path


@pytest.fixture
def cifs(tmp_path):
    """A folder with a crystal and with a file that is none."""
    folder = tmp_path / "cifs"
    folder.mkdir()
    ROCKSALT.to(str(folder / "salt.cif"))
    (folder / "broken.cif").write_text("data_nothing\n")
    return folder


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def expected(model_file, gene):
    """What the model says itself: values, standard deviations."""
    _, model = load_generator(model_file)
    found = model.predict([WyckoffGene.from_text(gene)])
    return found.mean[0], np.hypot(found.spread, found.expected_error)[0]


def test_every_row_is_predicted_or_has_its_reason(
    wyckflow, tiny_model, genes_csv, cifs, tmp_path
):
    output = tmp_path / "predicted.csv"
    done = wyckflow(
        "predict", tiny_model, genes_csv, cifs, "--gene", GENES[1], "-o", output
    )
    assert done.code == 0
    assert "5 predictions in" in done.out
    assert "2 refused" in done.out
    rows = read(output)
    assert [bool(row["refusal"]) for row in rows] == [0, 0, 0, 1, 1, 0, 0]
    salt = rows[5]
    assert (salt["name"], salt["formula"]) == ("salt", "NaCl")
    for row in rows:
        if not row["refusal"]:
            values, errors = expected(tiny_model, row["gene"])
            assert float(row["formation_energy_per_atom"]) == pytest.approx(
                values[0], abs=2e-4
            )
            assert float(row["band_gap"]) == pytest.approx(values[1], abs=2e-4)
            assert float(row["band_gap_deviation"]) == pytest.approx(
                errors[1], abs=2e-3
            )


def test_few_rows_are_a_table_that_says_whose_they_are(wyckflow, tiny_model):
    done = wyckflow("predict", tiny_model, "--gene", GENES[0])
    assert done.code == 0
    assert "NaCl" in done.out
    _, model = load_generator(tiny_model)
    assert f"tiny ({model.to_checkpoint().identity[:12]}" in done.out
    assert "from the gene alone" in done.out
    assert "scale:" in done.out


def test_batches_change_nothing(wyckflow, tiny_model, genes_csv, tmp_path, monkeypatch):
    paths = [tmp_path / "one.csv", tmp_path / "many.csv"]
    wyckflow("predict", tiny_model, genes_csv, "-o", paths[0])
    monkeypatch.setattr("wyckflow.cli.predict._BATCH", 2)
    wyckflow("predict", tiny_model, genes_csv, "-o", paths[1])
    one, many = map(read, paths)
    assert [row["gene"] for row in one] == [row["gene"] for row in many]
    for row, other in zip(one[:3], many[:3], strict=True):
        assert float(row["band_gap"]) == pytest.approx(
            float(other["band_gap"]), abs=2e-4
        )


def test_no_more_than_a_batch_is_read_ahead(tiny_model, monkeypatch):
    monkeypatch.setattr("wyckflow.cli.predict._BATCH", 3)
    predictor = PropertyPredictor.load(*load_generator(tiny_model), n_descriptions=1)
    n_read = 0

    def endless():
        nonlocal n_read
        while True:
            n_read += 1
            yield Entry(f"salt-{n_read}", "test", WyckoffGene.from_text(GENES[0]))

    rows = list(islice(_predict(predictor, endless()), 4))
    assert [row["name"] for row in rows] == [f"salt-{n}" for n in (1, 2, 3, 4)]
    assert n_read == 6


def test_json_has_the_numbers_and_where_they_are_from(wyckflow, tiny_model, genes_csv):
    found = json.loads(wyckflow("predict", tiny_model, genes_csv, "--json").out)
    assert (found["n_predicted"], found["n_refused"]) == (3, 1)
    assert found["predicted_from"] == "the gene alone"
    assert found["units"]["band_gap"] == "eV"
    assert [row["gene"] for row in found["predictions"]] == GENES
    assert "300" in found["refusals"][0]["refusal"]


def test_more_rows_than_a_screen_has_are_counted(wyckflow, tiny_model, tmp_path):
    path = tmp_path / "genes.txt"
    path.write_text("\n".join(GENES * 7))
    assert "and 6 more" in wyckflow("predict", tiny_model, path).out


def test_an_element_that_the_model_never_saw_is_refused(wyckflow, tiny_model):
    words = ["predict", tiny_model, "--gene", "225 Xe:a O:b"]
    alone = wyckflow(*words)
    assert alone.code == 1
    assert "learned from no crystal with Xe" in alone.out
    assert "Ti" not in alone.out
    assert wyckflow(*words, "--gene", GENES[0]).code == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "0 rows"),
        ("gene\n", "0 rows"),
        ("colour,shape\nred,round\n", "no column 'cif', 'structure' or 'gene'"),
    ],
    ids=["empty", "header alone", "no crystals"],
)
def test_a_file_without_crystals_is_one_sentence(
    wyckflow, tiny_model, tmp_path, content, said
):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    done = wyckflow("predict", tiny_model, path)
    assert done.code == 1
    assert said in done.err


def test_an_empty_list_is_one_sentence(wyckflow, tiny_model, tmp_path):
    path = tmp_path / "empty.txt"
    path.write_text("# nothing\n")
    done = wyckflow("predict", tiny_model, path)
    assert done.code == 1
    assert "no line with a gene" in done.err


def test_nothing_at_all_is_one_sentence(wyckflow, tiny_model):
    done = wyckflow("predict", tiny_model)
    assert done.code == 1
    assert "No crystals came" in done.err


def test_an_unknown_model_is_one_sentence(wyckflow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = wyckflow("predict", "bundeld", "--gene", GENES[0])
    assert done.code == 1
    assert "There is no model 'bundeld'" in done.err


def test_a_folder_is_no_model(wyckflow, cifs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = wyckflow("predict", cifs, "--gene", GENES[0])
    assert done.code == 1
    assert "There is no model" in done.err


def test_a_file_that_is_no_model_is_one_sentence(wyckflow, genes_csv):
    done = wyckflow("predict", genes_csv, "--gene", GENES[0])
    assert done.code == 1
    assert "no checkpoint" in done.err


def test_what_is_read_is_not_overwritten(wyckflow, tiny_model, genes_csv):
    before = genes_csv.read_text()
    done = wyckflow("predict", tiny_model, genes_csv, "-o", genes_csv)
    assert done.code == 1
    assert "read and written at once" in done.err
    assert genes_csv.read_text() == before


@pytest.mark.mongo
def test_candidates_of_a_campaign_by_a_registered_model(wyckflow, tiny_model, project):
    from wyckflow.store.candidates.builder import CANDIDATES, new_candidate

    database = project.database()
    items = [new_candidate("salts", WyckoffGene.from_text(text)) for text in GENES]
    with database.client() as client:
        rows = [item.model_dump() for item in items]
        client[database.name][CANDIDATES].insert_many(rows)
    here = ["--project", project.folder]
    wyckflow("model", "import", tiny_model, "--name", "salty", *here)
    done = wyckflow("predict", "salty", "--campaign", "salts", "--json", *here)
    found = json.loads(done.out)
    assert found["model"] == "salty"
    names = {row["name"]: row["gene"] for row in found["predictions"]}
    assert names == {item.gene_id: item.gene for item in items}
    wrong = wyckflow("predict", "salty", "--campaign", "salt", *here)
    assert wrong.code == 1
    assert "Did you mean 'salts'" in wrong.err
    unknown = wyckflow("predict", "saltz", "--campaign", "salts", *here)
    assert "Did you mean 'salty'" in unknown.err
