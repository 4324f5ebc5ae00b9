"""Train and test rows of the generator's benchmarks, encoded once per folder."""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wyckflow.crystal.dataset.importing import ImportOptions, import_dataset
from wyckflow.crystal.dataset.table import Dataset, load_dataset
from wyckflow.crystal.encode import Engine
from wyckflow.ml.training.rows import TrainingRows, gather_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from wyckflow.ml.mpvae.generator import MultiPropertyVAE

TRAIN, TEST = "mp20_biternary_train", "mp20_biternary_test"
PROPERTIES = ("formation_energy_per_atom", "band_gap")
QUICK_ROWS = 1000


def load_data(name: str) -> Dataset:
    """Return a file of the data folder as a dataset, kept in the temporary folder."""
    kept = Path(tempfile.gettempdir()) / f"wyckflow-benchmark-{name}.npz"
    if not kept.exists():
        source = Path(os.environ["WYCKFLOW_DATA"]) / f"{name}.csv.gz"
        engine = Engine.MOYOPY if find_spec("moyopy") else Engine.SPGLIB
        options = ImportOptions(engine=engine, keep_duplicates=True)
        import_dataset([source], kept, options=options)
    return load_dataset(kept)


def load_rows(*, quick: bool) -> tuple[TrainingRows, TrainingRows]:
    """Return the rows to learn from and those to report on."""
    train, test = (_some(load_data(name), quick=quick) for name in (TRAIN, TEST))
    return gather_rows([train], PROPERTIES), gather_rows([test], PROPERTIES)


def read_back(
    model: MultiPropertyVAE,
    numbers: NDArray[np.int16],
    codes: NDArray[np.int16],
    seed: int,
) -> tuple[float, float]:
    """Encode and decode genes at level 0, with the likeliest choice each time.

    Returns
    -------
    tuple
        Shares whose space group, and whose space group, elements and letters are right.
    """
    latents = model.encode_codes(numbers, codes)
    batch = model.sample_around(latents, level=0.0, seed=seed, temperature=0)
    width = max(codes.shape[1], batch.codes.shape[1])
    own, read = (
        np.sort(np.pad(table, ((0, 0), (0, width - table.shape[1]))), axis=1)
        for table in (codes[batch.seed_index], batch.codes)
    )
    is_group = numbers[batch.seed_index] == batch.space_group_numbers
    is_right = is_group & (own == read).all(axis=1)
    return is_group.sum() / len(numbers), is_right.sum() / len(numbers)


def _some(dataset: Dataset, *, quick: bool) -> Dataset:
    rows: Iterable[int] = range(min(len(dataset), QUICK_ROWS))
    return dataset.select(np.array(list(rows))) if quick else dataset
