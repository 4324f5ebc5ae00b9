"""The ranker: it learns, says how far it may be off, and keeps without sklearn."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import pack_genes
from wyckflow.crystal.tables import NormalizerKind
from wyckflow.errors import CheckpointError, TrainingError
from wyckflow.ml.checkpoint import Checkpoint, CheckpointInfo, save_checkpoint
from wyckflow.ml.codec.sites import tensorise_genes
from wyckflow.ml.forest import Forest
from wyckflow.ml.ranker import (
    describe_genes,
    load_bundled_ranker,
    load_ranker,
    train_ranker,
)

ENERGY = "formation_energy_per_atom"


@pytest.fixture(scope="module")
def checkpoint(salt_dataset):
    half = np.arange(len(salt_dataset)) % 2 == 0
    parts = [salt_dataset.select(np.flatnonzero(part)) for part in (half, ~half)]
    return train_ranker(parts)


def test_trees_answer_as_those_of_sklearn():
    from sklearn.ensemble import HistGradientBoostingRegressor

    rng = np.random.default_rng(0)
    table = rng.normal(size=(500, 6)).astype(np.float32)
    table[:, 5] = table[:, 5].round()  # ties lie on thresholds
    wanted = table[:, 0] ** 2 + np.sin(3 * table[:, 1]) + table[:, 5]
    model = HistGradientBoostingRegressor(max_iter=30, random_state=0)
    model.fit(table, wanted)
    forest = Forest.from_sklearn(model, table)
    other = rng.normal(size=(300, 6)).astype(np.float32).round(1)
    np.testing.assert_allclose(forest.predict(other), model.predict(other), atol=1e-5)
    back = Forest.from_arrays(forest.to_arrays("x"), "x")
    np.testing.assert_array_equal(back.predict(other), forest.predict(other))


def test_trees_that_answer_otherwise_are_refused():
    from sklearn.ensemble import HistGradientBoostingRegressor

    table = np.arange(200, dtype=np.float32)[:, None]
    model = HistGradientBoostingRegressor(max_iter=3).fit(table, table[:, 0])
    model._baseline_prediction = model._baseline_prediction + 1
    other = HistGradientBoostingRegressor(max_iter=3).fit(table, table[:, 0])
    model.predict = other.predict
    with pytest.raises(TrainingError, match="differ by 1"):
        Forest.from_sklearn(model, table)


def test_it_learns_and_says_how_far_it_may_be_off(checkpoint, salt_dataset):
    ranker = load_ranker(checkpoint)
    energies, errors = ranker.predict(*salt_dataset.codes)
    truth = salt_dataset.properties[ENERGY]
    known = np.isfinite(truth)
    error = np.abs(energies - truth)[known].mean()
    assert error < 0.3 * np.abs(truth[known] - truth[known].mean()).mean()
    assert (errors > 0).all()
    assert checkpoint.info.split["n_training"] == known.sum()


def test_all_descriptions_of_a_gene_look_alike_to_it(random_genes):
    sites = tensorise_genes(random_genes)
    rng = np.random.default_rng(0)
    own = describe_genes(sites)
    for _ in range(3):
        other = sites.permuted(rng, kind=NormalizerKind.AUGMENTATION)
        np.testing.assert_array_equal(describe_genes(other), own)
    assert np.isfinite(own).all()


def test_the_file_gives_the_same_answers(checkpoint, salt_dataset, tmp_path):
    path = tmp_path / "ranker.npz"
    identity = save_checkpoint(path, checkpoint)
    ranker = load_ranker(path)
    assert ranker.identity == identity
    again = load_ranker(path.read_bytes()).predict(*salt_dataset.codes)
    np.testing.assert_array_equal(again, ranker.predict(*salt_dataset.codes))


def test_the_bundled_one_is_near_known_formation_energies():
    """Of the Materials Project, with its corrections, eV/atom."""
    known = {
        "225 Na:a Cl:b": -2.1,
        "225 Mg:a O:b": -3.1,
        "225 Ca:a F:c": -4.2,
        "216 Zn:a S:c": -0.9,
        "221 Sr:a Ti:b O:c": -3.5,
        "216 Ga:a As:c": -0.4,
    }
    genes = [WyckoffGene.from_text(text) for text in known]
    energies, errors = load_bundled_ranker().predict(*pack_genes(genes))
    misses = np.abs(energies - list(known.values()))
    assert misses.mean() < 0.2
    assert ((errors > 0.005) & (errors < 1)).all()


def test_a_file_of_another_kind_and_too_few_rows_are_refused(tmp_path, salt_dataset):
    path = tmp_path / "other.npz"
    info = CheckpointInfo(kind="classifier", config={}, seed=0)
    save_checkpoint(path, Checkpoint(info, {}))
    with pytest.raises(CheckpointError, match=r"'classifier'.*'ranker'"):
        load_ranker(path)
    with pytest.raises(TrainingError, match=r"19 rows.*60"):
        train_ranker([salt_dataset.select(np.arange(20))])
