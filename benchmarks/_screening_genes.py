"""P8 (screening's part) and a screening of 100,000 genes: speed and memory.

Genes are arrays, as a decoder leaves them, with impossible ones among them: random
ones, and where ``WYCKFLOW_DATA`` names a folder with the published genes of WyCryst,
those, too. The peer makes an object of each gene, which refuses impossible ones, and
asks SMACT for its composition.
"""

from __future__ import annotations

import ast
import csv
import gzip
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from _bench import Record, make_record

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import LETTER_BITS, pack_genes, unpack_genes
from wyckflow.crystal.tables import load_space_group
from wyckflow.errors import GeneError
from wyckflow.screening.neutrality import are_neutral
from wyckflow.screening.table import GeneTable

SEED = 0
N_GENES = 100_000
N_OF_PEER = 400

Packed = tuple[np.ndarray, np.ndarray]


def measure(quick: bool) -> list[Record]:
    """Print speed and memory, and return the record of P8's screening part."""
    n_genes = 5000 if quick else N_GENES
    samples = {"random genes": draw_genes(n_genes)}
    if folder := os.environ.get("WYCKFLOW_DATA"):
        samples["genes of WyCryst"] = load_published(Path(folder))
    records = []
    for name, (numbers, codes) in samples.items():
        judge_genes(numbers[:500], codes[:500])  # tables are read once
        start = time.process_time()
        n_possible, n_neutral = judge_genes(numbers, codes)
        seconds = time.process_time() - start
        rate = n_possible / seconds
        peer_rate = clock_peer(numbers[:N_OF_PEER], codes[:N_OF_PEER])
        print(
            f"{name}: {len(numbers):,} arrays, {n_possible:,} possible genes, "
            f"{n_neutral:,} of them neutral, {rate:,.0f} valid genes per CPU s "
            f"(validity and neutrality, decoding not counted); peer {peer_rate:,.0f} "
            f"({rate / peer_rate:.0f}x)"
        )
        records.append(
            make_record(
                "P8",
                1e6 / rate,
                "us/valid gene (without decoding)",
                ("gene objects and smact_validity", 1e6 / peer_rate),
                n=len(numbers),
                seed=SEED,
                packages=("numpy", "smact"),
            )
        )
    report_memory(n_genes)
    return records


def judge_genes(numbers: np.ndarray, codes: np.ndarray) -> tuple[int, int]:
    """Count possible and neutral genes among arrays, some thousand at a time."""
    n_possible = n_neutral = 0
    for chunk in GeneTable.from_arrays(numbers, codes).iter_chunks(10_000):
        possible = chunk.take(np.flatnonzero(chunk.is_possible))
        n_possible += len(possible)
        n_neutral += int(are_neutral(possible.compositions).sum())
    return n_possible, n_neutral


def clock_peer(numbers: np.ndarray, codes: np.ndarray) -> float:
    """Return the valid genes per CPU second of objects and SMACT."""
    from pymatgen.core.composition import Composition
    from smact.screening import smact_validity

    n_possible = 0
    start = time.process_time()
    for number, row in zip(numbers, codes, strict=True):
        try:
            (gene,) = unpack_genes([number], [row])
        except GeneError:
            continue
        n_possible += 1
        smact_validity(Composition(gene.composition))
    return n_possible / (time.process_time() - start)


# --- a whole screening ---------------------------------------------------------------


def report_memory(n_genes: int) -> None:
    """Screen genes in a process of their own, which tells its peak memory."""
    for n in (n_genes // 10, n_genes):
        command = [sys.executable, __file__, str(n)]
        done = subprocess.run(  # noqa: S603 - this very file
            command, check=True, capture_output=True, text=True
        )
        print(done.stdout.strip())


def screen_genes(n_genes: int) -> None:
    """Run the screening job on texts of genes, and print what it took."""
    from wyckflow.makers.screen import ScreenMaker

    numbers, codes = draw_genes(n_genes + n_genes // 3)
    table = GeneTable.from_arrays(numbers, codes)
    table = table.take(np.flatnonzero(table.is_possible)[:n_genes])
    texts = [gene.to_text() for gene in table.genes()]
    del table, numbers, codes
    ScreenMaker.make.original(ScreenMaker(), texts[:100])
    before, start = peak_mb(), time.process_time()
    document = ScreenMaker.make.original(ScreenMaker(), texts)
    seconds = time.process_time() - start
    size = len(document.model_dump_json(exclude={"blob"}))
    print(
        f"screening job: {len(texts):,} genes in {seconds:.1f} CPU s, peak memory "
        f"{peak_mb():.0f} MB ({before:.0f} MB before), {document.n_accepted:,} pass, "
        f"document {size / 1000:.0f} kB, blob {len(document.blob or b'') / 1e6:.1f} MB"
    )


def peak_mb() -> float:
    """Return the largest memory that this process held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- genes ----------------------------------------------------------------------------


def draw_genes(n_genes: int) -> Packed:
    """Draw space groups, and two to six sites of two or three elements."""
    rng = np.random.default_rng(SEED)
    numbers = rng.integers(1, 231, n_genes)
    n_letters = np.array(
        [0, *(len(load_space_group(i).letters) for i in range(1, 231))]
    )
    n_sites = rng.integers(2, 7, n_genes)
    elements = rng.integers(1, 90, (n_genes, 3))
    columns = np.arange(6)
    turns = columns % rng.integers(2, 4, n_genes)[:, None]
    species = np.take_along_axis(elements, turns, 1)
    letters = (rng.random((n_genes, 6)) * n_letters[numbers, None]).astype(int)
    codes = np.where(columns < n_sites[:, None], (species << LETTER_BITS) + letters, 0)
    return numbers.astype(np.int16), codes.astype(np.int16)


def load_published(folder: Path) -> Packed:
    """Read the genes that WyCryst published; rows that are no gene are left out."""
    genes = []
    path = folder / "peers" / "wycryst_novel_mp20_biternary.csv.gz"
    with gzip.open(path, "rt") as stream:
        for row in csv.DictReader(stream):
            labels = ast.literal_eval(row["reconstructed_wyckoff"])
            try:
                number = int(float(row["reconstructed_sg"]))
                genes.append(WyckoffGene.from_published(number, labels))
            except GeneError:
                continue
    return pack_genes(genes)


if __name__ == "__main__":
    screen_genes(int(sys.argv[1]))
