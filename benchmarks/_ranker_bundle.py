"""Train the ranker that comes with wyckflow, and write its card.

    make ranker WYCKFLOW_DATA=FOLDER
    python benchmarks/_ranker_bundle.py [--output FILE]

It learns from ``mp20_biternary_train`` and from three quarters of the formulas of
``wbm_train``; ``ranking.py`` measures it on the others.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _generator_rows import TRAIN, load_data

import wyckflow.ml
from wyckflow.ml.checkpoint import save_checkpoint
from wyckflow.ml.ranker import train_ranker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.crystal.dataset.table import Dataset

FOLDER = Path(wyckflow.ml.__file__).parent / "models"
HYPOTHETICAL = "wbm_train"
LARGEST = 5_000_000
HELD_OUT = 0.25


def main() -> int:
    """Train, write the file and the card; return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=FOLDER / "ranker.npz")
    options = parser.parse_args()
    hypothetical = load_data(HYPOTHETICAL)
    learned = hypothetical.select(np.flatnonzero(~is_held_out(hypothetical)))
    known = load_data(TRAIN)
    checkpoint = train_ranker([learned, known])
    print(checkpoint.info.metrics)
    identity = save_checkpoint(options.output, checkpoint)
    size = options.output.stat().st_size
    print(f"{options.output.name}: {size:,} bytes")
    if size > LARGEST:
        return 1
    card = describe(identity, len(learned), len(known))
    options.output.with_suffix(".md").write_text(card)
    return 0


def is_held_out(data: Dataset) -> NDArray[np.bool_]:
    """Return which rows the ranker has not learned from, by formula."""
    draws = [
        int.from_bytes(hashlib.sha256(f"ranker:{formula}".encode()).digest()[:8])
        for formula in data.formulas
    ]
    return np.array([draw / 2**64 < HELD_OUT for draw in draws])


def describe(identity: str, n_hypothetical: int, n_known: int) -> str:
    """Write the card."""
    return f"""# The bundled ranker

sha256 `{identity}`

- What it is: boosted regression trees for the formation energy of a gene, and for how
  far they may be off. It orders genes before they are relaxed and judges nothing.
- Learned from: {n_hypothetical} hypothetical crystals of WBM (three quarters of their
  formulas) and {n_known} binaries and ternaries of the Materials Project (the
  validation split of MP-20), both CC-BY-4.0. The file holds trees, no crystal.
- Why it is not the generator's own: that learned from crystals near the hull, and
  predicts what it makes up to be nearly as stable.
- Made by: `make ranker WYCKFLOW_DATA=FOLDER`. Measured by `benchmarks/ranking.py`.
"""


if __name__ == "__main__":
    sys.exit(main())
