"""Where evidence comes from, and that it is asked for no more than needed."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.dataset.importing import import_dataset
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import DatasetError, ModelError
from wyckflow.makers.evidence import gather_evidence, load_known_files, predictions_of
from wyckflow.screening.novelty.known import KnownGenes
from wyckflow.screening.presets import load_preset, parse_screen
from wyckflow.screening.table import GeneTable

GENES = [
    WyckoffGene.from_text(text)
    for text in ("225 Na:a Cl:b", "225 Na:a F:c", "221 Sr:a Ti:b O:c")
]
TABLE = GeneTable.from_genes(GENES)
NOVEL = parse_screen("filters: [novelty]")


@pytest.fixture
def classifier(monkeypatch):
    """A classifier that scores a gene by its atoms, and tells how often it was read."""
    from wyckflow.ml.classifiers import bundled

    loaded = []

    class Toy:
        def score(self, genes):
            return np.array([gene.n_sites / 100 for gene in genes])

    def load(name):
        loaded.append(name)
        return Toy()

    monkeypatch.setattr(bundled, "load_bundled_classifier", load)
    return loaded


def test_scores_come_from_the_bundled_classifiers_when_asked(classifier):
    found = gather_evidence(load_preset("published"), {}, deviations={})
    assert found.origins == dict.fromkeys(
        ("synthesizability", "metal"), "bundled classifier"
    )
    assert classifier == []  # nothing is read before a filter asks
    values = found.evidence.values_of("metal", TABLE)
    assert values.tolist() == [0.08, 0.12, 0.05]
    found.evidence.values_of("metal", TABLE)
    assert classifier == ["metal"]


def test_numbers_that_are_given_win(classifier):
    given = {"metal": (np.array([0.1, 0.2, 0.3]), "a column")}
    found = gather_evidence(load_preset("published"), given, deviations={})
    assert found.origins["metal"] == "a column"
    assert found.evidence.values_of("metal", TABLE).tolist() == [0.1, 0.2, 0.3]
    assert classifier == []


def test_nothing_is_gathered_that_no_filter_asks_for():
    given = {"metal": (np.zeros(3), "a column")}
    found = gather_evidence(load_preset("default"), given, deviations={})
    assert (found.evidence.names, found.origins) == (frozenset(), {})


@pytest.mark.parametrize("name", ["synthesizability", "metal"])
def test_the_real_classifiers_score_known_crystals(name):
    found = gather_evidence(load_preset("published"), {}, deviations={})
    try:
        scores = found.evidence.values_of(name, TABLE)
    except ModelError as error:
        pytest.skip(str(error))
    assert ((scores >= 0) & (scores <= 1)).all()
    if name == "metal":
        assert scores[0] < 0.5  # rock salt


def test_novelty_is_relative_to_all_files_together(tmp_path):
    KnownGenes.from_genes([GENES[0]], name="salt").save(tmp_path / "salt.npz")
    from pymatgen.core import Lattice, Structure

    perovskite = Structure.from_spacegroup(
        221,
        Lattice.cubic(3.9),
        ["Sr", "Ti", "O"],
        [[0, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.5]],
    )
    (tmp_path / "p.cif").write_text(perovskite.to(fmt="cif"))
    import_dataset([tmp_path / "p.cif"], tmp_path / "set.npz")
    files = [tmp_path / "salt.npz", tmp_path / "set.npz"]
    found = gather_evidence(NOVEL, {}, deviations={}, known=files)
    levels = found.evidence.values_of("novelty", TABLE)
    assert levels[0] == levels[2] == 0
    assert levels[1] > 0
    assert load_known_files(files).known_id in found.origins["novelty"]


def test_without_known_genes_novelty_is_missing():
    assert gather_evidence(NOVEL, {}, deviations={}).evidence.names == frozenset()


def test_a_file_that_knows_no_genes_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(DatasetError, match=r"text\.npz"):
        load_known_files([tmp_path / "text.npz"])
    with pytest.raises(DatasetError, match=r"absent\.npz"):
        load_known_files([tmp_path / "absent.npz"])


def test_a_list_of_genes_predicts_nothing():
    found = predictions_of(GENES, ["band_gap"])
    assert (found.values, found.deviations) == ({}, {})
