"""The examination behind ``wyckflow doctor``: each line says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wyckflow.errors import WyckflowError
from wyckflow.store.doctor import jobs, machine, suspects
from wyckflow.store.doctor.finding import Finding, Level, Patient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wyckflow.store.project import Project

    Check = Callable[[Patient], Iterator[Finding]]

__all__ = ["Finding", "Level", "examine"]


def examine(project: Project | None, *, fix: bool = False) -> Iterator[Finding]:
    """Run every check that applies, one after the other.

    Parameters
    ----------
    project
        The project; without one only the installation is examined.
    fix
        Also mend what can be mended without losing anything: create indexes, rerun
        lost jobs, release locks that nobody holds, let jobs try once more that were
        quarantined for lost workers, delete bulk that no result has.
    """
    patient = Patient(project, may_fix=fix)
    yield from _run((machine.check_versions, machine.check_server_binary), patient)
    if patient.home is not None:
        checks = (
            machine.check_project_files,
            machine.check_worker_files,
            machine.check_disk,
            machine.check_database,
        )
        yield from _run(checks, patient)
    if patient.address is not None:
        yield from _run(
            (
                jobs.check_writable,
                jobs.check_indexes,
                jobs.check_clock,
                jobs.check_locks,
                jobs.check_lost_jobs,
                jobs.check_torn_jobs,
                suspects.check_suspects,
                jobs.check_blobs,
                jobs.check_backlog,
            ),
            patient,
        )


def _run(checks: tuple[Check, ...], patient: Patient) -> Iterator[Finding]:
    """Run checks; an error of ours is one's finding, not the end of the visit."""
    for check in checks:
        topic = check.__name__.removeprefix("check_").replace("_", " ")
        try:
            yield from check(patient)
        except WyckflowError as error:
            yield Finding(topic, Level.FAILURE, str(error))
