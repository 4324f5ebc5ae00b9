"""A trained classifier: genes in, probabilities out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from wyckflow.crystal.elements import SYMBOLS
from wyckflow.errors import CheckpointError, TrainingError
from wyckflow.ml.checkpoint import (
    Checkpoint,
    CheckpointInfo,
    load_checkpoint,
    save_checkpoint,
)
from wyckflow.ml.classifiers.calibration import Calibration
from wyckflow.ml.classifiers.features import describe_sites
from wyckflow.ml.classifiers.labels import Task
from wyckflow.ml.classifiers.network import Ensemble
from wyckflow.ml.classifiers.options import Objective, parse_task
from wyckflow.ml.codec.sites import tensorise_genes
from wyckflow.schemas.classifier import ClassifierCard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.ml.codec.sites import SiteTensors

KIND: Final = "classifier"
"""What its file says that it is."""

KIND_VERSION: Final = 1

MEANINGS: Final = {
    Task.METAL: "The probability that the band gap is zero (a metal), as PBE sees it, "
    "among crystals like those of the first training set.",
    Task.SYNTHESIZABILITY: "The probability that the crystal could be made, if even "
    "numbers of makeable and unmakeable genes of its size and kind are judged. A score "
    "s says that the gene is s / (1 - s) times as frequent among crystals that were "
    "made as among those that cannot be: at 0.4, two thirds as frequent.",
}
"""What a score is the probability of."""

THRESHOLDS: Final = {Task.METAL: 0.5, Task.SYNTHESIZABILITY: 0.4}
"""The published thresholds of the screen."""

_BLOCK: Final = 4096
_DIGITS: Final = 6


@dataclass(frozen=True, eq=False)
class Classifier:
    """An ensemble with its calibration, and the elements that it knows.

    Attributes
    ----------
    task
        What it tells.
    ensemble
        The networks.
    objective
        How they were trained.
    calibration
        From what they say to a score.
    elements
        Numbers about the elements as they were at training, by atomic number.
    element_rows
        Training rows that hold each element, by atomic number.
    min_rows
        An element in fewer training rows is unknown to it.
    info
        The story of the training.
    described
        Its card, where figures were measured.
    """

    task: Task
    ensemble: Ensemble
    objective: Objective
    calibration: Calibration
    elements: NDArray[np.float32]
    element_rows: NDArray[np.int64]
    min_rows: int
    info: CheckpointInfo
    described: ClassifierCard | None = None

    # --- judging ----------------------------------------------------------------

    def score(self, genes: Sequence[WyckoffGene]) -> NDArray[np.float64]:
        """Return one probability per gene, not-a-number where it cannot judge.

        Parameters
        ----------
        genes
            Any number of genes; equivalent ones get the same score.
        """
        return self.score_with_spread(genes)[0]

    def score_with_spread(
        self, genes: Sequence[WyckoffGene]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return scores, and how far the members of the ensemble differ.

        Parameters
        ----------
        genes
            Any number of genes.

        Returns
        -------
        tuple
            The score per gene, and the standard deviation of the members' scores.
        """
        return self.score_sites(tensorise_genes(genes))

    def score_sites(
        self, sites: SiteTensors
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return scores and spreads of genes that are arrays already.

        Parameters
        ----------
        sites
            The genes.
        """
        scores, spreads = np.full(len(sites), np.nan), np.full(len(sites), np.nan)
        judged = np.flatnonzero(~self._unknown(sites).any(axis=1))
        for start in range(0, len(judged), _BLOCK):
            block = judged[start : start + _BLOCK]
            logits = self.logits(sites.take(block))
            scores[block] = self.calibration.to_scores(logits.mean(axis=1))
            spreads[block] = self.calibration.to_scores(logits).std(axis=1)
        # The last digits depend on how many genes are multiplied at once.
        return scores.round(_DIGITS), spreads.round(_DIGITS)

    def explain(self, genes: Sequence[WyckoffGene]) -> list[str]:
        """Return why genes cannot be judged; empty where they can.

        Parameters
        ----------
        genes
            Any number of genes.
        """
        sites = tensorise_genes(genes)
        unknown = self._unknown(sites)
        return [
            self._word(sorted(set(numbers[where].tolist()))) if where.any() else ""
            for numbers, where in zip(sites.atomic_number, unknown, strict=True)
        ]

    def logits(self, sites: SiteTensors) -> NDArray[np.float64]:
        """Return what each network says before calibration, (n, members)."""
        raw = self.ensemble.logits(describe_sites(sites, self.elements))
        if self.objective is Objective.NON_NEGATIVE:
            # The probability among the unlabelled, as a ratio to their frequency.
            raw = -np.logaddexp(0, -raw) - np.log(self.calibration.unlabelled_share)
        return raw

    def _unknown(self, sites: SiteTensors) -> NDArray[np.bool_]:
        """Tell which sites hold an element that was hardly ever seen."""
        unknown: NDArray[np.bool_] = (self.element_rows < self.min_rows)[
            sites.atomic_number
        ]
        return sites.mask & unknown

    def _word(self, numbers: Sequence[int]) -> str:
        """Say which elements are unknown."""
        return "; ".join(
            f"{SYMBOLS[number - 1]} is in {self.element_rows[number]} training "
            f"crystals, fewer than {self.min_rows}"
            for number in numbers
        )

    # --- files ------------------------------------------------------------------

    @property
    def card(self) -> ClassifierCard:
        """What its score means, and how good it is; without figures if unmeasured."""
        return self.described or ClassifierCard(
            name=self.task.value,
            task=self.task.value,
            identity=self.identity,
            meaning=MEANINGS[self.task],
            threshold=THRESHOLDS[self.task],
        )

    def with_card(self, card: ClassifierCard) -> Self:
        """Return the same classifier with another card."""
        return replace(self, described=card)

    @cached_property
    def identity(self) -> str:
        """The sha256 of weights and story."""
        return self.to_checkpoint().identity

    def to_checkpoint(self) -> Checkpoint:
        """Return the form that is stored."""
        arrays = self.ensemble.to_arrays()
        arrays["elements"] = self.elements
        arrays["element_rows"] = self.element_rows.astype(np.int32)
        calibration = self.calibration
        arrays["calibration"] = np.array(
            [calibration.slope, calibration.offset, calibration.unlabelled_share]
        )
        return Checkpoint(self.info, arrays)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> Self:
        """Read the form of :meth:`to_checkpoint`.

        Raises
        ------
        CheckpointError
            If it is another kind of model, or arrays are missing.
        """
        info, arrays = checkpoint.info, checkpoint.arrays
        if info.kind != KIND:
            raise CheckpointError(
                f"A model of kind {info.kind!r} came where a classifier was expected; "
                "give a file of 'wyckflow classifier train'."
            )
        try:
            task = parse_task(info.config["task"])
            slope, offset, share = arrays["calibration"].tolist()
            return cls(
                task=task,
                ensemble=Ensemble.from_arrays(arrays),
                objective=Objective(info.config["objective"]),
                calibration=Calibration(slope, offset, share),
                elements=arrays["elements"],
                element_rows=arrays["element_rows"].astype(np.int64),
                min_rows=int(info.config["min_rows"]),
                info=info,
            )
        except (KeyError, ValueError, TrainingError) as error:
            raise CheckpointError(
                f"The classifier is incomplete ({error}); train it again."
            ) from error

    def save(self, path: Path) -> str:
        """Write it to a file and return its identity."""
        return save_checkpoint(path, self.to_checkpoint())


def load_classifier(source: Path | bytes) -> Classifier:
    """Read a classifier.

    Parameters
    ----------
    source
        A file that `Classifier.save` wrote, or its bytes.

    Raises
    ------
    CheckpointError
        If there is no such file, it is damaged, or another kind of model.
    """
    checkpoint = load_checkpoint(source, kind=KIND, kind_version=KIND_VERSION)
    return Classifier.from_checkpoint(checkpoint)
