"""Run every benchmark and print its figures beside their targets.

    python benchmarks/run.py [--quick] [--only NAME] [--json FILE]

A benchmark is a script beside this one that takes ``--json FILE`` and ``--quick`` and
writes a list of records such as ``{"target": "P5", "value": 3.1, "unit": "us",
"peer": "...", "peer_value": 8.7, "ratio": 2.8, "n": 7140, "seed": 0, "versions": {}}``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
NOT_BENCHMARKS = {"run.py"}


def main() -> int:
    """Run the benchmarks that were asked for; return the number that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small samples")
    parser.add_argument("--only", metavar="NAME", help="only scripts with this in it")
    parser.add_argument("--json", metavar="FILE", help="also write all records here")
    options = parser.parse_args()
    records: list[dict[str, Any]] = []
    failed = []
    for script in find_benchmarks(options.only):
        print(f"== {script.stem}", flush=True)
        found = run_benchmark(script, quick=options.quick)
        if found is None:
            failed.append(script.stem)
        else:
            records += found
    show(records)
    if options.json:
        Path(options.json).write_text(json.dumps(records, indent=1))
    if failed:
        print(f"failed: {', '.join(failed)}")
    return len(failed)


def find_benchmarks(only: str | None) -> list[Path]:
    """Return the scripts to run, in order of their names."""
    scripts = sorted(p for p in HERE.glob("*.py") if p.name not in NOT_BENCHMARKS)
    return [p for p in scripts if not p.name.startswith("_") and (only or "") in p.stem]


def run_benchmark(script: Path, *, quick: bool) -> list[dict[str, Any]] | None:
    """Run one script in a process of its own; return its records."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "records.json"
        command = [sys.executable, str(script), "--json", str(result)]
        command += ["--quick"] if quick else []
        done = subprocess.run(command, check=False)  # noqa: S603 (our own scripts)
        if done.returncode or not result.exists():
            return None
        return list(json.loads(result.read_text()))


def show(records: list[dict[str, Any]]) -> None:
    """Print one row per record, with its target from ``targets.yaml``."""
    targets = yaml.safe_load((HERE / "targets.yaml").read_text())
    table = Table(box=None, header_style="bold")
    for column in ("id", "figure", "peer", "ratio", "n", "target"):
        table.add_column(column)
    for record in records:
        peer = f"{record.get('peer', '-')}: {_number(record.get('peer_value'))}"
        table.add_row(
            record["target"],
            f"{_number(record['value'])} {record.get('unit', '')}",
            peer,
            _number(record.get("ratio")),
            str(record.get("n", "-")),
            targets.get(record["target"], "-"),
        )
    if not records:
        table.add_row("-", "no benchmark has run", "-", "-", "-", "-")
    Console().print(table)


def _number(value: float | None) -> str:
    """Return a number with the digits that matter."""
    return "-" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main())
