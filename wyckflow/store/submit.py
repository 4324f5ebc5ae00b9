"""Flows into the LaunchPad: routed, checked, tied to their campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymongo.errors import PyMongoError

from wyckflow.errors import ConfigurationError, DatabaseError
from wyckflow.makers._release import RELEASE, release_number
from wyckflow.resources import iter_jobs, route
from wyckflow.store.connect import OUTPUTS, PROBE_TIMEOUT_MS, explain
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobflow import Flow, Job

    from wyckflow.store.connect import Database

MAX_JOBS = 300
"""Jobs in one workflow: each launch rewrites the whole workflow document."""

MAX_ARGUMENT_BYTES = 4 * 1024 * 1024
"""A quarter of MongoDB's limit, since a failed parent is copied into its child."""


def submit(
    flow: Flow | Job,
    *,
    campaign: str,
    database: Database | None = None,
    overrides: Mapping[str, str] | None = None,
    priority: int = 0,
) -> list[int]:
    """Add a flow to the LaunchPad and return the ids of its fireworks.

    The job store's address is not stored with the flow: each worker uses its own.

    Parameters
    ----------
    flow
        A flow or job of jobflow.
    campaign
        What the flow belongs to; on every job, document and index.
    database
        Where; the project of the working directory if ``None``.
    overrides
        Worker category per job name, see :func:`wyckflow.resources.route`.
    priority
        Higher runs first.

    Raises
    ------
    RoutingError
        If a job would run on no kind of worker.
    ConfigurationError
        If the flow is too large for one workflow.
    DatabaseError
        If the database does not take it.
    """
    database = database or load_project().database()
    prepare(flow, campaign=campaign, overrides=overrides, priority=priority)
    from jobflow.managers.fireworks import flow_to_workflow

    database.ping()
    _refuse_dangling(flow, database)
    workflow = flow_to_workflow(
        flow, metadata={"campaign": campaign}, allow_external_references=True
    )
    _refuse_large(workflow.fws)
    launchpad = database.launchpad(timeout_ms=PROBE_TIMEOUT_MS)
    try:
        if launchpad.fw_id_assigner.find_one({}) is None:
            raise DatabaseError(
                f"The database {database.name!r} at {database.address} was never "
                "prepared: run 'wyckflow init' in the project folder (it creates the "
                "indexes and counters, and deletes nothing)."
            )
        return sorted(launchpad.add_wf(workflow).values())
    except PyMongoError as error:
        raise explain(error, database) from error
    finally:
        launchpad.connection.close()


def prepare(
    flow: Flow | Job,
    *,
    campaign: str,
    overrides: Mapping[str, str] | None = None,
    priority: int = 0,
) -> None:
    """Route a flow and tie it to its campaign, in place.

    Parameters
    ----------
    flow, campaign, overrides, priority
        As in :func:`submit`.
    """
    jobs = list(iter_jobs(flow))
    if len(jobs) > MAX_JOBS:
        raise ConfigurationError(
            f"The flow has {len(jobs)} jobs; one workflow takes at most {MAX_JOBS}, "
            "because every launch rewrites it. Put more structures into each shard, or "
            "submit several flows under the same campaign."
        )
    route(flow, overrides=overrides)
    flow.update_metadata({"campaign": campaign, RELEASE: release_number()})
    if priority:
        update = {"_set": {"manager_config->_priority": int(priority)}}
        for job in jobs:
            job.update_config(update, dict_mod=True)


def _refuse_dangling(flow: Flow | Job, database: Database) -> None:
    """Refuse references to outputs that neither the flow nor the database has.

    A flow may build on what is stored already, such as a registered model; a job with
    a reference to nothing would fail on its worker.
    """
    jobs = list(iter_jobs(flow))
    own = {job.uuid for job in jobs}
    outside = {
        reference.uuid: job.name for job in jobs for reference in job.input_references
    }
    for uuid in own:
        outside.pop(uuid, None)
    with database.client() as client:
        stored = client[database.name][OUTPUTS].distinct(
            "uuid", {"uuid": {"$in": list(outside)}}
        )
    if missing := sorted(outside.keys() - set(stored)):
        raise ConfigurationError(
            f"The job {outside[missing[0]]!r} takes the output {missing[0]!r}, which "
            "neither this flow makes nor the database holds: add the job that makes it "
            "to the flow, or register the model that it stands for."
        )


def _refuse_large(fireworks: list[object]) -> None:
    """Refuse literal arguments that belong into the job store."""
    import bson

    for firework in fireworks:
        size = len(bson.encode(firework.to_db_dict()))  # type: ignore[attr-defined]
        if size > MAX_ARGUMENT_BYTES:
            raise ConfigurationError(
                f"The arguments of the job {firework.name!r} take "  # type: ignore[attr-defined]
                f"{size / 2**20:.1f} MB; at most {MAX_ARGUMENT_BYTES // 2**20} MB fit. "
                "Pass a reference to another job's output, or ids, or smaller shards."
            )
