"""Table 2 of WyCryst+: the five published trainings on rows that ours learn from.

    python benchmarks/table2.py [--seeds 3] [--only NAME...] [--work FOLDER]
        [--json FILE] [--quick]

Trains on ``mp20_biternary_train`` and reports on ``mp20_biternary_test`` of the folder
that ``WYCKFLOW_DATA`` names; formation energy and reconstruction over all test rows and
the gap over those that have one. The published figures come from six times the data.
The work folder keeps a file per finished training, so that a run that was stopped goes
on. ``--quick`` takes two epochs of a thousand rows.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from _bench import Case, Record, keep_case, make_record, read_case
from _generator_rows import load_rows
from rich.console import Console
from rich.table import Table

from wyckflow.ml.training.wycryst import WycrystModel, WycrystOptions, WycrystVariant

PUBLISHED = {
    WycrystVariant.SINGLE: (0.063, float("nan"), 0.996, 0.913, 0.908),
    WycrystVariant.MULTI: (0.113, 0.448, 0.971, 0.641, 0.861),
    WycrystVariant.PLUS: (0.093, 0.423, 0.995, 0.899, 0.887),
    WycrystVariant.TRANSFER: (0.077, 0.442, 0.997, 0.876, 0.906),
    WycrystVariant.TRANSFER_PLUS: (0.075, 0.418, 0.999, 0.966, 0.901),
}
NAMES = ("energy", "gap", "element", "letters", "group")
TITLES = ("E_f, eV/atom", "E_g, eV", "elements, %", "letters, %", "group, %")
ERRORS = {"energy", "gap"}
PACKAGES = ("numpy", "torch")

out = Console(width=130, highlight=False, emoji=False)
Cases = dict[WycrystVariant, list[Case]]
"""Finished trainings of each variant, in order of their seeds."""


def main() -> int:
    """Train what is asked for and not done yet, and show all that is; an exit code."""
    options = _parse()
    torch.set_num_threads(1)
    if not os.environ.get("WYCKFLOW_DATA"):
        out.print("left out: needs WYCKFLOW_DATA, the folder of the public data")
        return 0
    cases = train_all(options)
    show(cases)
    records = compare(cases)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [variant.name.lower() for variant in WycrystVariant]
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind")
    parser.add_argument("--only", nargs="+", choices=names, help="train these alone")
    parser.add_argument("--work", type=Path, help="keep what is done here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write records here")
    parser.add_argument("--quick", action="store_true", help="few rows, 1 seed")
    options = parser.parse_args()
    if options.work is None:
        options.work = Path(tempfile.mkdtemp(prefix="wyckflow-table2-"))
    options.work.mkdir(parents=True, exist_ok=True)
    if options.quick:
        options.seeds = 1
    return options


def train_all(options: argparse.Namespace) -> Cases:
    """Train what has no file yet, the first seed of everything first."""
    train, test = load_rows(quick=options.quick)
    wanted = options.only or [variant.name.lower() for variant in WycrystVariant]
    cases: Cases = {}
    for seed in range(options.seeds):
        training = WycrystOptions(n_epochs=2 if options.quick else 55, seed=seed)
        for variant in WycrystVariant:
            path = options.work / f"{variant.name.lower()}-{seed}.json"
            story = {"variant": variant.value, "rows": len(train), **asdict(training)}
            case = read_case(path, story)
            if case is None and variant.name.lower() in wanted:
                start = time.process_time()
                model = WycrystModel(variant, training).fit(train)
                cpu_s = time.process_time() - start
                scores = asdict(model.evaluate(test, np.arange(len(test))))
                case = {**scores, "n": len(test), "cpu_s": cpu_s}
                keep_case(path, story, case)
                out.print(f"{variant.value}, seed {seed}: {cpu_s:.0f} CPU s")
            if case is not None:
                cases.setdefault(variant, []).append(case)
    return cases


def show(cases: Cases) -> None:
    """Print every row beside the published one."""
    table = Table(title="on rows that no training saw, ± over the seeds", box=None)
    table.add_column("training")
    for title in (*TITLES, "all right, %", "seeds", "CPU s each"):
        table.add_column(title, justify="right")
    for variant, some in cases.items():
        own = [_write(some, name) for name in (*NAMES, "together")]
        cpu_s = np.mean([case["cpu_s"] for case in some])
        table.add_row(variant.value, *own, str(len(some)), f"{cpu_s:.0f}")
        published = zip(NAMES, PUBLISHED[variant], strict=True)
        written = [_form(name, value) for name, value in published]
        table.add_row("[dim]  published[/dim]", *written)
    out.print(table)


def _write(cases: list[Case], name: str) -> str:
    values = [case[name] for case in cases]
    written = _form(name, float(np.mean(values)))
    if len(values) == 1 or not np.isfinite(values).all():
        return written
    return f"{written} ± {_form(name, float(np.std(values, ddof=1)))}"


def _form(name: str, value: float) -> str:
    if not np.isfinite(value):
        return ""
    return f"{value:.3f}" if name in ERRORS else f"{100 * value:.1f}"


def compare(cases: Cases) -> list[Record]:
    """Return means over seeds as records; of the shares, what is wrong."""
    records = []
    for variant, some in cases.items():
        for name, published in zip(NAMES, PUBLISHED[variant], strict=True):
            own = float(np.mean([case[name] for case in some]))
            if not np.isfinite(own):
                continue
            is_error = name in ERRORS
            value = own if is_error else max(1 - own, 1e-4)
            peer = published if is_error else 1 - published
            records.append(
                make_record(
                    "Q4" if is_error else "Q3",
                    value,
                    f"{variant.value}: {name} {'error' if is_error else 'wrong share'}",
                    ("the paper, six times the data", peer),
                    n=some[0]["n"],
                    seed=0,
                    packages=PACKAGES,
                )
            )
    return records


if __name__ == "__main__":
    sys.exit(main())
