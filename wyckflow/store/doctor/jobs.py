"""Checks of the database and of the jobs in it, for ``wyckflow doctor``."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wyckflow.store.blobs import delete_blobs, find_orphaned_blobs
from wyckflow.store.doctor.finding import Finding, Level
from wyckflow.store.indexes import create_indexes, missing_indexes
from wyckflow.store.monitor import read_status
from wyckflow.store.worker.recovery import Loss, Watch, find_lost_jobs, rerun_lost_job
from wyckflow.store.worker.repair import archive_orphans, find_torn_jobs, mend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fireworks import LaunchPad

    from wyckflow.store.connect import Database
    from wyckflow.store.doctor.finding import Patient
    from wyckflow.store.worker.recovery import LostJob

MAX_SKEW_S = 5.0
LOCK_WATCH_S = 2.0
HEARTBEATS_WATCHED = 1.5


def check_writable(patient: Patient) -> Iterator[Finding]:
    """Check that we may write."""
    patient.database.check_writable()
    yield Finding("database", Level.OK, "may be written")


def check_indexes(patient: Patient) -> Iterator[Finding]:
    """Check for the indexes without which everything slows down or doubles."""
    database = patient.database
    with database.client() as client:
        missing = missing_indexes(client[database.name])
    if missing and patient.may_fix:
        create_indexes(database)
        yield Finding("indexes", Level.OK, f"created {len(missing)} that were missing")
    elif missing:
        names = ", ".join(f"{index.collection}.{index.name}" for index in missing)
        text = f"missing: {names}. 'wyckflow doctor --fix' creates them"
        yield Finding("indexes", Level.FAILURE, text)
    else:
        yield Finding("indexes", Level.OK, "all there")


def check_clock(patient: Patient) -> Iterator[Finding]:
    """Compare this machine's clock with the server's."""
    with patient.database.client() as client:
        before = datetime.now(UTC)
        server = client.admin.command("hello")["localTime"].replace(tzinfo=UTC)
        after = datetime.now(UTC)
    skew_s = abs((server - before - (after - before) / 2).total_seconds())
    if skew_s > MAX_SKEW_S:
        yield Finding(
            "clock",
            Level.WARNING,
            f"this machine and the database differ by {skew_s:.0f} s. No job is lost "
            "by that, but times are shown wrong: switch on time synchronisation "
            "(timedatectl set-ntp true)",
        )
    else:
        yield Finding("clock", Level.OK, f"within {skew_s:.1f} s of the database's")


def check_locks(patient: Patient) -> Iterator[Finding]:
    """Look for workflows that stay locked: their worker died while updating them."""
    database = patient.database
    with database.client() as client:
        workflows = client[database.name]["workflows"]
        held = _locked(workflows)
        if held:
            time.sleep(LOCK_WATCH_S)
            held &= _locked(workflows)
    if not held:
        yield Finding("locks", Level.OK, "no workflow is locked")
    elif patient.may_fix:
        _release(database, held)
        yield Finding(
            "locks", Level.OK, f"released and refreshed {len(held)} workflows"
        )
    else:
        yield Finding(
            "locks",
            Level.WARNING,
            f"{len(held)} workflows are locked; if that stays, a worker died while "
            "updating them: 'wyckflow doctor --fix' releases them",
        )


def _locked(workflows: Any) -> set[int]:
    """Return the first job of every locked workflow."""
    found = workflows.find({"locked": {"$exists": True}}, {"nodes": 1})
    return {min(workflow["nodes"]) for workflow in found}


def _release(database: Database, fw_ids: set[int]) -> None:
    """Unlock workflows and bring their states up to date."""
    launchpad = database.launchpad(timeout_ms=3_000)
    for fw_id in fw_ids:
        launchpad.workflows.update_one({"nodes": fw_id}, {"$unset": {"locked": True}})
        for node in launchpad.workflows.find_one({"nodes": fw_id})["nodes"]:
            launchpad._refresh_wf(node)  # noqa: SLF001 (FireWorks has no public one)
    launchpad.connection.close()


def check_lost_jobs(patient: Patient) -> Iterator[Finding]:
    """Look for running jobs whose worker is gone."""
    launchpad = patient.database.launchpad(timeout_ms=3_000)
    settings = patient.project.settings
    lost = find_lost_jobs(launchpad, lost_after_s=settings.lost_after_s)
    if not lost:
        yield Finding("lost jobs", Level.OK, "every running job has a living worker")
    expiry_s = settings.rerun_after_s
    for job in _without_the_living(launchpad, lost, expiry_s, settings.heartbeat_s):
        what = f"job {job.fw_id} ({job.name}) of worker {job.worker}"
        is_sure = job.is_sure(expiry_s)
        if is_sure and patient.may_fix:
            fate = rerun_lost_job(launchpad, job)
            yield Finding("lost jobs", Level.OK, f"{what}: {fate}")
        elif is_sure:
            text = f"{what} is lost: 'wyckflow doctor --fix' makes it ready again"
            yield Finding("lost jobs", Level.FAILURE, text)
        else:
            yield Finding(
                "lost jobs",
                Level.WARNING,
                f"{what}: silent for {job.silent_s:.0f} s. Dead or cut off; rerun "
                f"by itself after {job.patience_s(expiry_s):.0f} s of silence",
            )
    launchpad.connection.close()


def _without_the_living(
    launchpad: LaunchPad, lost: list[LostJob], expiry_s: float, heartbeat_s: float
) -> list[LostJob]:
    """Leave out workers that are heard again: the server may have stood still."""
    if not any(job.loss is Loss.SILENT and job.is_sure(expiry_s) for job in lost):
        return lost
    period_s = HEARTBEATS_WATCHED * heartbeat_s
    watch = Watch(lost_after_s=period_s / 2, period_s=period_s)
    watch.look(launchpad)
    time.sleep(period_s)
    dead = {job.launch_id for job in watch.look(launchpad)}
    return [job for job in lost if job.launch_id in dead or not job.has_heartbeat]


def check_torn_jobs(patient: Patient) -> Iterator[Finding]:
    """Look for jobs that a crash left between two states."""
    grace_s = patient.project.settings.lost_after_s
    launchpad = patient.database.launchpad(timeout_ms=3_000)
    torn = find_torn_jobs(launchpad, grace_s=grace_s)
    for job in torn:
        what = f"job {job.fw_id} is {job.what}"
        if patient.may_fix:
            mend(launchpad, job)
            yield Finding("torn jobs", Level.OK, f"{what}: mended")
        else:
            text = f"{what}: 'wyckflow doctor --fix' mends it, and so does any worker"
            yield Finding("torn jobs", Level.FAILURE, text)
    if patient.may_fix and (orphans := archive_orphans(launchpad, grace_s=grace_s)):
        text = f"put aside {len(orphans)} jobs that belong to no workflow"
        yield Finding("torn jobs", Level.OK, text)
    elif not torn:
        yield Finding("torn jobs", Level.OK, "no job is between two states")
    launchpad.connection.close()


def check_blobs(patient: Patient) -> Iterator[Finding]:
    """Look for bulk that no result refers to."""
    orphans = find_orphaned_blobs(patient.database)
    size = f"{len(orphans.ids)} blobs ({orphans.n_bytes / 1e6:.1f} MB)"
    if not orphans.ids:
        yield Finding("blobs", Level.OK, "every one belongs to a result")
    elif patient.may_fix:
        n_deleted = delete_blobs(patient.database, orphans)
        text = f"deleted {n_deleted} of {size} that no result refers to"
        yield Finding("blobs", Level.OK, text)
    else:
        yield Finding(
            "blobs",
            Level.OK,
            f"no result refers to {size}, left by jobs that ran again: "
            "'wyckflow doctor --fix' deletes them",
        )


def check_backlog(patient: Patient) -> Iterator[Finding]:
    """Look for jobs that nobody will take, and for failed ones."""
    status = read_status(patient.database)
    for hint in status.hints:
        yield Finding("jobs", Level.WARNING, hint)
    if not status.hints:
        text = f"{status.n_open} open, {status.n_done} done, none failed"
        yield Finding("jobs", Level.OK, text)
