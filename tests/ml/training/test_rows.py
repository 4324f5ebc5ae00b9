"""What is learned from, and which datasets and options are refused."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import unpack_genes
from wyckflow.errors import TrainingError
from wyckflow.ml.codec.sites import tensorise_genes
from wyckflow.ml.training.config import load_training_config
from wyckflow.ml.training.rows import gather_rows
from wyckflow.ml.training.substitution import (
    random_elements,
    scramble_letters,
    similar_elements,
    substitute,
)

ENERGY, GAP = "formation_energy_per_atom", "band_gap"


def test_no_formula_is_on_both_sides(salt_dataset):
    rows = gather_rows([salt_dataset], [ENERGY])
    formulas = np.array(salt_dataset.formulas)
    learned, judging = (
        set(formulas[part]) for part in (rows.training, rows.validation)
    )
    assert learned
    assert judging
    assert not learned & judging


def test_the_scaler_sees_training_rows_only(salt_dataset):
    rows = gather_rows([salt_dataset], [ENERGY, GAP])
    scaler = rows.fit_scaler()
    scaled = scaler.scale(rows.values)
    assert np.nanmean(scaled[rows.training], axis=0) == pytest.approx([0, 0], abs=1e-6)
    assert np.nanstd(scaled[rows.training], axis=0) == pytest.approx([1, 1], abs=1e-6)
    assert abs(np.nanmean(scaled[rows.validation], axis=0)).max() > 1e-4


def test_an_unknown_value_stays_unknown(salt_dataset):
    rows = gather_rows([salt_dataset], [ENERGY])
    assert np.isnan(rows.values).sum() == 1
    assert np.isnan(rows.fit_scaler().scale(rows.values)).sum() == 1


def test_a_second_dataset_may_lack_a_property_and_never_judges(salt_dataset):
    other = salt_dataset.select(np.arange(100))
    other.arrays.properties.pop(GAP)
    rows = gather_rows([salt_dataset, other], [ENERGY, GAP])
    first = gather_rows([salt_dataset], [ENERGY, GAP])
    assert len(rows.validation) == len(first.validation)
    assert len(rows.training) > len(first.training)
    assert np.isnan(rows.values[len(salt_dataset) :, 1]).all()


def test_a_property_that_nobody_has_is_refused_with_the_nearest_name(salt_dataset):
    with pytest.raises(TrainingError, match="Did you mean 'band_gap'"):
        gather_rows([salt_dataset], ["bandgap"])


def test_a_dataset_of_one_element_is_refused(make_dataset):
    genes = [WyckoffGene.from_text(f"{n} Si:a") for n in range(1, 121)]
    dataset = make_dataset(genes, {ENERGY: np.arange(120.0)})
    with pytest.raises(TrainingError, match=r"1 element in all"):
        gather_rows([dataset], [ENERGY], validation_share=0.5)


def test_too_few_rows_are_refused(salt_dataset):
    with pytest.raises(TrainingError, match="to learn from"):
        gather_rows([salt_dataset.select(np.arange(8))], [ENERGY])
    with pytest.raises(TrainingError, match="No dataset"):
        gather_rows([], [ENERGY])


def test_labels_without_a_spread_are_refused(salt_dataset):
    rows = gather_rows([salt_dataset], [ENERGY])
    rows.values[:] = np.nan
    with pytest.raises(TrainingError, match="0 values"):
        rows.fit_scaler()
    rows.values[:] = 1.5
    with pytest.raises(TrainingError, match="not two different"):
        rows.fit_scaler()


# --- substitution ------------------------------------------------------------------


def test_similar_elements_are_chemically_similar():
    chances = similar_elements(np.arange(119) > 0)
    na, cl, ti = 11, 17, 22
    assert set(np.argsort(-chances[na])[:2]) == {3, 19}
    assert set(np.argsort(-chances[cl])[:4]) <= {9, 16, 34, 35, 53}
    assert np.argmax(chances[ti]) in {40, 72}
    rows = chances.sum(axis=1)
    assert ((np.abs(rows - 1) < 1e-9) | (rows == 0)).all()
    assert not np.diag(chances).any()


def test_substitution_keeps_the_template_and_the_number_of_elements(random_genes):
    sites = tensorise_genes(random_genes)
    known = np.isin(np.arange(119), sites.atomic_number) & (np.arange(119) > 0)
    rng = np.random.default_rng(0)
    chances = random_elements(known)
    replaced, changed = substitute(sites, chances, np.ones(len(sites)), rng)
    assert changed.mean() > 0.5
    assert (replaced.letter == sites.letter).all()
    assert (replaced.mask == (replaced.atomic_number > 0)).all()
    for old, new in zip(sites.atomic_number, replaced.atomic_number, strict=True):
        assert len(set(zip(old, new, strict=True))) == len(set(old)) == len(set(new))
    assert known[replaced.atomic_number[replaced.mask]].all()
    nobody = np.zeros(len(sites))
    same, none = substitute(sites, chances, nobody, rng)
    assert not none.any()
    assert (same.atomic_number == sites.atomic_number).all()


def test_scrambled_genes_can_exist(random_genes):
    """`unpack_genes` refuses those that cannot."""
    sites = tensorise_genes(random_genes)
    every = np.ones(len(sites), bool)
    scrambled, changed = scramble_letters(sites, every, np.random.default_rng(0))
    genes = unpack_genes(*scrambled.codes)
    assert changed.mean() > 0.5
    for old, new, is_new in zip(random_genes, genes, changed, strict=True):
        assert old.space_group_number == new.space_group_number
        assert old.n_orbits == new.n_orbits
        assert is_new or old == new
    same, none = scramble_letters(sites, ~every, np.random.default_rng(0))
    assert not none.any()
    assert unpack_genes(*same.codes) == random_genes


# --- options ------------------------------------------------------------------------


def test_options_come_from_yaml_and_the_rest_has_defaults(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text("generator:\n  loop: {n_epochs: 3}\n  network: {latent: 64}\n")
    config = load_training_config(path)
    assert config.generator.loop.n_epochs == 3
    assert config.generator.network.latent == 64
    assert config.predictor is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("generator: {n_epochs: 3}", "generator.n_epochs"),
        ("generator: {network: {width: 30, n_heads: 4}}", "multiple"),
        ("generator: {exact_share: 0.8, free_share: 0.8}", "whole"),
        ("generator: [", "no YAML"),
        ("model: [forward]", "choose one of"),
    ],
)
def test_wrong_options_are_named(tmp_path, text, message):
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=message):
        load_training_config(path)
    with pytest.raises(TrainingError, match="cannot be read"):
        load_training_config(tmp_path / "none.yaml")
    path.write_bytes(b"model: \xff")
    with pytest.raises(TrainingError, match="cannot be read"):
        load_training_config(path)
