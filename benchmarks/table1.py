"""Q7: errors of forward models beside Table 1 of WyCryst+, and what augmentation does.

    python benchmarks/table1.py [--seeds 3] [--only NAME...] [--properties NAME...]
        [--mp] [--work FOLDER] [--minutes M] [--figure FILE] [--json FILE] [--quick]

Each model learns one property from ``aflow/PROPERTY_train`` of the folder
``WYCKFLOW_DATA``, a tenth of whose formulas judge when to stop, and is measured on
``aflow/PROPERTY_val``, which nothing was chosen on. The published figures are on the
test part of the same splits. The work folder keeps a file per finished training, so
that a run that was stopped goes on; ``--minutes`` begins none that would end later.
``--quick`` shows the machinery on made-up salts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from _bench import Case, Record, keep_case, make_record, read_case
from _table1_cases import (
    AFLOW,
    MADE,
    MP,
    PUBLISHED,
    ROWS,
    Column,
    Row,
    load_columns,
    make_config,
)
from rich.console import Console
from rich.table import Table

from wyckflow.ml.forward.crystals import crystals_from_dataset
from wyckflow.ml.forward.model import ForwardModel
from wyckflow.ml.forward.representation import open_representation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.forward.config import ForwardConfig
    from wyckflow.ml.training.loop import Progress

PACKAGES = ("numpy", "torch")
BEST_PUBLISHED = "CrabNet"

out = Console(width=170, highlight=False, emoji=False)
Cases = dict[tuple[str, str], list[Case]]
"""Finished trainings by names of row and column, in order of their seeds."""


def main() -> int:
    """Train what is asked for and not done yet, and show all that is; an exit code."""
    options = _parse()
    torch.set_num_threads(1)
    by_name = {row.name: row for row in ROWS}
    rows = [by_name[name] for name in options.only or by_name]
    columns = _choose_columns(options)
    if not columns:
        out.print("left out: needs WYCKFLOW_DATA, the folder of the public data")
        return 0
    train_all(rows, columns, options)
    cases = read_cases(options.work, ROWS, columns, options)
    show_ensembles(cases, columns)
    records = show(cases, columns)
    if options.figure:
        from _table1_figure import draw_table

        draw_table(options.figure, _values(cases, columns), columns, PUBLISHED)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="of these models, in this order"
    )
    parser.add_argument("--properties", nargs="+", metavar="NAME", help="of these")
    parser.add_argument("--mp", action="store_true", help="energies and gaps as well")
    parser.add_argument("--work", type=Path, help="keep what is done here")
    parser.add_argument("--minutes", type=float, help="begin nothing that ends later")
    parser.add_argument("--figure", type=Path, help="draw the table here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write records here")
    parser.add_argument("--quick", action="store_true", help="made-up salts, 1 seed")
    options = parser.parse_args()
    if options.work is None:
        options.work = Path(tempfile.mkdtemp(prefix="wyckflow-table1-"))
    options.work.mkdir(parents=True, exist_ok=True)
    _check_names(parser, "--only", options.only, [row.name for row in ROWS])
    names = [column.name for column in AFLOW + MP]
    _check_names(parser, "--properties", options.properties, names)
    if options.quick:
        options.seeds = 1
    return options


def _check_names(
    parser: argparse.ArgumentParser,
    option: str,
    given: Sequence[str] | None,
    known: Sequence[str],
) -> None:
    if wrong := sorted(set(given or ()) - set(known)):
        parser.error(f"{option} {' '.join(wrong)}: choose from {', '.join(known)}")


def _choose_columns(options: argparse.Namespace) -> list[Column]:
    """Return the properties that were asked for, and that there is data of."""
    if options.quick:
        return list(MADE)
    if not os.environ.get("WYCKFLOW_DATA"):
        return []
    columns = AFLOW + MP if options.mp else AFLOW
    wanted = options.properties
    return [column for column in columns if not wanted or column.name in wanted]


# --- trainings ------------------------------------------------------------------------


def train_all(
    rows: Sequence[Row], columns: Sequence[Column], options: argparse.Namespace
) -> None:
    """Train what has no file yet, the first seed of everything first."""
    begin = time.monotonic()
    longest: dict[str, float] = {}
    for seed, column, row in _iter_trainings(rows, columns, options.seeds):
        path = _path(options.work, row, column, seed)
        config = make_config(row, column, seed, quick=options.quick)
        story = _tell(config)
        if read_case(path, story) is not None:
            continue
        left = 60 * (options.minutes or np.inf) - (time.monotonic() - begin)
        if left < 1.2 * longest.get(row.representation, 0) or left <= 0:
            continue
        start = time.monotonic()
        digest = hashlib.sha256(json.dumps(story).encode()).hexdigest()[:8]
        folder = path.with_suffix(f".{digest}.partial")
        folder.mkdir(exist_ok=True)
        case = train_one(ForwardModel(config), column, folder)
        longest[row.representation] = time.monotonic() - start
        keep_case(path, story, case)
        shutil.rmtree(folder)
        out.print(
            f"{row.name}, {column.name}, seed {seed}: {case['mae']:.4g} {column.unit}, "
            f"{case['cpu_s']:.0f} CPU s"
        )


def _iter_trainings(
    rows: Sequence[Row], columns: Sequence[Column], n_seeds: int
) -> Iterator[tuple[int, Column, Row]]:
    for seed in range(n_seeds):
        for row in rows:
            for column in columns:
                yield seed, column, row


def train_one(model: ForwardModel, column: Column, folder: Path) -> Case:
    """Train a model, and predict rows that it has not seen.

    A row that the model refuses gets the median of the rows that it learned from.
    """
    train, report = _rows(column)
    cpu_s = _fit(model, train, folder)
    truth = report.properties[column.column] * column.factor
    known = np.flatnonzero(np.isfinite(truth))
    crystals = crystals_from_dataset(report.select(known))
    asked = ~(model.find_unknown(crystals) | model.find_unfit(crystals))
    values = np.full(len(known), np.nanmedian(train.properties[column.column]))
    start = time.process_time()
    found = model.predict(crystals.take(np.flatnonzero(asked)))
    values[asked] = found[column.column]
    predicted = values * column.factor
    return {
        "mae": float(np.abs(predicted - truth[known]).mean()),
        "n": len(known),
        "n_refused": int((~asked).sum()),
        "n_train": len(train),
        "n_weights": sum(w.numel() for w in model.members[0].network.parameters()),
        "cpu_s": cpu_s,
        "predict_cpu_s": time.process_time() - start,
        "inner": model.metrics,
        "predicted": [float(f"{value:.5g}") for value in predicted],
    }


def _fit(model: ForwardModel, train: Dataset, folder: Path) -> float:
    """Train, or go on where a run was stopped; return the CPU seconds of all runs."""
    spent = folder / "cpu_s"
    before = float(spent.read_text()) if spent.exists() else 0.0
    start = time.process_time()

    def note(progress: Progress) -> None:
        if progress.figures is not None:  # at a look, when a state is written
            spent.write_text(str(before + time.process_time() - start))

    model.fit([train], folder=folder, report=note)
    return before + time.process_time() - start


@cache
def _rows(column: Column) -> tuple[Dataset, Dataset]:
    return load_columns(column)


def _path(work: Path, row: Row, column: Column, seed: int) -> Path:
    name = f"{column.name}-{row.name}-{seed}".replace(" ", "_").replace("+", "-plus")
    return work / f"{name}.json"


def _tell(config: ForwardConfig) -> dict[str, Any]:
    """Return all options of a training, the sizes of the network among them."""
    representation = open_representation(config.representation, config.network)
    sizes = representation.sizes.model_dump(mode="json")
    return config.model_dump(mode="json") | {"network": sizes}


def read_cases(
    work: Path,
    rows: Sequence[Row],
    columns: Sequence[Column],
    options: argparse.Namespace,
) -> Cases:
    """Return what is done, of the seeds asked for."""
    cases: Cases = {}
    for seed, column, row in _iter_trainings(rows, columns, options.seeds):
        config = make_config(row, column, seed, quick=options.quick)
        case = read_case(_path(work, row, column, seed), _tell(config))
        if case is not None:
            cases.setdefault((row.name, column.name), []).append(case)
    return cases


# --- what comes out -------------------------------------------------------------------


def show(cases: Cases, columns: Sequence[Column]) -> list[Record]:
    """Print the table, what augmentation does, and the ratios; return the records."""
    _show_errors(cases, columns)
    _show_augmentation(cases, columns)
    return _compare(cases, columns)


def _show_errors(cases: Cases, columns: Sequence[Column]) -> None:
    table = Table(title="mean absolute error, ± spread over the seeds", box=None)
    table.add_column("model")
    for column in columns:
        table.add_column(f"{column.name} ({column.unit})", justify="right")
    table.add_column("seeds")
    table.add_column("CPU s each", justify="right")
    table.add_column("weights", justify="right")
    for row in ROWS:
        done = [cases.get((row.name, column.name), []) for column in columns]
        if not any(done):
            continue
        every = [case for some in done for case in some]
        table.add_row(
            row.name,
            *(_write(some) for some in done),
            ", ".join(sorted({str(len(some)) for some in done})),
            f"{np.mean([case['cpu_s'] for case in every]):.0f}",
            f"{np.mean([case['n_weights'] for case in every]):,.0f}",
        )
    for name, values in PUBLISHED.items():
        published = dict(zip(AFLOW, values, strict=True))
        if not any(column in published for column in columns):
            continue
        written = [f"{published[c]:g}" if c in published else "" for c in columns]
        table.add_row(f"[dim]{name}, published[/dim]", *written)
    out.print(table)
    refused = sum(case["n_refused"] for some in cases.values() for case in some)
    if refused:
        out.print(f"{refused} refused predictions counted with the median")


def _write(cases: list[Case]) -> str:
    if not cases:
        return "-"
    errors = [case["mae"] for case in cases]
    spread = f" ± {np.std(errors, ddof=1):.2g}" if len(errors) > 1 else ""
    return f"{np.mean(errors):.4g}{spread}"


def show_ensembles(cases: Cases, columns: Sequence[Column]) -> None:
    """Print the error of the mean of the predictions of all seeds."""
    table = Table(title="error of the mean prediction of all seeds", box=None)
    table.add_column("model")
    for column in columns:
        table.add_column(column.name, justify="right")
    for row in ROWS:
        done = [cases.get((row.name, column.name), []) for column in columns]
        if max(len(some) for some in done) > 1:
            pairs = zip(done, columns, strict=True)
            table.add_row(row.name, *(_measure_mean(*pair) for pair in pairs))
    if table.row_count:
        out.print(table)


def _measure_mean(cases: list[Case], column: Column) -> str:
    if len(cases) < 2:  # noqa: PLR2004 (one alone is no mean)
        return "-"
    truth = _rows(column)[1].properties[column.column] * column.factor
    predicted = np.mean([case["predicted"] for case in cases], axis=0)
    error = np.abs(predicted - truth[np.isfinite(truth)]).mean()
    return f"{error:.4g} ({len(cases)})"


def _show_augmentation(cases: Cases, columns: Sequence[Column]) -> None:
    """Print the change of the error by augmentation, seed by seed."""
    table = Table(title="change of the error by augmentation, %", box=None)
    table.add_column("model")
    for column in columns:
        table.add_column(column.name, justify="right")
    for row in ROWS:
        plain = row.name.removesuffix("+")
        if not row.augment:
            continue
        changes = [
            [
                100 * (after["mae"] / before["mae"] - 1)
                for before, after in zip(
                    cases.get((plain, column.name), []),
                    cases.get((row.name, column.name), []),
                    strict=False,
                )
            ]
            for column in columns
        ]
        if any(changes):
            table.add_row(
                row.name, *(f"{np.mean(c):+.1f}" if c else "-" for c in changes)
            )
    for name in ("FTCP", "WyCryst"):
        pairs = zip(PUBLISHED[name], PUBLISHED[f"{name}+"], strict=True)
        known = dict(zip(AFLOW, pairs, strict=True))
        if any(column in known for column in columns):
            changes = [known.get(column) for column in columns]
            written = [f"{100 * (c[1] / c[0] - 1):+.1f}" if c else "" for c in changes]
            table.add_row(f"[dim]{name}+, published[/dim]", *written)
    if table.row_count:
        out.print(table)


def _values(
    cases: Cases, columns: Sequence[Column]
) -> dict[str, dict[str, tuple[float, float]]]:
    """Return mean and spread by names of row and column."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for column in columns:
        for row in ROWS:
            errors = [case["mae"] for case in cases.get((row.name, column.name), [])]
            if errors:
                spread = float(np.std(errors, ddof=1)) if len(errors) > 1 else 0.0
                mean = float(np.mean(errors))
                found.setdefault(row.name, {})[column.name] = mean, spread
    return found


def _compare(cases: Cases, columns: Sequence[Column]) -> list[Record]:
    """Print and return the errors over the published ones, geometric means."""
    values = _values(cases, columns)
    records, best = [], ("", np.inf)
    for row in ROWS:
        if row.published:
            ratio, n = _ratio(values.get(row.name, {}), row.published, columns)
            if n:
                records.append(_record(row.name, ratio, row.published, n))
        ratio, n = _ratio(values.get(row.name, {}), BEST_PUBLISHED, columns)
        if n == len([column for column in columns if column in AFLOW]) and n:
            best = min(best, (row.name, ratio), key=lambda pair: pair[1])
    if best[0]:
        n = len([column for column in columns if column in AFLOW])
        records.append(_record(f"best row, {best[0]}", best[1], BEST_PUBLISHED, n))
    for record in records:
        out.print(f"{record['unit']}: {record['value']:.3f}")
    return records


def _ratio(
    own: dict[str, tuple[float, float]], name: str, columns: Sequence[Column]
) -> tuple[float, int]:
    """Return the geometric mean of errors over published ones, and of how many."""
    published = dict(zip(AFLOW, PUBLISHED[name], strict=True))
    ratios = [
        own[column.name][0] / published[column]
        for column in columns
        if column in published and column.name in own
    ]
    return (float(np.exp(np.mean(np.log(ratios)))) if ratios else np.nan), len(ratios)


def _record(name: str, ratio: float, published: str, n: int) -> Record:
    unit = f"error of {name} over that of {published}, geometric mean of {n} properties"
    peer = (f"{published}, published", 1.0)
    return make_record("Q7", ratio, unit, peer, n=n, seed=0, packages=PACKAGES)


if __name__ == "__main__":
    sys.exit(main())
