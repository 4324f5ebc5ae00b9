"""Genes relaxed as in a campaign and held against the hull; kept between runs."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckflow.crystal.cell import Refusal
from wyckflow.crystal.encode import encode_structure
from wyckflow.makers.hull import HullMaker
from wyckflow.makers.relax import RelaxMaker
from wyckflow.schemas.structures import unpack_structures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.schemas.relaxation import RelaxationBatchDoc

Row = dict[str, Any]

N_TRIALS = 6
AT_ONCE = 25
QUANTILE = 1.96
_LAYOUT = 2  # of the rows that are kept


def relax(texts: Sequence[str], identity: str) -> dict[str, Row]:
    """Relax what was not relaxed before; return what is known of each gene.

    Parameters
    ----------
    texts
        Genes.
    identity
        Of the generator that proposed them: each has a file of its own.
    """
    maker, judge = RelaxMaker(n_trials=N_TRIALS), HullMaker()
    own = (_LAYOUT, identity, maker.as_dict(), judge.as_dict(), version("chgnet"))
    name = hashlib.sha256(repr(own).encode()).hexdigest()[:12]
    kept = Path(tempfile.gettempdir()) / f"wyckflow-benchmark-relaxed-{name}.jsonl"
    lines = kept.read_text().splitlines() if kept.exists() else []
    rows: dict[str, Row] = {row["gene"]: row for row in map(json.loads, lines)}
    left = [text for text in texts if text not in rows]
    if left:  # so that the first seconds are not those of loading
        maker.make.original(maker, left[:1])
    for start in range(0, len(left), AT_ONCE):
        some = left[start : start + AT_ONCE]
        began = time.process_time()
        relaxed = maker.make.original(maker, some)
        cpu_s = (time.process_time() - began) / len(some)
        found = judge_relaxed(relaxed, judge, cpu_s)
        with kept.open("a") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in found)
        rows |= {row["gene"]: row for row in found}
        print(
            f"  {start + len(some)} of {len(left)}: {cpu_s:.2f} CPU s each", flush=True
        )
    return rows


def judge_relaxed(
    relaxed: RelaxationBatchDoc, judge: HullMaker, cpu_s: float
) -> list[Row]:
    """Return what is kept of relaxed genes.

    Parameters
    ----------
    relaxed
        What the job of relaxation returned.
    judge
        Of the distance to the hull.
    cpu_s
        That each has cost.
    """
    structures = unpack_structures(relaxed.blob) if relaxed.blob else []
    verdicts = judge.make.original(judge, relaxed).results
    rows = []
    for item, verdict in zip(relaxed.results, verdicts, strict=True):
        after = None
        if item.structure_index is not None:
            structure = structures[item.structure_index]
            points, atomic_numbers = structure.expand()
            cell = (np.array(structure.lattice), points, atomic_numbers)
            encoded = encode_structure(cell)
            after = None if isinstance(encoded, Refusal) else encoded.gene.to_text()
        rows.append(
            {
                "gene": item.gene,
                "after": after,
                "outcome": item.outcome.value,
                "distance": verdict.energy_above_hull,
                "formation_energy": verdict.formation_energy_per_atom,
                "likely": verdict.probability_within_100_mev,
                "n_evaluations": item.n_evaluations_of_gene,
                "cpu_s": cpu_s,
            }
        )
    return rows


def wilson(found: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share.

    Parameters
    ----------
    found, n
        How many of how many.
    """
    share, square = found / n, QUANTILE**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = np.sqrt(share * (1 - share) / n + square / (4 * n**2)) * QUANTILE
    half /= 1 + square / n
    return float(middle - half), float(middle + half)
