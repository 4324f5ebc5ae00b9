"""Gather everything that a report of one campaign shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from wyckflow import __version__
from wyckflow.errors import QueryError, WyckflowError
from wyckflow.schemas.campaign import Budget
from wyckflow.schemas.report import BudgetLine, Evidence, ReportData
from wyckflow.store.campaign.funnel import read_funnel
from wyckflow.store.campaign.progress import read_usage
from wyckflow.store.campaign.record import campaign_names, find_campaign
from wyckflow.store.candidates.builder import build_candidates
from wyckflow.store.candidates.query import Candidates
from wyckflow.store.evidence.known import find_known
from wyckflow.store.evidence.models import draw_freely, read_learned
from wyckflow.store.evidence.outputs import read_evidence, read_generated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wyckflow.schemas.campaign import CampaignDoc
    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.report import GeneSet, LatentPoints
    from wyckflow.store.connect import Database

MOST_CANDIDATES: Final = 1000
"""Default of the candidates in a report, the best first."""


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """How far a report goes.

    Attributes
    ----------
    n_candidates
        At most so many, the best first.
    known
        A data set, or a set of known genes, for novelty; a data set also gives the
        known analogues.
    n_free
        Genes that the model draws without a target, for comparison; none if 0.
    """

    n_candidates: int = MOST_CANDIDATES
    known: Path | None = None
    n_free: int = 0


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
    notes: list[str] = []
    report("reading relaxations, phonons and electrons")
    evidence = read_evidence(database, campaign, candidates, notes)
    report("reading genes and the model")
    sets, latent = _read_sets(database, campaign, asked, request, notes)
    known_name = ""
    if request.known is not None:
        report(f"looking for known crystals in {request.known.name}")
        known_name, evidence = _add_known(request.known, candidates, evidence)
    return ReportData(
        campaign=campaign,
        made_at=datetime.now(UTC),
        wyckflow_version=__version__,
        request=asked,
        budget=_read_budget(database, campaign, asked),
        funnel=tuple(read_funnel(database, campaign)),
        candidates=tuple(candidates),
        n_candidates=n_candidates,
        evidence=evidence,
        gene_sets=tuple(sets),
        latent=latent,
        known_name=known_name,
        notes=tuple(notes),
    )


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


def _read_sets(
    database: Database,
    campaign: str,
    asked: CampaignDoc | None,
    request: ReportRequest,
    notes: list[str],
) -> tuple[list[GeneSet], LatentPoints | None]:
    """Return genes of several origins, and the latent space; notes say what lacks."""
    generated = read_generated(database, campaign)
    if asked is None or not asked.rounds:
        notes.append("No model is known of this campaign: no training set, no map.")
        return ([generated] if generated else []), None
    model = asked.rounds[-1].model_id
    sets: list[GeneSet] = []
    latent = None
    try:
        learned, latent = read_learned(database, model)
        sets.append(learned)
    except WyckflowError as error:
        notes.append(f"The model could not be read: {error}")
    if generated is not None:
        sets.append(generated)
    if request.n_free:
        try:
            options = asked.spec.generate
            sets.append(draw_freely(database, model, request.n_free, options))
        except WyckflowError as error:
            notes.append(f"The model drew no genes without a target: {error}")
    return sets, latent


def _add_known(
    path: Path, candidates: list[CandidateDoc], evidence: dict[str, Evidence]
) -> tuple[str, dict[str, Evidence]]:
    """Add novelty and analogues to what is known of each candidate."""
    name, found = find_known(path, [item.gene for item in candidates])
    changed = dict(evidence)
    for item, (novelty, analogues) in zip(candidates, found, strict=True):
        before = changed.get(item.gene_id, Evidence())
        changed[item.gene_id] = replace(before, novelty=novelty, analogues=analogues)
    return name, changed
