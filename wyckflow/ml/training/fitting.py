"""Training of networks from datasets: one after another, each in a place of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wyckflow.ml.predictor import Predictor, new_member
from wyckflow.ml.training.ensemble import PredictorTask
from wyckflow.ml.training.loop import run_training
from wyckflow.ml.training.rows import gather_rows
from wyckflow.ml.weights import round_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.mpvae.model import PredictorNetwork
    from wyckflow.ml.training.config import LoopConfig, PredictorConfig
    from wyckflow.ml.training.loop import Progress, Task


def train_task(
    task: Task,
    loop: LoopConfig,
    name: str,
    *,
    folder: Path | None,
    report: Callable[[Progress], None] | None,
) -> dict[str, float]:
    """Train one network; return the figures of its best weights.

    They are then rounded to what a file keeps, which moves no figure that is shown.

    Parameters
    ----------
    task
        What to train.
    loop
        How long, and how fast.
    name
        What the figures begin with, and what the place for log and state is called.
    folder
        Where to make that place; nothing is kept by default.
    report
        Is told of every step.
    """
    place = None if folder is None else folder / name.replace("_", "-")
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    history = run_training(task, loop, folder=place, report=report)
    round_weights(task.module)
    return {f"{name}_{key}": value for key, value in history.best.items()}


def fit_ensemble(
    options: PredictorConfig,
    datasets: Sequence[Dataset],
    *,
    device: str,
    folder: Path | None,
    report: Callable[[Progress], None] | None,
) -> tuple[Predictor, dict[str, float]]:
    """Train the networks of an ensemble, one after another; return its figures, too.

    Parameters
    ----------
    options
        How.
    datasets
        At least one.
    device
        Where to compute.
    folder
        Where to keep logs and states.
    report
        Is told of every step.
    """
    known = {name for dataset in datasets for name in dataset.properties}
    helpers = tuple(item for item in options.helpers if item.name in known)
    properties = (*options.properties, *helpers)
    rows = gather_rows(
        datasets,
        [item.name for item in properties],
        validation_share=options.validation_share,
        seed=options.seed,
    )
    scaler = rows.fit_scaler()
    members: list[PredictorNetwork] = []
    figures: dict[str, float] = {}
    for member in range(options.n_members):
        network = new_member(options, len(properties), member).to(device)
        task = PredictorTask(
            network, rows, scaler, options, properties=properties, member=member
        )
        name = f"predictor_{member + 1}"
        figures |= train_task(task, options.loop, name, folder=folder, report=report)
        members.append(network)
    return Predictor(members, scaler, options), figures
