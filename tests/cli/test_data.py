"""The commands of ``wyckflow data``, from a table to a split dataset and a figure."""

from __future__ import annotations

import csv

import pytest
from pymatgen.core import Lattice, Structure
from typer.testing import CliRunner

from wyckflow.cli.data import app
from wyckflow.crystal.dataset.table import load_dataset
from wyckflow.errors import ConfigurationError, DatasetError

POINTS = [[0, 0, 0], [0.5, 0.5, 0.5]]


@pytest.fixture
def table(tmp_path):
    """Six crystals of caesium-chloride type, and one that is disordered."""
    species = [[cation, "Cl"] for cation in ("Li", "Na", "K", "Rb", "Cs", "Tl")]
    species.append([{"Fe": 0.5, "Ni": 0.5}, "Cl"])
    path = tmp_path / "halides.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["material_id", "Eg", "note", "cif"])
        for number, pair in enumerate(species):
            structure = Structure(Lattice.cubic(4.1), pair, POINTS)
            row = [f"m-{number}", number, "x", structure.to(fmt="cif")]
            writer.writerow(row)
    return path


@pytest.fixture
def call():
    """Call a command; what it prints comes as one line."""

    def call(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    return call


def printed(result):
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return " ".join(result.output.split())


@pytest.fixture
def dataset(table, tmp_path, call):
    path = tmp_path / "halides.npz"
    printed(call("import", table, "-o", path, "-j", 1, "--column", "band_gap=Eg"))
    return path


def test_import_tells_what_was_read_refused_and_written(table, tmp_path, call):
    result = call("import", table, "-o", tmp_path / "halides", "--jobs", "1")
    text = printed(result)
    assert result.exit_code == 0
    assert "read 7" in text
    assert "refused: disordered 1" in text
    assert "in the dataset 6" in text
    assert "columns not taken: Eg, note (--keep NAME takes one)" in text
    dataset = load_dataset(tmp_path / "halides.npz")
    assert dataset.dataset_id in text
    assert len(dataset) == 6


def test_import_passes_its_options_on(table, tmp_path, call):
    words = ["--column", "band_gap=Eg", "--keep", "note", "--symprec", "0.05"]
    words += ["--angle-tolerance", "3", "--licence", "CC0", "--energy-scale", "chgnet"]
    printed(call("import", table, "-o", tmp_path / "d.npz", "-j", 1, *words))
    dataset = load_dataset(tmp_path / "d.npz")
    assert dataset[3].properties == {"band_gap": 3}
    assert dataset[3].texts == {"material_id": "m-3", "note": "x"}
    metadata = dataset.metadata
    assert (metadata.symprec, metadata.angle_tolerance) == (0.05, 3)
    assert (metadata.licence, metadata.energy_scale) == ("CC0", "chgnet")


def test_import_does_not_replace_a_dataset_unasked(table, dataset, call):
    result = call("import", table, "-o", dataset)
    assert isinstance(result.exception, DatasetError)
    assert "--overwrite" in str(result.exception)
    assert "in the dataset 6" in printed(
        call("import", table, "-o", dataset, "--overwrite", "-j", 1)
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--column", "band_gap"], "write it like band_gap=Eg_HSE"),
        (["--column", "band_gap=EG"], "Did you mean 'Eg'"),
        (["--keep", "nots"], "Did you mean 'note'"),
    ],
)
def test_wrong_columns_are_one_sentence(table, tmp_path, call, words, message):
    result = call("import", table, "-o", tmp_path / "d", "-j", 1, *words)
    assert isinstance(result.exception, DatasetError)
    assert message in str(result.exception)


def test_describe_shows_what_is_in_a_dataset(dataset, call, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    figure = tmp_path / "d.png"
    text = printed(call("describe", dataset, "--refused", "--plot", figure))
    for part in (
        load_dataset(dataset).dataset_id,
        "halides.csv (7 rows",
        "spglib, symprec 0.1 A",
        "all 6",
        "different prototypes 1",
        "space groups 221 100.0%",
        "Cl 100.0%",
        "band_gap 6 0 2.5 2.5 5 eV",
        "halides.csv 7 m-6 disordered a site is shared: Fe 0.5, Ni 0.5",
    ):
        assert part in text
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_split_is_stored_with_the_dataset(dataset, call, tmp_path):
    before = load_dataset(dataset)
    target = tmp_path / "split.npz"
    words = ["--fractions", "0.5,0.25,0.25", "--seed", 4, "--by", "chemsys"]
    text = printed(call("split", dataset, "-o", target, *words))
    after = load_dataset(target)
    assert after.dataset_id in text
    assert before.dataset_id in text
    assert load_dataset(dataset).parts is None
    assert sum(len(after.part(part)) for part in ("train", "validation", "test")) == 6
    assert "train 3 50.0%" in text
    printed(call("split", dataset))
    assert load_dataset(dataset).metadata.split.by == "formula"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fractions", "a,b,c"], "write them like 0.8,0.1,0.1"),
        (["--fractions", "0.8,0.1"], "add up to 1"),
        (["--by", "prototype"], "1 groups by prototype cannot make 3 parts"),
    ],
)
def test_impossible_split_is_one_sentence(dataset, call, words, message):
    result = call("split", dataset, *words)
    assert isinstance(result.exception, DatasetError)
    assert message in str(result.exception)
    assert load_dataset(dataset).parts is None


@pytest.mark.parametrize("command", ["describe", "split"])
def test_missing_dataset_is_named(call, command, tmp_path):
    result = call(command, tmp_path / "gone.npz")
    assert isinstance(result.exception, DatasetError)
    assert "gone.npz" in str(result.exception)


def test_fetch_without_a_key_says_where_to_get_one(call, tmp_path, monkeypatch):
    monkeypatch.delenv("MP_API_KEY", raising=False)
    result = call("fetch", "mp", "-o", tmp_path / "mp.json.gz")
    assert isinstance(result.exception, ConfigurationError)
    assert "MP_API_KEY" in str(result.exception)


def test_fetch_tells_what_comes_next(call, tmp_path, monkeypatch):
    asked = []

    def fetch_materials_project(output, query):
        asked.append((output.name, query))
        return 1234

    monkeypatch.setattr(
        "wyckflow.crystal.dataset.materials_project.fetch_materials_project",
        fetch_materials_project,
    )
    words = ["--elements", 2, 4, "--max-sites", 9, "--max-hull", 0.1]
    words += ["--chemsys", "Ca-O-Ti", "--chemsys", "*-N"]
    text = printed(call("fetch", "mp", "-o", tmp_path / "mp.json.gz", *words))
    assert "1,234 materials" in text
    assert "wyckflow data import" in text
    ((name, query),) = asked
    assert name == "mp.json.gz"
    assert (query.n_elements, query.max_n_sites) == ((2, 4), 9)
    assert (query.max_energy_above_hull, query.chemsys) == (0.1, ("Ca-O-Ti", "*-N"))


@pytest.mark.parametrize(
    "words", [["import"], ["describe"], ["split"], ["fetch", "mp"]]
)
def test_every_command_teaches_with_an_example(call, words):
    assert f"Example: wyckflow data {' '.join(words)}" in printed(
        call(*words, "--help")
    )
