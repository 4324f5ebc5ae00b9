"""The funnel of the WyCryst+ paper before DFT, here and now, with its wall time.

    python examples/paper_funnel.py [--genes 2000] [--relaxations 200] [--output FOLDER]

Genes for the paper's target (gap of 0.5 to 2.0 eV, formation energy below -0.5 eV/atom,
space group 143 or above) from the bundled model, the paper's filters, relaxation, hull
and phonons, in one process and with no database set up before. The folder then holds
the candidates, their crystals and the figure of the funnel.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from wyckflow.cli.submit import run_campaign
from wyckflow.errors import WyckflowError
from wyckflow.schemas.target import PAPER_TARGET
from wyckflow.store.campaign.file import parse_campaign

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--genes", type=int, default=2000, help="to generate")
parser.add_argument("--relaxations", type=int, default=200, help="at most")
parser.add_argument("--seed", type=int, default=0, help="other genes with another")
parser.add_argument("--output", type=Path, default=Path("paper-funnel"))
options = parser.parse_args()

began = time.monotonic()
try:
    spec = parse_campaign(
        {
            "name": "paper-funnel",
            "target": PAPER_TARGET,
            "n_genes": options.genes,
            "seed": options.seed,
            "screen": "published",
            "phonon": {},
            "shard_minutes": 1,
            "budget": {"relaxations": options.relaxations},
        }
    )
    n_failed = run_campaign(spec, options.output)
except WyckflowError as error:
    sys.exit(str(error))
print(f"\n{time.monotonic() - began:.0f} s of wall time, one process")
sys.exit(1 if n_failed else 0)
