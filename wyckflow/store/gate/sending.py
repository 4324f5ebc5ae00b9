"""The gate before VASP: approved once, sent once, safe to repeat.

An approval is stored first and its workflow sent then, both while nobody else is at the
gate of the same campaign. A crash between the two is mended the next time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import PyMongoError

from wyckflow.errors import CampaignError, QueryError, StructureError
from wyckflow.makers._identity import job_uuid
from wyckflow.schemas.campaign import Budget, CampaignState, DftRequest
from wyckflow.schemas.dft import ApprovalDoc, GateOpener
from wyckflow.schemas.screening import Verdict
from wyckflow.store.campaign.record import find_campaign
from wyckflow.store.candidates.query import BEST_FIRST, FIELDS, find_candidates
from wyckflow.store.candidates.where import parse_where
from wyckflow.store.connect import OUTPUTS, explain
from wyckflow.store.gate.approvals import (
    GATE_JOB,
    flow_of,
    identity_of,
    is_obstructed,
    keep_gate,
    list_approvals,
    make_flow_maker,
    store_approval,
)
from wyckflow.store.submit import submit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.store.connect import Database

_UUID: Final = "spec._tasks.0.job.uuid"
_MOST: Final = 10_000


@dataclass(frozen=True)
class Opened:
    """What was done at the gate of a campaign.

    Attributes
    ----------
    sent
        Crystals whose workflow was sent now.
    known
        Crystals of those asked for that were approved before; nothing is done twice.
    is_busy
        Whether somebody else looked after the campaign, so that nothing was done.
    is_partial
        Whether more could be sent than was asked for at once.
    """

    sent: tuple[ApprovalDoc, ...] = ()
    known: tuple[ApprovalDoc, ...] = ()
    is_busy: bool = False
    is_partial: bool = False


def approve_candidates(
    database: Database, candidates: Sequence[CandidateDoc], *, approved_by: str
) -> Opened:
    """Let candidates of one campaign through to VASP, in the name of a user.

    Parameters
    ----------
    database
        Where.
    candidates
        All of one campaign, each with a structure.
    approved_by
        Name of the user.

    Raises
    ------
    QueryError
        If a candidate has no structure.
    CampaignError
        If the campaign is paused or cancelled, or somebody else is at its gate.
    """
    if not candidates:
        return Opened()
    (campaign,) = {item.campaign for item in candidates}
    _refuse_closed(database, campaign)
    for item in candidates:
        if item.structure is None:
            raise QueryError(
                f"{item.formula_pretty} ({item.gene_id}) was not relaxed, so there is "
                "no structure to compute; approve crystals that were."
            )
    with keep_gate(database, campaign) as renew:
        if renew is None:
            raise CampaignError(
                f"Somebody else is at the gate of campaign {campaign!r} at this "
                "moment; try again in a minute."
            )
        request, _ = _read_request(database, campaign)
        known = {item.gene_id: item for item in list_approvals(database, campaign)}
        spent = sum(item.n_vasp_jobs for item in known.values())
        added = []
        for item in candidates:
            if item.gene_id in known:
                continue
            approval = _describe(
                item, request, GateOpener.USER, spent, approved_by=approved_by
            )
            store_approval(database, approval)
            known[item.gene_id] = approval
            spent += approval.n_vasp_jobs
            added.append(item.gene_id)
            renew()
        sent = _send_unsent(database, list(known.values()), renew)
    before = [
        known[item.gene_id] for item in candidates if item.gene_id not in set(added)
    ]
    return Opened(tuple(sent), tuple(before))


def open_gate(database: Database, campaign: str, *, limit: int | None = None) -> Opened:
    """Let through what the campaign's own rule and budget let through, best first.

    Harmless to repeat; what an interrupted call has left is brought to its end.

    Parameters
    ----------
    database
        Where; its candidates must be up to date.
    campaign
        Which.
    limit
        Most crystals to let through now; all if None.
    """
    found = find_campaign(database, campaign)
    if found is not None and found.state is not CampaignState.ACTIVE:
        return Opened()
    request, budget = _read_request(database, campaign)
    with keep_gate(database, campaign) as renew:
        if renew is None:
            return Opened(is_busy=True)
        known = list_approvals(database, campaign)
        gone = {item.gene_id for item in known}
        spent = sum(item.n_vasp_jobs for item in known)
        n_added, is_partial = 0, False
        for item in _eligible(database, campaign, request):
            if item.gene_id in gone:
                continue
            if n_added == limit:
                is_partial = True
                break
            try:
                approval = _describe(
                    item, request, GateOpener.RULE, spent, budget=budget.vasp_jobs
                )
            except StructureError:  # it has no band path: a user may look at it
                continue
            if spent + approval.n_vasp_jobs > budget.vasp_jobs:
                break
            if not is_obstructed(approval):
                store_approval(database, approval)
                known.append(approval)
                spent += approval.n_vasp_jobs
                n_added += 1
                renew()
        sent = _send_unsent(database, known, renew)
        return Opened(tuple(sent), is_partial=is_partial)


def list_waiting(
    database: Database, campaign: str, *, limit: int = _MOST
) -> list[CandidateDoc]:
    """Return relaxed candidates that nobody let through, the best first.

    Those that a stage has rejected are left out.

    Parameters
    ----------
    database
        Where.
    campaign
        Which.
    limit
        At most so many.
    """
    gone = [item.gene_id for item in list_approvals(database, campaign)]
    where = {
        "structure": {"$ne": None},
        "verdict": {"$ne": Verdict.FAIL.value},
        "gene_id": {"$nin": gone},
    }
    return find_candidates(
        database, campaign=campaign, where=where, sort=BEST_FIRST, limit=limit
    )


def _send_unsent(
    database: Database, approvals: Sequence[ApprovalDoc], renew: Callable[[], None]
) -> list[ApprovalDoc]:
    """Send the workflows that the LaunchPad does not hold; return their crystals."""
    if not approvals:
        return []
    held = _held_gates(database, approvals[0].campaign)
    sent = []
    for approval in approvals:
        identity = identity_of(approval.campaign, approval.gene_id)
        if job_uuid(identity, GATE_JOB) in held:
            continue
        renew()
        submit(flow_of(approval), campaign=approval.campaign, database=database)
        sent.append(approval)
    return sent


def _held_gates(database: Database, campaign: str) -> set[str]:
    """Return the ids of the gates that the LaunchPad holds, or that are behind us.

    The latter matter where the campaign was imported: its jobs stayed behind.
    """
    query = {"spec.campaign": campaign, "name": GATE_JOB}
    done = {"metadata.campaign": campaign, "name": GATE_JOB}
    with database.client() as client:
        mongo = client[database.name]
        try:
            held = mongo["fireworks"].distinct(_UUID, query)
            passed = mongo[OUTPUTS].distinct("uuid", done)
            return {str(uuid) for uuid in [*held, *passed]}
        except PyMongoError as error:
            raise explain(error, database) from error


def _read_request(database: Database, campaign: str) -> tuple[DftRequest, Budget]:
    """Return what the campaign's file says, or that only users open its gate."""
    found = find_campaign(database, campaign)
    if found is None:  # jobs that were submitted one by one
        return DftRequest(), Budget()
    return found.spec.dft or DftRequest(), found.spec.budget


def _eligible(
    database: Database, campaign: str, request: DftRequest
) -> list[CandidateDoc]:
    """Return what the rule may let through, the best first."""
    if request.opens_below is None:
        return []
    conditions: list[dict[str, Any]] = [
        {"structure": {"$ne": None}, "verdict": Verdict.PASS.value},
        {"energy_above_hull": {"$lte": request.opens_below}},
    ]
    found = find_campaign(database, campaign)
    if found is not None and found.spec.phonon is not None:
        conditions.append({"lattice_stability": {"$ne": None}})
    if request.where:
        conditions.append(parse_where(request.where, FIELDS))
    return find_candidates(
        database,
        campaign=campaign,
        where={"$and": conditions},
        sort=BEST_FIRST,
        limit=_MOST,
    )


def _refuse_closed(database: Database, campaign: str) -> None:
    """Refuse a campaign that must not go on."""
    found = find_campaign(database, campaign)
    if found is not None and found.state is not CampaignState.ACTIVE:
        why = f" ({found.reason})" if found.reason else ""
        raise CampaignError(
            f"Campaign {campaign!r} is {found.state}{why}, so nothing of it is sent to "
            f"VASP; 'wyckflow campaign resume {campaign}' frees one that is paused."
        )


def _describe(
    item: CandidateDoc,
    request: DftRequest,
    opener: GateOpener,
    spent: int,
    *,
    approved_by: str | None = None,
    budget: int | None = None,
) -> ApprovalDoc:
    """Return the approval of a candidate."""
    from pymatgen.core.structure import Structure

    crystal = Structure.from_dict(item.structure or {})
    return ApprovalDoc(
        campaign=item.campaign,
        gene_id=item.gene_id,
        gene=item.gene,
        formula_pretty=item.formula_pretty,
        opened_by=opener,
        approved_by=approved_by,
        n_vasp_jobs=make_flow_maker(request).count_vasp_jobs(crystal),
        n_jobs_spent=spent,
        budget=budget,
        energy_above_hull=item.energy_above_hull,
        request=request.model_dump(mode="json"),
        structure=item.structure or {},
        approved_at=datetime.now(UTC).replace(microsecond=0),
    )
