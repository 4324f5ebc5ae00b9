"""Gather everything that a report of one campaign shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from wyckflow import __version__
from wyckflow.errors import QueryError
from wyckflow.schemas.campaign import Budget
from wyckflow.schemas.report import BudgetLine, ReportData
from wyckflow.store.campaign.funnel import read_funnel
from wyckflow.store.campaign.progress import read_usage
from wyckflow.store.campaign.record import campaign_names, find_campaign
from wyckflow.store.candidates.builder import build_candidates
from wyckflow.store.candidates.query import Candidates
from wyckflow.store.evidence.compare import add_model
from wyckflow.store.evidence.outputs import read_evidence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wyckflow.schemas.campaign import CampaignDoc
    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.store.connect import Database

MOST_CANDIDATES: Final = 1000
"""Default of the candidates in a report, the best first."""
FREE_GENES: Final = 1000
"""Default of the genes that are drawn without a target, to compare with."""


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """How far a report goes.

    Attributes
    ----------
    n_candidates
        At most so many, the best first.
    known
        A data set, or a set of known genes, for novelty; a data set also gives the
        known analogues, which are those of the model and of the bundled phases without.
    n_free
        Genes that the model draws without a target, for comparison; none if 0.
    has_model
        Whether to open the model, and read all genes: for distributions, the latent
        space and analogues.
    """

    n_candidates: int = MOST_CANDIDATES
    known: Path | None = None
    n_free: int = FREE_GENES
    has_model: bool = True


def gather_report(
    database: Database,
    campaign: str,
    request: ReportRequest | None = None,
    *,
    report: Callable[[str], None] = lambda _: None,
) -> ReportData:
    """Bring candidates up to date and read what a report shows.

    What cannot be read, such as a model that is gone, becomes a note.

    Parameters
    ----------
    database
        Where.
    campaign
        Its name.
    request
        How far to go.
    report
        Told in words what is being done.

    Raises
    ------
    QueryError
        If nothing is known of such a campaign.
    """
    request = request or ReportRequest()
    report("joining what workers have finished")
    build_candidates(database, campaign=campaign)
    asked = find_campaign(database, campaign)
    candidates, n_candidates = _read_candidates(database, campaign, request)
    if asked is None and not candidates:
        known = ", ".join(campaign_names(database)) or "none"
        raise QueryError(
            f"Nothing is known of a campaign {campaign!r}; there are: {known}."
        )
    data = ReportData(
        campaign=campaign,
        made_at=datetime.now(UTC),
        wyckflow_version=__version__,
        request=asked,
        budget=_read_budget(database, campaign, asked),
        funnel=tuple(read_funnel(database, campaign)),
        candidates=tuple(candidates),
        n_candidates=n_candidates,
    )
    report("reading relaxations, phonons and electrons")
    notes: list[str] = []
    evidence = read_evidence(database, campaign, candidates, notes)
    data = replace(data, evidence=evidence, notes=tuple(notes))
    if not request.has_model:
        return data
    report("reading genes and the model")
    return add_model(database, data, request, report=report)


def _read_candidates(
    database: Database, campaign: str, request: ReportRequest
) -> tuple[list[CandidateDoc], int]:
    """Return the best candidates, and how many there are."""
    with Candidates(database, campaign=campaign) as candidates:
        found = candidates.find({}, limit=request.n_candidates)
        return found, candidates.count({})


def _read_budget(
    database: Database, campaign: str, asked: CampaignDoc | None
) -> tuple[BudgetLine, ...]:
    """Return what was used beside what is allowed."""
    usage = read_usage(database, campaign)
    budget = Budget() if asked is None else asked.spec.budget
    return (
        BudgetLine("relaxations", usage.n_relaxed, budget.relaxations),
        BudgetLine("cpu hours", usage.cpu_hours, budget.cpu_hours),
        BudgetLine("gpu hours", usage.gpu_hours, budget.gpu_hours),
    )
