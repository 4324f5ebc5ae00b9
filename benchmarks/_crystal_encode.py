"""P4: structure to gene, CPU milliseconds per structure, against WyCryst's recipe.

The structures are a random sample of MP-20's binaries and ternaries. The peer finds the
same gene with pymatgen as WyCryst does: symmetry of the cell, conventional standard
structure, symmetry of that one. Both start from a parsed structure, and once more from
the CIF text. Loading the tables of the space groups, once per process, is not counted.
"""

from __future__ import annotations

import csv
import gzip
import os
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Record, make_record
from pymatgen.core import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from wyckflow.crystal.cif import parse_cif
from wyckflow.crystal.encode import EncodedStructure, Engine, encode_structure
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import key_genes
from wyckflow.crystal.tables import ENANTIOMORPHS, load_space_group

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SEED = 0
SYMPREC = 0.1
DATA_FILE = "mp20_biternary_train.csv.gz"


def measure(quick: bool) -> list[Record]:
    """Print one line per figure, and return the records."""
    warnings.simplefilter("ignore")
    texts = load_texts(150 if quick else 1000)
    if not texts:
        print(f"P4 not measured: WYCKFLOW_DATA names no folder with {DATA_FILE}")
        return []
    return measure_texts(texts)


def measure_texts(texts: Sequence[str]) -> list[Record]:
    """Compare both engines with the recipe, and print what was found."""
    for number in range(1, 231):
        load_space_group(number)
    structures = [Structure.from_str(text, fmt="cif") for text in texts]
    cells = [parse_cif(text) for text in texts]
    peer_parsing, _ = clock(lambda text: Structure.from_str(text, fmt="cif"), texts)
    parsing, _ = clock(parse_cif, texts)
    peer, expected = clock(encode_by_recipe, structures)
    records = []
    genes: dict[Engine, list[WyckoffGene]] = {}
    for engine in Engine:
        if not find_spec(engine.value):
            continue
        found, encoded = clock(lambda c, e=engine: encode_structure(c, engine=e), cells)
        genes[engine] = [e.gene for e in encoded if isinstance(e, EncodedStructure)]
        if len(genes[engine]) < len(texts):
            raise SystemExit(f"{engine} refused structures of {DATA_FILE}")
        records += [
            record(engine, "pymatgen, WyCryst's recipe", found, peer, texts),
            record(
                engine,
                "the same from CIF text",
                found + parsing,
                peer + peer_parsing,
                texts,
            ),
        ]
        compare(f"{engine} and the recipe", genes[engine], expected)
    if len(genes) > 1:
        compare("spglib and moyopy", *genes.values())
    for row in records:
        print(
            f"{row['engine']}: {row['value']:.3f} ms/structure; {row['peer']}: "
            f"{row['peer_value']:.2f} ms ({row['ratio']:.1f}x)"
        )
    print(f"CIF text to arrays: {parsing:.3f} ms; pymatgen: {peer_parsing:.2f} ms")
    return records


def load_texts(n_structures: int) -> list[str]:
    """Return the CIF texts of a random sample."""
    path = Path(os.environ.get("WYCKFLOW_DATA", "")) / DATA_FILE
    if not path.is_file():
        return []
    with gzip.open(path, "rt") as stream:
        texts = [row["cif"] for row in csv.DictReader(stream)]
    rng = np.random.default_rng(SEED)
    chosen = rng.choice(len(texts), min(n_structures, len(texts)), replace=False)
    return [texts[index] for index in chosen]


def encode_by_recipe(structure: Structure) -> WyckoffGene:
    """Find the gene as WyCryst does, in two passes of pymatgen."""
    analyzer = SpacegroupAnalyzer(structure, symprec=SYMPREC)
    conventional = analyzer.get_conventional_standard_structure()
    analyzer = SpacegroupAnalyzer(conventional, symprec=SYMPREC)
    symmetrized = analyzer.get_symmetrized_structure()
    return WyckoffGene.from_pairs(
        analyzer.get_space_group_number(),
        [
            (sites[0].specie.symbol, symbol[-1])
            for sites, symbol in zip(
                symmetrized.equivalent_sites, symmetrized.wyckoff_symbols, strict=True
            )
        ],
    )


def clock(work: Callable[[Any], Any], items: Sequence[Any]) -> tuple[float, list[Any]]:
    """Return CPU milliseconds per item, and the results."""
    work(items[0])
    start = time.process_time()
    results = [work(item) for item in items]
    return (time.process_time() - start) / len(items) * 1e3, results


def compare(
    names: str, first: Sequence[WyckoffGene], second: Sequence[WyckoffGene]
) -> None:
    """Print how often two ways agree on group and canonical key."""
    same_group = np.array(
        [folded(a) == folded(b) for a, b in zip(first, second, strict=True)]
    )
    same_key = key_genes(first) == key_genes(second)
    print(
        f"{names}: same space group {same_group.sum()} of {len(first)}, of these same "
        f"key {(same_group & same_key).sum()}"
    )


def folded(gene: WyckoffGene) -> int:
    """Return the space group, the same one for both mirror images."""
    return ENANTIOMORPHS.get(gene.space_group_number, gene.space_group_number)


def record(
    engine: Engine, peer: str, value: float, peer_value: float, texts: Sequence[str]
) -> Record:
    """Write one figure in the form that the runner reads."""
    return make_record(
        "P4",
        value,
        f"ms/structure ({engine.value})",
        (peer, peer_value),
        n=len(texts),
        seed=SEED,
        packages=("pymatgen", engine.value, "numpy"),
    ) | {"engine": engine.value}
