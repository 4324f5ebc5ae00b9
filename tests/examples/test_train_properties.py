"""The example that learns a property, from a table of a few made-up crystals."""

from __future__ import annotations

import csv
from itertools import product

import pytest
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.gene import WyckoffGene

SCRIPT = "train_properties.py"
PLACES = {"rock salt": [0.5] * 3, "zinc blende": [0.25] * 3}


@pytest.fixture
def table(tmp_path):
    """Forty salts, those of sulphur the stiffer ones."""
    pairs = list(product(["Li", "Na", "K", "Mg", "Ca"], ["O", "S", "F", "Cl"]))
    face_centred = Lattice.from_parameters(4, 4, 4, 60, 60, 60)
    path = tmp_path / "salts.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["structure", "bulk_modulus"])
        for place, pair in product(PLACES.values(), pairs):
            salt = Structure(face_centred, pair, [[0, 0, 0], place])
            writer.writerow([salt.to_json(), 200 if "S" in pair else 50])
    return path


def test_it_learns_and_proposes(run_example, table):
    pytest.importorskip("torch", reason="install wyckflow[ml]")
    words = [table, "bulk_modulus_gpa", "--genes", 3, "--quick", "--at-least", -1e9]
    done = run_example(SCRIPT, *words)
    assert done.returncode == 0, done.stderr
    first, *genes = done.stdout.splitlines()
    n_train = int(first.removeprefix("learned from ").removesuffix(" crystals"))
    assert 20 <= n_train < 40  # the rest decides when to stop
    assert genes
    for line in genes:
        WyckoffGene.from_text(line.split("  ")[0])
        assert line.endswith("(predicted)")


def test_what_nothing_meets_is_told_with_the_nearest(run_example, table):
    pytest.importorskip("torch", reason="install wyckflow[ml]")
    done = run_example(SCRIPT, table, "bulk_modulus_gpa", "--quick", "--at-least", 1e9)
    assert done.returncode != 0
    assert "the nearest has" in done.stderr
    assert "Traceback" not in done.stderr
