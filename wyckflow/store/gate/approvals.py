"""The crystals that may spend VASP time, and the workflow of each, always the same."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from pymongo.errors import DuplicateKeyError, PyMongoError

from wyckflow.errors import CampaignError, ConfigurationError
from wyckflow.schemas.campaign import DftRequest
from wyckflow.schemas.dft import ApprovalDoc
from wyckflow.store.connect import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jobflow import Flow
    from pymatgen.core.structure import Structure

    from wyckflow.flows.dft import DftFlowMaker
    from wyckflow.store.connect import Database

APPROVALS: Final = "approvals"
_LEASES: Final = "leases"
_LEASE_S: Final = 120.0
"""A campaign whose keeper died is looked after again when this has passed."""

GATE_JOB: Final = "dft gate"
_BRANCHES: Final[Mapping[str, tuple[str, ...]]] = {
    "bands": ("static_maker", "bands_maker", "electronic_maker"),
    "vibrations": ("dfpt_maker", "lattice_maker"),
    "hull": ("mp_relax_maker", "mp_static_maker", "hull_maker"),
}


def list_approvals(
    database: Database, campaign: str | None = None
) -> list[ApprovalDoc]:
    """Return the crystals that may spend VASP time, the first approved first.

    Parameters
    ----------
    database
        Where.
    campaign
        Only its crystals; those of all if None.
    """
    query = {} if campaign is None else {"campaign": campaign}
    with database.client() as client:
        try:
            found = list(client[database.name][APPROVALS].find(query).sort("_id"))
        except PyMongoError as error:
            raise explain(error, database) from error
    for item in found:
        item.pop("_id")
    return [ApprovalDoc.model_validate(item) for item in found]


def store_approval(database: Database, approval: ApprovalDoc) -> None:
    """Enter a crystal; the server refuses one that is there.

    Parameters
    ----------
    database
        Where.
    approval
        Of the crystal.
    """
    with database.client() as client:
        try:
            client[database.name][APPROVALS].insert_one(approval.model_dump())
        except PyMongoError as error:
            raise explain(error, database) from error


def identity_of(campaign: str, gene_id: str) -> str:
    """Return the words from which the ids of the jobs of a crystal follow.

    Parameters
    ----------
    campaign, gene_id
        Of the crystal.
    """
    return f"{campaign}/dft/{gene_id}"


def make_flow_maker(
    request: DftRequest | None, *, budget: int | None = None
) -> DftFlowMaker:
    """Return the maker of the DFT of one crystal, as a campaign's file asks for it.

    Parameters
    ----------
    request
        Section ``dft`` of the file; only a user opens the gate if None.
    budget
        VASP jobs that its campaign may begin without a user; none if None.

    Raises
    ------
    ConfigurationError
        If what writes the inputs of VASP is not installed here.
    """
    if find_spec("atomate2") is None:
        raise ConfigurationError(
            "Crystals are sent to VASP from where atomate2 is installed: "
            "pip install 'wyckflow[dft]'."
        )
    from wyckflow.flows.dft import DftFlowMaker
    from wyckflow.makers.dft_gate import DftGateMaker
    from wyckflow.makers.dft_hull import DftStabilityMaker
    from wyckflow.makers.dispersion import DispersionMaker

    asked = request or DftRequest()
    off = {name for branch in asked.without for name in _BRANCHES[branch]}
    changes: dict[str, Any] = {
        "gate_maker": DftGateMaker(
            opens_below=asked.opens_below, max_atoms=asked.max_atoms, budget=budget or 0
        ),
        "hull_maker": DftStabilityMaker(
            reference=asked.reference, threshold=asked.threshold
        ),
        "dispersion_maker": DispersionMaker() if asked.dispersion else None,
    }
    return DftFlowMaker(**(changes | dict.fromkeys(off)))


def flow_of(approval: ApprovalDoc) -> Flow:
    """Return the workflow of a crystal, the same each time.

    Parameters
    ----------
    approval
        Of the crystal.
    """
    maker = make_flow_maker(_request_of(approval), budget=approval.budget)
    return maker.make(
        structure_of(approval),
        approval.energy_above_hull,
        approved_by=approval.approved_by,
        gene=approval.gene,
        identity=identity_of(approval.campaign, approval.gene_id),
        n_jobs_spent=approval.n_jobs_spent,
    )


def is_obstructed(approval: ApprovalDoc) -> bool:
    """Return whether the gate itself would hold a crystal that a rule looks at.

    Parameters
    ----------
    approval
        Of the crystal, not stored yet.
    """
    gate = make_flow_maker(_request_of(approval), budget=approval.budget).gate_maker
    return gate is None or bool(
        gate.find_obstacle(
            structure_of(approval),
            approval.energy_above_hull,
            approval.n_jobs_spent,
            approval.n_vasp_jobs,
        )
    )


@contextmanager
def keep_gate(database: Database, campaign: str) -> Iterator[Callable[[], None] | None]:
    """Keep others from the gate of a campaign for a block.

    Yields what prolongs it, or None where somebody else is there.

    Parameters
    ----------
    database
        Where.
    campaign
        Which.

    Raises
    ------
    CampaignError
        From what it yields, if it came too late and somebody else is there now.
    """
    name, token = f"{GATE_JOB} {campaign}", uuid4().hex
    with database.client() as client:
        leases = client[database.name][_LEASES]

        def until() -> datetime:
            return datetime.now(UTC) + timedelta(seconds=_LEASE_S)

        def renew() -> None:
            own = {"_id": name, "token": token}
            if not leases.update_one(own, {"$set": {"until": until()}}).matched_count:
                raise CampaignError(
                    f"The gate of campaign {campaign!r} was taken over by somebody "
                    "else, since this took too long; nothing is lost, try again."
                )

        try:
            leases.update_one(
                {"_id": name, "until": {"$lt": datetime.now(UTC)}},
                {"$set": {"until": until(), "token": token}},
                upsert=True,
            )
        except DuplicateKeyError:
            yield None
            return
        except PyMongoError as error:
            raise explain(error, database) from error
        try:
            yield renew
        finally:
            leases.delete_one({"_id": name, "token": token})


def _request_of(approval: ApprovalDoc) -> DftRequest:
    return DftRequest.model_validate(approval.request)


def structure_of(approval: ApprovalDoc) -> Structure:
    """Return what is computed.

    Parameters
    ----------
    approval
        Of the crystal.
    """
    from pymatgen.core.structure import Structure as PymatgenStructure

    read: Structure = PymatgenStructure.from_dict(approval.structure)
    return read
