"""Relax crystals with CHGNet under their symmetry, and see whether it holds.

    python examples/relax_cifs.py my-cifs/ POSCAR --free

Only what the space group leaves free is varied; with ``--free``, each crystal is shaken
afterwards and relaxed without symmetry. No database is needed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from wyckflow.errors import WyckflowError
from wyckflow.relax.backends import load_backend
from wyckflow.relax.bulk import BulkOptions, relax_entries
from wyckflow.relax.free import check_symmetry
from wyckflow.relax.intake import open_intake

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("files", nargs="+", type=Path)
parser.add_argument("--free", action="store_true", help="also relax without symmetry")
options = parser.parse_args()

try:
    backend = load_backend(device="cpu")
    entries = open_intake(options.files).entries(symprec=0.01)
    print(f"energies on the scale {backend.energy_scale}")
    for result in relax_entries(entries, backend, BulkOptions()):
        if result.best is None:
            print(f"{result.entry.name:20s} {result.reason}")
            continue
        crystal = result.best.structure.to_structure()
        a, b, c = crystal.lattice.abc
        energy = result.best.state.energy_per_atom
        line = (
            f"{result.entry.name:20s} {energy:9.4f} eV/atom, {a:.3f} {b:.3f} {c:.3f} A"
        )
        if options.free:
            line += f", symmetry {check_symmetry([result.best], backend)[0].verdict}"
        print(line)
except WyckflowError as error:
    sys.exit(str(error))
