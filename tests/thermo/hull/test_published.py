"""Against the Materials Project's own distances, which a partial hull cannot exceed."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from wyckflow.thermo.entry import ReferenceEntry
from wyckflow.thermo.hull import Hull
from wyckflow.thermo.reference import ReferenceSet
from wyckflow.thermo.reference_table import parse_formula

DATA = Path(os.environ.get("WYCKFLOW_DATA", "/nowhere"))
FILES = ("mp20_biternary_train.csv.gz", "mp20_biternary_test.csv.gz")


@pytest.mark.skipif(
    not all((DATA / name).exists() for name in FILES), reason="set WYCKFLOW_DATA"
)
def test_a_partial_hull_is_a_lower_bound_of_the_published_distance():
    rows = []
    for name in FILES:
        with gzip.open(DATA / name, "rt") as stream:
            rows += list(csv.DictReader(stream))
    energies = np.array([float(row["formation_energy_per_atom"]) for row in rows])
    published = np.array([float(row["e_above_hull"]) for row in rows])
    counts = [parse_formula(row["pretty_formula"]) for row in rows]
    entries = [
        ReferenceEntry(item, energy, row["material_id"])
        for item, energy, row in zip(counts, energies, rows, strict=True)
    ]
    hull = Hull(
        ReferenceSet.from_entries(
            "MP-20", entries, scale="mp2020-gga-u", kind="formation"
        )
    )
    found = hull.energies_above_hull(
        counts, energies, scale="mp2020-gga-u", kind="formation"
    )
    assert found.can_judge.all()
    assert (found.energies_above_hull >= -1e-9).all()  # each is an entry itself
    assert (found.energies_above_hull <= published + 1e-4).all()
    # And the bound is worth something: most are met exactly.
    exact = np.abs(found.energies_above_hull - published) < 1e-4
    assert exact.mean() > 0.5
    assert hull.n_solved == 0
