"""A trained classifier measured on test rows: its card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wyckflow.ml.classifiers.evaluation import (
    ScoredRows,
    find_reliability,
    measure_supervised,
)
from wyckflow.ml.classifiers.labels import Task
from wyckflow.ml.classifiers.model import MEANINGS, THRESHOLDS
from wyckflow.ml.classifiers.unlabelled import find_even_reliability, measure_unlabelled
from wyckflow.schemas.classifier import ClassifierCard, DatasetUse

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from wyckflow.ml.classifiers.model import Classifier
    from wyckflow.ml.codec.sites import SiteTensors
    from wyckflow.schemas.classifier import ReliabilityPoint
    from wyckflow.schemas.training import Figure

_UNKNOWN_ELEMENTS: Final = (
    "An element in fewer than five training crystals is not judged."
)
_SMALL_GAPS: Final = (
    "The labels are PBE band gaps, which are too small: some semiconductors count as "
    "metals."
)
_MAGNETISM: Final = (
    "Magnetism and spin-orbit coupling are in the labels only as far as the "
    "calculations had them."
)
_UNTRIED: Final = (
    "It knows what was made, not what can be made: chemistry that nobody tried looks "
    "like chemistry that does not work."
)
_BLIND: Final = (
    "It is not shown how large the cell is, nor how common its kind of compound is, "
    "which tell collections of crystals apart; what goes with them it still sees."
)
_NO_STABILITY: Final = (
    "It is no energy: it says next to nothing about the distance to the hull."
)
_LARGE_CELLS: Final = (
    "Cells far larger than those of the unlabelled rows are judged by what was learned "
    "on smaller ones."
)
_LIMITS: Final = {
    Task.METAL: [_SMALL_GAPS, _MAGNETISM, _UNKNOWN_ELEMENTS],
    Task.SYNTHESIZABILITY: [
        _UNTRIED,
        _NO_STABILITY,
        _BLIND,
        _LARGE_CELLS,
        _UNKNOWN_ELEMENTS,
    ],
}
_AT_RANDOM: Final = (
    "Those are like the known positives of the same size and kind (selected completely "
    "at random within size and kind)."
)
_EVEN_ODDS: Final = (
    "Even numbers of positives and negatives are judged; for another share p of "
    "positives the probability is p s / (p s + (1 - p) (1 - s))."
)


def make_card(
    classifier: Classifier,
    figures: Sequence[Figure],
    reliability: Sequence[ReliabilityPoint],
    datasets: Sequence[DatasetUse],
) -> ClassifierCard:
    """Put a card together.

    Parameters
    ----------
    classifier
        What it is of.
    figures, reliability
        Measured on test rows.
    datasets
        What was used for what.
    """
    task = classifier.task
    return ClassifierCard(
        name=task.value,
        task=task.value,
        identity=classifier.identity,
        meaning=MEANINGS[task],
        threshold=THRESHOLDS[task],
        assumptions=_assumptions(classifier),
        limits=_LIMITS[task],
        datasets=list(datasets),
        figures=list(figures),
        reliability=list(reliability),
    )


def measure_metals(
    classifier: Classifier, name: str, sites: SiteTensors, is_metal: NDArray[np.bool_]
) -> tuple[list[Figure], list[ReliabilityPoint]]:
    """Measure a metal classifier.

    Parameters
    ----------
    classifier
        Of this task.
    name
        Of the rows.
    sites, is_metal
        Genes and labels.
    """
    rows = ScoredRows.of(name, sites, classifier, is_metal)
    figures = measure_supervised(rows, THRESHOLDS[Task.METAL])
    return figures, find_reliability(rows.scores, is_metal)


def measure_synthesised(
    classifier: Classifier,
    made: Sequence[tuple[str, SiteTensors]],
    unlabelled: tuple[str, SiteTensors],
) -> tuple[list[Figure], list[ReliabilityPoint]]:
    """Measure a classifier of positives and unlabelled rows.

    Parameters
    ----------
    classifier
        Of this task.
    made
        Name and genes of sets of crystals that were made; the calibration plot is that
        of the first.
    unlabelled
        Name and genes of others.
    """
    positives = [ScoredRows.of(*part, classifier) for part in made]
    others = ScoredRows.of(*unlabelled, classifier)
    share = classifier.calibration.unlabelled_share
    figures = measure_unlabelled(
        positives,
        others,
        threshold=THRESHOLDS[Task.SYNTHESIZABILITY],
        unlabelled_share=share,
    )
    return figures, find_even_reliability(positives[0], others, share)


def _assumptions(classifier: Classifier) -> list[str]:
    """Say what the probability rests on."""
    if classifier.task is Task.METAL:
        return ["A band gap of exactly 0 eV is a metal; anything else is not."]
    share = classifier.calibration.unlabelled_share
    assumed = f"A share of {share:g} of the unlabelled crystals could be made."
    return [assumed, _AT_RANDOM, _EVEN_ODDS]
