"""What a model learns from: genes, scaled properties, and which rows judge it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import N_ATOMIC_NUMBERS
from wyckflow.errors import TrainingError, nearest_name
from wyckflow.ml.codec.sites import SiteTensors, tensorise_codes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wyckflow.crystal.dataset.table import Dataset

MIN_ROWS: Final = 20
"""Fewer genes than this are refused: nothing could be learned, or judged."""


@dataclass(frozen=True, eq=False, slots=True)
class Scaler:
    """Mean and spread of each property over the training rows.

    Attributes
    ----------
    names
        The properties.
    mean, spread
        In the units of the dataset, (properties,).
    """

    names: tuple[str, ...]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]

    def scale(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return values with mean zero and spread one; unknown ones stay unknown."""
        return ((values - self.mean) / self.spread).astype(np.float32)

    def to_info(self) -> dict[str, dict[str, float]]:
        """Return what a checkpoint stores."""
        return {
            name: {"mean": float(mean), "spread": float(spread)}
            for name, mean, spread in zip(
                self.names, self.mean, self.spread, strict=True
            )
        }


def scaler_from_info(info: dict[str, dict[str, float]], names: Sequence[str]) -> Scaler:
    """Read the scaler of a checkpoint.

    Parameters
    ----------
    info
        What `Scaler.to_info` gave.
    names
        The order of the properties, which a checkpoint does not keep.
    """
    return Scaler(
        names=tuple(names),
        mean=np.array([info[name]["mean"] for name in names]),
        spread=np.array([info[name]["spread"] for name in names]),
    )


@dataclass(frozen=True, eq=False, slots=True)
class TrainingRows:
    """Genes with what is known of them.

    Attributes
    ----------
    sites
        The genes.
    values
        Properties in the units of the dataset (n, properties), not-a-number where a
        row has none.
    names
        The properties.
    is_validation
        Rows that judge and are not learned from (n,).
    keys
        Canonical keys of the genes (n,).
    dataset_ids
        Names of the datasets that the rows came from.
    """

    sites: SiteTensors
    values: NDArray[np.float64]
    names: tuple[str, ...]
    is_validation: NDArray[np.bool_]
    keys: NDArray[np.uint64]
    dataset_ids: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.sites)

    @property
    def training(self) -> NDArray[np.int64]:
        """Places of the rows that are learned from."""
        return np.flatnonzero(~self.is_validation)

    @property
    def validation(self) -> NDArray[np.int64]:
        """Places of the rows that judge."""
        return np.flatnonzero(self.is_validation)

    @property
    def known_elements(self) -> NDArray[np.bool_]:
        """Atomic numbers that are learned from (119,)."""
        known = np.zeros(N_ATOMIC_NUMBERS, np.bool_)
        known[self.sites.atomic_number[self.training]] = True
        known[0] = False
        return known

    def fit_scaler(self) -> Scaler:
        """Return mean and spread of the properties over the training rows.

        Raises
        ------
        TrainingError
            If a property has no two different values.
        """
        values = self.values[self.training]
        for name, column in zip(self.names, values.T, strict=True):
            known = column[~np.isnan(column)]
            if len(np.unique(known)) < 2:  # noqa: PLR2004 - a spread takes two values
                raise TrainingError(
                    f"Property {name!r} has {len(known)} values in the training rows, "
                    "not two different ones; leave it out, or give more rows."
                )
        return Scaler(self.names, np.nanmean(values, axis=0), np.nanstd(values, axis=0))


def gather_rows(
    datasets: Sequence[Dataset],
    properties: Sequence[str],
    *,
    validation_share: float = 0.1,
    seed: int = 0,
    judged_by_first_only: bool = True,
) -> TrainingRows:
    """Join datasets into rows to train on, and set some aside for validation.

    Rows of one formula are never on both sides. Infinite values count as unknown.

    Parameters
    ----------
    datasets
        At least one.
    properties
        Names of the properties to learn; a dataset may lack some of them.
    validation_share
        Share of formulas that judge.
    seed
        Decides which.
    judged_by_first_only
        Whether only rows of the first dataset are set aside; rows of the others that
        have such a formula are then left out.

    Raises
    ------
    TrainingError
        If a property is in none of the datasets, or there is too little to learn from.
    """
    _check(datasets, properties, validation_share)
    numbers = np.concatenate([dataset.codes[0] for dataset in datasets])
    tables = [dataset.codes[1] for dataset in datasets]
    width = max(table.shape[1] for table in tables)
    codes = np.concatenate(
        [np.pad(table, ((0, 0), (0, width - table.shape[1]))) for table in tables]
    )
    is_first = np.repeat(np.arange(len(datasets)) == 0, [len(d) for d in datasets])
    formulas = [formula for dataset in datasets for formula in dataset.formulas]
    is_drawn = np.array([_draw(f, seed) < validation_share for f in formulas])
    keep = is_first | ~is_drawn if judged_by_first_only else np.ones_like(is_drawn)
    values = (
        np.stack(
            [
                np.concatenate([_column(dataset, name) for dataset in datasets])
                for name in properties
            ],
            axis=1,
        )
        if properties
        else np.zeros((len(codes), 0))
    )
    rows = TrainingRows(
        sites=tensorise_codes(numbers[keep], codes[keep]),
        values=values[keep],
        names=tuple(properties),
        is_validation=is_drawn[keep],
        keys=np.concatenate([dataset.keys for dataset in datasets])[keep],
        dataset_ids=tuple(dataset.dataset_id for dataset in datasets),
    )
    _check_content(rows)
    return rows


def _check(
    datasets: Sequence[Dataset], properties: Sequence[str], share: float
) -> None:
    if not 0 < share < 1:
        raise TrainingError(
            f"{share=} of validation rows is no share; give a number between 0 and 1."
        )
    if not datasets:
        raise TrainingError("No dataset came; give at least one.")
    known = sorted({name for dataset in datasets for name in dataset.properties})
    for name in properties:
        if name not in known:
            raise TrainingError(
                f"No row has the property {name!r}; the datasets have "
                f"{', '.join(known) or 'none'}.{nearest_name(name, known)}"
            )


def _check_content(rows: TrainingRows) -> None:
    n_elements = len(np.unique(rows.sites.atomic_number[rows.sites.mask]))
    if n_elements < 2:  # noqa: PLR2004 - see the text
        raise TrainingError(
            f"The rows have {n_elements} element in all, and nothing about chemistry "
            "can be learned from them; give a dataset of at least two."
        )
    if len(rows.training) < MIN_ROWS or not len(rows.validation):
        raise TrainingError(
            f"{len(rows.training)} rows to learn from and {len(rows.validation)} to "
            f"judge by came; at least {MIN_ROWS} and 1 are needed. Give a larger "
            "dataset, or another share of validation rows."
        )


def _column(dataset: Dataset, name: str) -> NDArray[np.float64]:
    """Return a property of a dataset, unknown where it has none."""
    values = dataset.properties.get(name)
    if values is None:
        return np.full(len(dataset), np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _draw(formula: str, seed: int) -> float:
    """Return a number from 0 to 1 that depends on the formula and the seed only."""
    digest = hashlib.sha256(f"{seed}:{formula}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
