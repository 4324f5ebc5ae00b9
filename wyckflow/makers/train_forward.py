"""The job that trains a model of properties."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
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
    from wyckflow.ml.forward.config import ForwardConfig
    from wyckflow.ml.forward.model import ForwardModel
    from wyckflow.ml.training.loop import Progress


@dataclass
class TrainForwardMaker(Maker):
    """Train networks that predict properties, and generate nothing.

    A job that was killed goes on where it was, see the setting ``scratch``.

    Attributes
    ----------
    name
        Name of the job.
    model_name
        Name that the model gets.
    options
        What shall differ from the defaults, as in the file of ``wyckflow train`` with
        ``model: forward``: the representation, the properties, sizes, pace.
    """

    name: str = "forward train"
    model_name: str = "forward"
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker.

        Sizes of networks are known to torch's side only: without torch, as on a machine
        that submits and no more, the worker is the first to look at them.
        """
        config = self._config()
        if find_spec("torch") is not None:
            from wyckflow.ml.forward.model import ForwardModel

            ForwardModel(config)

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
        from wyckflow.ml.forward.model import ForwardModel
        from wyckflow.settings import WyckflowSettings

        known, unseen, device = prepare_training(datasets, test)
        model = ForwardModel(self._config(), device=device)
        scratch = WyckflowSettings.load().scratch_folder()
        folder = scratch_folder(scratch, "forward", model, known)
        return self.train(model, known, unseen, folder=folder)

    def train(
        self,
        model: ForwardModel,
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
            seed=model.config.seed,
            measure=partial(measure_forward, model),
            folder=folder,
            report=report,
        )

    def _config(self) -> ForwardConfig:
        """Return the options in full."""
        from wyckflow.ml.forward.config import ForwardConfig
        from wyckflow.ml.training.config import parse_training_config

        config = parse_training_config(
            {"model": "forward"} | self.options, "These options"
        )
        if not isinstance(config, ForwardConfig):
            raise TrainingError(
                f"These options are those of a generator of kind {config.model!r}; "
                "give them to TrainGeneratorMaker, or leave out 'model'."
            )
        return config


def measure_forward(model: ForwardModel, dataset: Dataset, rows: str) -> list[Figure]:
    """Return the errors of a trained model on rows that it has not learned from.

    Parameters
    ----------
    model
        A trained model.
    dataset
        The rows; those that the model cannot predict are left out, and the numbers of
        rows say so.
    rows
        Name of these rows.
    """
    import numpy as np

    from wyckflow.ml.forward.crystals import crystals_from_dataset

    crystals = crystals_from_dataset(dataset)
    is_left_out = model.find_unknown(crystals) | model.find_unfit(crystals)
    kept = np.flatnonzero(~is_left_out)
    found = model.predict(crystals.take(kept))
    return measure_predictions(found, dataset.select(kept), rows)
