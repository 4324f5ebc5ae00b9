"""How a classifier is trained."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wyckflow.errors import TrainingError, nearest_name
from wyckflow.ml.classifiers.labels import Task


class Objective(StrEnum):
    """How positives and the other rows are told apart."""

    SUPERVISED = "supervised"
    """The others are negative: cross-entropy."""

    BAGGING = "bagging"
    """The others are unlabelled; each network sees a draw of them as negatives, and
    the share of positives among them is taken out of the score afterwards."""

    NON_NEGATIVE = "nnpu"
    """The others are unlabelled: the non-negative estimate of the risk."""


@dataclass(frozen=True, slots=True)
class ClassifierOptions:
    """Options of a training.

    Attributes
    ----------
    objective
        How positives and the others are told apart; None: by the task.
    n_members
        Networks that vote.
    hidden
        Widths of the hidden layers.
    n_epochs
        Passes over the rows.
    batch_size
        Rows of each kind per step.
    learning_rate, weight_decay, dropout
        Of AdamW, at the peak of one cycle, and of the hidden layers.
    held_out
        Share of formulas kept for calibration.
    is_balanced
        Whether rows are weighted so that the two classes agree in size and kind; None:
        by the task.
    sees_size
        Whether the size of the cell is a feature; None: by the task.
    unlabelled_share
        Positives among the unlabelled, assumed.
    first_source_weight
        Weight of a row of the first dataset against one of the others.
    seed
        Of everything that is drawn.
    """

    objective: Objective | None = None
    n_members: int = 5
    hidden: tuple[int, ...] = (96, 48)
    n_epochs: int = 40
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.03
    dropout: float = 0.25
    held_out: float = 0.1
    is_balanced: bool | None = None
    sees_size: bool | None = None
    unlabelled_share: float = 0.17
    first_source_weight: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        counts: dict[str, float] = {
            "n_members": self.n_members,
            "n_epochs": self.n_epochs,
            "batch_size": self.batch_size,
            "hidden": min(self.hidden, default=0),
        }
        for name, value in counts.items():
            if value < 1:
                raise TrainingError(f"{name}={value} must be at least 1.")
        shares = {
            "dropout": self.dropout,
            "unlabelled_share": self.unlabelled_share,
            "held_out": self.held_out,
        }
        for name, value in shares.items():
            if not 0 <= value < 1:
                raise TrainingError(f"{name}={value} must be a share in [0, 1).")
        if self.held_out == 0:
            raise TrainingError(
                "held_out=0 leaves no rows for calibration; give a share such as 0.1."
            )
        positive = {
            "learning_rate": self.learning_rate,
            "first_source_weight": self.first_source_weight,
        }
        for name, value in positive.items():
            if not value > 0:
                raise TrainingError(f"{name}={value} must be positive.")

    def objective_of(self, task: Task) -> Objective:
        """Return the objective, by default that of the task."""
        if self.objective is not None:
            return Objective(self.objective)
        return Objective.SUPERVISED if task is Task.METAL else Objective.BAGGING

    def balances(self, task: Task) -> bool:
        """Tell whether the classes are balanced in size and kind."""
        return (
            self.is_balanced if self.is_balanced is not None else task is not Task.METAL
        )

    def shows_size(self, task: Task) -> bool:
        """Tell whether the size of the cell is a feature."""
        return self.sees_size if self.sees_size is not None else task is Task.METAL


def parse_task(name: str) -> Task:
    """Return the task of a name.

    Raises
    ------
    TrainingError
        If there is none, with the nearest one.
    """
    names = [task.value for task in Task]
    try:
        return Task(name)
    except ValueError:
        raise TrainingError(
            f"There is no classifier task {name!r}.{nearest_name(name, names)} "
            f"Tasks: {', '.join(names)}."
        ) from None
