"""The job that trains a generator of genes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobflow import Maker

from wyckflow.makers._job import wyckflow_job
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.training import EpochRecord, Figure, TrainingDoc, TrainingMetric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.kinds import AnyGenerator
    from wyckflow.ml.training.loop import Progress
    from wyckflow.ml.transformer.config import AnyTrainingConfig


@dataclass
class TrainGeneratorMaker(Maker):
    """Train a generator, and the predictors beside it.

    A job that was killed goes on where it was, see the setting ``scratch``.

    Attributes
    ----------
    name
        Name of the job.
    model_name
        Name that the model gets.
    options
        Sections ``generator`` and ``predictor`` with what shall differ from the
        defaults, as in the file of ``wyckflow train``; ``model: transformer`` asks for
        a transformer instead of the autoencoder.
    """

    name: str = "generator train"
    model_name: str = "generator"
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker."""
        self._config()

    @wyckflow_job(TrainingDoc)
    def make(
        self, datasets: Sequence[str | Path], test: Sequence[str | Path] = ()
    ) -> TrainingDoc:
        """Train, and measure on test rows.

        Parameters
        ----------
        datasets
            Files of datasets on the worker. Rows of the first one judge when to stop.
        test
            Datasets that no choice has seen.
        """
        import torch

        from wyckflow.crystal.dataset.table import load_dataset
        from wyckflow.ml.kinds import new_generator
        from wyckflow.relax.potential import resolve_device
        from wyckflow.settings import WyckflowSettings

        here = WyckflowSettings.load()
        torch.set_num_threads(here.threads)
        known = [load_dataset(Path(path)) for path in datasets]
        unseen = {Path(path).stem: load_dataset(Path(path)) for path in test}
        model = new_generator(self._config(), device=resolve_device(here.device))
        folder = _scratch_folder(here.scratch_folder(), model, known)
        return self.train(model, known, unseen, folder=folder)

    def train(
        self,
        model: AnyGenerator,
        datasets: Sequence[Dataset],
        test: dict[str, Dataset] | None = None,
        *,
        folder: Path | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> TrainingDoc:
        """Train a model at hand, without a job.

        Parameters
        ----------
        model
            Not trained yet.
        datasets, test
            As in :meth:`make`, but read; the latter by name.
        folder
            Where states and logs go, so that an interrupted training goes on.
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
        figures = [
            figure
            for name, dataset in (test or {}).items()
            for figure in measure_generator(model, dataset, name)
        ]
        checkpoint = model.to_checkpoint()
        content = checkpoint.to_bytes()
        document = describe_model(content, name=self.model_name)
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
            seed=model.config.generator.seed,
            dataset_ids=[dataset.dataset_id for dataset in datasets],
            n_train=checkpoint.info.split["n_training"],
            n_validation=checkpoint.info.split["n_validation"],
            n_test=sum(len(dataset) for dataset in (test or {}).values()),
            epochs=[_record(number, look) for number, look in enumerate(course, 1)],
            test_figures=figures,
            model=document,
        )

    def _config(self) -> AnyTrainingConfig:
        """Return the options in full."""
        from wyckflow.ml.training.config import parse_training_config

        return parse_training_config(self.options, "These options")


def measure_generator(model: AnyGenerator, dataset: Dataset, rows: str) -> list[Figure]:
    """Return errors of predictions, and how well the genes themselves are known.

    That is how many are read back exactly, of a model with a latent space; of a
    transformer, which reads nothing back, how surprising they are.

    Parameters
    ----------
    model
        A trained model.
    dataset
        Rows that it has not learned from.
    rows
        Name of these rows.
    """
    import numpy as np

    found = model.predict(dataset.genes)
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
    return figures + _measure_genes(model, dataset, rows)


def _measure_genes(model: AnyGenerator, dataset: Dataset, rows: str) -> list[Figure]:
    """Return how well a model knows the genes of a dataset."""
    from wyckflow.ml.mpvae.generator import MultiPropertyVAE
    from wyckflow.ml.sampling.reading_back import share_read_back

    if not isinstance(model, MultiPropertyVAE):
        surprise = -model.log_probability(dataset.genes).mean()
        quantity = "minus the logarithm of the probability of a gene, in nats"
        return [
            Figure(quantity=quantity, rows=rows, value=float(surprise), n=len(dataset))
        ]
    shares = share_read_back(model, *dataset.codes)
    return [
        Figure(
            quantity=f"share of genes read back, {what}",
            rows=rows,
            value=share,
            n=len(dataset),
        )
        for what, share in shares.items()
    ]


def _subsets(name: str, truth: Any) -> Iterator[tuple[str, Any]]:
    """Yield all rows with a value, and for band gaps those with a gap."""
    import numpy as np

    known = np.isfinite(truth)
    yield "all", known
    if name == "band_gap":
        yield "with a gap", known & (truth > 0)


def _scratch_folder(
    scratch: Path, model: AnyGenerator, datasets: Sequence[Dataset]
) -> Path:
    """Return the folder that the same training, and no other, would take."""
    import hashlib

    words = [model.config.model_dump_json(), *(item.dataset_id for item in datasets)]
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
    folder = scratch / f"generator-train-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _record(number: int, look: Progress) -> EpochRecord:
    """Return a look at the validation rows as it is stored."""
    figures = {"step": float(look.step), **(look.figures or {})}
    metrics = [
        TrainingMetric(name=f"{look.task} {name}", value=_finite(value))
        for name, value in figures.items()
    ]
    return EpochRecord(epoch=number, metrics=metrics)


def _finite(value: float) -> float | None:
    """Return a number, or None for one that is not finite."""
    import math

    return value if math.isfinite(value) else None
