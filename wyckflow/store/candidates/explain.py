"""Why one candidate stands where it does: every decision about it, with its numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import PyMongoError

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import QueryError, ScreenError
from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.schemas.screening import FunnelStep, GeneVerdict, Verdict
from wyckflow.screening.screen import Screen
from wyckflow.store.candidates.builder import CANDIDATES
from wyckflow.store.candidates.explain_jobs import JobRecord, read_jobs
from wyckflow.store.connect import OUTPUTS, explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymongo.database import Database as MongoDatabase

    from wyckflow.schemas.candidate import StageVerdict
    from wyckflow.store.connect import Database

SCREEN_STAGE: Final = "gene screen"
_MOST_NAMED: Final = 5
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{1,16}")


@dataclass(frozen=True, slots=True)
class Link:
    """One decision.

    Attributes
    ----------
    stage
        Name of the job that decided.
    filter
        Filter or gate within the stage, if it has many.
    rule
        What was asked, in words.
    verdict
        What was said; None where the question was not asked, since an earlier one had
        stopped the gene.
    value, threshold
        What was compared with what, if anything was.
    reason
        In words, or what would have been said if it had been asked.
    job_uuid
        Job that decided.
    """

    stage: str
    filter: str | None
    rule: str
    verdict: Verdict | None
    value: float | None = None
    threshold: float | None = None
    reason: str = ""
    job_uuid: str | None = None

    @property
    def excess(self) -> float | None:
        """By how much the value is above (or below, if negative) the threshold."""
        if self.value is None or self.threshold is None:
            return None
        return self.value - self.threshold


@dataclass(frozen=True, slots=True)
class Explanation:
    """A candidate, the decisions about it in order of time, and the jobs behind."""

    candidate: CandidateDoc
    links: tuple[Link, ...]
    jobs: tuple[JobRecord, ...] = ()

    @property
    def cpu_s(self) -> float:
        """Processor seconds spent on it: its shares of the jobs."""
        return sum(job.cpu_s or 0.0 for job in self.jobs)


def explain_candidate(
    database: Database, gene_id: str, *, campaign: str | None = None
) -> Explanation:
    """Tell the verdict chain of one candidate.

    Parameters
    ----------
    database
        Where.
    gene_id
        Its id, or so many of the first digits that no other has the same.
    campaign
        Of which campaign; needed only if several found the gene.

    Raises
    ------
    QueryError
        If it names no candidate, or more than one.
    DatabaseError
        If the database does not answer.
    """
    with database.client() as client:
        mongo = client[database.name]
        try:
            candidate = _find(mongo, gene_id.strip().lower(), campaign)
            screening = _find_screening(mongo, candidate)
            jobs = read_jobs(mongo, candidate)
        except PyMongoError as error:
            raise explain(error, database) from error
    links: list[Link] = []
    for verdict in candidate.verdicts:
        if verdict.stage == SCREEN_STAGE and screening is not None:
            links += _explain_screening(candidate.gene, verdict, screening)
        else:
            links.append(_link_of(verdict))
    return Explanation(candidate, tuple(links), tuple(jobs))


# --- finding -----------------------------------------------------------------------


def _find(
    mongo: MongoDatabase[Any], gene_id: str, campaign: str | None
) -> CandidateDoc:
    """Return the one candidate that is meant."""
    where: dict[str, Any] = {} if campaign is None else {"campaign": campaign}
    place = "" if campaign is None else f" of campaign {campaign!r}"
    if not _HEXADECIMAL.fullmatch(gene_id):
        raise QueryError(
            f"{gene_id!r} is no gene id: give its 16 digits (0-9, a-f), or the first "
            "of them; 'wyckflow candidates' lists them."
        )
    if mongo[CANDIDATES].find_one(where, {"_id": 1}) is None:
        raise QueryError(
            f"There are no candidates{place} yet: 'wyckflow candidates' makes them of "
            "the jobs that have ended, and 'wyckflow status' shows those."
        )
    query = where | {"gene_id": {"$regex": f"^{gene_id}"}}
    found = list(mongo[CANDIDATES].find(query, {"_id": 0}).limit(_MOST_NAMED + 1))
    ids = sorted({item["gene_id"] for item in found})
    if not ids:
        raise QueryError(
            f"No candidate{place} has an id that begins with {gene_id!r}; "
            "'wyckflow candidates' lists them."
        )
    if len(ids) > 1:
        named = ", ".join(ids[:_MOST_NAMED])
        raise QueryError(
            f"{gene_id!r} begins the ids of several candidates ({named}"
            f"{', ...' if len(ids) > _MOST_NAMED else ''}): give more digits."
        )
    if len(found) > 1:
        campaigns = ", ".join(sorted(item["campaign"] for item in found))
        raise QueryError(
            f"The gene {ids[0]} was found in several campaigns ({campaigns}): choose "
            "one with --campaign."
        )
    return CandidateDoc.model_validate(found[0])


def _find_screening(
    mongo: MongoDatabase[Any], candidate: CandidateDoc
) -> Mapping[str, Any] | None:
    """Return screen and funnel of the job that screened a candidate."""
    query = {"uuid": {"$in": candidate.job_uuids}, "name": {"$regex": SCREEN_STAGE}}
    fields = {"output.screen": 1, "output.funnel": 1, "completed_at": 1}
    found = list(mongo[OUTPUTS].find(query, fields).sort("completed_at", -1).limit(1))
    return found[0]["output"] if found else None


# --- telling -------------------------------------------------------------------------


def _link_of(verdict: StageVerdict) -> Link:
    """Return a decision as it was stored."""
    return Link(
        verdict.stage,
        verdict.filter,
        "",
        verdict.verdict,
        verdict.value,
        verdict.threshold,
        verdict.reason,
        verdict.job_uuid,
    )


def _explain_screening(
    gene: str, decided: StageVerdict, screening: Mapping[str, Any]
) -> list[Link]:
    """Spread the one stored verdict over the filters that led to it."""
    steps = [FunnelStep.model_validate(item) for item in screening.get("funnel", ())]
    again = _ask_again(gene, screening)
    names = [step.filter for step in steps]
    last = names.index(decided.filter) if decided.filter in names else len(names)
    links = []
    for place, step in enumerate(steps):
        if place == last:
            stored = _link_of(decided)
            links.append(
                Link(
                    *(stored.stage, stored.filter, step.rule, stored.verdict),
                    *(stored.value, stored.threshold, stored.reason, stored.job_uuid),
                )
            )
        else:
            links.append(
                _link_again(
                    step,
                    again.get(step.filter),
                    is_asked=place < last,
                    job_uuid=decided.job_uuid,
                )
            )
    return links or [_link_of(decided)]


def _link_again(
    step: FunnelStep,
    found: GeneVerdict | None,
    *,
    is_asked: bool,
    job_uuid: str | None,
) -> Link:
    """Return what a filter other than the deciding one said, or would have said."""
    is_known = found is not None and found.verdict is not Verdict.CANNOT_JUDGE
    value = found.value if found is not None and is_known else None
    threshold = found.threshold if found is not None and is_known else None
    if is_asked:
        numbers = (value, threshold)
        passed = (SCREEN_STAGE, step.filter, step.rule, Verdict.PASS, *numbers)
        return Link(*passed, job_uuid=job_uuid)
    reason = "not asked"
    if found is not None and is_known:
        would = "pass" if found.verdict is Verdict.PASS else "fail"
        reason = f"not asked; it would {would}"
        reason += f": {found.reason}" if found.reason and would == "fail" else ""
    return Link(SCREEN_STAGE, step.filter, step.rule, None, value, threshold, reason)


def _ask_again(gene: str, screening: Mapping[str, Any]) -> dict[str, GeneVerdict]:
    """Ask every filter that needs nothing but the gene, for its value.

    A screen of another version of wyckflow may have filters that this one lacks; the
    stored verdict is then all there is.
    """
    definition = screening.get("screen")
    if not definition:
        return {}
    try:
        screen = Screen.from_dict(definition)
    except ScreenError:
        return {}
    verdicts: Sequence[GeneVerdict] = screen.judge_apart(WyckoffGene.from_text(gene))
    return {str(item.filter): item for item in verdicts}
