"""A classifier from rows to a file and back, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wyckflow.crystal.equivalence import equivalent_genes
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import CheckpointError, ModelError, TrainingError
from wyckflow.ml.checkpoint import Checkpoint, CheckpointInfo, save_checkpoint
from wyckflow.ml.classifiers.bundled import load_bundled_classifier, open_classifier
from wyckflow.ml.classifiers.files import card_path, load_with_card
from wyckflow.ml.classifiers.labels import Task, label_metals, label_synthesised
from wyckflow.ml.classifiers.metrics import area_under_curve
from wyckflow.ml.classifiers.model import load_classifier
from wyckflow.ml.classifiers.options import ClassifierOptions, Objective, parse_task
from wyckflow.ml.classifiers.study import plan_study, run_study
from wyckflow.ml.classifiers.training import choose_held_out, train_classifier

SMALL = ClassifierOptions(n_members=2, n_epochs=12, batch_size=32, hidden=(16, 8))


def hide_labels(dataset, share, seed=0):
    """Return rock salts that count as made, and a mixture with a share of them.

    The rest of the mixture has the caesium chloride and the zinc blende arrangement,
    with the same elements and as many atoms per primitive cell.
    """
    numbers = np.array([gene.space_group_number for gene in dataset.genes])
    drawing = np.random.default_rng(seed)
    salts = drawing.permutation(np.flatnonzero(numbers == 225))
    others = drawing.permutation(np.flatnonzero(np.isin(numbers, (221, 216))))[:200]
    n_mixed = int(share / (1 - share) * len(others))
    made = dataset.select(np.sort(salts[n_mixed:]))
    mixed = dataset.select(np.sort(np.concatenate([salts[:n_mixed], others])))
    return made, mixed


def is_rock_salt(genes):
    return np.array([gene.space_group_number == 225 for gene in genes])


def test_a_rule_is_learned_and_holds_for_formulas_not_seen(
    metal_classifier, metal_rows
):
    rows = metal_rows.take(metal_classifier.held_out)
    scores, spreads = metal_classifier.classifier.score_sites(rows.sites)
    assert area_under_curve(scores, rows.is_positive) > 0.98
    assert ((scores > 0.5) == rows.is_positive).mean() > 0.93
    assert (spreads >= 0).all()


def test_no_formula_is_on_both_sides(metal_classifier, metal_rows):
    held_out = metal_classifier.held_out
    here, there = (
        set(metal_rows.formulas[part].tolist()) for part in (held_out, ~held_out)
    )
    assert here & there == set()
    assert 0 < held_out.mean() < 0.3


def test_equivalent_genes_get_the_same_score(metal_classifier):
    genes = [
        WyckoffGene.from_text(text)
        for text in ("216 Li:a Mg:b Se:c", "62 Ca:c Ti:a O:c,d", "2 Na:a Cl:i O:c")
    ]
    for gene in genes:
        scores = metal_classifier.classifier.score(equivalent_genes(gene))
        assert len(scores) > 1
        np.testing.assert_allclose(scores, scores[0], atol=2e-5)


def test_a_score_does_not_depend_on_its_neighbours(metal_classifier, salts_and_alloys):
    genes = salts_and_alloys.genes[:50]
    together = metal_classifier.classifier.score(genes)
    alone = [metal_classifier.classifier.score([gene])[0] for gene in genes]
    np.testing.assert_allclose(together, alone, atol=2e-6)


def test_the_same_seed_gives_the_same_model_and_another_one_another(metal_rows):
    options = replace(SMALL, n_epochs=2)
    first, again = (train_classifier(metal_rows, Task.METAL, options) for _ in "ab")
    other = train_classifier(metal_rows, Task.METAL, replace(options, seed=1))
    assert first.classifier.identity == again.classifier.identity
    assert first.classifier.identity != other.classifier.identity


def test_the_order_of_elements_of_ensemble_arithmetic_is_that_of_torch(metal_rows):
    """Scores come from NumPy; the network that was trained is PyTorch's."""
    torch = pytest.importorskip("torch")
    from wyckflow.ml.classifiers.fitting import TrainingRows, fit_member

    drawing = np.random.default_rng(0)
    rows = TrainingRows(
        drawing.normal(size=(64, 5)).astype(np.float32),
        np.arange(64) % 2 == 0,
        np.ones(64),
    )
    asked = {}
    options = replace(SMALL, n_epochs=1)
    layers = fit_member(
        rows,
        options,
        Objective.SUPERVISED,
        0,
        on_epoch=lambda _epoch, _loss, ask: asked.update(answer=ask(rows.features)),
    )
    hidden = torch.as_tensor(rows.features)
    for place, (weight, bias) in enumerate(layers):
        hidden = hidden @ torch.as_tensor(weight) + torch.as_tensor(bias)
        hidden = torch.nn.functional.silu(hidden) if place < 2 else hidden
    np.testing.assert_allclose(asked["answer"], hidden[:, 0].numpy(), atol=1e-5)


@pytest.mark.parametrize("objective", [Objective.BAGGING, Objective.NON_NEGATIVE])
def test_hidden_positives_are_found_among_the_unlabelled(salts_and_alloys, objective):
    """A third of the unlabelled are positive; the score at even odds finds them."""
    made, mixed = hide_labels(salts_and_alloys, 1 / 3)
    rows = label_synthesised([made], [mixed])
    options = replace(SMALL, objective=objective, unlabelled_share=1 / 3, n_epochs=40)
    trained = train_classifier(rows, Task.SYNTHESIZABILITY, options)
    scores, truth = trained.classifier.score(mixed.genes), is_rock_salt(mixed.genes)
    assert area_under_curve(scores, truth) > 0.97
    assert (scores[truth] > 0.5).mean() > 0.75
    assert (scores[~truth] > 0.5).mean() < 0.15


def test_an_element_that_was_never_seen_cannot_be_judged(metal_classifier):
    classifier = metal_classifier.classifier
    genes = [WyckoffGene.from_text(t) for t in ("225 Na:a Cl:b", "225 Xe:a U:b")]
    scores, spreads = classifier.score_with_spread(genes)
    assert not np.isnan(scores[0])
    assert np.isnan(scores[1])
    assert np.isnan(spreads[1])
    known, unknown = classifier.explain(genes)
    assert known == ""
    assert "Xe is in 0 training crystals" in unknown
    assert "U is in 0" in unknown


def test_no_genes_get_no_scores(metal_classifier):
    scores, spreads = metal_classifier.classifier.score_with_spread([])
    assert scores.shape == spreads.shape == (0,)
    assert metal_classifier.classifier.explain([]) == []


def test_a_classifier_survives_its_file(metal_classifier, salts_and_alloys, tmp_path):
    before = metal_classifier.classifier
    path = tmp_path / "metal.npz"
    identity = before.save(path)
    after = load_classifier(path)
    assert after.identity == before.identity == identity
    genes = salts_and_alloys.genes[:100]
    np.testing.assert_array_equal(after.score(genes), before.score(genes))


def test_another_kind_of_model_is_refused(tmp_path):
    path = tmp_path / "other.npz"
    save_checkpoint(
        path, Checkpoint(CheckpointInfo(kind="mpvae", config={}, seed=0), {})
    )
    with pytest.raises(CheckpointError, match=r"'mpvae'.*'classifier'"):
        load_classifier(path)


def test_a_file_without_its_arrays_is_refused(metal_classifier, tmp_path):
    whole = metal_classifier.classifier.to_checkpoint()
    arrays = {k: v for k, v in whole.arrays.items() if k != "mean"}
    path = tmp_path / "part.npz"
    save_checkpoint(path, Checkpoint(whole.info, arrays))
    with pytest.raises(CheckpointError, match="train it again"):
        load_classifier(path)


def test_the_card_of_another_model_is_refused(metal_classifier, tmp_path):
    path = tmp_path / "metal.npz"
    metal_classifier.classifier.save(path)
    card = metal_classifier.classifier.card
    card_path(path).write_text(card.model_dump_json())
    assert load_with_card(path).card == card
    stranger = card.model_copy(update={"identity": "0" * 64})
    card_path(path).write_text(stranger.model_dump_json())
    with pytest.raises(CheckpointError, match="describes the model 0000"):
        load_with_card(path)
    card_path(path).write_text("{}")
    with pytest.raises(CheckpointError, match="no card"):
        load_with_card(path)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ModelError, match="Did you mean 'synthesizability'"):
        load_bundled_classifier("synthesisability")
    with pytest.raises(ModelError, match="Did you mean 'metal'"):
        open_classifier("metals")
    with pytest.raises(TrainingError, match="Did you mean 'metal'"):
        parse_task("metals")


# --- what cannot be learned from --------------------------------------------------


def test_rows_of_one_class_are_refused(salts_and_alloys):
    metals = salts_and_alloys.select(salts_and_alloys.properties["band_gap"] == 0)
    with pytest.raises(TrainingError, match="have the same one"):
        label_metals([metals])


def test_unknown_gaps_are_left_out_and_counted(salts_and_alloys, make_labelled):
    gaps = np.array(salts_and_alloys.properties["band_gap"])
    gaps[:7] = np.nan
    rows = label_metals([make_labelled(salts_and_alloys.genes, band_gap=gaps)])
    assert rows.n_without_label == 7
    assert len(rows) == len(gaps) - 7


@pytest.mark.parametrize(
    ("gaps", "message"), [(np.nan, "no band gaps"), (-1.0, "negative band gaps")]
)
def test_useless_gaps_are_refused(salts_and_alloys, make_labelled, gaps, message):
    values = np.full(len(salts_and_alloys), gaps)
    dataset = make_labelled(salts_and_alloys.genes, band_gap=values)
    with pytest.raises(TrainingError, match=message):
        label_metals([dataset])


def test_a_dataset_without_gaps_is_refused(salts_and_alloys, make_labelled):
    with pytest.raises(TrainingError, match="--column band_gap="):
        label_metals([make_labelled(salts_and_alloys.genes)])


def test_too_few_rows_are_refused(salts_and_alloys):
    few = label_metals([salts_and_alloys]).take(np.arange(30))
    with pytest.raises(TrainingError, match="too few"):
        train_classifier(few, Task.METAL, SMALL)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_members": 0},
        {"hidden": ()},
        {"held_out": 0.0},
        {"unlabelled_share": 1.0},
        {"dropout": -0.1},
        {"learning_rate": float("nan")},
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused(wrong):
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        ClassifierOptions(**wrong)


# --- studies ----------------------------------------------------------------------


def test_a_study_keeps_formulas_of_the_test_out_of_the_training(salts_and_alloys):
    drawing = np.random.default_rng(0)
    is_test = drawing.random(len(salts_and_alloys)) < 0.3
    test = salts_and_alloys.select(is_test)
    study = plan_study(
        Task.METAL, [("rows", salts_and_alloys)], test=[("tested", test)]
    )
    assert set(study.train.formulas.tolist()) & set(test.formulas) == set()
    assert len(study.test["tested"]) == len(test)


def test_a_study_of_unlabelled_rows_makes_a_card(salts_and_alloys):
    made, mixed = hide_labels(salts_and_alloys, 0.2)
    drawing = np.random.default_rng(1)
    is_test = drawing.random(len(made)) < 0.3
    study = plan_study(
        Task.SYNTHESIZABILITY,
        [("made", made.select(~is_test))],
        [("mixed", mixed)],
        [("tested", made.select(is_test))],
    )
    options = replace(SMALL, unlabelled_share=0.2, n_epochs=40)
    trained = run_study(study, options)
    card = trained.classifier.card
    assert card.identity == trained.classifier.identity
    recall = card.find("recall at 0.4", "tested")
    assert recall.n == is_test.sum()
    assert recall.low < recall.value <= recall.high
    assert recall.value > 0.7
    assert card.find("share at 0.4", "unlabelled, held out").n > 0
    pair = "tested against unlabelled, held out"
    size = card.find("AUC of size alone", pair, "matched in size and kind")
    assert size.low <= 0.5 <= size.high or abs(size.value - 0.5) < 0.05
    assert card.reliability
    assert any("0.2 of the unlabelled" in line for line in card.assumptions)


@pytest.mark.parametrize(
    ("task", "unlabelled", "message"),
    [(Task.METAL, True, "band gaps"), (Task.SYNTHESIZABILITY, False, "one of each")],
)
def test_a_study_without_the_right_datasets_is_refused(
    salts_and_alloys, task, unlabelled, message
):
    named = [("rows", salts_and_alloys)]
    with pytest.raises(TrainingError, match=message):
        plan_study(task, named, named if unlabelled else ())


def test_the_newest_crystals_are_kept_for_calibration(salts_and_alloys, make_labelled):
    """Where years are known; and no formula of theirs stays in the training."""
    made, mixed = hide_labels(salts_and_alloys, 0.2)
    years = 1990 + np.arange(len(made)) % 10
    dated = make_labelled(made.genes, year=years)
    rows = label_synthesised([dated], [mixed])
    held_out = choose_held_out(rows, Task.SYNTHESIZABILITY, SMALL)
    newest = rows.is_positive & (rows.year == 1999)
    assert held_out[newest].all()
    assert set(rows.formulas[held_out]) & set(rows.formulas[~held_out]) == set()
    assert not held_out.all()
