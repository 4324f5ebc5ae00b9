"""Known structures, against StructureMatcher on every pair."""

from __future__ import annotations

import csv
import gzip
import os
from itertools import islice
from pathlib import Path

import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.dataset.importing import ImportOptions, import_dataset
from wyckflow.screening.novelty import find_known_structures
from wyckflow.screening.novelty.structures import MatchTolerances

SIMPLE = [[0, 0, 0], [0.5, 0.5, 0.5]]


def rock_salt(a, cation="Na", anion="Cl"):
    return Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0, 0]]
    )


def caesium_chloride(a, cation="Na", anion="Cl"):
    return Structure(Lattice.cubic(a), [cation, anion], SIMPLE)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("known") / "known.csv"
    crystals = [rock_salt(5.6), caesium_chloride(3.4), rock_salt(4.2, "Mg", "O")]
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["cif"])
        writer.writerows([crystal.to(fmt="cif")] for crystal in crystals)
    return import_dataset([path], path.with_suffix(".npz")).dataset


def test_structures_are_compared_with_those_of_their_formula(dataset):
    shifted = rock_salt(5.7).get_primitive_structure()
    asked = [shifted, caesium_chloride(3.3), rock_salt(5.7, "K", "Cl")]
    found = find_known_structures(asked, dataset)
    assert [one.matches for one in found] == [(0,), (1,), ()]
    assert [one.n_compared for one in found] == [2, 2, 0]
    assert [one.is_known for one in found] == [True, True, False]


def test_a_structure_of_another_gene_may_still_be_known(dataset):
    """A small distortion takes the gene away, not the crystal."""
    distorted = rock_salt(5.6)
    distorted.perturb(0.05, seed=1)
    assert find_known_structures([distorted], dataset)[0].matches == (0,)


def test_tolerances_are_pymatgens_and_are_recorded(dataset):
    default = StructureMatcher()
    found = find_known_structures([rock_salt(5.6)], dataset)[0].tolerances
    assert found == MatchTolerances(default.ltol, default.stol, default.angle_tol)
    strict = MatchTolerances(length=0.01, site=0.01, angle=0.1)
    distorted = rock_salt(5.6)
    distorted.perturb(0.2, seed=1)
    assert not find_known_structures([distorted], dataset, tolerances=strict)[0].matches


@pytest.mark.slow
@pytest.mark.skipif("WYCKFLOW_DATA" not in os.environ, reason="no data folder")
def test_no_match_is_missed_among_real_crystals(tmp_path):
    """Each of 60 structures against each of 300, pair by pair."""
    source = Path(os.environ["WYCKFLOW_DATA"]) / "mp20_biternary_train.csv.gz"
    with gzip.open(source, "rt") as stream:
        rows = [row["cif"] for row in islice(csv.DictReader(stream), 300)]
    path = tmp_path / "x.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["cif"])
        writer.writerows([row] for row in rows)
    options = ImportOptions(keep_duplicates=True)
    dataset = import_dataset([path], tmp_path / "x.npz", options=options).dataset
    structures = [Structure.from_str(row, fmt="cif") for row in rows[:60]]
    others = [dataset.structure(row).to_structure() for row in range(len(dataset))]
    found = find_known_structures(structures, dataset)
    matcher = StructureMatcher()
    for structure, one in zip(structures, found, strict=True):
        expected = [
            i for i, other in enumerate(others) if matcher.fit(structure, other)
        ]
        assert list(one.matches) == expected
