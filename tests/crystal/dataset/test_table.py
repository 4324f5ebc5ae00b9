"""Datasets: rows, selections, files, and names that follow the content."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.dataset._arrays import RowArrays, join_rows
from wyckflow.crystal.dataset.metadata import DatasetMetadata
from wyckflow.crystal.dataset.split import split_dataset
from wyckflow.crystal.dataset.table import Dataset, load_dataset
from wyckflow.crystal.elements import ATOMIC_NUMBERS
from wyckflow.crystal.encode import Engine, encode_structure
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import gene_ids, pack_genes
from wyckflow.crystal.tables import WYCKOFF_LETTERS
from wyckflow.errors import DatasetError

GENES = [
    WyckoffGene.from_text(text)
    for text in (
        "221 Ca:a Ti:b O:c",
        "225 Na:a Cl:b",
        "14 Ti:a O:e2",
        "1 H:a3 C:a",
        "62 Ca:c Ti:b O:c,d",
        "47 Mg:A Zn:a",
    )
]


def dataset_of(genes, *, properties=None, texts=None, seed=0):
    """A dataset of genes, with cells and coordinates that mean nothing."""
    rng = np.random.default_rng(seed)
    sites = [site for gene in genes for site in gene.sites]
    arrays = RowArrays(
        space_group_numbers=np.array([g.space_group_number for g in genes], np.uint8),
        n_sites=np.array([gene.n_orbits for gene in genes], np.int32),
        atomic_numbers=np.array([ATOMIC_NUMBERS[s.element] for s in sites], np.uint8),
        letter_indices=np.array(
            [WYCKOFF_LETTERS.index(s.letter) for s in sites], np.uint8
        ),
        coordinates=rng.uniform(0, 1, (len(sites), 3)),
        lattices=np.tile(9 * np.eye(3), (len(genes), 1, 1)),
        sources=np.zeros(len(genes), np.int32),
        records=np.arange(1, len(genes) + 1),
        properties=properties or {"band_gap": np.arange(len(genes), dtype=float)},
        texts=texts or {"material_id": np.array([f"m-{i}" for i in range(len(genes))])},
    )
    metadata = DatasetMetadata(
        engine=Engine.SPGLIB, symprec=0.1, units={"band_gap": "eV", "aa": ""}
    )
    return Dataset(arrays, metadata)


@pytest.fixture
def dataset():
    gaps = np.array([1.0, np.nan, 3.0, 0.0, -0.0, 5.0])
    return dataset_of(GENES, properties={"band_gap": gaps})


# --- rows ----------------------------------------------------------------------------


def test_rows_are_what_went_in(dataset):
    assert dataset.genes == tuple(GENES)
    assert dataset.formulas == tuple(gene.formula for gene in GENES)
    assert [row.index for row in dataset] == list(range(6))
    assert dataset[0].properties == {"band_gap": 1}
    assert dataset[1].properties == {}
    assert dataset[-1].gene == GENES[-1]
    assert dataset[2].texts == {"material_id": "m-2"}
    with pytest.raises(IndexError):
        dataset[6]


def test_codes_and_keys_are_those_of_the_genes(dataset):
    for ours, theirs in zip(dataset.codes, pack_genes(GENES), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [f"{key:016x}" for key in dataset.keys] == gene_ids(GENES)


def test_structure_of_a_row_is_the_crystal_that_was_encoded():
    rutile = Structure.from_spacegroup(
        136, Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
    )
    standard = encode_structure(rutile, with_standard_cell=True).standard_cell
    dataset = dataset_of([standard.gene])
    arrays = replace(
        dataset.arrays,
        coordinates=standard.coordinates.copy(),
        lattices=standard.lattice[None].copy(),
    )
    found = Dataset(arrays, dataset.metadata).structure(0)
    assert found.gene == standard.gene
    assert found.to_structure().matches(rutile)


def test_dataset_is_read_only(dataset):
    with pytest.raises(ValueError, match="read-only"):
        dataset.arrays.lattices[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        dataset.properties["band_gap"][0] = 0
    with pytest.raises(AttributeError):
        dataset.arrays = None


def test_table_has_a_row_per_crystal(dataset):
    pytest.importorskip("pandas")
    table = split_dataset(dataset, fractions=(0.5, 0.25, 0.25)).to_pandas()
    assert table["gene"].tolist() == [gene.to_text() for gene in GENES]
    assert table["gene_id"].tolist() == gene_ids(GENES)
    assert table["nsites"].tolist() == [gene.n_sites for gene in GENES]
    assert table["band_gap"].isna().sum() == 1
    assert set(table["part"]) == {"train", "validation", "test"}


# --- selections ----------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-6, 5), max_size=9))
def test_selection_holds_the_chosen_rows_in_their_order(indices):
    dataset = dataset_of(GENES)
    chosen = dataset.select(np.array(indices, int))
    assert chosen.genes == tuple(GENES[index] for index in indices)
    expected = [np.arange(6)[index] for index in indices]
    assert chosen.properties["band_gap"].tolist() == expected
    assert len(chosen.arrays.coordinates) == sum(GENES[i].n_orbits for i in indices)
    for place, index in enumerate(indices):
        start, end = chosen.arrays.site_offsets[place : place + 2]
        first, last = dataset.arrays.site_offsets[[index % 6, index % 6 + 1]]
        np.testing.assert_array_equal(
            chosen.arrays.coordinates[start:end],
            dataset.arrays.coordinates[first:last],
        )


def test_selection_by_truth_values_and_its_parent(dataset):
    chosen = dataset.select(dataset.properties["band_gap"] > 0.5)
    assert chosen.genes == (GENES[0], GENES[2], GENES[5])
    assert chosen.metadata.parent_id == dataset.dataset_id
    assert chosen.dataset_id != dataset.dataset_id
    with pytest.raises(DatasetError, match="one per row"):
        dataset.select([True])


def test_parts_of_a_dataset_that_was_not_split_say_what_to_do(dataset):
    with pytest.raises(DatasetError, match="wyckflow data split"):
        dataset.part("train")


def test_joined_rows_are_the_rows_of_the_parts(dataset):
    halves = [dataset.select([0, 1]).arrays, dataset.select([2, 3, 4, 5]).arrays]
    joined = Dataset(join_rows(halves), dataset.metadata)
    assert joined.dataset_id == dataset.dataset_id


# --- names ---------------------------------------------------------------------------


def test_name_changes_with_every_kind_of_content(dataset):
    arrays, metadata = dataset.arrays, dataset.metadata

    def named(**changes):
        return Dataset(replace(arrays, **changes), metadata).dataset_id

    names = {
        dataset.dataset_id,
        named(coordinates=arrays.coordinates + 1e-6),
        named(lattices=arrays.lattices * 1.000001),
        named(properties={"band_gap": arrays.properties["band_gap"] + 1e-12}),
        named(properties={"gap": arrays.properties["band_gap"]}),
        named(texts={"material_id": np.array(["m"] * 6)}),
        Dataset(arrays, metadata.model_copy(update={"symprec": 0.2})).dataset_id,
        Dataset(arrays, metadata.model_copy(update={"energy_scale": "x"})).dataset_id,
        split_dataset(dataset, fractions=(0.5, 0.5, 0)).dataset_id,
        split_dataset(dataset, fractions=(0.5, 0.5, 0), seed=1).dataset_id,
    }
    assert len(names) == 10
    assert all(len(name) == 16 for name in names)


def test_name_does_not_change_with_noise_or_origin(dataset):
    arrays, metadata = dataset.arrays, dataset.metadata
    noise = 1e-12 * np.random.default_rng(0).normal(size=arrays.coordinates.shape)
    moved = replace(
        arrays,
        coordinates=np.round(arrays.coordinates, 6) + noise,
        records=arrays.records + 5,
        sources=arrays.sources + 1,
    )
    still = replace(arrays, coordinates=np.round(arrays.coordinates, 6))
    other = metadata.model_copy(update={"licence": "other", "packages": {"a": "1"}})
    assert Dataset(moved, other).dataset_id == Dataset(still, metadata).dataset_id


# --- files ---------------------------------------------------------------------------


def test_file_holds_everything(dataset, tmp_path):
    path = tmp_path / "d.npz"
    before = split_dataset(dataset, fractions=(0.4, 0.3, 0.3), seed=5)
    before.save(path)
    after = load_dataset(path)
    assert after.dataset_id == before.dataset_id
    assert after.metadata == before.metadata
    assert after.genes == before.genes
    np.testing.assert_array_equal(after.parts, before.parts)
    for name, array in before.arrays.to_mapping().items():
        np.testing.assert_array_equal(after.arrays.to_mapping()[name], array)


def test_file_needs_no_pickle_and_is_the_same_each_time(dataset, tmp_path):
    dataset.save(tmp_path / "a.npz")
    dataset.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)


def test_older_file_survives_a_failed_write(dataset, tmp_path, monkeypatch):
    path = tmp_path / "d.npz"
    dataset.save(path)
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    with pytest.raises(DatasetError, match=r"d.npz' cannot be written: disk full"):
        dataset.select([0]).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["d.npz"]


def rewrite(path, **changes):
    """Change arrays of an npz file, or leave them out with None."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays |= changes
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})


def test_damaged_file_is_refused(dataset, tmp_path):
    path = tmp_path / "d.npz"
    dataset.save(path)
    whole = path.read_bytes()

    path.write_bytes(whole[:-200])
    with pytest.raises(DatasetError, match="no dataset of wyckflow"):
        load_dataset(path)
    path.write_bytes(b"something else")
    with pytest.raises(DatasetError, match="no dataset of wyckflow"):
        load_dataset(path)
    path.write_bytes(whole)
    rewrite(path, letter_indices=dataset.arrays.letter_indices[::-1])
    with pytest.raises(DatasetError, match="damaged: its content has the name"):
        load_dataset(path)
    path.write_bytes(whole)
    rewrite(path, lattices=None)
    with pytest.raises(DatasetError, match=r"damaged: 'lattices'"):
        load_dataset(path)
    with pytest.raises(DatasetError, match="There is no dataset"):
        load_dataset(tmp_path / "gone.npz")


def test_other_npz_and_other_versions_are_told_apart(dataset, tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, a=np.arange(3))
    with pytest.raises(DatasetError, match="no dataset of wyckflow"):
        load_dataset(path)
    dataset.save(path)
    with np.load(path) as archive:
        story = json.loads(bytes(archive["metadata"]))
    story["format_version"] = 99
    rewrite(path, metadata=np.frombuffer(json.dumps(story).encode(), np.uint8))
    with pytest.raises(DatasetError, match="format 99"):
        load_dataset(path)
    assert zipfile.is_zipfile(path)
