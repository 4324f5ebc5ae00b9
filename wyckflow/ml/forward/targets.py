"""What a forward model learns: crystals with properties, and how these are scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import N_ATOMIC_NUMBERS
from wyckflow.errors import TrainingError
from wyckflow.ml.forward.crystals import crystals_from_dataset, join_crystals
from wyckflow.ml.training.rows import MIN_ROWS, Scaler, gather_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.forward.config import ForwardProperty
    from wyckflow.ml.forward.crystals import Crystals

    Floats = NDArray[np.float64]

_TAKEN: Final = frozenset({"name", "gene", "formula", "rows", "refusal", "source"})
"""Columns of predictions beside the properties and their deviations."""


@dataclass(frozen=True, eq=False, slots=True)
class TargetScaler:
    """Between properties in the units of the dataset and what networks learn.

    Attributes
    ----------
    scaler
        Mean and spread of the properties, or of their logarithms.
    is_logarithmic
        Of which properties the logarithm is learned (properties,).
    """

    scaler: Scaler
    is_logarithmic: NDArray[np.bool_]

    @property
    def names(self) -> tuple[str, ...]:
        """The properties."""
        return self.scaler.names

    def scale(self, values: Floats) -> NDArray[np.float32]:
        """Return what networks learn; unknown values stay unknown."""
        return self.scaler.scale(self.to_linear(values))

    def unscale(self, scaled: Floats) -> Floats:
        """Return properties, or their logarithms where these are learned."""
        return scaled * self.scaler.spread + self.scaler.mean

    def to_linear(self, values: Floats) -> Floats:
        """Return the logarithms of those properties that have one."""
        positive = np.where(self.is_logarithmic, values, 1.0)
        return np.where(self.is_logarithmic, np.log(positive), values)

    def from_linear(self, linear: Floats) -> Floats:
        """Undo `to_linear`."""
        small = np.where(self.is_logarithmic, linear, 0.0)
        return np.where(self.is_logarithmic, np.exp(small), linear)


@dataclass(frozen=True, eq=False, slots=True)
class ForwardRows:
    """Crystals with what is known of them.

    Attributes
    ----------
    crystals
        The crystals.
    values
        Properties in the units of the dataset (n, properties), not-a-number where a
        row has none.
    properties
        What the columns are.
    is_validation
        Rows that judge and are not learned from (n,).
    dataset_ids
        Names of the datasets that the rows came from.
    """

    crystals: Crystals
    values: Floats
    properties: tuple[ForwardProperty, ...]
    is_validation: NDArray[np.bool_]
    dataset_ids: tuple[str, ...]

    @property
    def training(self) -> NDArray[np.int64]:
        """Places of the rows that are learned from."""
        return np.flatnonzero(~self.is_validation)

    @property
    def validation(self) -> NDArray[np.int64]:
        """Places of the rows that judge."""
        return np.flatnonzero(self.is_validation)

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which values of validation rows judge (validation rows, properties).

        Where a property is censored, those above zero do.
        """
        values = self.values[self.validation]
        is_censored = np.array([item.is_censored_at_zero for item in self.properties])
        judged: NDArray[np.bool_] = ~np.isnan(values) & ~(is_censored & (values <= 0))
        return judged

    @property
    def known_elements(self) -> NDArray[np.bool_]:
        """Atomic numbers that are learned from (119,)."""
        known = np.zeros(N_ATOMIC_NUMBERS, np.bool_)
        known[self.crystals.take(self.training).atomic_numbers] = True
        return known

    def fit_scaler(self) -> TargetScaler:
        """Return the scaler of the training rows, and of no others.

        Raises
        ------
        TrainingError
            If a property has no two different values, or a logarithm is asked for of
            one that is not positive.
        """
        names = tuple(item.name for item in self.properties)
        is_logarithmic = np.array([item.is_logarithmic for item in self.properties])
        self._check_values(names, is_logarithmic)
        nothing = np.zeros(len(names))
        unscaled = TargetScaler(Scaler(names, nothing, nothing + 1), is_logarithmic)
        linear = unscaled.to_linear(self.values[self.training])
        scaler = Scaler(names, np.nanmean(linear, axis=0), np.nanstd(linear, axis=0))
        return TargetScaler(scaler, is_logarithmic)

    def _check_values(
        self, names: tuple[str, ...], is_logarithmic: NDArray[np.bool_]
    ) -> None:
        values = self.values[self.training]
        for name, is_log, column in zip(names, is_logarithmic, values.T, strict=True):
            known = column[~np.isnan(column)]
            if len(np.unique(known)) < 2:  # noqa: PLR2004 - a spread takes two values
                raise TrainingError(
                    f"Property {name!r} has {len(known)} values in the training rows, "
                    "not two different ones; leave it out, or give more rows."
                )
            lowest = np.nanmin(self.values[:, names.index(name)])
            if is_log and lowest <= 0:
                raise TrainingError(
                    f"Property {name!r} is to be learned as a logarithm, but has the "
                    f"value {lowest:g}; set is_logarithmic to false, or leave such "
                    "rows out."
                )


def gather_crystals(
    datasets: Sequence[Dataset],
    properties: Sequence[ForwardProperty],
    *,
    validation_share: float,
    seed: int,
) -> ForwardRows:
    """Join datasets into rows to train on, and set some of the first one aside.

    Rows of one formula are never on both sides: rows of the other datasets that have
    the formula of a validation row are left out. So are rows without any property.

    Parameters
    ----------
    datasets
        At least one; all but the first may lack some of the properties.
    properties
        What to learn.
    validation_share
        Share of formulas that judge.
    seed
        Decides which.

    Raises
    ------
    TrainingError
        If a property is in none of the datasets, has the name of another column of
        predictions, or there is too little to learn from.
    """
    names = [item.name for item in properties]
    _check_names(names)
    rows = gather_rows(
        datasets,
        names,
        validation_share=validation_share,
        seed=seed,
        judged_by_first_only=False,
    )
    crystals = join_crystals([crystals_from_dataset(dataset) for dataset in datasets])
    is_first = np.arange(len(rows)) < len(datasets[0])
    keep = (is_first | ~rows.is_validation) & ~np.isnan(rows.values).all(axis=1)
    gathered = ForwardRows(
        crystals=crystals.take(np.flatnonzero(keep)),
        values=rows.values[keep],
        properties=tuple(properties),
        is_validation=rows.is_validation[keep],
        dataset_ids=rows.dataset_ids,
    )
    n_training, n_validation = len(gathered.training), len(gathered.validation)
    if n_training < MIN_ROWS or not n_validation:
        raise TrainingError(
            f"{n_training} rows with a property to learn from and {n_validation} to "
            f"judge by came; at least {MIN_ROWS} and 1 are needed. Give a larger "
            "dataset, or another share of validation rows."
        )
    if not gathered.judged.any():
        raise TrainingError(
            f"None of {n_validation} rows to judge by has a value above zero of what "
            "is censored there, so that nothing would say when to stop. Give a larger "
            "dataset, another share of validation rows, or another seed."
        )
    return gathered


def _check_names(names: Sequence[str]) -> None:
    taken = _TAKEN | {f"{name}_deviation" for name in names}
    if clash := sorted(taken.intersection(names)):
        raise TrainingError(
            f"Property {clash[0]!r} has the name of another column of a table of "
            "predictions; give it another one in the dataset."
        )
