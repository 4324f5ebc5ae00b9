"""Files of classifiers: the model, and beside it its card as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from wyckflow.errors import CheckpointError
from wyckflow.ml.classifiers.model import load_classifier
from wyckflow.schemas.classifier import ClassifierCard

if TYPE_CHECKING:
    from pathlib import Path

    from wyckflow.ml.classifiers.model import Classifier

CARD_ENDING: Final = ".card.json"


def write_classifier(classifier: Classifier, path: Path) -> None:
    """Write a classifier and its card.

    Parameters
    ----------
    classifier
        What to write.
    path
        File of the model; the card goes beside it.
    """
    classifier.save(path)
    card_path(path).write_text(classifier.card.model_dump_json(indent=1) + "\n")


def load_with_card(path: Path) -> Classifier:
    """Read a classifier and the card beside its file.

    Parameters
    ----------
    path
        The classifier.

    Raises
    ------
    CheckpointError
        If it cannot be read, or the card is that of another model.
    """
    classifier = load_classifier(path)
    beside = card_path(path)
    if not beside.exists():
        return classifier
    try:
        card = ClassifierCard.model_validate_json(beside.read_text())
    except ValidationError as error:
        raise CheckpointError(
            f"{str(beside)!r} is no card of a classifier; delete it or train again."
        ) from error
    if card.identity != classifier.identity:
        raise CheckpointError(
            f"{str(beside)!r} describes the model {card.identity[:12]}, but "
            f"{path.name!r} is {classifier.identity[:12]}; train again, or put the "
            "card of this model there."
        )
    return classifier.with_card(card)


def card_path(path: Path) -> Path:
    """Return where the card of a classifier's file stands."""
    return path.with_name(path.name.removesuffix(".npz") + CARD_ENDING)
