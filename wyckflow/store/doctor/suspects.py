"""Quarantined jobs that lost their workers, by their own doing or somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wyckflow.store.doctor.finding import Finding, Level
from wyckflow.store.worker.tries import find_suspects, give_last_chance

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wyckflow.store.doctor.finding import Patient
    from wyckflow.store.worker.tries import Suspect

TOPIC: Final = "suspects"
_MOST_NAMED: Final = 10


def check_suspects(patient: Patient) -> Iterator[Finding]:
    """Look for quarantined jobs that lost their workers instead of failing."""
    launchpad = patient.database.launchpad(timeout_ms=3_000)
    found = find_suspects(launchpad)
    waiting = [job for job in found if job.may_try]
    if not found:
        yield Finding(TOPIC, Level.OK, "no job is quarantined for lost workers")
    elif waiting and patient.may_fix:
        ready = [job for job in waiting if give_last_chance(launchpad, job)]
        text = f"{_name(ready)}: ready for one last try"
        yield Finding(TOPIC, Level.OK, text)
    elif waiting:
        yield Finding(
            TOPIC,
            Level.WARNING,
            f"{_name(waiting)}, quarantined, but not for errors alone: at least one "
            "try ended with the worker, be it killed or the job's doing. 'wyckflow "
            "doctor --fix' lets each try once more",
        )
    if over := [job for job in found if not job.may_try]:
        yield Finding(
            TOPIC,
            Level.WARNING,
            f"{_name(over)}, quarantined again after one last try: 'wyckflow campaign "
            "failures CAMPAIGN' says what is known, 'retry' gives three more",
        )
    launchpad.connection.close()


def _name(jobs: Sequence[Suspect]) -> str:
    """Return the first of some jobs by number and name, and how many more."""
    names = [f"job {job.fw_id} ({job.name})" for job in jobs[:_MOST_NAMED]]
    n_more = len(jobs) - len(names)
    return ", ".join(names) + (f" and {n_more} more" if n_more else "")
