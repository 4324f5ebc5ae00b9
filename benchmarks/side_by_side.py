"""Q1 and Q2: both generators, several trainings each, beside the published set.

    python benchmarks/side_by_side.py [--seeds 3] [--work FOLDER] [--figure FILE]
        [--json FILE] [--quick]

Both learn from ``mp20_biternary_train`` of the folder ``WYCKFLOW_DATA``, by the default
options and without predictors. The first training of each is the bundled model; other
seeds set other formulas aside and draw everything else anew (some ten CPU minutes
each). What they generate for no target, and the novel genes that WyCryst's authors
published, is held against ``mp20_biternary_test`` by what ``wyckflow evaluate`` calls,
at equal size. The work folder keeps what is done, so that a run that was stopped goes
on. ``--quick`` takes the bundled models and few samples.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from _bench import Case, Record, keep_case, make_record, read_case
from _generator_rows import TEST, TRAIN, load_data
from rich.console import Console
from rich.table import Table

from wyckflow.ml.checkpoint import load_checkpoint
from wyckflow.ml.kinds import open_generator
from wyckflow.ml.model_file import BUNDLED, BUNDLED_TRANSFORMER, bundled_model_path
from wyckflow.ml.mpvae.generator import MultiPropertyVAE
from wyckflow.ml.training.config import GeneratorConfig, TrainingConfig
from wyckflow.ml.transformer.config import TransformerConfig, TransformerTrainingConfig
from wyckflow.ml.transformer.generator import WyckoffTransformer
from wyckflow.screening.metrics import (
    EvaluationOptions,
    GeneSet,
    evaluate_set,
    read_set,
)
from wyckflow.screening.novelty import KnownGenes

if TYPE_CHECKING:
    from wyckflow.ml.kinds import AnyGenerator

KINDS = ("autoencoder", "transformer")
N_SAMPLES, N_JUDGED = 4_000, 3_000
N_QUICK = 500
N_LIKELY = 600
PUBLISHED_SET = "WyCryst, published set"
CHANCE = "as many real crystals"
PACKAGES = ("numpy", "torch")

# What is shown, and the figures of WyckoffTransformer, which learned from all of MP-20:
# four times as many rows.
FIGURES = {
    "valid": ("valid, %", 97.0),
    "new": ("new and different, %", 89.0),
    "neutral_share": ("neutral, of these, %", None),
    "ks_sites": ("sites (KS)", 0.052),
    "ks_elements": ("elements (KS)", 0.029),
    "ks_degrees_of_freedom": ("degrees of freedom (KS)", 0.056),
    "chi2_space_groups": ("space groups (chi2)", 0.063),
    "chi2_elements": ("which elements (chi2)", 0.019),
    "p1_share": ("in P1, %", 1.1),
    "nats": ("nats per test gene", None),
}
PEER = "WyFormer, published"
IN_PERCENT = {"valid", "new", "neutral_share", "p1_share"}

out = Console(width=140, highlight=False, emoji=False)
Columns = dict[str, list[Case]]
"""Figures by name of what was measured, one case for each training."""


def main() -> int:
    """Train what is not done yet, measure, and show; an exit code."""
    options = _parse()
    torch.set_num_threads(1)
    if not os.environ.get("WYCKFLOW_DATA"):
        out.print("left out: needs WYCKFLOW_DATA, the folder of the public data")
        return 0
    columns = measure_all(options)
    show(columns)
    records = compare(columns)
    if options.figure:
        from _side_by_side_figure import draw_distances

        names = [name for name in FIGURES if name.startswith(("ks_", "chi2_"))]
        titles = {name: FIGURES[name] for name in names}
        draw_distances(options.figure, columns, titles, PEER)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind")
    parser.add_argument("--work", type=Path, help="keep what is done here")
    parser.add_argument("--figure", type=Path, help="draw the distances here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write records here")
    parser.add_argument("--quick", action="store_true", help="bundled, few samples")
    options = parser.parse_args()
    if options.work is None:
        options.work = Path(tempfile.mkdtemp(prefix="wyckflow-side-by-side-"))
    options.work.mkdir(parents=True, exist_ok=True)
    if options.quick:
        options.seeds = 1
    return options


def measure_all(options: argparse.Namespace) -> Columns:
    """Return the figures of all trainings, of the published set, and of chance."""
    columns: Columns = {kind: [] for kind in KINDS}
    for seed in range(options.seeds):
        for kind in KINDS:
            path = options.work / f"{kind}-{seed}.json"
            story = {"quick": options.quick, **tell(kind, seed)}
            case = read_case(path, story)
            if case is None:
                case = measure_one(kind, seed, options)
                keep_case(path, story, case)
            columns[kind].append(case)
    published = Path(os.environ["WYCKFLOW_DATA"]) / "peers"
    genes = read_set(published / "wycryst_novel_mp20_biternary.csv.gz")
    own, chance = describe(genes, quick=options.quick)
    return columns | {PUBLISHED_SET: [own], CHANCE: [chance]}


def tell(kind: str, seed: int) -> dict[str, Any]:
    """Return what decides a training: its options, or the bundled file as it is."""
    if seed == 0:
        return {"bundled": load_checkpoint(bundled_path(kind)).identity}
    return {"trained": untrained(kind, seed).config.model_dump(mode="json")}


def measure_one(kind: str, seed: int, options: argparse.Namespace) -> Case:
    """Train one generator, or take the bundled one, and measure what it generates."""
    start = time.process_time()
    model = obtain(kind, seed, options.work)
    cpu_s = time.process_time() - start
    n = N_QUICK if options.quick else N_SAMPLES
    batch = model.sample(n, seed=seed)
    genes = GeneSet.of((batch.space_group_numbers, batch.codes), name=kind)
    figures, _ = describe(genes, quick=options.quick)
    likely = load_data(TEST).genes[: 50 if options.quick else N_LIKELY]
    nats = -float(model.log_probability(likely).mean())
    out.print(f"{kind}, seed {seed}: {cpu_s:.0f} CPU s")
    return {**figures, "valid": len(batch) / n, "nats": nats, "cpu_s": cpu_s}


def obtain(kind: str, seed: int, work: Path) -> AnyGenerator:
    """Return a trained generator; the first of each kind is the bundled one."""
    if seed == 0:
        return open_generator(load_checkpoint(bundled_path(kind)))
    model = untrained(kind, seed)
    model.fit([load_data(TRAIN)], folder=work / f"{kind}-{seed}")
    path = work / f"{kind}-{seed}.npz"
    model.save(path)
    # As stored, in half precision, like the bundled ones.
    return open_generator(load_checkpoint(path))


def bundled_path(kind: str) -> Path:
    """Return the file of the bundled model of a kind."""
    return bundled_model_path(BUNDLED_TRANSFORMER if kind == "transformer" else BUNDLED)


def untrained(kind: str, seed: int) -> AnyGenerator:
    """Return a generator with the default options that has learned nothing."""
    if kind == "transformer":
        options = TransformerConfig(seed=seed)
        return WyckoffTransformer(
            TransformerTrainingConfig(generator=options, predictor=None)
        )
    return MultiPropertyVAE(
        TrainingConfig(generator=GeneratorConfig(seed=seed), predictor=None)
    )


def describe(genes: GeneSet, *, quick: bool) -> tuple[Case, Case]:
    """Return figures of a set, and those that chance alone would give."""
    document = evaluate_set(
        genes,
        load_data(TEST),
        known=KnownGenes.from_dataset(load_data(TRAIN)),
        options=EvaluationOptions(
            n=N_QUICK // 2 if quick else N_JUDGED, n_resamples=10 if quick else 50
        ),
    )
    own, chance = {"new": document.n_population / document.n_valid}, {}
    for metric in document.metrics:
        if metric.name in FIGURES:
            own[metric.name] = metric.value
            floor = metric.floor if metric.floor is not None else metric.reference
            if floor is not None:
                chance[metric.name] = floor
    return own, chance


def show(columns: Columns) -> None:
    """Print a row per figure."""
    table = Table(title="for no target, ± over trainings", box=None)
    table.add_column("")
    for name, cases in columns.items():
        times = f" ({len(cases)})" if name in KINDS else ""
        table.add_column(name + times, justify="right")
    table.add_column(PEER, justify="right")
    for name, (title, published) in FIGURES.items():
        own = [_write(name, cases) for cases in columns.values()]
        written = "" if published is None else f"{published:g}"
        table.add_row(title, *own, written)
    out.print(table)


def _write(name: str, cases: list[Case]) -> str:
    values = np.array([case[name] for case in cases if name in case])
    if not len(values):
        return ""
    values *= 100 if name in IN_PERCENT else 1
    digits = 1 if name in IN_PERCENT else 2 if name == "nats" else 3
    written = f"{values.mean():.{digits}f}"
    return (
        f"{written} ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else written
    )


def compare(columns: Columns) -> list[Record]:
    """Return means over the trainings beside the published figures."""
    records = []
    for kind in KINDS:
        for name, (title, published) in FIGURES.items():
            values = [case[name] for case in columns[kind]]
            if published is None or name == "p1_share":
                continue
            own, peer = float(np.mean(values)), published
            if name in IN_PERCENT:  # what is lacking: less is better in every record
                own, peer = 1 - own, 1 - published / 100
            records.append(
                make_record(
                    "Q1" if name in IN_PERCENT else "Q2",
                    max(own, 1e-6),
                    f"{kind}: {title.removesuffix(', %')}"
                    + (", share lacking" if name in IN_PERCENT else ""),
                    (f"{PEER}, four times the data", peer),
                    n=len(values),
                    seed=0,
                    packages=PACKAGES,
                )
            )
    return records


if __name__ == "__main__":
    sys.exit(main())
