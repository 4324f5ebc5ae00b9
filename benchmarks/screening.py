"""P5, P6, P8 without decoding: novelty, neutrality, a screening of 100,000 genes.

    WYCKFLOW_DATA=FOLDER python benchmarks/screening.py [--quick] [--json FILE]

One process, one thread, CPU seconds; the screening job runs in a process of its own,
so that its peak memory is its own.
"""

from __future__ import annotations

import sys

import _screening_genes
import _screening_neutrality
import _screening_novelty
from _bench import run_script

if __name__ == "__main__":
    summary = __doc__.splitlines()[0]
    parts = (
        _screening_novelty.measure,
        _screening_neutrality.measure,
        _screening_genes.measure,
    )
    sys.exit(run_script(summary, *parts))
