"""Files and genes to entries: nothing is lost, nothing stops the others."""

from __future__ import annotations

import csv
import gzip
import json

import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from wyckflow.errors import DatasetError, GeneError
from wyckflow.relax.intake import open_intake

FCC = Lattice.from_parameters(3.99, 3.99, 3.99, 60, 60, 60)


@pytest.fixture
def rocksalt():
    """The primitive cell, in a setting that is not the standard one."""
    return Structure(FCC, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


@pytest.fixture
def disordered():
    species = [{"Na": 0.5, "K": 0.5}, "Cl"]
    return Structure(Lattice.cubic(4), species, [[0, 0, 0], [0.5, 0.5, 0.5]])


def read(*paths, genes=(), symprec=0.01):
    intake = open_intake(paths, genes)
    entries = list(intake.entries(symprec=symprec))
    assert len(intake) == len(entries)
    return entries


@pytest.mark.parametrize("name", ["NaCl.cif", "POSCAR", "salt.vasp", "salt.json"])
def test_every_format_gives_the_conventional_cell(rocksalt, tmp_path, name):
    path = tmp_path / name
    form = {"cif": "cif", "json": "json"}.get(name.rpartition(".")[2], "poscar")
    rocksalt.to(filename=str(path), fmt=form)
    (entry,) = read(path)
    assert entry.gene.to_text() in {"225 Na:a Cl:b", "225 Na:b Cl:a"}
    assert entry.structure.n_atoms == 8
    theirs = SpacegroupAnalyzer(rocksalt).get_conventional_standard_structure()
    assert entry.structure.volume == pytest.approx(theirs.volume)
    assert entry.name == {"salt.json": "salt-1"}.get(
        name, name.rpartition(".")[0] or name
    )
    assert entry.source.startswith(name)


def test_rows_of_a_table_are_taken_or_have_a_reason(rocksalt, disordered, tmp_path):
    path = tmp_path / "mixed.csv.gz"
    rows = [
        ["mp-1", rocksalt.to(fmt="cif")],
        ["mp/2", disordered.to(fmt="cif")],
        ["mp-1", ""],
        ["", "no structure at all"],
    ]
    with gzip.open(path, "wt", newline="") as stream:
        csv.writer(stream).writerows([["material_id", "cif"], *rows])
    good, mixed, empty, nonsense = read(path)
    assert (good.name, good.source, good.refusal) == ("mp-1", "mixed.csv.gz:1", "")
    assert mixed.name == "mp_2"
    assert mixed.refusal.startswith("disordered")
    assert empty.name == "mp-1-2"  # no two rows share a file
    assert empty.refusal.startswith("missing_structure")
    assert nonsense.name == "mixed-4"
    assert nonsense.refusal.startswith("unreadable")
    assert {e.structure for e in (mixed, empty, nonsense)} == {None}


def test_structures_in_json_records_are_read(rocksalt, tmp_path):
    path = tmp_path / "records.json"
    path.write_text(json.dumps([{"id": "x", "structure": rocksalt.as_dict()}]))
    (entry,) = read(path)
    assert (entry.name, entry.gene.space_group_number) == ("x", 225)


def test_genes_come_one_per_line_with_comments(tmp_path):
    path = tmp_path / "wanted.txt"
    path.write_text(
        "# perovskites\n221 Sr:a Ti:b O:c\n\n221 O:c Ba:a Ti:b  # any order\n"
        "225 Na:z\nsilicon\n"
    )
    first, second, letter, word = read(path)
    assert (first.name, first.source) == ("SrTiO3-221", "wanted.txt:2")
    assert second.gene.to_text() == "221 Ba:a Ti:b O:c"
    assert first.structure is None
    assert "no Wyckoff letter 'z'" in letter.refusal
    assert word.refusal
    assert word.source == "wanted.txt:6"


def test_a_column_of_genes_is_taken_where_there_are_no_structures(tmp_path):
    path = tmp_path / "genes.csv"
    path.write_text("id,gene\na,221 Sr:a Ti:b O:c\nb,\n")
    good, empty = read(path)
    assert (good.name, good.gene.formula) == ("a", "SrTiO3")
    assert empty.refusal


def test_the_same_gene_twice_gets_two_names():
    entries = read(genes=["225 Na:a Cl:b", "225 Cl:b Na:a"])
    assert [entry.name for entry in entries] == ["NaCl-225", "NaCl-225-2"]


def test_a_small_distortion_is_kept_at_a_tight_tolerance(tmp_path):
    structure = Structure(
        Lattice.tetragonal(3.99, 4.03),
        ["Ba", "Ti", "O", "O", "O"],
        [[0, 0, 0], [0.5, 0.5, 0.508], [0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]],
    )
    structure.to(filename=str(tmp_path / "b.cif"))
    for symprec, number in ((0.01, 99), (0.1, 221)):
        (entry,) = read(tmp_path / "b.cif", symprec=symprec)
        assert entry.gene.space_group_number == number


def test_what_holds_nothing_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(DatasetError, match="Nothing came to relax"):
        open_intake([])
    with pytest.raises(DatasetError, match=r"no file or folder .*absent\.cif"):
        open_intake([tmp_path / "absent.cif"])
    with pytest.raises(DatasetError, match="cannot be read"):
        open_intake([tmp_path / "absent.txt"])
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(DatasetError, match="no line with a gene"):
        open_intake([tmp_path / "empty.txt"])
    (tmp_path / "plain.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match="no column 'cif', 'structure' or 'gene'"):
        open_intake([tmp_path / "plain.csv"])
    with pytest.raises(GeneError, match="no Wyckoff letter"):
        open_intake([], ["225 Na:z"])
