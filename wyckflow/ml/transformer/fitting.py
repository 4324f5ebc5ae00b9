"""Training of the transformer from datasets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from wyckflow.ml.training.loop import Progress, run_training
from wyckflow.ml.training.rows import Scaler, TrainingRows, gather_rows
from wyckflow.ml.transformer.config import DEFAULT_CONDITIONS
from wyckflow.ml.transformer.network import TransformerNetwork
from wyckflow.ml.transformer.task import TransformerTask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.transformer.config import TransformerConfig


@dataclass(frozen=True, eq=False, slots=True)
class FittedTransformer:
    """A trained transformer.

    Attributes
    ----------
    network, scaler
        Its weights, and the scaler of its conditions.
    rows
        What it learned from.
    metrics
        Figures of the kept weights.
    """

    network: TransformerNetwork
    scaler: Scaler
    rows: TrainingRows
    metrics: dict[str, float]


def fit_transformer(
    options: TransformerConfig,
    datasets: Sequence[Dataset],
    *,
    device: str,
    folder: Path | None,
    report: Callable[[Progress], None] | None,
) -> FittedTransformer:
    """Train a transformer.

    Parameters
    ----------
    options
        How.
    datasets
        At least one.
    device
        Where to compute.
    folder
        Where to keep log and state.
    report
        Is told of every step.

    Raises
    ------
    TrainingError
        If a condition that was named is in none of the datasets, or there is too
        little to learn from.
    """
    known = {name for dataset in datasets for name in dataset.properties}
    names = [
        name
        for name in options.conditions
        if name in known or name not in DEFAULT_CONDITIONS
    ]
    rows = gather_rows(
        datasets, names, validation_share=options.validation_share, seed=options.seed
    )
    scaler = rows.fit_scaler()
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        network = TransformerNetwork(options.network, len(names)).to(device)
    task = TransformerTask(network, rows, scaler, options)
    place = None if folder is None else folder / "transformer"
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    history = run_training(task, options.loop, folder=place, report=report)
    metrics = {f"transformer_{key}": value for key, value in history.best.items()}
    return FittedTransformer(network, scaler, rows, metrics)
