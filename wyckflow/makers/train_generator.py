"""The job that trains a generator of genes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path  # noqa: TC003 (jobflow reads the annotation)
from typing import TYPE_CHECKING, Any

from jobflow import Maker

from wyckflow.errors import TrainingError
from wyckflow.makers._job import wyckflow_job
from wyckflow.makers._training import (
    measure_predictions,
    prepare_training,
    scratch_folder,
    train_model,
)
from wyckflow.schemas.training import Figure, TrainingDoc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
        from wyckflow.ml.kinds import new_generator
        from wyckflow.settings import WyckflowSettings

        known, unseen, device = prepare_training(datasets, test)
        model = new_generator(self._config(), device=device)
        scratch = WyckflowSettings.load().scratch_folder()
        folder = scratch_folder(scratch, "generator", model, known)
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
        return train_model(
            model,
            datasets,
            test,
            name=self.model_name,
            seed=model.config.generator.seed,
            measure=partial(measure_generator, model),
            folder=folder,
            report=report,
        )

    def _config(self) -> AnyTrainingConfig:
        """Return the options in full."""
        from wyckflow.ml.forward.config import ForwardConfig
        from wyckflow.ml.training.config import parse_training_config

        config = parse_training_config(self.options, "These options")
        if isinstance(config, ForwardConfig):
            raise TrainingError(
                "These options are those of a forward model, which generates nothing; "
                "give them to TrainForwardMaker."
            )
        return config


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
    found = model.predict(dataset.genes)
    return measure_predictions(found, dataset, rows) + _measure_genes(
        model, dataset, rows
    )


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
