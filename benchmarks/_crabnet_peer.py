"""CrabNet itself, its published package, on the rows of Table 1.

    pip install --no-deps crabnet==1.0.1 elementembeddings==0.8.0
    WYCKFLOW_DATA=FOLDER python benchmarks/_crabnet_peer.py [--property NAME]
        [--epochs 60] [--seed 0]

Trains on the rows that ``table1.py`` trains its composition network on, chooses its
weights on the same inner rows, and reports on the same others. The wheel of CrabNet
lacks the vectors of elements that it reads, which ElementEmbeddings brings along, and
imports itself under another name; both are mended here, nothing else. Ten CPU minutes
for 60 epochs.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import types
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from _table1_cases import AFLOW, LOOP, load_columns

from wyckflow.crystal.composition import Compositions
from wyckflow.crystal.elements import SYMBOLS
from wyckflow.ml.forward.config import ForwardProperty
from wyckflow.ml.forward.crystals import crystals_from_dataset
from wyckflow.ml.forward.targets import gather_crystals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.ml.forward.crystals import Crystals

VECTORS = Path("data", "element_representations", "mat2vec.csv")
ATOMS = 1000
"""Atoms in a formula, which CrabNet divides by again."""


def main() -> int:
    """Train, predict, print; an exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [column.name for column in AFLOW]
    parser.add_argument("--property", choices=names, default=names[0])
    parser.add_argument("--epochs", type=int, default=60, help="a multiple of 20")
    parser.add_argument("--seed", type=int, default=0, help="which inner rows")
    options = parser.parse_args()
    torch.set_num_threads(1)
    column = AFLOW[names.index(options.property)]
    train, report = load_columns(column)
    rows = gather_crystals(
        [train],
        [ForwardProperty(name=column.column)],
        validation_share=0.1,
        seed=options.seed,
    )
    (values,) = rows.values.T  # noqa: PD011 - an array, not a table of pandas
    learned = write_formulas(rows.crystals, values * column.factor)
    asked = write_formulas(
        crystals_from_dataset(report), report.properties[column.column] * column.factor
    )
    model = open_crabnet()
    size = int(LOOP["batch_size"])
    start = time.process_time()
    model.load_data(learned.iloc[rows.training], batch_size=size, train=True)
    model.load_data(learned.iloc[rows.validation], batch_size=size)
    model.fit(epochs=options.epochs, losscurve=False, learningcurve=False)
    cpu_s = time.process_time() - start
    model.load_data(asked, batch_size=size)
    truth, predicted, _, _ = model.predict(loader=model.data_loader)
    error = np.abs(np.array(truth) - np.array(predicted)).mean()
    print(
        f"CrabNet, {column.name}, {options.epochs} epochs: {error:.2f} {column.unit} "
        f"on {len(truth)} rows, {cpu_s:.0f} CPU s"
    )
    return 0


def write_formulas(crystals: Crystals, values: NDArray[np.float64]) -> pd.DataFrame:
    """Return the table that CrabNet reads."""
    sites = crystals.sites
    table = Compositions.from_sites(sites.atomic_number, sites.multiplicity)
    formulas = [
        "".join(
            f"{SYMBOLS[number - 1]}{ATOMS * share:.1f}"
            for number, share in zip(*row, strict=True)
            if number
        )
        for row in zip(table.atomic_numbers, table.shares, strict=True)
    ]
    return pd.DataFrame({"formula": formulas, "target": values}).reset_index(drop=True)


def open_crabnet() -> Any:
    """Return an untrained model of the package."""
    for name in ("crabnet", "elementembeddings"):
        if find_spec(name) is None:
            sys.exit(f"{name} is missing; see the first lines of {Path(__file__).name}")
    vectors = Path(find_spec("elementembeddings").origin).parent / VECTORS
    read = pd.read_csv

    def read_vectors(path: Any, *args: Any, **options: Any) -> pd.DataFrame:
        is_lacking = Path(str(path)).name == VECTORS.name
        return read(vectors if is_lacking else path, *args, **options)

    # Seaborn draws figures that are not asked for.
    sys.modules.setdefault("seaborn", types.ModuleType("seaborn"))
    sys.modules["CrabNet"] = importlib.import_module("crabnet")
    network = importlib.import_module("CrabNet.kingcrab")
    pd.read_csv = read_vectors
    try:
        untrained = network.CrabNet(compute_device="cpu")
    finally:
        pd.read_csv = read
    model = importlib.import_module("CrabNet.model")
    return model.Model(untrained, model_name="composition", verbose=False)


if __name__ == "__main__":
    sys.exit(main())
