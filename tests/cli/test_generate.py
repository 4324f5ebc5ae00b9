"""Training and generating at the command line."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from wyckflow.crystal.gene import WyckoffGene

sys.path.insert(0, str(Path(__file__).parents[1] / "ml"))

OPTIONS = """
generator:
  network: {latent: 8, width: 16, n_heads: 2, n_encoder_layers: 1, n_decoder_layers: 1}
  loop: {n_epochs: 2, batch_size: 64}
predictor: null
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a dataset and options."""
    from made_crystals import salts_with_properties  # of tests/ml

    folder = tmp_path_factory.mktemp("train")
    salts_with_properties().save(folder / "salts.npz")
    (folder / "options.yaml").write_text(OPTIONS)
    return folder


@pytest.fixture
def model_file(folder, wyckflow):
    """The model that the command trains, once."""
    path = folder / "salty.npz"
    if not path.exists():
        done = wyckflow(
            "train", folder / "salts.npz", "-c", folder / "options.yaml", "-o", path
        )
        assert done.code == 0
        assert "rows learned from" in done.out
    return path


def test_genes_come_as_csv_with_predictions(wyckflow, model_file, tmp_path):
    path = tmp_path / "genes.csv"
    done = wyckflow("generate", "-m", model_file, "-n", "12", "-o", path)
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 12
    for row in rows:
        gene = WyckoffGene.from_text(row["gene"])
        assert row["gene_id"] == gene.gene_id
        assert np.isfinite(float(row["band_gap"]))
    assert "12 genes of" in done.out
    assert "salty" in done.out


def test_the_screen_reads_what_generate_writes(wyckflow, model_file, tmp_path):
    path = tmp_path / "genes.csv"
    wyckflow("generate", "-m", model_file, "-n", "12", "-o", path)
    done = wyckflow("screen", path, "--json")
    assert json.loads(done.out)["n_genes"] == 12


def test_a_target_of_file_and_options_binds(wyckflow, model_file, tmp_path):
    target = tmp_path / "target.yaml"
    target.write_text(yaml.safe_dump({"space_groups": "195-230"}))
    path = tmp_path / "genes.csv"
    words = ["generate", "-m", model_file, "-t", target, "--elements-none", "Zr"]
    done = wyckflow(*words, "-n", "8", "-o", path, "--json")
    assert json.loads(done.out)["target"]["elements_none"] == ["Zr"]
    genes = [WyckoffGene.from_text(row["gene"]) for row in csv.DictReader(path.open())]
    assert all(gene.space_group_number >= 195 for gene in genes)
    assert all("Zr" not in gene.elements for gene in genes)


def test_figures_are_drawn(wyckflow, model_file, tmp_path):
    words = ["generate", "-m", model_file, "-n", "8", "-o", tmp_path / "g.csv"]
    figures = [tmp_path / "p.png", tmp_path / "map.png"]
    wyckflow(*words, "--plot", figures[0], "--latent-map", figures[1])
    assert all(path.stat().st_size > 10_000 for path in figures)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "band_gap"], "no range of a property"),
        (["-p", "band_gap=a:b"], "no range of a property"),
        (["-p", "band_gpa=1:2"], "Did you mean 'band_gap'"),
        (["-p", "band_gap=99:"], "the nearest has"),
        (["--elements-all", "Xx"], "no chemical symbol"),
        (["--space-groups", "999"], "numbered from 1 to 230"),
        (["-t", "no-such.yaml"], "no target"),
        (["-p", "band_gap=nan:1"], "properties.band_gap.min of the target is nan"),
        (["-p", "band_gap=1:2", "-p", "band_gap=3:4"], "Two ranges of 'band_gap'"),
        (["--space-groups", "62", "--max-atoms", "2"], "No cell of at most 2 atoms"),
    ],
)
def test_what_cannot_be_met_is_one_sentence(wyckflow, model_file, words, said):
    done = wyckflow("generate", "-m", model_file, *words)
    assert done.code == 1
    assert said in done.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("properties: [band_gap]", "write a range under each name"),
        ("n_elements: 3", "n_elements of the target is 3"),
        ("elements_all: 5", "'5' is no chemical symbol"),
        ("space_groups: 62.5", "'62.5' is no space group"),
    ],
)
def test_a_file_that_is_no_target_is_one_sentence(
    wyckflow, model_file, tmp_path, text, said
):
    path = tmp_path / "target.yaml"
    path.write_text(text)
    done = wyckflow("generate", "-m", model_file, "-t", path)
    assert done.code == 1
    assert said in done.err


def test_no_genes_at_all_are_a_table_and_a_figure(wyckflow, model_file, tmp_path):
    """99 atoms: the orbits of space group 225 have multiples of four."""
    (tmp_path / "target.yaml").write_text("nsites: {min: 99, max: 99}")
    words = ["generate", "-m", model_file, "-n", "1", "-o", tmp_path / "g.csv"]
    words += ["-t", tmp_path / "target.yaml", "--space-groups", "225"]
    done = wyckflow(*words, "--plot", tmp_path / "g.png")
    assert done.code == 0
    assert "Only 0 of 1 genes" in done.err
    assert "--level" not in done.err
    assert (tmp_path / "g.png").stat().st_size > 10_000


def test_a_model_that_is_no_model_is_refused(wyckflow, folder):
    done = wyckflow("generate", "-m", folder / "salts.npz")
    assert done.code == 1
    assert "no checkpoint" in done.err


def test_training_without_a_dataset_says_how_to_make_one(wyckflow):
    done = wyckflow("train")
    assert done.code == 1
    assert "wyckflow data import" in done.err


def test_every_option_of_a_training_is_printed_and_can_be_read(wyckflow, capsys):
    from wyckflow.ml.training.config import TrainingConfig

    done = wyckflow("train", "--show", "--seed", "5")
    assert "seed: 5" in done.out
    assert "n_members" in done.out
    assert TrainingConfig().generator.seed == 0


TRANSFORMER = """
model: transformer
generator:
  network: {width: 16, n_layers: 1, n_heads: 2, part_width: 8}
  loop: {n_epochs: 6, batch_size: 32}
predictor:
  n_members: 1
  width: 16
  n_layers: 1
  n_heads: 2
  loop: {n_epochs: 1, batch_size: 64}
"""


def test_a_transformer_is_trained_by_an_option_and_used_like_any_model(
    wyckflow, folder, tmp_path
):
    (tmp_path / "options.yaml").write_text(TRANSFORMER)
    model, genes = tmp_path / "told.npz", tmp_path / "genes.csv"
    done = wyckflow(
        "train", folder / "salts.npz", "-c", tmp_path / "options.yaml", "-o", model
    )
    assert done.code == 0
    words = ["generate", "-m", model, "-n", "6", "-o", genes]
    words += ["-p", "band_gap=0.1:", "--guidance", "0.5"]
    wyckflow(*words, "--plot", tmp_path / "genes.png")
    done = wyckflow(*words, "--json")
    document = json.loads(done.out)
    assert (document["method"], document["guidance"]) == ("conditional", 0.5)
    assert document["predicted_by"] == "ensemble of 1 network"
    assert (tmp_path / "genes.png").stat().st_size > 10_000
    assert len(list(csv.DictReader(genes.open()))) == document["n_genes"]
    refused = wyckflow(*words, "--latent-map", tmp_path / "map.png")
    assert refused.code != 0
    assert "no latent space" in refused.err
    assert not (tmp_path / "map.png").exists()


def test_a_figure_of_nothing_is_refused_before_genes_are_waited_for(
    wyckflow, folder, tmp_path
):
    text = TRANSFORMER.partition("predictor:")[0] + "predictor: null\n"
    (tmp_path / "options.yaml").write_text(text)
    model, genes = tmp_path / "mute.npz", tmp_path / "genes.csv"
    options = ["-c", tmp_path / "options.yaml", "-o", model]
    wyckflow("train", folder / "salts.npz", *options)
    done = wyckflow(
        "generate", "-m", model, "-o", genes, "--plot", tmp_path / "genes.png"
    )
    assert done.code == 1
    assert "leave --plot out" in done.err
    assert not genes.exists()
