"""Imports that are interrupted, repeated, or done by several processes."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.dataset import _chunks
from wyckflow.crystal.dataset.importing import ImportOptions, import_dataset

CATIONS = ["Mg", "Ca", "Sr", "Ba", "Fe", "Co", "Ni", "Mn", "V", "Ti"]
POINTS = [[0, 0, 0], [0.5, 0.5, 0.5]]


def write_table(path, cations, gap=1.0):
    """A CSV of crystals of caesium-chloride type."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["cif", "band_gap"])
        for cation in cations:
            structure = Structure(Lattice.cubic(4.1), [cation, "O"], POINTS)
            writer.writerow([structure.to(fmt="cif"), gap])
    return path


@pytest.fixture
def oxides(tmp_path):
    return write_table(tmp_path / "oxides.csv", CATIONS)


@pytest.fixture
def small_chunks(monkeypatch):
    """Three structures per chunk, and a list of those that were really encoded."""
    encoded = []

    def encode_texts(texts, options):
        encoded.append(len(texts))
        return original(texts, options)

    original = _chunks.encode_texts
    monkeypatch.setattr(_chunks, "CHUNK_LENGTH", 3)
    monkeypatch.setattr(_chunks, "encode_texts", encode_texts)
    return encoded


class KilledError(Exception):
    """Stands for the end of the process."""


def test_killed_import_goes_on_and_does_nothing_twice(oxides, tmp_path, small_chunks):
    def kill(done, total):
        raise KilledError

    with pytest.raises(KilledError):
        import_dataset([oxides], tmp_path / "out", report=kill)
    assert small_chunks == [3]
    assert not (tmp_path / "out.npz").exists()

    small_chunks.clear()
    reports = []
    result = import_dataset(
        [oxides], tmp_path / "out", report=lambda *counts: reports.append(counts)
    )
    assert small_chunks == [3, 3, 1]
    assert result.n_resumed == 3
    assert reports == [(3, 10), (6, 10), (9, 10), (10, 10)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.npz", "oxides.csv"]
    clean = import_dataset([oxides], tmp_path / "clean")
    assert result.path.read_bytes() == clean.path.read_bytes()


def test_chunks_of_other_settings_or_structures_are_not_taken(
    oxides, tmp_path, small_chunks
):
    def kill(done, total):
        raise KilledError

    with pytest.raises(KilledError):
        import_dataset([oxides], tmp_path / "out", report=kill)
    small_chunks.clear()
    options = ImportOptions(symprec=0.01)
    result = import_dataset([oxides], tmp_path / "out", options=options)
    assert result.n_resumed == 0
    assert sum(small_chunks) == len(CATIONS)


def test_half_written_chunk_is_done_again(oxides, tmp_path, small_chunks):
    def kill(done, total):
        raise KilledError

    with pytest.raises(KilledError):
        import_dataset([oxides], tmp_path / "out", report=kill)
    (part,) = (tmp_path / "out.npz.parts").glob("*.npz")
    part.write_bytes(part.read_bytes()[:100])
    part.with_name(f".{part.name}.1.draft").write_bytes(b"half")
    result = import_dataset([oxides], tmp_path / "out")
    assert result.n_resumed == 0
    assert len(result.dataset) == len(CATIONS)
    assert not (tmp_path / "out.npz.parts").exists()


def test_failed_import_leaves_an_older_dataset_alone(oxides, tmp_path, small_chunks):
    before = import_dataset([oxides], tmp_path / "out").path.read_bytes()

    def kill(done, total):
        raise KilledError

    with pytest.raises(KilledError):
        import_dataset([oxides], tmp_path / "out", report=kill)
    assert (tmp_path / "out.npz").read_bytes() == before


def test_same_input_has_the_same_name_and_bytes(oxides, tmp_path, small_chunks):
    first = import_dataset([oxides], tmp_path / "a")
    second = import_dataset([oxides], tmp_path / "b")
    assert first.dataset.dataset_id == second.dataset.dataset_id
    assert first.path.read_bytes() == second.path.read_bytes()


def test_name_follows_the_rows_not_the_files(oxides, tmp_path):
    halves = [
        write_table(tmp_path / "one.csv", CATIONS[:4]),
        write_table(tmp_path / "two.csv", CATIONS[4:]),
    ]
    changed = write_table(tmp_path / "changed.csv", CATIONS, gap=1.000001)
    one = import_dataset([oxides], tmp_path / "a").dataset.dataset_id
    assert import_dataset(halves, tmp_path / "b").dataset.dataset_id == one
    assert import_dataset([changed], tmp_path / "c").dataset.dataset_id != one


def test_several_processes_make_the_same_dataset(oxides, tmp_path, monkeypatch):
    monkeypatch.setattr(_chunks, "CHUNK_LENGTH", 3)
    here = import_dataset([oxides], tmp_path / "a")
    options = ImportOptions(n_jobs=2)
    there = import_dataset([oxides], tmp_path / "b", options=options)
    assert here.path.read_bytes() == there.path.read_bytes()


def test_both_engines_make_datasets_of_the_same_crystals(oxides, tmp_path):
    pytest.importorskip("moyopy", reason="moyopy is not installed")
    options = ImportOptions(engine="moyopy")
    fast = import_dataset([oxides], tmp_path / "a", options=options).dataset
    slow = import_dataset([oxides], tmp_path / "b").dataset
    np.testing.assert_array_equal(fast.keys, slow.keys)
    assert "moyopy" in fast.metadata.packages
