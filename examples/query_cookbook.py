"""Ask a project's database for crystals, in four ways; run it inside a project folder.

python examples/query_cookbook.py --campaign paper-target
"""

from __future__ import annotations

import argparse
import sys

from wyckflow.errors import WyckflowError
from wyckflow.store.candidates.builder import build_candidates
from wyckflow.store.candidates.query import Candidates
from wyckflow.store.project import load_project

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--campaign", required=True)
options = parser.parse_args()

try:
    database = load_project().database()
    build_candidates(database, campaign=options.campaign)  # join what has finished

    with Candidates(database, campaign=options.campaign) as candidates:
        print("1. Documents: the three lowest above the hull")
        for crystal in candidates.find(sort=[("energy_above_hull", 1)], limit=3):
            print(" ", crystal.formula_pretty, crystal.gene, crystal.energy_above_hull)

        print("2. A table of pandas: how many per crystal system")
        table = candidates.to_pandas(limit=100_000)
        if len(table):
            print(table.groupby("crystal_system").size().to_string())

        print("3. Structures of pymatgen: the densest that were relaxed")
        structures = candidates.structures("energy_per_atom != none", limit=100)
        by_density = sorted(structures.values(), key=lambda one: -one.density)
        for crystal in by_density[:3]:
            print(f"  {crystal.reduced_formula} {crystal.density:.1f} g/cm3")

    with database.client() as client:
        print("4. MongoDB's own way: why candidates failed")
        stages = [
            {"$match": {"campaign": options.campaign}},
            {"$unwind": "$verdicts"},
            {"$match": {"verdicts.verdict": "fail"}},
            {"$sortByCount": "$verdicts.filter"},
        ]
        for row in client[database.name].candidates.aggregate(stages):
            print(f"  {row['_id']}: {row['count']}")
except WyckflowError as error:
    sys.exit(str(error))
