"""Training of the networks from datasets: first the autoencoder, then the ensemble."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from wyckflow.ml.mpvae.model import AutoencoderNetwork, PredictorNetwork
from wyckflow.ml.training.autoencoder import AutoencoderTask
from wyckflow.ml.training.ensemble import PredictorTask
from wyckflow.ml.training.loop import History, Progress, run_training
from wyckflow.ml.training.rows import Scaler, TrainingRows, gather_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.training.config import GeneratorConfig, PredictorConfig


@dataclass(frozen=True, eq=False, slots=True)
class FittedAutoencoder:
    """A trained autoencoder.

    Attributes
    ----------
    network, scaler
        Its weights, and the scaler of its properties.
    rows
        What it learned from.
    metrics
        Figures of the kept weights.
    """

    network: AutoencoderNetwork
    scaler: Scaler
    rows: TrainingRows
    metrics: dict[str, float]


@dataclass(frozen=True, eq=False, slots=True)
class FittedEnsemble:
    """A trained ensemble.

    Attributes
    ----------
    members, scaler
        Their weights, and the scaler of all properties, helpers last.
    metrics
        Figures of the kept weights.
    """

    members: list[PredictorNetwork]
    scaler: Scaler
    metrics: dict[str, float]


def fit_autoencoder(
    options: GeneratorConfig,
    datasets: Sequence[Dataset],
    *,
    device: str,
    folder: Path | None,
    report: Callable[[Progress], None] | None,
) -> FittedAutoencoder:
    """Train an autoencoder.

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
    """
    names = [item.name for item in options.properties]
    rows = gather_rows(
        datasets, names, validation_share=options.validation_share, seed=options.seed
    )
    scaler = rows.fit_scaler()
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        network = AutoencoderNetwork(options.network, len(names)).to(device)
    task = AutoencoderTask(network, rows, scaler, options)
    history = run_training(
        task, options.loop, folder=_made(folder, "generator"), report=report
    )
    return FittedAutoencoder(network, scaler, rows, _figures("generator", history))


def fit_ensemble(
    options: PredictorConfig,
    datasets: Sequence[Dataset],
    *,
    device: str,
    folder: Path | None,
    report: Callable[[Progress], None] | None,
) -> FittedEnsemble:
    """Train the networks of an ensemble, one after another.

    Parameters
    ----------
    options, datasets, device, folder, report
        As in `fit_autoencoder`.
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
    metrics: dict[str, float] = {}
    for member in range(options.n_members):
        network = new_member(options, len(properties), member).to(device)
        task = PredictorTask(
            network, rows, scaler, options, properties=properties, member=member
        )
        place = _made(folder, f"predictor-{member + 1}")
        history = run_training(task, options.loop, folder=place, report=report)
        members.append(network)
        metrics |= _figures(f"predictor_{member + 1}", history)
    return FittedEnsemble(members, scaler, metrics)


def new_member(
    options: PredictorConfig, n_properties: int, member: int
) -> PredictorNetwork:
    """Return a network with fresh weights that depend on seed and member.

    Parameters
    ----------
    options
        Its sizes.
    n_properties
        Outputs.
    member
        Which of the ensemble it is.
    """
    with torch.random.fork_rng():
        torch.manual_seed(options.seed + 7919 * (member + 1))
        return PredictorNetwork(
            width=options.width,
            n_layers=options.n_layers,
            n_heads=options.n_heads,
            dropout=options.dropout,
            n_properties=n_properties,
        )


def _figures(name: str, history: History) -> dict[str, float]:
    return {f"{name}_{key}": value for key, value in history.best.items()}


def _made(folder: Path | None, name: str) -> Path | None:
    """Make a place for logs and states."""
    if folder is None:
        return None
    (folder / name).mkdir(parents=True, exist_ok=True)
    return folder / name
