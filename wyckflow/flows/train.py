"""A generator trained on a worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobflow import Flow, Maker

from wyckflow.makers.generate import GenerateMaker
from wyckflow.makers.train_generator import TrainGeneratorMaker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass
class TrainFlowMaker(Maker):
    """Train a generator, and draw a first sample from it.

    Attributes
    ----------
    name
        Name of the flow.
    train_maker
        Makes the job that trains.
    generate_maker
        Makes the job that draws from what was trained; no such job if None.
    """

    name: str = "train"
    train_maker: TrainGeneratorMaker = field(default_factory=TrainGeneratorMaker)
    generate_maker: GenerateMaker | None = field(default_factory=GenerateMaker)

    def make(
        self, datasets: Sequence[str | Path], test: Sequence[str | Path] = ()
    ) -> Flow:
        """Return the flow; its output is the document of the training.

        Parameters
        ----------
        datasets
            Paths of datasets that every worker can read.
        test
            The same of rows that no choice has seen.
        """
        train = self.train_maker.make(list(map(str, datasets)), list(map(str, test)))
        jobs = [train]
        if self.generate_maker is not None:
            jobs.append(self.generate_maker.make(train.output.model))
        return Flow(jobs, output=train.output, name=self.name)
