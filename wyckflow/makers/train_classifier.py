"""The job that trains a classifier of genes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jobflow import Maker

from wyckflow.makers._job import wyckflow_job
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.training import EpochRecord, TrainingDoc, TrainingMetric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.ml.classifiers.options import ClassifierOptions
    from wyckflow.ml.classifiers.training import Epoch


@dataclass
class TrainClassifierMaker(Maker):
    """Train a classifier of metals, or of what could be synthesised.

    Attributes
    ----------
    name
        Name of the job.
    task
        ``metal`` or ``synthesizability``.
    n_members
        Networks that vote.
    n_epochs
        Passes over the rows.
    unlabelled_share
        Positives among the unlabelled crystals, assumed; for ``synthesizability``.
    held_out
        Share of formulas kept for calibration.
    seed
        Of everything that is drawn.
    """

    name: str = "classifier train"
    task: str = "synthesizability"
    n_members: int = 5
    n_epochs: int = 40
    unlabelled_share: float = 0.17
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker."""
        from wyckflow.ml.classifiers.options import parse_task

        parse_task(self.task)
        self._options()

    @wyckflow_job(TrainingDoc)
    def make(
        self,
        datasets: Sequence[str | Path],
        unlabelled: Sequence[str | Path] = (),
        test: Sequence[str | Path] = (),
    ) -> TrainingDoc:
        """Train, and measure on test rows.

        Parameters
        ----------
        datasets
            Files of datasets on the worker: crystals with band gaps, or crystals that
            were made.
        unlabelled
            Crystals of which it is unknown whether they can be made; none for metals.
        test
            Like ``datasets``. Training rows with a formula of theirs are left out.
        """
        from wyckflow.crystal.dataset.table import load_dataset
        from wyckflow.ml.classifiers.options import parse_task
        from wyckflow.ml.classifiers.study import plan_study, run_study
        from wyckflow.ml.model_file import describe_model

        named = [
            [(Path(path).stem, load_dataset(Path(path))) for path in paths]
            for paths in (datasets, unlabelled, test)
        ]
        study = plan_study(parse_task(self.task), *named)
        trained = run_study(study, self._options())
        classifier = trained.classifier
        content = classifier.to_checkpoint().to_bytes()
        model = describe_model(content, name=f"{self.task} classifier")
        model.card["classifier"] = classifier.card.model_dump(mode="json")
        return TrainingDoc(
            provenance=Provenance.collect(model=classifier.identity),
            model_id=model.model_id,
            kind=model.kind,
            config=classifier.info.config,
            seed=self.seed,
            dataset_ids=list(study.train.dataset_ids),
            n_train=int((~trained.held_out).sum()),
            n_validation=int(trained.held_out.sum()),
            n_test=sum(len(rows) for rows in study.test.values()),
            epochs=[_record(epoch) for epoch in trained.history],
            test_figures=classifier.card.figures,
            model=model,
        )

    def _options(self) -> ClassifierOptions:
        """Bring the fields together."""
        from wyckflow.ml.classifiers.options import ClassifierOptions

        return ClassifierOptions(
            n_members=self.n_members,
            n_epochs=self.n_epochs,
            unlabelled_share=self.unlabelled_share,
            held_out=self.held_out,
            seed=self.seed,
        )


def _record(epoch: Epoch) -> EpochRecord:
    """Return an epoch as it is stored."""
    metrics = [
        TrainingMetric(name=name, value=value)
        for name, value in asdict(epoch).items()
        if name != "epoch"
    ]
    return EpochRecord(epoch=epoch.epoch, metrics=metrics)
