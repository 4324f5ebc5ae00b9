"""The cookbook of questions, on three stored candidates."""

from __future__ import annotations

import pytest
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.store.candidates.builder import CANDIDATES, new_candidate

SCRIPT = "query_cookbook.py"
FOUND = {"225 Na:a Cl:b": 0.03, "225 Mg:a O:b": 0.01, "221 Cs:a Cl:b": 0.02}
CELL = Structure(Lattice.cubic(3.345), ["Po"], [[0, 0, 0]])


def test_outside_a_project_it_says_what_to_do(run_example):
    done = run_example(SCRIPT, "--campaign", "salts")
    assert done.returncode != 0
    assert "wyckflow init" in done.stderr


@pytest.mark.mongo
def test_every_recipe_answers(run_example, project, database):
    rows = []
    for text, distance in FOUND.items():
        item = new_candidate("salts", WyckoffGene.from_text(text)).model_dump()
        item |= {"energy_above_hull": distance, "structure": CELL.as_dict()}
        rows.append(item | {"energy_per_atom": -3.0})
    with database.client() as client:
        client[database.name][CANDIDATES].insert_many(rows)
    done = run_example(SCRIPT, "--campaign", "salts", folder=project.folder)
    assert done.returncode == 0, done.stderr
    places = [done.stdout.index(name) for name in ("MgO", "CsCl", "NaCl")]
    assert places == sorted(places)
    assert "cubic" in done.stdout
    assert "Po 9.3 g/cm3" in done.stdout  # 208.98 u in a cube of 3.345 A
