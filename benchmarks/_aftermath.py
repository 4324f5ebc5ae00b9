"""What a storm has left: candidates beside those of a calm run, and work done twice.

Used by ``benchmarks/chaos.py`` and by ``tests/chaos``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wyckflow.store.candidates.builder import CANDIDATES, build_candidates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wyckflow.store.connect import Database

ENERGY_TOLERANCE = 1e-5  # eV/atom


@dataclass(frozen=True)
class Difference:
    """What a disturbed campaign has that a calm one has not, and the reverse."""

    n_candidates: int
    n_relaxed: int
    lost: list[str]
    added: list[str]
    n_doubled_outputs: int
    other_verdict: list[str]
    largest_energy: float

    @property
    def is_none(self) -> bool:
        """Whether the two are the same."""
        differing = (self.lost, self.added, self.other_verdict, self.n_doubled_outputs)
        return not any(differing) and self.largest_energy <= ENERGY_TOLERANCE


def compare(calm: Database, stormy: Database, *, campaign: str) -> Difference:
    """Build the candidates of two runs of a campaign, and compare them.

    Parameters
    ----------
    calm, stormy
        Where they ran.
    campaign
        Its name in both.
    """
    wanted, found = (read_candidates(item, campaign) for item in (calm, stormy))
    both = sorted(wanted.keys() & found.keys())
    energies = [
        abs(wanted[key]["energy_per_atom"] - found[key]["energy_per_atom"])
        for key in both
        if wanted[key]["energy_per_atom"] is not None
        and found[key]["energy_per_atom"] is not None
    ]
    return Difference(
        n_candidates=len(wanted),
        n_relaxed=len(energies),
        lost=sorted(wanted.keys() - found.keys()),
        added=sorted(found.keys() - wanted.keys()),
        n_doubled_outputs=_count_doubled(stormy),
        other_verdict=[key for key in both if _says(wanted[key]) != _says(found[key])],
        largest_energy=max(energies, default=0.0),
    )


def read_candidates(database: Database, campaign: str) -> dict[str, dict[str, Any]]:
    """Build the candidates of a campaign; return them by the id of their gene.

    Parameters
    ----------
    database, campaign
        Where, and which.
    """
    build_candidates(database, campaign=campaign)
    with database.client() as client:
        found = list(client[database.name][CANDIDATES].find({"campaign": campaign}))
    if len({item["gene_id"] for item in found}) != len(found):
        raise RuntimeError("A gene is there twice.")
    return {item["gene_id"]: item for item in found}


def _says(candidate: dict[str, Any]) -> tuple[Any, ...]:
    """Return what was decided about a candidate, and how its stages ended."""
    outcomes = [(item["stage"], item["outcome"]) for item in candidate["outcomes"]]
    verdicts = [
        (item["stage"], item["filter"], item["verdict"])
        for item in candidate["verdicts"]
    ]
    has_energy = candidate["energy_per_atom"] is not None
    return candidate["verdict"], has_energy, tuple(outcomes), tuple(verdicts)


def _count_doubled(database: Database) -> int:
    """Return how many outputs are there more than once."""
    group = {"_id": {"uuid": "$uuid", "index": "$index"}, "n": {"$sum": 1}}
    pipeline = [{"$group": group}, {"$match": {"n": {"$gt": 1}}}]
    with database.client() as client:
        return len(list(client[database.name].outputs.aggregate(pipeline)))


_PROGRESS = re.compile(r"(\d+) of (\d+) genes done")
_RESUMED = re.compile(r"(\d+) genes are finished already")
_BEGUN = re.compile(r"Starting job - chgnet relax")


@dataclass
class Work:
    """Genes that workers relaxed, as their logs say."""

    n_relaxed: int = 0
    n_resumed: int = 0


def read_work(folder: Path) -> Work:
    """Count in the logs of workers what was relaxed, and what was found finished.

    Parameters
    ----------
    folder
        With the logs.
    """
    work = Work()
    for line, before in _lines_with_start(sorted(folder.glob("*.log"))):
        if (found := _RESUMED.search(line)) is not None:
            work.n_resumed += int(found.group(1))
        elif (done := _PROGRESS.search(line)) is not None:
            work.n_relaxed += int(done.group(1)) - before
    return work


def _lines_with_start(logs: Sequence[Path]) -> Iterator[tuple[str, int]]:
    """Yield lines, each with the genes that its job had finished before it."""
    for log in logs:
        finished = 0
        for line in log.read_text(errors="replace").splitlines():
            if _BEGUN.search(line):
                finished = 0
            yield line, finished
            if (found := _RESUMED.search(line)) or (found := _PROGRESS.search(line)):
                finished = int(found.group(1))
