"""Energies of genes, hypothetical ones included, to order them before any relaxation.

A generator learns from crystals that are stable or nearly so. Its predictions are those
of such crystals, and too low for most of what a model makes up. What orders genes must
have seen unstable ones as well. It is small and fast, and it looks only at what is the
same for all equivalent descriptions of a gene, so that no mean over them is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.errors import ModelError, TrainingError
from wyckflow.ml.checkpoint import Checkpoint, CheckpointInfo, load_checkpoint
from wyckflow.ml.codec.sites import tensorise_codes
from wyckflow.ml.codec.tables import load_position_tables
from wyckflow.ml.elements import ELEMENT_FEATURES, element_features
from wyckflow.ml.forest import Forest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.codec.sites import SiteTensors

KIND: Final = "ranker"
KIND_VERSION: Final = 1
ENERGY: Final = "formation_energy_per_atom"
_FILE: Final = "ranker.npz"
_BATCH: Final = 5000
_MIN_ROWS: Final = 60
_OPTIONS: Final = {"learning_rate": 0.1, "max_leaf_nodes": 31, "max_features": 0.3}
_N_TREES, _N_FOLD_TREES, _N_ERROR_TREES = 300, 150, 80
_N_FOLDS: Final = 3


@dataclass(frozen=True, eq=False, slots=True)
class Ranker:
    """What predicts energies of genes, and how far it may be off.

    Attributes
    ----------
    energy
        Formation energy, eV/atom.
    error
        Logarithm of the expected absolute error, eV/atom.
    identity
        Hash of its file.
    """

    energy: Forest
    error: Forest
    identity: str

    def predict(
        self, space_group_numbers: ArrayLike, codes: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return formation energies of genes and their expected errors, eV/atom.

        Parameters
        ----------
        space_group_numbers, codes
            The genes, as `wyckflow.crystal.keys.pack_genes` writes them.
        """
        numbers, table = np.asarray(space_group_numbers), np.asarray(codes)
        energies, errors = np.zeros(len(numbers)), np.zeros(len(numbers))
        for start in range(0, len(numbers), _BATCH):
            some = slice(start, start + _BATCH)
            columns = describe_genes(tensorise_codes(numbers[some], table[some]))
            energies[some] = self.energy.predict(columns)
            errors[some] = np.exp(self.error.predict(columns))
        return energies, errors


def describe_genes(sites: SiteTensors) -> NDArray[np.float32]:
    """Return numbers about genes that do not change with their description.

    Parameters
    ----------
    sites
        The genes.

    Returns
    -------
    numpy.ndarray
        (n, columns): mean over atoms, largest, smallest and spread of every tabulated
        property of the elements; what is known of the space group; atoms, sites and
        free coordinates.
    """
    n_known = sum(not name.startswith("lacks_") for name in ELEMENT_FEATURES)
    atoms = np.where(sites.mask, sites.multiplicity, 0).astype(np.float64)
    weights = (atoms / atoms.sum(axis=1, keepdims=True))[..., None]
    values = element_features()[sites.atomic_number][..., :n_known].astype(np.float64)
    there = sites.mask[..., None]
    mean = (values * weights).sum(axis=1)
    spread = np.sqrt(((values - mean[:, None]) ** 2 * weights).sum(axis=1))
    numbers = [
        sites.space_group,
        atoms.sum(axis=1),
        sites.mask.sum(axis=1),
        np.where(sites.mask, sites.degrees_of_freedom, 0).sum(axis=1),
    ]
    columns = [
        mean,
        np.where(there, values, -np.inf).max(axis=1),
        np.where(there, values, np.inf).min(axis=1),
        spread,
        load_position_tables().group_features[sites.space_group],
        np.stack(numbers, axis=1),
    ]
    # Rounded, since the order of the sites changes the last digits of a sum.
    return np.concatenate(columns, axis=1).round(5).astype(np.float32)


def train_ranker(datasets: Sequence[Dataset], *, seed: int = 0) -> Checkpoint:
    """Train a ranker, and return it as a file holds it.

    Parameters
    ----------
    datasets
        With formation energies; at least one should hold hypothetical crystals.
    seed
        Decides everything drawn.

    Raises
    ------
    TrainingError
        If there are too few rows with an energy.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor as Trees

    columns, energies = _gather(datasets)
    fold = np.random.default_rng(seed).integers(_N_FOLDS, size=len(energies))
    guessed = np.zeros(len(energies))
    for held in range(_N_FOLDS):
        learned = fold != held
        trees = Trees(max_iter=_N_FOLD_TREES, random_state=seed, **_OPTIONS)
        trees.fit(columns[learned], energies[learned])
        guessed[~learned] = trees.predict(columns[~learned])
    misses = np.abs(guessed - energies)
    error = Trees(max_iter=_N_ERROR_TREES, random_state=seed, **_OPTIONS)
    error.fit(columns, np.log(misses + 1e-3))
    energy = Trees(max_iter=_N_TREES, random_state=seed, **_OPTIONS)
    energy.fit(columns, energies)
    info = CheckpointInfo(
        kind=KIND,
        kind_version=KIND_VERSION,
        config={**_OPTIONS, "n_trees": _N_TREES, "n_columns": columns.shape[1]},
        seed=seed,
        dataset_ids=[dataset.dataset_id for dataset in datasets],
        split={"by": "row", "n_training": len(energies)},
        metrics={"error_out_of_fold": float(misses.mean())},
        description="Energies of genes, to order them before they are relaxed.",
    )
    arrays = Forest.from_sklearn(energy, columns[:1000]).to_arrays("energy")
    arrays |= Forest.from_sklearn(error, columns[:1000]).to_arrays("error")
    return Checkpoint(info, arrays)


def _gather(
    datasets: Sequence[Dataset],
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return columns and energies of all rows that have one."""
    columns, energies = [], []
    for dataset in datasets:
        values = dataset.properties.get(ENERGY, np.full(len(dataset), np.nan))
        known = np.flatnonzero(np.isfinite(values))
        columns.append(describe_genes(tensorise_codes(*dataset.codes).take(known)))
        energies.append(values[known])
    n_rows = sum(map(len, energies))
    if n_rows < _MIN_ROWS:
        raise TrainingError(
            f"{n_rows} rows with {ENERGY!r} came; a ranker takes {_MIN_ROWS} at least. "
            "Give larger datasets."
        )
    return np.concatenate(columns), np.concatenate(energies)


def load_ranker(source: Path | bytes | Checkpoint) -> Ranker:
    """Read a ranker.

    Parameters
    ----------
    source
        A file, its bytes, or what was read of it.

    Raises
    ------
    CheckpointError
        If it is of another kind or version, or damaged.
    """
    checkpoint: Any = source
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = load_checkpoint(checkpoint, kind=KIND, kind_version=KIND_VERSION)
    return Ranker(
        energy=Forest.from_arrays(checkpoint.arrays, "energy"),
        error=Forest.from_arrays(checkpoint.arrays, "error"),
        identity=checkpoint.identity,
    )


@lru_cache(maxsize=1)
def load_bundled_ranker() -> Ranker:
    """Return the ranker that comes with wyckflow.

    Raises
    ------
    ModelError
        If this installation lacks it.
    """
    path = Path(str(files("wyckflow.ml") / "models" / _FILE))
    if not path.exists():
        raise ModelError(
            "This installation of wyckflow has no bundled ranker: install it again."
        )
    return load_ranker(path)
