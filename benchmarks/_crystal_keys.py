"""P5: canonical key and novelty look-up, CPU microseconds per gene.

The genes are those of MP-20 (training set looked up in, test set looked for) where
``WYCKFLOW_DATA`` names a folder with the files, and made at random otherwise. The peers
do the same work: string keys as the smallest of all written forms, in plain Python, and
pymatgen's StructureMatcher on pairs of the same formula.
"""

from __future__ import annotations

import csv
import gzip
import os
import time
from collections import defaultdict
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Record, make_record

from wyckflow.crystal import WyckoffGene
from wyckflow.crystal.cell import Cell, make_cell
from wyckflow.crystal.cif import parse_cif
from wyckflow.crystal.encode import EncodedStructure, Engine, encode_structure
from wyckflow.crystal.keys import find_keys, key_genes
from wyckflow.crystal.tables import ENANTIOMORPHS, load_space_group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SEED = 0
MEASURED_SECONDS = 2.0

Crystal = tuple[WyckoffGene, Cell]


def measure(quick: bool) -> list[Record]:
    """Print one line per peer, and return the records."""
    source, reference, sought = load_crystals(quick=quick)
    genes = [gene for gene, _ in sought]
    known = [gene for gene, _ in reference]

    sorted_keys = np.unique(key_genes(known))
    ours, found = clock(lambda: find_keys(key_genes(genes), sorted_keys) >= 0)
    known_strings = {string_key(gene) for gene in known}
    strings, string_found = clock(
        lambda: [string_key(gene) in known_strings for gene in genes]
    )
    if found.tolist() != string_found:
        raise SystemExit("keys and string keys disagree on what is known")
    pairs = list(pairs_of_one_formula(reference, sought))[: 10 if quick else 60]
    records = [
        record(ours / len(genes), "string keys in Python", strings / len(genes), genes),
        record(ours / len(genes), "StructureMatcher per pair", match(pairs), genes),
    ]
    print(f"{source}: {sum(string_found)} of {len(genes)} genes in {len(known)} known")
    for row in records:
        print(
            f"{row['value']:.2f} us/gene; {row['peer']}: {row['peer_value']:.4g} us "
            f"({row['ratio']:.4g}x)"
        )
    return records


def clock(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the least CPU seconds of some runs, and what the work returned."""
    result = work()
    seconds, total = [], 0.0
    while total < MEASURED_SECONDS:
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
        total += max(seconds[-1], 1e-3)
    return min(seconds), result


def record(
    seconds: float, peer: str, peer_seconds: float, genes: list[WyckoffGene]
) -> Record:
    """Write one figure in the form that the runner reads."""
    return make_record(
        "P5",
        seconds * 1e6,
        "us/gene",
        (peer, peer_seconds * 1e6),
        n=len(genes),
        seed=SEED,
        packages=("numpy", "pymatgen", "spglib"),
    )


# --- the peers --------------------------------------------------------------------


@cache
def renamings(number: int) -> list[dict[str, str]]:
    """Return what each description makes of the letters of a group."""
    group = load_space_group(number)
    return [
        {old: group.letters[i] for old, i in zip(group.letters, row, strict=True)}
        for row in group.affine.distinct_permutations.tolist()
    ]


def string_key(gene: WyckoffGene) -> str:
    """Return the smallest text among all descriptions of a gene."""
    number = ENANTIOMORPHS.get(gene.space_group_number, gene.space_group_number)
    sites = [(site.element, site.letter) for site in gene.sites]
    smallest = min(
        sorted(f"{element}:{names[letter]}" for element, letter in sites)
        for names in renamings(number)
    )
    return f"{number} {' '.join(smallest)}"


def match(pairs: list[tuple[Cell, Cell]]) -> float:
    """Return the CPU seconds that StructureMatcher takes for a pair."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    structures = [(a.to_structure(), b.to_structure()) for a, b in pairs]
    matcher = StructureMatcher()
    matcher.fit(*structures[0])
    start = time.process_time()
    for first, second in structures:
        matcher.fit(first, second)
    return (time.process_time() - start) / len(structures)


def pairs_of_one_formula(
    reference: list[Crystal], sought: list[Crystal]
) -> Iterable[tuple[Cell, Cell]]:
    """Yield the structures that a search by formula would have to compare."""
    by_formula: dict[str, list[Cell]] = defaultdict(list)
    for gene, cell in reference:
        by_formula[gene.formula].append(cell)
    for gene, cell in sought:
        for other in by_formula.get(gene.formula, ()):
            yield cell, other


# --- the genes --------------------------------------------------------------------


def load_crystals(*, quick: bool) -> tuple[str, list[Crystal], list[Crystal]]:
    """Return the name of the data, what is known, and what is looked for."""
    folder = os.environ.get("WYCKFLOW_DATA")
    if folder:
        names = ("mp20_biternary_train.csv.gz", "mp20_biternary_test.csv.gz")
        known, sought = (
            list(read_crystals(Path(folder) / name, 1000 if quick else None))
            for name in names
        )
        return "MP-20 binaries and ternaries", known, sought
    rng = np.random.default_rng(SEED)
    n_genes = 2000 if quick else 10000
    known = [make_crystal(rng) for _ in range(n_genes)]
    again = [place(gene, rng) for gene, _ in known[: n_genes // 10]]
    return "random genes", known, again + [make_crystal(rng) for _ in range(n_genes)]


def read_crystals(path: Path, n_rows: int | None) -> Iterable[Crystal]:
    """Read structures and find their genes."""
    engine = Engine.MOYOPY if find_spec("moyopy") else Engine.SPGLIB
    with gzip.open(path, "rt") as stream:
        for index, row in enumerate(csv.DictReader(stream)):
            if index == n_rows:
                return
            cell = parse_cif(row["cif"])
            if not isinstance(cell, Cell):
                continue
            encoded = encode_structure(cell, engine=engine)
            if isinstance(encoded, EncodedStructure):
                yield encoded.gene, cell


def make_crystal(rng: np.random.Generator) -> Crystal:
    """Make a random gene of two or three elements, and place its atoms."""
    group = load_space_group(int(rng.integers(1, 231)))
    elements = rng.choice(["Ca", "Ti", "O", "S", "Fe", "Al", "N", "Sr"], 3).tolist()
    letters = rng.choice(list(group.letters), min(4, len(group.letters)), replace=False)
    pairs = [(elements[i % 3], letter) for i, letter in enumerate(letters.tolist())]
    return place(WyckoffGene.from_pairs(group.number, pairs), rng)


def place(gene: WyckoffGene, rng: np.random.Generator) -> Crystal:
    """Put the atoms of a gene anywhere in a cell of 15 cubic A per atom."""
    edge = (15.0 * gene.n_sites) ** (1 / 3)
    lattice = np.diag([edge, edge, edge])
    if 143 <= gene.space_group_number <= 194:  # noqa: PLR2004 - hexagonal axes
        lattice[1] = [-edge / 2, edge * np.sqrt(3) / 2, 0]
    points, numbers = [], []
    for site, position in zip(gene.sites, gene.positions, strict=True):
        orbit = position.rotations @ rng.random(3) + position.translations / 24
        points.append(orbit % 1)
        numbers += [1 + gene.elements.index(site.element)] * len(orbit)
    return gene, make_cell(lattice, np.concatenate(points), numbers)
