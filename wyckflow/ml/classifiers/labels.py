"""What classifiers learn from: crystals with a label, and where they came from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from wyckflow.errors import TrainingError
from wyckflow.ml.codec.sites import tensorise_codes

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.codec.sites import SiteTensors

GAP: Final = "band_gap"
YEAR: Final = "year"


class Task(StrEnum):
    """What a classifier tells."""

    METAL = "metal"
    SYNTHESIZABILITY = "synthesizability"


@dataclass(frozen=True, eq=False, slots=True)
class LabelledGenes:
    """Genes with a label each.

    Attributes
    ----------
    sites
        The genes.
    is_positive
        Metals, or crystals that were made; the others are negative, or unlabelled.
    source
        Index of the dataset of each row.
    formulas
        Reduced formulas, by which rows are told apart in a split.
    year
        When each crystal was first reported; not-a-number where that is unknown.
    dataset_ids
        The datasets, in the order of ``source``.
    n_without_label
        Rows left out because their label is unknown.
    """

    sites: SiteTensors
    is_positive: NDArray[np.bool_]
    source: NDArray[np.int64]
    formulas: NDArray[np.str_]
    year: NDArray[np.float64]
    dataset_ids: tuple[str, ...]
    n_without_label: int = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.is_positive)

    def take(self, rows: ArrayLike) -> Self:
        """Return some of the rows."""
        chosen = np.asarray(rows)
        return replace(
            self,
            sites=self.sites.take(chosen),
            is_positive=self.is_positive[chosen],
            source=self.source[chosen],
            formulas=self.formulas[chosen],
            year=self.year[chosen],
        )

    def without_formulas(self, formulas: Container[str]) -> Self:
        """Return the rows whose formula is not one of these."""
        return self.take([formula not in formulas for formula in self.formulas])

    def draws(self, seed: int) -> NDArray[np.float64]:
        """Return a number in [0, 1) per row that depends on its formula and the seed.

        Parameters
        ----------
        seed
            Another seed, other numbers.
        """
        names, places = np.unique(self.formulas, return_inverse=True)
        hashes = [hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names]
        numbers = [int.from_bytes(digest[:6], "big") / 2**48 for digest in hashes]
        return np.array(numbers)[places]


def label_metals(datasets: Sequence[Dataset]) -> LabelledGenes:
    """Label crystals by their band gap: zero is a metal.

    Parameters
    ----------
    datasets
        With the property ``band_gap`` in eV; rows without a value are left out. The
        first one is the population that probabilities are calibrated for.

    Raises
    ------
    TrainingError
        If a dataset has no band gaps, or all rows are of one class.
    """
    labels = []
    for dataset in datasets:
        gaps = dataset.properties.get(GAP)
        if gaps is None or np.isnan(gaps).all():
            raise TrainingError(
                f"Dataset {dataset.dataset_id} has no band gaps, by which metals are "
                "told; import its files with a column band_gap, or name it with "
                "'wyckflow data import FILES -o NAME --column band_gap=THEIRS'."
            )
        if (gaps < 0).any():
            raise TrainingError(
                f"Dataset {dataset.dataset_id} has negative band gaps; give eV, with "
                "0 for metals and nothing where it is unknown."
            )
        labels.append(np.where(np.isnan(gaps), np.nan, gaps == 0))
    return _join(datasets, labels)


def label_synthesised(
    made: Sequence[Dataset], unlabelled: Sequence[Dataset]
) -> LabelledGenes:
    """Label crystals that were made as positive, and others as unlabelled.

    Parameters
    ----------
    made
        Crystals that exist.
    unlabelled
        Crystals of which it is unknown, such as hypothetical ones.

    Raises
    ------
    TrainingError
        If either is missing.
    """
    datasets = [*made, *unlabelled]
    labels = [np.ones(len(dataset)) for dataset in made]
    labels += [np.zeros(len(dataset)) for dataset in unlabelled]
    return _join(datasets, labels)


def _join(
    datasets: Sequence[Dataset], labels: Sequence[NDArray[np.float64]]
) -> LabelledGenes:
    """Put datasets one behind the other, rows with a label only."""
    width = max((dataset.codes[1].shape[1] for dataset in datasets), default=0)
    codes = [_widen(dataset.codes[1], width) for dataset in datasets]
    label = np.concatenate([*labels, np.zeros(0)])
    known = ~np.isnan(label)
    classes = set(label[known].tolist())
    if len(classes) < 2:  # noqa: PLR2004 - one class is none
        raise TrainingError(
            f"All of the {known.sum()} rows with a label have the same one; a "
            "classifier takes rows of both classes to learn from."
        )
    groups = [dataset.codes[0] for dataset in datasets]
    counts = [len(dataset) for dataset in datasets]
    whole = LabelledGenes(
        sites=tensorise_codes(np.concatenate(groups), np.concatenate(codes)),
        is_positive=label == 1,
        source=np.repeat(np.arange(len(datasets)), counts),
        formulas=np.concatenate([np.array(dataset.formulas) for dataset in datasets]),
        year=np.concatenate([_years(dataset) for dataset in datasets]),
        dataset_ids=tuple(dataset.dataset_id for dataset in datasets),
        n_without_label=int((~known).sum()),
    )
    return whole.take(known)


def _years(dataset: Dataset) -> NDArray[np.float64]:
    """Return when the crystals of a dataset were reported, where it says so."""
    unknown = np.full(len(dataset), np.nan)
    return dataset.properties.get(YEAR, unknown)


def _widen(codes: NDArray[np.int16], width: int) -> NDArray[np.int16]:
    return np.pad(codes, ((0, 0), (0, width - codes.shape[1])))
