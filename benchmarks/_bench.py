"""What every benchmark shares: its options, and the form of a figure."""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wyckflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Record = dict[str, Any]
Case = dict[str, Any]
"""What came out of one training; under ``config`` are the options that it had."""


def read_case(path: Path, story: dict[str, Any]) -> Case | None:
    """Return a training that was kept in a file, if it was one with these options."""
    if not path.exists():
        return None
    case = json.loads(path.read_text())
    return case if case["config"] == story else None


def keep_case(path: Path, story: dict[str, Any], case: Case) -> None:
    """Keep a finished training; the file is there whole or not at all."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"config": story, **case}))
    draft.replace(path)


def run_script(summary: str, *parts: Callable[[bool], list[Record]]) -> int:
    """Run the parts of a benchmark as the command line asks; return an exit code.

    Parameters
    ----------
    summary
        First line of its ``--help``.
    *parts
        Each takes whether the sample is to be small, prints, and returns its figures.
    """
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--quick", action="store_true", help="a small sample")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write records here")
    options = parser.parse_args()
    records = [record for part in parts for record in part(options.quick)]
    if options.json:
        options.json.write_text(json.dumps(records, indent=1))
    return 0


def make_record(
    target: str,
    value: float,
    unit: str,
    peer: tuple[str, float],
    *,
    n: int,
    seed: int,
    packages: Iterable[str],
) -> Record:
    """Write one figure in the form that the runner reads.

    Parameters
    ----------
    target
        Its line in ``targets.yaml``.
    value, unit
        The figure; less is better.
    peer
        Name and figure of the peer, on the same work in the same run.
    n
        How many items were measured.
    seed
        Of whatever was drawn.
    packages
        Whose versions matter.
    """
    peer_name, peer_value = peer
    versions = {"python": platform.python_version(), "wyckflow": wyckflow.__version__}
    return {
        "target": target,
        "value": value,
        "unit": unit,
        "peer": peer_name,
        "peer_value": peer_value,
        "ratio": peer_value / value,
        "n": n,
        "seed": seed,
        "versions": versions | {name: version(name) for name in packages},
    }
