"""Crystals whose VASP runs stopped before their end, audited all the same.

A run that did not converge puts aside what would build on it, and one that died is
waited for, so the audit at the end of their workflow never runs. Another audit, of what
there is, says to the candidate how far it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import PyMongoError

from wyckflow.makers._identity import identify, job_uuid
from wyckflow.schemas.campaign import CampaignState, DftRequest
from wyckflow.store.campaign.record import find_campaign
from wyckflow.store.connect import OUTPUTS, explain
from wyckflow.store.gate.approvals import identity_of, list_approvals, make_flow_maker
from wyckflow.store.submit import submit

if TYPE_CHECKING:
    from jobflow import Flow
    from pymongo.database import Database as MongoDatabase

    from wyckflow.schemas.dft import ApprovalDoc
    from wyckflow.store.connect import Database

AUDIT_JOB: Final = "dft audit"
_ENDED: Final = frozenset({"COMPLETED", "FIZZLED", "DEFUSED", "ARCHIVED"})
_STOPPED: Final = frozenset({"FIZZLED", "DEFUSED"})
_UUID: Final = "spec._tasks.job.uuid"


def audit_stopped(database: Database, campaign: str) -> tuple[ApprovalDoc, ...]:
    """Send an audit for each crystal whose runs stopped; return these crystals.

    Harmless to repeat: a crystal gets one such audit. If its jobs are run once more
    and come to their end, the audit of the whole replaces it. Nothing is sent for a
    campaign that is paused or cancelled.

    Parameters
    ----------
    database
        Where.
    campaign
        Which.
    """
    stopped = []
    found = find_campaign(database, campaign)
    is_held = found is not None and found.state is not CampaignState.ACTIVE
    approvals = [] if is_held else list_approvals(database, campaign)
    if not approvals:
        return ()
    with database.client() as client:
        mongo = client[database.name]
        try:
            jobs = _read_jobs(mongo, campaign)
            for approval in approvals:
                if _is_stopped(approval, jobs):
                    flow = _make_audit(mongo, approval)
                    submit(flow, campaign=campaign, database=database)
                    stopped.append(approval)
        except PyMongoError as error:
            raise explain(error, database) from error
    return tuple(stopped)


def _read_jobs(mongo: MongoDatabase[Any], campaign: str) -> dict[str, str]:
    """Return the state of every job of a campaign's DFT tier, by id."""
    query = {"spec.campaign": campaign, "name": {"$regex": "^(vasp|dft) "}}
    found = mongo["fireworks"].find(query, {_UUID: 1, "state": 1})
    return {item["spec"]["_tasks"][0]["job"]["uuid"]: item["state"] for item in found}


def _is_stopped(approval: ApprovalDoc, jobs: dict[str, str]) -> bool:
    """Return whether nothing of a crystal goes on, and no audit has said so."""
    identity = identity_of(approval.campaign, approval.gene_id)
    if jobs.get(job_uuid(identity, AUDIT_JOB)) in {None, "COMPLETED"}:
        return False
    if job_uuid(_identity_of_rest(identity), AUDIT_JOB) in jobs:
        return False
    names = _names_of_runs(approval)
    own = [jobs.get(job_uuid(identity, name)) for name in names]
    goes_on = any(state in {"READY", "RUNNING", "RESERVED", "PAUSED"} for state in own)
    return not goes_on and any(state in _STOPPED for state in own)


def _make_audit(mongo: MongoDatabase[Any], approval: ApprovalDoc) -> Flow:
    """Return the audit of the runs that left an output."""
    from jobflow import Flow, JobConfig, OnMissing, OutputReference

    from wyckflow.makers.dft_audit import DftAuditMaker, describe_run, missing_run
    from wyckflow.vasp.steps import MP_STEPS

    identity = identity_of(approval.campaign, approval.gene_id)
    runs = []
    for name in _names_of_runs(approval):
        uuid = job_uuid(identity, name)
        if mongo[OUTPUTS].find_one({"uuid": uuid}, {"_id": 1}) is None:
            runs.append(missing_run(name))
        else:
            output = OutputReference(uuid)
            runs.append(describe_run(name, output, is_judged_by_mp=name in MP_STEPS))
    audit = DftAuditMaker().make(runs, gene=approval.gene)
    audit.config = JobConfig(
        on_missing_references=OnMissing.NONE, pass_manager_config=False
    )
    return Flow([identify(audit, _identity_of_rest(identity))], name=AUDIT_JOB)


def _names_of_runs(approval: ApprovalDoc) -> list[str]:
    """Return the names of the VASP runs of a crystal, in their order."""
    maker = make_flow_maker(DftRequest.model_validate(approval.request))
    return [run.name for run in maker.runs]


def _identity_of_rest(identity: str) -> str:
    return f"{identity}/stopped"
