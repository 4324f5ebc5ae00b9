"""Forward models at the command line: train, look, predict."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.ml.checkpoint import load_checkpoint
from wyckflow.ml.forward.crystals import crystals_from_structures
from wyckflow.ml.forward.model import ForwardModel

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny_forward import forward_options, make_salts_with_cells, train_tiny_forward

GENE = "225 Na:a Cl:b"


def salt(edge=5.6, elements=("Na", "Cl")):
    """Rock salt in its primitive cell, by the edge of the conventional one."""
    length = edge / np.sqrt(2)
    cell = Lattice.from_parameters(length, length, length, 60, 60, 60)
    return Structure(cell, elements, [[0, 0, 0], [0.5, 0.5, 0.5]])


@pytest.fixture(scope="module")
def by_graph(tmp_path_factory):
    """The file of a model that needs cells."""
    path = tmp_path_factory.mktemp("forward") / "by-graph.npz"
    return train_tiny_forward(path, "graph")


@pytest.fixture
def options(tmp_path):
    """Options of a short training."""
    path = tmp_path / "forward.yaml"
    path.write_text(yaml.safe_dump(forward_options("composition", n_epochs=2)))
    return path


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def expected(file, *structures):
    reduced = [ReducedStructure.from_structure(item) for item in structures]
    model = ForwardModel.load(load_checkpoint(file))
    return model.predict(crystals_from_structures(reduced))


def test_a_model_is_trained_from_its_options_and_predicts(wyckflow, options, tmp_path):
    make_salts_with_cells().save(tmp_path / "salts.npz")
    output = tmp_path / "mine.npz"
    done = wyckflow(
        *("train", tmp_path / "salts.npz", "--config", options, "-o", output),
        *("--test", tmp_path / "salts.npz", "--seed", 3),
    )
    assert done.code == 0
    assert "mean absolute error of band_gap" in done.out
    checkpoint = load_checkpoint(output)
    assert (checkpoint.info.kind, checkpoint.info.seed) == ("forward", 3)
    assert not output.with_name("mine.npz.partial").exists()
    found = wyckflow("predict", output, "--gene", GENE)
    assert found.code == 0
    assert "from the composition alone" in found.out


def test_every_option_is_printed(wyckflow, options):
    shown = yaml.safe_load(wyckflow_out(wyckflow, options))
    assert shown["model"] == "forward"
    assert shown["loop"]["n_epochs"] == 2
    assert shown["n_members"] == 1
    assert shown["network"]["width"] == 16  # as given
    assert shown["network"]["dropout"] == 0.1  # a default of what it sees


def wyckflow_out(wyckflow, options):
    """The YAML as it was printed, line breaks and all."""
    import contextlib
    import io

    from typer.main import get_command

    from wyckflow.cli.main import app

    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        get_command(app)(
            ["train", "--config", str(options), "--show"], standalone_mode=False
        )
    return stream.getvalue()


def test_a_wrong_representation_is_one_sentence(wyckflow, tmp_path):
    path = tmp_path / "forward.yaml"
    path.write_text("model: forward\nrepresentation: compositoin\n")
    done = wyckflow("train", "--config", path, "--show")
    assert done.code == 1
    assert "Did you mean 'composition'" in done.err


def test_a_wrong_size_is_one_sentence_before_anything_is_trained(wyckflow, tmp_path):
    path = tmp_path / "forward.yaml"
    path.write_text("model: forward\nnetwork: {widht: 16}\n")
    done = wyckflow("train", "--config", path, "--show")
    assert done.code == 1
    assert "Did you mean 'width'" in done.err


@pytest.mark.parametrize("clash", ["dataset", "test", "config", "folder", "no folder"])
def test_an_output_that_must_not_be_written_is_refused_before_the_training(
    wyckflow, options, tmp_path, clash
):
    rows, unseen = tmp_path / "salts.npz", tmp_path / "unseen.npz"
    for path in (rows, unseen):
        make_salts_with_cells().save(path)
    folder = tmp_path / "models"
    folder.mkdir()
    output = {
        "dataset": rows,
        "test": unseen,
        "config": options,
        "folder": folder,
        "no folder": rows / "model.npz",
    }[clash]
    before = [path.read_bytes() for path in (rows, unseen, options)]
    done = wyckflow("train", rows, "-c", options, "--test", unseen, "-o", output)
    assert done.code == 1
    assert "--output" in done.err
    assert "of 1" not in done.err  # no bar of a network
    assert [path.read_bytes() for path in (rows, unseen, options)] == before
    assert not list(tmp_path.rglob("*.partial"))


def test_test_files_of_one_name_are_both_measured(wyckflow, options, tmp_path):
    paths = [tmp_path / name / "rows.npz" for name in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        make_salts_with_cells().save(path)
    tests = [word for path in (*paths, paths[0]) for word in ("--test", path)]
    document = trained(wyckflow, options, tmp_path, paths[0], *tests)
    assert {item["rows"] for item in document["test_figures"]} == set(map(str, paths))
    assert len(document["test_figures"]) == 6  # three of each, though one came twice


def trained(wyckflow, options, tmp_path, *words):
    """Train, and return the document as JSON."""
    import wyckflow.cli.train as command

    kept = []
    show = command._show
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "_show", lambda d: (kept.append(d), show(d)))
        done = wyckflow("train", *words, "-c", options, "-o", tmp_path / "new.npz")
    assert done.code == 0
    return kept[0].model_dump(mode="json") | {"printed": done.out}


def test_test_rows_without_the_property_are_not_called_missing(
    wyckflow, options, tmp_path
):
    salts = make_salts_with_cells()
    salts.save(tmp_path / "salts.npz")
    bare = replace(salts, arrays=replace(salts.arrays, properties={}))
    bare.save(tmp_path / "bare.npz")
    words = (tmp_path / "salts.npz", "--test", tmp_path / "bare.npz")
    printed = trained(wyckflow, options, tmp_path, *words)["printed"]
    assert f"none of {len(bare)} test rows has what was learned" in printed
    assert "name a dataset" not in printed


def test_predictions_do_not_replace_the_model(wyckflow, by_graph, tmp_path):
    salt().to(str(tmp_path / "salt.cif"))
    model = tmp_path / "model.npz"
    model.write_bytes(by_graph.read_bytes())
    done = wyckflow("predict", model, tmp_path / "salt.cif", "-o", model)
    assert done.code == 1
    assert "read and written at once" in done.err
    assert model.read_bytes() == by_graph.read_bytes()


def test_structures_are_predicted_and_bare_genes_refused(wyckflow, by_graph, tmp_path):
    folder = tmp_path / "cifs"
    folder.mkdir()
    for edge in (5.6, 5.0):
        salt(edge).to(str(folder / f"salt-{edge}.cif"))
    output = tmp_path / "out.csv"
    done = wyckflow("predict", by_graph, folder, "--gene", GENE, "-o", output)
    assert done.code == 0
    assert "2 predictions in" in done.out
    rows = {row["name"]: row for row in read(output)}
    found = expected(by_graph, salt(5.0), salt(5.6))
    for place, name in enumerate(("salt-5.0", "salt-5.6")):
        assert float(rows[name]["band_gap"]) == pytest.approx(
            found["band_gap"][place], abs=1e-4
        )
    bare = next(row for name, row in rows.items() if "salt" not in name)
    assert "reads cell and coordinates" in bare["refusal"]
    assert bare["gene"] == GENE
    assert not bare["band_gap"]


def test_genes_alone_end_with_a_reason(wyckflow, by_graph):
    done = wyckflow("predict", by_graph, "--gene", GENE)
    assert done.code == 1
    assert "give a structure" in done.out


@pytest.mark.parametrize("kind", ["by_graph", "tiny_model"])
def test_the_rows_of_a_dataset_are_predicted(wyckflow, kind, request, tmp_path):
    file = request.getfixturevalue(kind)
    dataset = make_salts_with_cells().select(np.arange(4))
    dataset.save(tmp_path / "rows.npz")
    done = wyckflow("predict", file, tmp_path / "rows.npz", "--json")
    found = json.loads(done.out)
    assert found["n_predicted"] == 4
    genes = [row["gene"] for row in found["predictions"]]
    assert genes == [gene.to_text() for gene in dataset.genes]


def test_an_unknown_element_is_named(wyckflow, by_graph, tmp_path):
    salt(elements=("Xe", "O")).to(str(tmp_path / "strange.cif"))
    done = wyckflow("predict", by_graph, tmp_path / "strange.cif")
    assert "learned from no crystal with Xe" in done.out


def test_small_numbers_keep_their_digits():
    from wyckflow.cli.predict_view import _write

    assert _write(1.2e-5, 3e-6) == "1.20e-05 ± 3.00e-06"
    assert _write(12.3456, 0.001) == "12.35 ± 0.00"


@pytest.mark.mongo
def test_candidates_are_predicted_as_they_were_relaxed(wyckflow, by_graph, project):
    from wyckflow.store.candidates.builder import CANDIDATES, new_candidate

    database = project.database()
    genes = [WyckoffGene.from_text(text) for text in (GENE, "225 Mg:a O:b")]
    items = [new_candidate("salts", gene) for gene in genes]
    rows = [item.model_dump() for item in items]
    rows[0]["structure"] = salt(5.2).as_dict()
    with database.client() as client:
        client[database.name][CANDIDATES].insert_many(rows)
    here = ["--project", project.folder]
    wyckflow("model", "import", by_graph, "--name", "graphy", *here)
    shown = wyckflow("model", "show", "graphy", *here)
    assert "forward" in shown.out
    assert "representation graph" in shown.out
    done = wyckflow("predict", "graphy", "--campaign", "salts", "--json", *here)
    found = json.loads(done.out)
    assert (found["n_predicted"], found["n_refused"]) == (1, 1)
    (row,) = found["predictions"]
    assert row["name"] == items[0].gene_id
    wanted = expected(by_graph, salt(5.2))
    assert row["band_gap"] == pytest.approx(wanted["band_gap"][0], abs=1e-5)
    assert found["refusals"][0]["name"] == items[1].gene_id
