"""P4, P5 and building: genes from structures, keys of genes, structures from genes.

    WYCKFLOW_DATA=FOLDER python benchmarks/crystal.py [--quick] [--json FILE]

One process, one thread, CPU seconds. What was measured is in README-crystal.md.
"""

from __future__ import annotations

import sys

import _crystal_build
import _crystal_encode
import _crystal_keys
from _bench import run_script

if __name__ == "__main__":
    summary = __doc__.splitlines()[0]
    parts = (_crystal_encode.measure, _crystal_keys.measure, _crystal_build.measure)
    sys.exit(run_script(summary, *parts))
