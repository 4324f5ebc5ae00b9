"""Make the packaged reference sets of public data.

    make hull-reference WYCKFLOW_DATA=FOLDER
    python benchmarks/_hull_bundle.py --data FOLDER [--work FOLDER]

Relaxing takes about an hour on one core; the work folder keeps what is done, so that a
run that was stopped goes on. Only the training parts of the data are used: the test
parts measure what the sets are worth (``benchmarks/calibration.py``).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wyckflow.thermo import bundled
from wyckflow.thermo.elements import SOURCE as ELEMENTS
from wyckflow.thermo.entry import EnergyKind, ReferenceEntry
from wyckflow.thermo.reference import ReferenceSet

if TYPE_CHECKING:
    from collections.abc import Iterable

DATE = "2026-11-21"
TARGET = Path(bundled.__file__).parent / "data"
LICENCE = "data of the Materials Project, CC-BY-4.0"
_FORMULA = re.compile(r"_chemical_formula_sum\s+'?([^'\n]+)")
_AMOUNT = re.compile(r"([A-Z][a-z]?)([\d.]*)")


@dataclass(frozen=True)
class Part:
    """A file of the data, how it is relaxed, and what its entries say."""

    stem: str
    source: str
    options: tuple[str, ...]

    def file(self, data: Path) -> Path:
        """Return its path."""
        return data / f"{self.stem}.csv.gz"


NEAR = ("--fmax", "0.01", "--max-steps", "200")
FAR = ("--fmax", "0.03", "--max-steps", "100", "--max-freedom", "20")
TRAINING = (
    Part("mp20_biternary_train", "Materials Project, MP-20", NEAR),
    Part("mpts52_train", "Materials Project, MPTS-52", FAR),
)
TEST = (
    Part("mp20_biternary_test", "Materials Project, MP-20", NEAR),
    Part("mpts52_test", "Materials Project, MPTS-52", FAR),
)
PEERS = (
    Part("peers/dft_relaxed_dev", "generated, relaxed by DFT", ("--fmax", "0.01")),
    Part("peers/cryspr_relaxed_dev", "generated", ("--fmax", "0.01")),
)


def main() -> int:
    """Build, bundle and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--work", type=Path, default=Path("hull-reference"))
    options = parser.parse_args()
    for part in (*TRAINING, *TEST, *PEERS):
        build(part, options.data, options.work)
    for made in (bundle_chgnet(options.work), bundle_dft(options.data)):
        path = TARGET / bundled.BUNDLED_REFERENCES[str(made.scale)]
        made.save(path)
        size = path.stat().st_size / 1024
        print(
            f"{path.name}: {len(made)} entries, version {made.version}, {size:.0f} kB"
        )
    return 0


def build(part: Part, data: Path, work: Path) -> None:
    """Relax a file, or go on with it; the training parts bring the elements."""
    output = work / f"{Path(part.stem).name}.npz"
    if output.exists():
        return
    elements = "--elements" if part is TRAINING[0] else "--no-elements"
    command = [sys.executable, "-m", "wyckflow.cli.main", "hull", "build"]
    command += [str(part.file(data)), "-o", str(output), elements, *part.options]
    subprocess.run(command, check=True)  # noqa: S603 (our own command)


def bundle_chgnet(work: Path) -> ReferenceSet:
    """Join what was relaxed, under the names of its sources."""
    sets = [
        rename(ReferenceSet.load(work / f"{part.stem}.npz"), part.source)
        for part in TRAINING
    ]
    merged = reduce(lambda one, other: one.merge(other), sets)
    methods = [f"{part.source}: {' '.join(part.options)}" for part in TRAINING]
    provenance = {
        **{k: v for k, v in sets[0].provenance.items() if k != "files"},
        "method": "relaxed under symmetry; " + "; ".join(methods),
        "licence": LICENCE,
    }
    return replace(merged, name="bundled, CHGNet", provenance=provenance)


def bundle_dft(data: Path) -> ReferenceSet:
    """Take over formation energies, and the hull where it is known."""
    entries: list[ReferenceEntry] = []
    for part in TRAINING:
        for row in read_rows(part.file(data)):
            composition = row.composition
            energy = row.formation_energy_per_atom
            entries.append(
                ReferenceEntry(composition, energy, row.material_id, part.source, DATE)
            )
            if row.energy_above_hull > 0:
                entries.append(
                    ReferenceEntry(
                        composition,
                        energy - row.energy_above_hull,
                        f"{bundled.HULL_POINT_PREFIX}{row.material_id}",
                        bundled.HULL_POINT_SOURCE,
                        DATE,
                    )
                )
    return ReferenceSet.from_entries(
        "bundled, DFT",
        entries,
        scale="mp2020-gga-u",
        kind=EnergyKind.FORMATION,
        provenance={
            "method": "formation energies as published, PBE and PBE+U with the "
            "corrections of 2020; a hull point is formation energy minus energy above "
            "hull",
            "licence": LICENCE,
        },
    )


def rename(reference: ReferenceSet, source: str) -> ReferenceSet:
    """Return a set whose entries, but for the elements, name another source."""
    is_element = reference.sources == ELEMENTS
    return replace(reference, sources=np.where(is_element, ELEMENTS, source))


@dataclass(frozen=True)
class Row:
    """A row of the data without its structure."""

    material_id: str
    composition: dict[str, int]
    formation_energy_per_atom: float
    energy_above_hull: float


def read_rows(path: Path) -> Iterable[Row]:
    """Read ids, compositions and energies of a table."""
    table = pd.read_csv(path)
    hull = "e_above_hull" if "e_above_hull" in table else "energy_above_hull"
    for row in table.itertuples():
        formula = _FORMULA.search(row.cif)
        if formula is None:
            raise ValueError(f"row {row.Index} of {path.name} has no formula")
        amounts = _AMOUNT.findall(formula.group(1))
        yield Row(
            material_id=str(row.material_id),
            composition={symbol: int(count or 1) for symbol, count in amounts},
            formation_energy_per_atom=float(row.formation_energy_per_atom),
            energy_above_hull=float(getattr(row, hull)),
        )


if __name__ == "__main__":
    sys.exit(main())
