"""Q5 to its end: what is inside the target, by other judges than the generator's own.

    WYCKFLOW_DATA=FOLDER python benchmarks/target_hull.py [--quick] [--json FILE]

The bundled generator draws for the paper's target and for none. Of the new and
different genes a predictor that has learned from WBM alone says which are inside; some
of these are relaxed as in a campaign (a race of six starts, CHGNet), and have to stay
inside: metastable on CHGNet's bundled hull, formation energy and space group those of
the target. A gap CHGNet cannot tell; that remains the predictor's word. What was
relaxed is kept in the temporary folder, so that a stopped run goes on.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from _bench import Record, make_record, run_script
from _relaxed_genes import QUANTILE, relax, wilson
from generator import (
    LEAST_GROUP,
    WINDOW_ENERGY,
    has_data,
    hit_flags,
    model,
    train_judge,
)

from wyckflow.crystal.keys import canonical_keys, unpack_genes
from wyckflow.ml.sampling.draw import Draw
from wyckflow.ml.sampling.options import DrawOptions
from wyckflow.schemas.target import PAPER_TARGET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _relaxed_genes import Row

    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.ml.generator import GeneBatch

SEED = 0
N_FREE, N_ASKED, N_RELAXED = 8_000, 1_000, 150
METASTABLE = 0.1  # eV/atom above the hull
FREE, ASKED = "for no target", "for the target"


@dataclass(frozen=True, eq=False)
class Arm:
    """Genes of one way to draw.

    Attributes
    ----------
    n
        New and different ones.
    inside
        Those that the predictor puts inside the target.
    """

    n: int
    inside: list[WyckoffGene]


def measure(quick: bool) -> list[Record]:
    """Draw, judge, relax, count."""
    if not has_data():
        return []
    torch.set_num_threads(1)
    judge = train_judge(quick=quick)
    shrink = 10 if quick else 1
    free = model().sample(N_FREE // shrink, seed=SEED)
    options = DrawOptions(keep_outside=True)
    asked = Draw(model(), N_ASKED // shrink, PAPER_TARGET, options, seed=SEED)
    arms = {FREE: judged([free], judge), ASKED: judged(list(asked), judge)}
    identity = model().to_checkpoint().identity
    shares = {}
    for title, arm in arms.items():
        chosen = np.random.default_rng(SEED).permutation(len(arm.inside))
        chosen = chosen[: N_RELAXED // shrink]
        texts = [str(arm.inside[at]) for at in chosen.tolist()]
        rows = relax(texts, identity)
        shares[title] = report(title, arm, [rows[text] for text in texts])
    return compare(shares, sum(min(N_RELAXED, len(a.inside)) for a in arms.values()))


def judged(batches: Sequence[GeneBatch], judge: object) -> Arm:
    """Return what the predictor makes of draws, each gene once."""
    n, inside = 0, {}
    for batch in batches:
        keys = canonical_keys(batch.space_group_numbers, batch.codes)
        _, first = np.unique(keys, return_index=True)
        first = first[~model().memory.is_known(keys[first])]
        hits = hit_flags(judge, batch)
        n += len(hits)
        rows = first[hits]
        genes = unpack_genes(batch.space_group_numbers[rows], batch.codes[rows])
        inside |= dict(zip(keys[rows].tolist(), genes, strict=True))
    return Arm(n, list(inside.values()))


def report(title: str, arm: Arm, rows: Sequence[Row]) -> tuple[float, float]:
    """Print what became of one way; return its share and the error of its logarithm."""
    is_near = [r["distance"] is not None and r["distance"] <= METASTABLE for r in rows]
    stays = [
        near
        and row["formation_energy"] < WINDOW_ENERGY
        and int((row["after"] or row["gene"]).split()[0]) >= LEAST_GROUP
        for near, row in zip(is_near, rows, strict=True)
    ]
    n_inside, n_rows = len(arm.inside), len(rows)
    first, second = n_inside / arm.n, sum(stays) / max(n_rows, 1)
    low, high = wilson(sum(stays), n_rows)
    print(
        f"{title}: {n_inside} of {arm.n} new genes inside by the predictor "
        f"({100 * first:.1f} %); of {n_rows} relaxed {sum(is_near)} within "
        f"{METASTABLE} eV/atom of the hull, {sum(stays)} of these inside in energy and "
        f"space group ({100 * second:.0f} %, {100 * low:.0f} to {100 * high:.0f}); "
        f"{100 * first * second:.2f} % in all; "
        f"{sum(row['cpu_s'] for row in rows):.0f} CPU s"
    )
    found = max(sum(stays), 0.5)
    error = 1 / max(n_inside, 0.5) - 1 / arm.n + 1 / found - 1 / max(n_rows, 1)
    return first * found / max(n_rows, 1), float(np.sqrt(error))


def compare(shares: dict[str, tuple[float, float]], n: int) -> list[Record]:
    """Print the gain with its interval, and write a record."""
    (free, free_error), (asked, asked_error) = shares[FREE], shares[ASKED]
    spread = QUANTILE * np.hypot(free_error, asked_error)
    low, high = asked / free * np.exp([-spread, spread])
    print(f"Q5: {asked / free:.1f}x ({low:.1f} to {high:.1f}); target 5x")
    return [
        make_record(
            "Q5",
            free / asked,
            "inverse enrichment, by predictor, CHGNet and its hull",
            (FREE, 1.0),
            n=n,
            seed=SEED,
            packages=("chgnet", "torch", "numpy"),
        )
    ]


if __name__ == "__main__":
    sys.exit(run_script(__doc__.splitlines()[0], measure))
