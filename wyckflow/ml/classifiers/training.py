"""From labelled crystals to a calibrated classifier."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.errors import TrainingError
from wyckflow.ml.checkpoint import CheckpointInfo
from wyckflow.ml.classifiers.balance import describe_kind, overlap_weights
from wyckflow.ml.classifiers.calibration import Calibration, fit_calibration
from wyckflow.ml.classifiers.features import N_SIZE_FEATURES, describe_sites
from wyckflow.ml.classifiers.labels import LabelledGenes, Task
from wyckflow.ml.classifiers.metrics import area_under_curve
from wyckflow.ml.classifiers.model import KIND, KIND_VERSION, Classifier
from wyckflow.ml.classifiers.network import Ensemble
from wyckflow.ml.classifiers.options import ClassifierOptions, Objective
from wyckflow.ml.elements import ELEMENT_FEATURES, element_features

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MIN_ROWS: Final = 5
"""An element in fewer training crystals than this is not judged."""

_LEAST_SPREAD: Final = 1e-6
_LEAST_ROWS: Final = 20


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch, averaged over the networks.

    Attributes
    ----------
    epoch
        Its number, from 1.
    train_loss
        What was minimised, over the training rows.
    held_out_auc
        Area under the ROC curve of single networks on the calibration rows.
    """

    epoch: int
    train_loss: float
    held_out_auc: float


@dataclass(frozen=True, eq=False, slots=True)
class TrainedClassifier:
    """A classifier with the course of its training.

    Attributes
    ----------
    classifier
        The model.
    history
        One entry per epoch.
    held_out
        Which rows were kept for calibration.
    weights
        Weight of every row.
    """

    classifier: Classifier
    history: list[Epoch]
    held_out: NDArray[np.bool_]
    weights: NDArray[np.float64]


def train_classifier(
    rows: LabelledGenes,
    task: Task,
    options: ClassifierOptions | None = None,
    *,
    report: Callable[[int, int], None] | None = None,
) -> TrainedClassifier:
    """Train an ensemble and calibrate it on formulas that it has not seen.

    Parameters
    ----------
    rows
        Crystals with labels.
    task
        What is learned.
    options
        Of the training.
    report
        Told the number of epochs done and of all, over all networks.

    Raises
    ------
    TrainingError
        If there are too few rows of either class to train and to calibrate.
    """
    options = options or ClassifierOptions()
    held_out = choose_held_out(rows, task, options)
    _check_rows(rows.is_positive, held_out)
    weights = weigh_rows(rows, task, options)
    values = _values_of_elements()
    features = describe_sites(rows.sites, values)
    scaling = _choose_scaling(features[~held_out], task, options)
    course = _Course(scaling.standardise(features), rows.is_positive, weights, held_out)
    ensemble, history = course.run(scaling, task, options, report=report)
    objective = options.objective_of(task)
    share = 0.0 if objective is Objective.SUPERVISED else options.unlabelled_share
    draft = Classifier(
        task=task,
        ensemble=ensemble,
        objective=objective,
        calibration=Calibration(unlabelled_share=share),
        elements=values,
        element_rows=_count_elements(rows, ~held_out),
        min_rows=MIN_ROWS,
        info=_tell(rows, task, options, held_out),
    )
    chosen = held_out & ((rows.source == 0) | (task is not Task.METAL))
    chosen = chosen if len(set(rows.is_positive[chosen].tolist())) > 1 else held_out
    kept = rows.take(chosen)
    calibration = fit_calibration(
        draft.logits(kept.sites).mean(axis=1),
        kept.is_positive,
        weigh_rows(kept, task, options),
        share,
    )
    classifier = replace(draft, calibration=calibration)
    return TrainedClassifier(classifier, history, held_out, weights)


def choose_held_out(
    rows: LabelledGenes, task: Task, options: ClassifierOptions
) -> NDArray[np.bool_]:
    """Return which rows are kept for calibration; no formula is on both sides.

    They are drawn, but for crystals of a known year: of these the newest, since what
    is to be judged are crystals that are not made yet, and a classifier is less sure
    of later chemistry than of more of the same.

    Parameters
    ----------
    rows
        Crystals with labels.
    task
        What is learned.
    options
        For the share and the seed.
    """
    chosen: NDArray[np.bool_] = rows.draws(options.seed) < options.held_out
    dated = rows.is_positive & ~np.isnan(rows.year)
    if task is Task.SYNTHESIZABILITY and dated.any():
        years = rows.year[dated]
        newest = np.quantile(years, 1 - options.held_out)
        if newest > years.min():
            chosen[dated] = years >= newest
    return np.isin(rows.formulas, rows.formulas[chosen])


def weigh_rows(
    rows: LabelledGenes, task: Task, options: ClassifierOptions
) -> NDArray[np.float64]:
    """Return the weight of every row, mean one; even classes if one is unlabelled."""
    if options.balances(task):
        weights = overlap_weights(describe_kind(rows.sites), rows.is_positive)
    elif options.objective_of(task) is Objective.SUPERVISED:
        weights = np.where(rows.source == 0, options.first_source_weight, 1.0)
    else:
        share = rows.is_positive.mean()
        weights = np.where(rows.is_positive, 1 / share, 1 / (1 - share))
    scaled: NDArray[np.float64] = weights / weights.mean()
    return scaled


def _check_rows(is_positive: NDArray[np.bool_], held_out: NDArray[np.bool_]) -> None:
    counts = [
        int((is_positive == label)[part].sum())
        for label in (True, False)
        for part in (held_out, ~held_out)
    ]
    if min(counts[1], counts[3]) < _LEAST_ROWS or min(counts[0], counts[2]) < 1:
        raise TrainingError(
            f"{is_positive.sum()} positive and {(~is_positive).sum()} other rows are "
            f"too few to train and to calibrate; give at least {2 * _LEAST_ROWS} of "
            "each, of different formulas."
        )


def _values_of_elements() -> NDArray[np.float32]:
    """Return the tabulated numbers, without the columns that say what is lacking."""
    chosen = [i for i, n in enumerate(ELEMENT_FEATURES) if not n.startswith("lacks_")]
    return np.ascontiguousarray(element_features()[:, chosen])


def _choose_scaling(
    features: NDArray[np.float32], task: Task, options: ClassifierOptions
) -> Ensemble:
    """Return an ensemble without members, which knows features, means and spreads."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    used = spread > _LEAST_SPREAD
    if not options.shows_size(task):
        used[-N_SIZE_FEATURES:] = False
    columns = np.flatnonzero(used)
    return Ensemble(columns, mean[columns], spread[columns], (), ())


@dataclass(frozen=True, eq=False, slots=True)
class _Course:
    """Training of one network after the other on the same rows."""

    scaled: NDArray[np.float32]
    is_positive: NDArray[np.bool_]
    weights: NDArray[np.float64]
    held_out: NDArray[np.bool_]

    def run(
        self,
        scaling: Ensemble,
        task: Task,
        options: ClassifierOptions,
        *,
        report: Callable[[int, int], None] | None,
    ) -> tuple[Ensemble, list[Epoch]]:
        """Return the ensemble, and what was noted after each epoch."""
        from wyckflow.ml.classifiers.fitting import TrainingRows, fit_member

        part = ~self.held_out
        rows = TrainingRows(
            self.scaled[part], self.is_positive[part], self.weights[part]
        )
        n_all = options.n_members * options.n_epochs
        notes = np.zeros((2, options.n_members, options.n_epochs))
        members = []
        for member in range(options.n_members):

            def note(epoch: int, loss: float, ask: Any, member: int = member) -> None:
                notes[:, member, epoch] = loss, self._held_out_area(ask)
                if report is not None:
                    report(member * options.n_epochs + epoch + 1, n_all)

            members.append(
                fit_member(
                    rows,
                    options,
                    options.objective_of(task),
                    options.seed * 1000 + member,
                    on_epoch=note,
                )
            )
        history = [
            Epoch(epoch, float(loss), float(area))
            for epoch, (loss, area) in enumerate(notes.mean(axis=1).T, 1)
        ]
        return Ensemble.stack(scaling, members), history

    def _held_out_area(self, ask: Any) -> float:
        """Return the area under the curve of one network on the calibration rows."""
        part = self.held_out
        return area_under_curve(
            ask(self.scaled[part]), self.is_positive[part], self.weights[part]
        )


def _count_elements(rows: LabelledGenes, used: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the training rows that hold each element."""
    numbers = rows.sites.atomic_number[used]
    counts = np.zeros(len(element_features()), np.int64)
    for number in np.unique(numbers[numbers > 0]).tolist():
        counts[number] = (numbers == number).any(axis=1).sum()
    return counts


def _tell(
    rows: LabelledGenes,
    task: Task,
    options: ClassifierOptions,
    held_out: NDArray[np.bool_],
) -> CheckpointInfo:
    """Write the story of the training."""
    config = asdict(options) | {
        "task": task.value,
        "objective": options.objective_of(task).value,
        "is_balanced": options.balances(task),
        "sees_size": options.shows_size(task),
        "hidden": list(options.hidden),
        "min_rows": MIN_ROWS,
    }
    return CheckpointInfo(
        kind=KIND,
        kind_version=KIND_VERSION,
        config=config,
        seed=options.seed,
        dataset_ids=list(rows.dataset_ids),
        split={
            "by": "formula; the newest where the year is known",
            "n_train": int((~held_out).sum()),
            "n_calibration": int(held_out.sum()),
            "n_positive": int(rows.is_positive.sum()),
            "n_other": int((~rows.is_positive).sum()),
            "n_without_label": rows.n_without_label,
        },
    )
