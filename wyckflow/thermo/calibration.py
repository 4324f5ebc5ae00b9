"""From a distance by CHGNet to the probability of being stable by DFT.

A distance to the hull of a partial reference, by a network, flatters: competing phases
are missing, and the network errs. What it is worth is measured on pairs: crystals of
which both this distance and the one to the full DFT hull are known. Three logistic
curves are fitted to them, one per threshold, of the distance, of how many competing
compounds the reference has, and of where the crystal comes from.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from wyckflow.errors import ReferenceDataError
from wyckflow.thermo._logistic import fit_falling, logistic
from wyckflow.thermo.scale import EnergyScale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.thermo.hull.completeness import Completeness

    Floats = NDArray[np.float64]

FORMAT_VERSION: Final = 1

THRESHOLDS: Final = (0.0, 0.05, 0.1)
"""Distances to the DFT hull in eV/atom whose probabilities are given."""

ON_HULL: Final = 0.001
"""Distances are rounded to this, eV/atom: so near, a phase counts as on the hull."""

BUNDLED_CALIBRATION: Final = "calibration-chgnet-0.3.0.json"

_LOWEST: Final = -0.1
_SOFTNESS: Final = 0.02
_PULL: Final = (0.01, 0.1, 0.1, 0.1, 0.5)
_FALLING: Final = (1, 2)
"""Columns of the distance: a larger one never makes stability more probable."""
_DRAWS: Final = 200
_VERSION_LENGTH: Final = 12


class Population(StrEnum):
    """Where a crystal comes from, which decides how often it is stable at all."""

    GENERATED = "generated"
    """A model made it up; most are unstable."""
    KNOWN = "known"
    """It stands in a database; most are stable, since most were made."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Crystals with both distances.

    Attributes
    ----------
    distances
        To the hull of the reference without the crystal, by the network, eV/atom.
    n_compounds
        Compounds of its elements in the reference, without the crystal.
    true_distances
        To the full DFT hull, eV/atom.
    is_generated
        Whether a model made it up.
    """

    distances: Floats
    n_compounds: NDArray[np.int64]
    true_distances: Floats
    is_generated: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.distances)

    def take(self, places: ArrayLike) -> Pairs:
        """Return some of them.

        Parameters
        ----------
        places
            Places, or a truth value per pair.
        """
        chosen = np.arange(len(self))[np.asarray(places)]
        return Pairs(*(getattr(self, item.name)[chosen] for item in fields(self)))

    def labels(self, threshold: float) -> NDArray[np.bool_]:
        """Return which are within a threshold of the DFT hull.

        Parameters
        ----------
        threshold
            In eV/atom.
        """
        return np.asarray(self.true_distances <= threshold + ON_HULL)


@dataclass(frozen=True, eq=False)
class StabilityCalibration:
    """Turns distances on one scale into probabilities of stability by DFT.

    Attributes
    ----------
    name
        For people.
    scale
        Scale of the distances that it was fitted on.
    reference_version
        Version of the reference that they were measured to.
    applies_to
        For what crystals it holds, in words.
    coefficients
        One row per threshold.
    draws
        The same from resampled pairs, one block per draw: their spread is the
        uncertainty.
    distance_range
        Smallest and largest distance among the pairs of each population; beyond it
        nothing is said.
    n_pairs
        Pairs of each population.
    """

    name: str
    scale: EnergyScale
    reference_version: str
    applies_to: str
    coefficients: Floats
    draws: Floats
    distance_range: Mapping[str, tuple[float, float]]
    n_pairs: Mapping[str, int]

    @cached_property
    def identity(self) -> str:
        """Name and version, for the documents."""
        content = f"{self.scale} {self.reference_version}".encode()
        content += self.coefficients.round(9).tobytes()
        digest = hashlib.sha256(content).hexdigest()[:_VERSION_LENGTH]
        return f"{self.name}, version {digest}"

    def probabilities(
        self,
        energies_above_hull: ArrayLike,
        completeness: Sequence[Completeness | int],
        *,
        population: Population | str = Population.GENERATED,
    ) -> Floats:
        """Return a row per crystal: within 0, 0.05 and 0.1 eV/atom of the DFT hull.

        Parameters
        ----------
        energies_above_hull
            eV/atom, by the hull of a reference without the crystal itself.
        completeness
            How much that reference knows of each chemical system, or how many
            compounds it has there.
        population
            Where the crystals come from.

        Returns
        -------
        ndarray
            NaN where the distance is outside of what was fitted, or is NaN.
        """
        features = self._features(energies_above_hull, completeness, population)
        rows = np.maximum.accumulate(logistic(features @ self.coefficients.T), axis=1)
        rows[~self.can_say(energies_above_hull, population=population)] = np.nan
        return np.asarray(rows)

    def intervals(
        self,
        energies_above_hull: ArrayLike,
        completeness: Sequence[Completeness | int],
        *,
        population: Population | str = Population.GENERATED,
        level: float = 0.9,
    ) -> Floats:
        """Return lower and upper ends of the probabilities.

        They hold what the number of pairs leaves open, not what a population of
        another kind would change.

        Parameters
        ----------
        energies_above_hull, completeness, population
            As for :meth:`probabilities`.
        level
            Share of the resampled fits within.

        Returns
        -------
        ndarray
            Shape (crystals, thresholds, 2).
        """
        features = self._features(energies_above_hull, completeness, population)
        every = logistic(np.einsum("cf,dtf->dct", features, self.draws))
        every = np.maximum.accumulate(every, axis=2)
        edge = 50 * (1 - level)
        found = np.moveaxis(np.percentile(every, [edge, 100 - edge], axis=0), 0, -1)
        found[~self.can_say(energies_above_hull, population=population)] = np.nan
        return np.asarray(found)

    def can_say(
        self,
        energies_above_hull: ArrayLike,
        *,
        population: Population | str = Population.GENERATED,
    ) -> NDArray[np.bool_]:
        """Return which distances are inside of what was fitted.

        Parameters
        ----------
        energies_above_hull
            eV/atom.
        population
            Where the crystals come from.
        """
        low, high = self.distance_range[Population(population)]
        distances = np.asarray(energies_above_hull, np.float64)
        return np.asarray((distances >= low) & (distances <= high))

    # --- file ---------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write it as JSON.

        Parameters
        ----------
        path
            Where; an existing file is replaced.
        """
        content = {
            "format": FORMAT_VERSION,
            "thresholds": THRESHOLDS,
            **asdict(self),
            "coefficients": self.coefficients.round(6).tolist(),
            "draws": self.draws.round(4).tolist(),
        }
        path.write_text(json.dumps(content) + "\n", encoding="utf-8")

    @classmethod
    def from_text(cls, text: str, *, where: str) -> Self:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        text
            The JSON.
        where
            What it is, for the message of an error.

        Raises
        ------
        ReferenceDataError
            If it is no calibration, or a newer one.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            if content.pop("format") != FORMAT_VERSION:
                raise ReferenceDataError(
                    f"{where} is a calibration of another format; use the wyckflow "
                    "that wrote it."
                )
            if tuple(content.pop("thresholds")) != THRESHOLDS:
                raise ReferenceDataError(
                    f"{where} is for other thresholds than {THRESHOLDS} eV/atom."
                )
            ranges = content["distance_range"].items()
            arrays = {
                name: np.array(content[name], np.float64)
                for name in ("coefficients", "draws")
            }
            others = {
                "scale": EnergyScale(content["scale"]),
                "distance_range": {k: (float(a), float(b)) for k, (a, b) in ranges},
            }
            return cls(**{**content, **arrays, **others})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, ReferenceDataError):
                raise
            raise ReferenceDataError(
                f"{where} cannot be read as a calibration ({error})."
            ) from error

    def _features(
        self,
        distances: ArrayLike,
        completeness: Sequence[Completeness | int],
        population: Population | str,
    ) -> Floats:
        """Return what the curves are of."""
        values = np.asarray(distances, np.float64)
        counts = np.array([count_compounds(item) for item in completeness])
        if values.shape != counts.shape:
            raise ReferenceDataError(
                f"{values.size} distances came with {counts.size} statements of "
                "completeness; give one for each."
            )
        is_generated = Population(population) is Population.GENERATED
        return make_features(values, counts, np.full(len(values), is_generated))


def count_compounds(completeness: Completeness | int) -> int:
    """Return how many compounds a reference has in a chemical system.

    Parameters
    ----------
    completeness
        Of the system, or that number itself.
    """
    if isinstance(completeness, int):
        return completeness
    return sum(completeness.n_entries_by_size[1:])


def make_features(
    distances: Floats, n_compounds: ArrayLike, is_generated: ArrayLike
) -> Floats:
    """Return one row per crystal, of which a probability is a linear function.

    Below the hull the distance counts down to where it says no more; above it, its
    logarithm does.

    Parameters
    ----------
    distances
        To the hull, eV/atom.
    n_compounds
        In the reference, of the same elements.
    is_generated
        Whether a model made the crystal up.
    """
    filled = np.nan_to_num(distances)
    below = np.clip(filled, _LOWEST, 0.0) / abs(_LOWEST)
    above = np.log1p(np.maximum(filled, 0.0) / _SOFTNESS)
    known = np.log1p(np.asarray(n_compounds, np.float64))
    made_up = np.asarray(is_generated, np.float64)
    return np.column_stack([np.ones_like(filled), below, above, known, made_up])


def fit_calibration(
    pairs: Pairs,
    *,
    name: str,
    scale: str,
    reference_version: str,
    applies_to: str,
    seed: int = 0,
    n_draws: int = _DRAWS,
) -> StabilityCalibration:
    """Fit a calibration to pairs of distances.

    Parameters
    ----------
    pairs
        With crystals of both populations.
    name, scale, reference_version, applies_to
        See `StabilityCalibration`.
    seed
        Of the resampling.
    n_draws
        Times that the pairs are resampled, each population by itself.
    """
    features = make_features(pairs.distances, pairs.n_compounds, pairs.is_generated)
    groups = [np.flatnonzero(pairs.is_generated), np.flatnonzero(~pairs.is_generated)]
    generator = np.random.default_rng(seed)
    draws = np.empty((n_draws, len(THRESHOLDS), features.shape[1]))
    pull = np.array(_PULL)
    labels = [pairs.labels(threshold) for threshold in THRESHOLDS]
    once = np.ones(len(pairs))
    found = [fit_falling(features, y, pull, once, _FALLING) for y in labels]
    for draw in draws:
        weights = np.zeros(len(pairs))
        for group in groups:
            np.add.at(weights, generator.choice(group, len(group)), 1.0)
        draw[:] = [fit_falling(features, y, pull, weights, _FALLING) for y in labels]
    kinds = dict(zip(Population, groups, strict=True))
    return StabilityCalibration(
        name=name,
        scale=EnergyScale(scale),
        reference_version=reference_version,
        applies_to=applies_to,
        coefficients=np.array(found),
        draws=draws,
        distance_range={
            str(kind): (
                float(pairs.distances[group].min()),
                float(pairs.distances[group].max()),
            )
            for kind, group in kinds.items()
        },
        n_pairs={str(kind): len(group) for kind, group in kinds.items()},
    )


@lru_cache(maxsize=1)
def load_bundled_calibration() -> StabilityCalibration:
    """Return the calibration of CHGNet 0.3.0 against the bundled reference."""
    packaged = files("wyckflow.thermo").joinpath("data", BUNDLED_CALIBRATION)
    return StabilityCalibration.from_text(
        packaged.read_text("utf-8"), where=packaged.name
    )
