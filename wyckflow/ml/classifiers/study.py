"""A training with its test: rows told apart, a classifier made, measured and carded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from wyckflow.errors import TrainingError
from wyckflow.ml.classifiers.labels import Task, label_metals, label_synthesised
from wyckflow.ml.classifiers.measuring import (
    make_card,
    measure_metals,
    measure_synthesised,
)
from wyckflow.ml.classifiers.training import train_classifier
from wyckflow.schemas.classifier import DatasetUse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.classifiers.labels import LabelledGenes
    from wyckflow.ml.classifiers.options import ClassifierOptions
    from wyckflow.ml.classifiers.training import TrainedClassifier
    from wyckflow.schemas.classifier import ReliabilityPoint
    from wyckflow.schemas.training import Figure

Named = tuple[str, "Dataset"]

HELD_OUT: Final = "unlabelled, held out"
"""Name of the unlabelled rows kept for the test."""

TEST_SEED: Final = 52
TEST_SHARE: Final = 0.15


@dataclass(frozen=True, eq=False, slots=True)
class Study:
    """Rows to learn from, and rows to be measured on.

    Attributes
    ----------
    task
        What is learned.
    train
        Rows to train and calibrate on; no formula of theirs is in a test row.
    test
        Rows by name; for metals one set or none, else sets of crystals that were made
        and, at last, unlabelled ones.
    datasets
        What was used for what.
    """

    task: Task
    train: LabelledGenes
    test: dict[str, LabelledGenes]
    datasets: list[DatasetUse]


def plan_study(
    task: Task,
    labelled: Sequence[Named],
    unlabelled: Sequence[Named] = (),
    test: Sequence[Named] = (),
) -> Study:
    """Tell rows apart.

    Parameters
    ----------
    task
        What is learned.
    labelled
        Name and dataset: crystals with band gaps, or crystals that were made.
    unlabelled
        Crystals of which it is unknown; none for metals. A share of them, told by the
        formula, is kept for the test if there is one.
    test
        Like ``labelled``.

    Raises
    ------
    TrainingError
        If datasets are missing or of no use for the task.
    """
    if task is Task.METAL:
        if unlabelled:
            raise TrainingError(
                "Unlabelled crystals came for the task 'metal', which learns from band "
                "gaps; give them as datasets if they have band gaps."
            )
        return _plan_metals(labelled, test)
    if not labelled or not unlabelled:
        raise TrainingError(
            f"{len(labelled)} datasets of crystals that were made and "
            f"{len(unlabelled)} of unlabelled ones came; the task "
            "'synthesizability' needs at least one of each."
        )
    return _plan_synthesised(labelled, unlabelled, test)


def run_study(
    study: Study,
    options: ClassifierOptions | None = None,
    report: Callable[[int, int], None] | None = None,
) -> TrainedClassifier:
    """Train, measure on the test rows, and give the classifier its card.

    Parameters
    ----------
    study
        The rows.
    options
        Of the training.
    report
        Told the number of epochs done and of all, over all networks.
    """
    trained = train_classifier(study.train, study.task, options, report=report)
    classifier = trained.classifier
    parts = [(name, rows) for name, rows in study.test.items() if len(rows)]
    figures: list[Figure] = []
    reliability: list[ReliabilityPoint] = []
    if study.task is Task.METAL and parts:
        (name, rows), *_ = parts
        figures, reliability = measure_metals(
            classifier, name, rows.sites, rows.is_positive
        )
    elif len(parts) > 1:
        *made, unlabelled = ((name, rows.sites) for name, rows in parts)
        figures, reliability = measure_synthesised(classifier, made, unlabelled)
    card = make_card(classifier, figures, reliability, study.datasets)
    return replace(trained, classifier=classifier.with_card(card))


def _plan_metals(labelled: Sequence[Named], test: Sequence[Named]) -> Study:
    train = label_metals([dataset for _, dataset in labelled])
    tests = {}
    if test:
        names = " and ".join(name for name, _ in test)
        tests[names] = label_metals([dataset for _, dataset in test])
        train = train.without_formulas(set(tests[names].formulas.tolist()))
    uses = _count_uses([(*pair, "train") for pair in labelled], train)
    uses += [_use(name, dataset, "test", len(dataset)) for name, dataset in test]
    return Study(Task.METAL, train, tests, uses)


def _plan_synthesised(
    labelled: Sequence[Named], unlabelled: Sequence[Named], test: Sequence[Named]
) -> Study:
    others = [dataset for _, dataset in unlabelled]
    train = label_synthesised([dataset for _, dataset in labelled], others)
    tests = {}
    held_out_uses = []
    if test:
        for name, dataset in test:
            rows = label_synthesised([dataset], others)
            tests[name] = rows.take(rows.is_positive)
        is_test = (train.draws(TEST_SEED) < TEST_SHARE) & ~train.is_positive
        held_out = train.take(is_test)
        train = train.take(~is_test)
        tests[HELD_OUT] = held_out
        known = {formula for rows in tests.values() for formula in rows.formulas}
        train = train.without_formulas(known)
        n_made = len(labelled)
        held_out_uses = [
            _use(name, dataset, "test: unlabelled", int((held_out.source == i).sum()))
            for i, (name, dataset) in enumerate(unlabelled, n_made)
        ]
    uses = _count_uses(
        [(*pair, "train: made") for pair in labelled]
        + [(*pair, "train: unlabelled") for pair in unlabelled],
        train,
    )
    uses += [_use(name, dataset, "test: made", len(dataset)) for name, dataset in test]
    return Study(Task.SYNTHESIZABILITY, train, tests, uses + held_out_uses)


def _count_uses(
    uses: Sequence[tuple[str, Dataset, str]], rows: LabelledGenes
) -> list[DatasetUse]:
    return [
        _use(*use, int((rows.source == place).sum())) for place, use in enumerate(uses)
    ]


def _use(name: str, dataset: Dataset, use: str, n_rows: int) -> DatasetUse:
    return DatasetUse(name=name, dataset_id=dataset.dataset_id, use=use, n_rows=n_rows)
