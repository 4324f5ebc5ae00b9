"""A round of a campaign in this process, without FireWorks, with the same documents."""

from __future__ import annotations

import logging
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wyckflow.errors import CampaignError
from wyckflow.store.campaign.funnel import outputs_of
from wyckflow.store.campaign.register import PLAN_JOB
from wyckflow.store.campaign.rounds import flow_of_round, is_sent
from wyckflow.store.submit import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wyckflow.schemas.campaign import CampaignDoc, RoundDoc
    from wyckflow.store.connect import Database

_STARTED: Final = re.compile(r"Starting job - (.+) \(")
_ENDED: Final = re.compile(r"Finished job - (.+) \(")
_FAILED: Final = re.compile(r"(.+) failed with exception:\n(.*)", re.DOTALL)


@dataclass(frozen=True)
class LocalRun:
    """What became of a round.

    Attributes
    ----------
    n_jobs
        Jobs that ended well.
    failures
        Name and last words of each job that ended in an exception; what waited for it
        did not run.
    """

    n_jobs: int
    failures: tuple[tuple[str, str], ...]


def run_round_locally(
    database: Database,
    campaign: CampaignDoc,
    item: RoundDoc,
    *,
    folder: Path,
    report: Callable[[str, bool], None] | None = None,
) -> LocalRun:
    """Run a registered round here, one job after the other, into the same database.

    Of the budget, relaxations hold; hours are only counted.

    Parameters
    ----------
    database
        Where the documents go.
    campaign
        A registered campaign.
    item
        One of its rounds.
    folder
        Where jobs may leave files.
    report
        Told the name of each job, and whether it has ended.

    Raises
    ------
    CampaignError
        If the round was sent to workers already.
    """
    from jobflow import run_locally

    if is_sent(database, campaign, item):
        raise CampaignError(
            f"Round {item.number} of campaign {campaign.name!r} was sent to workers "
            "already, who would do the same work twice: start some with 'wyckflow "
            "worker start', or give this campaign another name."
        )
    flow = flow_of_round(campaign, item)
    prepare(flow, campaign=campaign.name)
    folder.mkdir(parents=True, exist_ok=True)
    listener = _Listener(report)
    with _listening(listener), warnings.catch_warnings():
        # Both are about jobflow's own doing, and nothing that a user could mend.
        warnings.filterwarnings("ignore", "cd is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "Some jobs are not connected", UserWarning)
        run_locally(
            flow,
            store=database.job_store(),
            root_dir=folder,
            log=False,
            allow_external_references=True,
        )
    if not any(folder.iterdir()):
        folder.rmdir()
    return LocalRun(listener.n_ended, tuple(listener.failures))


def count_planned_jobs(database: Database, name: str) -> int | None:
    """Return how many jobs the shards of a campaign have; None before it is planned.

    Parameters
    ----------
    database
        Where.
    name
        Of the campaign.
    """
    with database.client() as client:
        plans = outputs_of(client[database.name], name, PLAN_JOB, "shards.job_uuids")
    if not plans:
        return None
    return sum(
        len(shard["job_uuids"]) for plan in plans for shard in plan["output"]["shards"]
    )


class _Listener(logging.Handler):
    """Hears what jobflow says of its jobs, since it has no other way to tell."""

    def __init__(self, report: Callable[[str, bool], None] | None) -> None:
        super().__init__(logging.INFO)
        self.report = report
        self.n_ended = 0
        self.failures: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take in one sentence."""
        text = record.getMessage()
        if failed := _FAILED.match(text):
            last = failed.group(2).strip().splitlines()[-1:]
            self.failures.append((failed.group(1), *last))
        elif started := _STARTED.match(text):
            self._tell(started.group(1), has_ended=False)
        elif ended := _ENDED.match(text):
            self.n_ended += 1
            self._tell(ended.group(1), has_ended=True)

    def _tell(self, name: str, *, has_ended: bool) -> None:
        """Pass it on."""
        if self.report is not None:
            self.report(name, has_ended)


@contextmanager
def _listening(listener: _Listener) -> Iterator[None]:
    """Let a listener hear jobflow for a block, and nobody else."""
    logger = logging.getLogger("jobflow")
    level, spreads = logger.level, logger.propagate
    handlers = list(logger.handlers)
    for handler in handlers:
        logger.removeHandler(handler)
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(listener)
        for handler in handlers:
            logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = spreads
