"""How far the crystals are that were let through to VASP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import PyMongoError

from wyckflow.makers._identity import job_uuid
from wyckflow.store.candidates.builder import CANDIDATES
from wyckflow.store.connect import explain
from wyckflow.store.gate.approvals import identity_of, list_approvals

if TYPE_CHECKING:
    from pymongo.database import Database as MongoDatabase

    from wyckflow.schemas.dft import ApprovalDoc
    from wyckflow.store.connect import Database

_JOBS: Final = (
    "dft gate",
    "vasp preflight",
    "vasp relax normal",
    "vasp magnetism",
    "vasp relax precise",
    "vasp static",
    "vasp bands",
    "electronic structure",
    "vasp dfpt",
    "gamma phonon",
    "dft displacements",
    "vasp mp relax",
    "vasp mp static",
    "dft hull",
    "dft audit",
)
_UUID: Final = "spec._tasks.job.uuid"


@dataclass(frozen=True)
class CrystalProgress:
    """Where one crystal stands.

    Attributes
    ----------
    approval
        Who let it through.
    n_jobs
        Jobs of its workflow; none if it was not sent yet.
    n_done
        Of these, finished.
    running
        Names of the jobs that run.
    failed
        Names of the jobs that failed.
    is_held
        Whether jobs of it are paused or put aside.
    mark
        How far its runs are as published, once the audit has said so.
    is_simulated
        Whether a number of it comes from a simulator.
    """

    approval: ApprovalDoc
    n_jobs: int = 0
    n_done: int = 0
    running: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    is_held: bool = False
    mark: str | None = None
    is_simulated: bool = False

    @property
    def state(self) -> str:
        """One word, or one and the jobs that it is about."""
        if not self.n_jobs:
            return "not sent"
        if self.failed:
            return f"failed: {', '.join(self.failed)}"
        if self.n_done == self.n_jobs:
            return "done"
        if self.running:
            return f"running: {', '.join(self.running)}"
        return "held" if self.is_held else "waiting"


def read_dft_progress(
    database: Database, campaign: str | None = None
) -> list[CrystalProgress]:
    """Return how far the crystals are that were let through, the first one first.

    Parameters
    ----------
    database
        Where; its candidates should be up to date.
    campaign
        Only its crystals; those of all if None.
    """
    approvals = list_approvals(database, campaign)
    with database.client() as client:
        mongo = client[database.name]
        try:
            jobs = _read_jobs(mongo, {item.campaign for item in approvals})
            return [_describe(mongo, item, jobs) for item in approvals]
        except PyMongoError as error:
            raise explain(error, database) from error


def _read_jobs(
    mongo: MongoDatabase[Any], campaigns: set[str]
) -> dict[str, tuple[str, str]]:
    """Return name and state of the jobs of the tier, by their id."""
    query = {
        "spec.campaign": {"$in": sorted(campaigns)},
        "name": {"$in": list(_JOBS)},
    }
    found = mongo["fireworks"].find(query, {_UUID: 1, "name": 1, "state": 1})
    return {
        item["spec"]["_tasks"][0]["job"]["uuid"]: (item["name"], item["state"])
        for item in found
    }


def _describe(
    mongo: MongoDatabase[Any], approval: ApprovalDoc, jobs: dict[str, tuple[str, str]]
) -> CrystalProgress:
    """Return where a crystal stands."""
    identity = identity_of(approval.campaign, approval.gene_id)
    uuids = [job_uuid(identity, name) for name in _JOBS]
    own = [jobs[uuid] for uuid in uuids if uuid in jobs]
    candidate = mongo[CANDIDATES].find_one(
        {"campaign": approval.campaign, "gene_id": approval.gene_id},
        {"dft_mark": 1, "is_simulated": 1},
    )
    known: dict[str, Any] = candidate or {}
    return CrystalProgress(
        approval=approval,
        n_jobs=len(own),
        n_done=sum(state == "COMPLETED" for _, state in own),
        running=tuple(name for name, state in own if state == "RUNNING"),
        failed=tuple(name for name, state in own if state == "FIZZLED"),
        is_held=any(state in {"PAUSED", "DEFUSED"} for _, state in own),
        mark=known.get("dft_mark"),
        is_simulated=bool(known.get("is_simulated")),
    )
