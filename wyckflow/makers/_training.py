"""What the jobs share that train a model: its course, its figures, its document."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wyckflow.schemas.base import Provenance
from wyckflow.schemas.training import EpochRecord, Figure, TrainingDoc, TrainingMetric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from pydantic import BaseModel

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.checkpoint import Checkpoint
    from wyckflow.ml.generator import Predictions
    from wyckflow.ml.training.loop import Progress


class Trainable(Protocol):
    """A model that learns from datasets."""

    @property
    def config(self) -> BaseModel:
        """Options of the training."""
        ...

    @property
    def device(self) -> str:
        """Where it computes."""
        ...

    def fit(
        self,
        datasets: Sequence[Dataset],
        *,
        folder: Path | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> object:
        """Learn; with a folder, an interrupted training goes on."""
        ...

    def to_checkpoint(self) -> Checkpoint:
        """Return what its file holds."""
        ...


def prepare_training(
    datasets: Sequence[str | Path], test: Sequence[str | Path]
) -> tuple[list[Dataset], dict[str, Dataset], str]:
    """Read what a job learns from; return it, the test rows by name, and the device.

    Parameters
    ----------
    datasets, test
        Files on the worker.
    """
    import torch

    from wyckflow.crystal.dataset.table import load_dataset
    from wyckflow.relax.potential import resolve_device
    from wyckflow.settings import WyckflowSettings

    here = WyckflowSettings.load()
    torch.set_num_threads(here.threads)
    known = [load_dataset(Path(path)) for path in datasets]
    return known, load_unseen(test), resolve_device(here.device)


def load_unseen(paths: Sequence[str | Path]) -> dict[str, Dataset]:
    """Read the test rows by name; files of one name in several folders by their path.

    Parameters
    ----------
    paths
        Files; each is read once, however often it is named.
    """
    from wyckflow.crystal.dataset.table import load_dataset

    files = {Path(path).resolve(): Path(path) for path in paths}.values()
    stems = Counter(path.stem for path in files)
    return {
        path.stem if stems[path.stem] == 1 else str(path): load_dataset(path)
        for path in files
    }


def train_model(
    model: Trainable,
    datasets: Sequence[Dataset],
    test: Mapping[str, Dataset] | None,
    *,
    name: str,
    seed: int,
    measure: Callable[[Dataset, str], list[Figure]],
    folder: Path | None = None,
    report: Callable[[Progress], None] | None = None,
) -> TrainingDoc:
    """Train a model, and measure it on rows that no choice has seen.

    Parameters
    ----------
    model
        Not trained yet.
    datasets, test
        To learn from; to measure on, by name.
    name
        That the model gets.
    seed
        Of the training.
    measure
        Returns the figures on a dataset of this name.
    folder
        Where states and logs go, so that an interrupted training goes on; removed at
        the end.
    report
        Is told of every step.
    """
    import shutil

    from wyckflow.ml.model_file import describe_model

    course: list[Progress] = []

    def watch(progress: Progress) -> None:
        if progress.figures is not None:
            course.append(progress)
        if report is not None:
            report(progress)

    model.fit(datasets, folder=folder, report=watch)
    unseen = test or {}
    figures = [item for rows in unseen for item in measure(unseen[rows], rows)]
    checkpoint = model.to_checkpoint()
    document = describe_model(checkpoint.to_bytes(), name=name)
    document.card["test_figures"] = [item.model_dump() for item in figures]
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    return TrainingDoc(
        provenance=Provenance.collect(
            model=document.model_id, device=str(model.device)
        ),
        model_id=document.model_id,
        kind=document.kind,
        config=model.config.model_dump(mode="json"),
        seed=seed,
        dataset_ids=[dataset.dataset_id for dataset in datasets],
        n_train=checkpoint.info.split["n_training"],
        n_validation=checkpoint.info.split["n_validation"],
        n_test=sum(len(dataset) for dataset in unseen.values()),
        epochs=[_record(number, look) for number, look in enumerate(course, 1)],
        test_figures=figures,
        model=document,
    )


def measure_predictions(
    found: Predictions, dataset: Dataset, rows: str
) -> list[Figure]:
    """Return the errors of predictions.

    Parameters
    ----------
    found
        For every row of the dataset.
    dataset
        Rows that were not learned from.
    rows
        Name of these rows.
    """
    figures = []
    for name in found.names:
        if name not in dataset.properties:
            continue
        truth = dataset.properties[name]
        for subset, chosen in _subsets(name, truth):
            errors = np.abs(found[name] - truth)[chosen]
            figures.append(
                Figure(
                    quantity=f"mean absolute error of {name}",
                    rows=rows,
                    subset=subset,
                    value=float(errors.mean()) if errors.size else None,
                    n=int(errors.size),
                )
            )
    return figures


def scratch_folder(
    scratch: Path, kind: str, model: Trainable, datasets: Sequence[Dataset]
) -> Path:
    """Return the folder that the same training, and no other, would take.

    Parameters
    ----------
    scratch
        That of the settings.
    kind
        First word of its name.
    model, datasets
        As in `train_model`.
    """
    import hashlib

    words = [model.config.model_dump_json(), *(item.dataset_id for item in datasets)]
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
    folder = scratch / f"{kind}-train-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _subsets(
    name: str, truth: NDArray[np.float64]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield all rows with a value, and for band gaps those with a gap."""
    known = np.isfinite(truth)
    yield "all", known
    if name == "band_gap":
        yield "with a gap", known & (truth > 0)


def _record(number: int, look: Progress) -> EpochRecord:
    """Return a look at the validation rows as it is stored."""
    figures: dict[str, Any] = {"step": float(look.step), **(look.figures or {})}
    metrics = [
        TrainingMetric(name=f"{look.task} {name}", value=_finite(value))
        for name, value in figures.items()
    ]
    return EpochRecord(epoch=number, metrics=metrics)


def _finite(value: float) -> float | None:
    """Return a number, or None for one that is not finite."""
    return value if math.isfinite(value) else None
