"""Asking for candidates at the command line."""

from __future__ import annotations

import csv
import json

import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.store.candidates.builder import CANDIDATES, new_candidate

pytestmark = pytest.mark.mongo

ROCKSALT = Structure.from_spacegroup(
    225, Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
ROWS = [
    ("225 Na:a Cl:b", {"energy_above_hull": 0.0, "band_gap": 5.0}),
    ("225 Mg:a O:b", {"energy_above_hull": 0.02, "band_gap": 4.5}),
    ("225 Pb:a S:b", {"energy_above_hull": 0.2, "band_gap": 0.4}),
    ("221 Sr:a Ti:b O:c", {}),
]


@pytest.fixture
def filled(project, wyckflow):
    """A project with four candidates; call the command in it."""
    database = project.database()
    rows = []
    for text, found in ROWS:
        fields = {"energy_scale": "chgnet-0.3.0", **found}
        if text.startswith("225 Na"):
            fields["structure"] = ROCKSALT.as_dict()
        item = new_candidate("c", WyckoffGene.from_text(text))
        rows.append(item.model_copy(update=fields).model_dump())
    with database.client() as client:
        client[database.name][CANDIDATES].insert_many(rows)
    return lambda *words: wyckflow("candidates", "-p", project.folder, *words)


def formulas(done):
    return [row["formula_pretty"] for row in json.loads(done.out)]


def test_the_best_come_first_and_those_without_a_value_last(filled):
    done = filled("-f", "json")
    assert formulas(done) == ["NaCl", "MgO", "PbS", "SrTiO3"]
    done = filled("-f", "json", "--sort=-band_gap", "--limit", "2")
    assert formulas(done) == ["NaCl", "MgO"]


def test_conditions_and_elements_are_combined(filled):
    done = filled(
        "-w", "energy_above_hull < 0.1", "--elements-none", "Na", "-f", "json"
    )
    assert formulas(done) == ["MgO"]
    assert formulas(filled("--elements-any", "S,Cl", "-f", "json")) == ["NaCl", "PbS"]
    assert formulas(filled("--elements-all", "Ti,O", "-f", "json")) == ["SrTiO3"]


def test_the_table_names_the_scale(filled):
    done = filled()
    assert "chgnet-0.3.0" in done.out
    assert "NaCl" in done.out
    assert "0.020" in done.out


def test_a_csv_file_has_a_row_per_candidate(filled, tmp_path):
    path = tmp_path / "found.csv"
    filled("-f", "csv", "-o", path)
    rows = list(csv.DictReader(path.open()))
    assert [row["elements"] for row in rows] == ["Cl Na", "Mg O", "Pb S", "O Sr Ti"]


@pytest.mark.parametrize("kind", ["cif", "poscar"])
def test_structures_come_out_as_files_that_pymatgen_reads(filled, tmp_path, kind):
    done = filled("-f", kind, "-o", tmp_path / "best")
    assert "1 of 4" in done.out
    (path,) = (tmp_path / "best").iterdir()
    found = Structure.from_str(path.read_text(), fmt=kind)
    assert SpacegroupAnalyzer(found).get_space_group_number() == 225
    assert found.matches(ROCKSALT)


def test_what_cannot_be_asked_is_refused_with_the_nearest(filled):
    assert "Did you mean 'band_gap'" in filled("-w", "band_gpa > 1").err
    assert "Did you mean 'band_gap'" in filled("--sort", "bandgap").err
    assert "no chemical symbol" in filled("--elements-none", "Xx").err


def test_nothing_found_says_so(filled):
    done = filled("-w", "band_gap > 50")
    assert done.code == 1
    assert "No candidate meets this" in done.out


def test_fields_are_listed_with_their_meaning(wyckflow):
    assert "energy_above_hull" in wyckflow("candidates", "--fields").out
