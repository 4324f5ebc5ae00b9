"""Q8: corrected energies of published VASP runs against the published ones.

    WYCKFLOW_DATA=FOLDER python benchmarks/dft.py [--quick] [--json FILE]

Runs of generated crystals with the settings of the Materials Project. The corrections
that an entry carries are taken off, the run is corrected anew as a crystal of a
campaign is, and the energy is held against the one in the table. The corrections of
2020 are pymatgen's there and here: this finds what is lost or counted twice on the way,
not an error of the scheme. Beside it, how far an uncorrected energy is off.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from _bench import Record, make_record, run_script
from pymatgen.entries.computed_entries import ComputedEntry

from wyckflow.schemas.dft import RunMark
from wyckflow.vasp.hull import correct_energy

TOLERANCE = 1e-3
N_QUICK = 12
SMALLEST = 1e-12
"""Stands for an exact zero, so that a ratio can be formed."""


def measure(quick: bool) -> list[Record]:
    """Correct every run, print what differs, and return the record of Q8."""
    rows = read_rows()
    if not rows:
        print("Q8 needs WYCKFLOW_DATA, the folder of the public data")
        return []
    rows = rows[:N_QUICK] if quick else rows
    began = time.process_time()
    differences, without, counts = [], [], Counter[str]()
    for row in rows:
        stored = json.loads(row["entry"])
        mine = ComputedEntry.from_dict(
            stored | {"energy_adjustments": [], "correction": 0.0}
        )
        corrected = correct_energy(mine, mark=RunMark.AS_PUBLISHED)
        if corrected.energy_per_atom is None:
            print(f"{mine.formula}: refused, {corrected.refusal}")
            counts["refused"] += 1
            continue
        published = float(row["dft_e_corrected"]) / mine.composition.num_atoms
        differences.append(abs(corrected.energy_per_atom - published))
        without.append(abs(mine.energy_per_atom - published))
        counts.update(item.name for item in corrected.corrections)
    seconds = time.process_time() - began
    n_same = sum(value <= TOLERANCE for value in differences)
    print(
        f"{n_same} of {len(rows)} runs within {TOLERANCE:g} eV/atom of the published "
        f"energy, the largest difference {max(differences):.2g}; without corrections "
        f"up to {max(without):.3f}. {1000 * seconds / len(rows):.0f} CPU ms each"
    )
    for name, number in counts.most_common():
        print(f"  {number:3d} {name}")
    return [
        make_record(
            "Q8",
            max(*differences, SMALLEST),
            "eV/atom",
            ("the same runs uncorrected", max(without)),
            n=len(rows),
            seed=0,
            packages=("pymatgen",),
        )
    ]


def read_rows() -> list[dict[str, Any]]:
    """Return the published runs; none where the data are not."""
    folder = Path(os.environ.get("WYCKFLOW_DATA", "missing"))
    path = folder / "peers" / "dft_relaxed_dev.csv.gz"
    if not path.is_file():
        return []
    csv.field_size_limit(10**8)
    with gzip.open(path, "rt", newline="") as stream:
        return list(csv.DictReader(stream))


if __name__ == "__main__":
    sys.exit(run_script(__doc__.splitlines()[0], measure))
