"""What every generator of genes can do, whatever network is inside."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from wyckflow.crystal.keys import unpack_genes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.ml.mpvae.limits import DecodingLimits
    from wyckflow.ml.training.loop import Progress


class Rejection(StrEnum):
    """Why a decoded sequence is no gene."""

    NO_POSITION_LEFT = "no_position_left"
    """The limits ask for another element, and no free position fits into the cell."""


@dataclass(frozen=True, eq=False, slots=True)
class GeneBatch:
    """Sampled genes.

    Attributes
    ----------
    space_group_numbers, codes
        The genes, as `wyckflow.crystal.keys.pack_genes` writes them.
    log_probability
        Natural logarithm of the probability of each as it is written (n,); a gene has
        as many descriptions as its normalizer permutes the letters, each with its own.
    seed_index
        Which of the given latents each came from, -1 for none (n,).
    rejections
        How many sequences were no genes, by reason.
    """

    space_group_numbers: NDArray[np.int16]
    codes: NDArray[np.int16]
    log_probability: NDArray[np.float64]
    seed_index: NDArray[np.int64]
    rejections: dict[Rejection, int]

    def __len__(self) -> int:
        """Return the number of genes."""
        return len(self.space_group_numbers)

    @property
    def genes(self) -> list[WyckoffGene]:
        """The genes as objects, made anew at every call."""
        return unpack_genes(self.space_group_numbers, self.codes)


@dataclass(frozen=True, eq=False, slots=True)
class Predictions:
    """Properties of genes.

    Attributes
    ----------
    names
        The properties.
    mean
        In the units of the dataset (n, properties).
    spread
        How much the members of an ensemble and the equivalent descriptions of a gene
        disagree, as a standard deviation (n, properties).
    expected_error
        The absolute error that the model expects of itself (n, properties).
    """

    names: tuple[str, ...]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    expected_error: NDArray[np.float64]

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return the mean of one property."""
        column: NDArray[np.float64] = self.mean[:, self.names.index(name)]
        return column

    def first(self, n: int) -> Predictions:
        """Return those of the first ``n`` properties."""
        parts = self.mean, self.spread, self.expected_error
        return Predictions(self.names[:n], *(part[:, :n] for part in parts))


class Generator(Protocol):
    """A model that learns from datasets and makes genes."""

    def fit(
        self,
        datasets: Sequence[Dataset],
        *,
        folder: Path | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> Self:
        """Learn; with a folder, an interrupted training goes on."""
        ...

    def sample(
        self,
        n: int,
        *,
        seed: int,
        limits: DecodingLimits | None = None,
        temperature: float = 1.0,
    ) -> GeneBatch:
        """Make up about ``n`` genes like those it learned from."""
        ...

    def encode(self, genes: Sequence[WyckoffGene]) -> NDArray[np.float32]:
        """Return a vector per gene."""
        ...

    def log_probability(self, genes: Sequence[WyckoffGene]) -> NDArray[np.float64]:
        """Return the logarithm of the probability of each gene as it is written."""
        ...

    def predict(self, genes: Sequence[WyckoffGene]) -> Predictions:
        """Return the properties that the model expects of genes."""
        ...


def join_batches(batches: Sequence[GeneBatch]) -> GeneBatch:
    """Put batches one after another.

    Parameters
    ----------
    batches
        At least one.
    """
    width = max(batch.codes.shape[1] for batch in batches)
    counts = dict.fromkeys(Rejection, 0)
    for batch in batches:
        for reason, number in batch.rejections.items():
            counts[reason] += number
    return GeneBatch(
        space_group_numbers=np.concatenate([b.space_group_numbers for b in batches]),
        codes=np.concatenate(
            [np.pad(b.codes, ((0, 0), (0, width - b.codes.shape[1]))) for b in batches]
        ),
        log_probability=np.concatenate([b.log_probability for b in batches]),
        seed_index=np.concatenate([b.seed_index for b in batches]),
        rejections=counts,
    )
