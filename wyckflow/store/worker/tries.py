"""How often a job was tried, what became of each try, and when it is tried no more.

Every launch that did not end well has a note that begins with one of a few words. A
try counts against a job if it failed, and also if its worker was lost with it: a job
that crashes its process leaves nothing else behind, and must not go on for ever. But
somebody who kills workers leaves the same. A job that was quarantined with less than
three errors of its own therefore is a suspect: ``wyckflow doctor --fix`` gives it one
more try, once. Losses cannot be told apart while they happen: a job that fills the
memory of a node takes other workers down as well, so that neither several losses at a
time nor one beside an outage of the server acquits anybody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fireworks import LaunchPad

MAX_TRIES: Final = 3
"""A job that failed, or took its worker down with it, this often is not tried again."""

MAX_INTERRUPTIONS: Final = 30
"""A job that got on each time may be lost so often; then somebody should look at it."""

LOST, FAILED, QUARANTINED = "lost: ", "failed: ", "quarantined: "
"""How the note of a launch begins; the first two are tries that count."""

INTERRUPTED: Final = "interrupted: "
"""The same of a job that was lost after it had kept something: it is not to blame, and
the try does not count."""

LAST_CHANCE: Final = "last chance: "
"""Put before the note of a quarantined launch after which the job got one more try. As
a try it counts like any other, so that no job gets two."""

EARLIER: Final = "earlier: "
"""Put before the notes of tries that a person has forgiven."""

_THE_LAST: Final = "the last "
_COUNTED: Final = f"^({LOST}|{FAILED}|{LAST_CHANCE})"
_IS_LOSS: Final = f"^({LOST}|{QUARANTINED}.*{_THE_LAST}{LOST})"


@dataclass(frozen=True)
class Suspect:
    """A quarantined job that lost its worker, once at least, instead of failing.

    Attributes
    ----------
    fw_id, launch_id
        The job, and its last launch.
    name
        Of the job.
    may_try
        Whether it may have a last chance; else it had that.
    """

    fw_id: int
    launch_id: int
    name: str
    may_try: bool


def count_tries(launchpad: LaunchPad, fw_id: int) -> int:
    """Return how often a job was lost or failed before, and was given another try.

    Parameters
    ----------
    launchpad
        Any LaunchPad.
    fw_id
        The job.
    """
    return _count_notes(launchpad, fw_id, _COUNTED)


def count_interruptions(launchpad: LaunchPad, fw_id: int) -> int:
    """Return how often a job was lost after it had kept something.

    Parameters
    ----------
    launchpad
        Any LaunchPad.
    fw_id
        The job.
    """
    return _count_notes(launchpad, fw_id, f"^{INTERRUPTED}")


def quarantine(
    launchpad: LaunchPad, launch_id: int, *, n_tries: int, note: str
) -> None:
    """Note in the last launch of a job that it will not be tried again.

    Parameters
    ----------
    launchpad
        Any LaunchPad.
    launch_id
        The launch, which has ended.
    n_tries
        How many there were.
    note
        What its note would be if there were another try.
    """
    text = f"{QUARANTINED}tries: {n_tries}, {_THE_LAST}{note}"
    launchpad.launches.update_one(
        {"launch_id": launch_id}, {"$set": {"wyckflow_note": text}}
    )


def forgive(launchpad: LaunchPad, fw_id: int) -> None:
    """Forget the tries of a job, so that it gets all of them again.

    Parameters
    ----------
    launchpad
        Any LaunchPad.
    fw_id
        The job.
    """
    counted = f"^({LOST}|{FAILED}|{INTERRUPTED}|{QUARANTINED}|{LAST_CHANCE})"
    _put_before(launchpad, EARLIER, {"fw_id": fw_id}, counted)


def find_suspects(launchpad: LaunchPad) -> list[Suspect]:
    """Return the quarantined jobs of which nobody knows whose fault it was.

    Parameters
    ----------
    launchpad
        Where to look.
    """
    return list(_suspects(launchpad))


def give_last_chance(launchpad: LaunchPad, job: Suspect) -> bool:
    """Let a suspect try once more; of two who do so at once, one succeeds.

    It is quarantined again, and for good, if it fails or is lost once more before it
    has kept something.

    Parameters
    ----------
    launchpad
        Where it is.
    job
        From `find_suspects`.

    Returns
    -------
    bool
        Whether it is ready now.
    """
    if not job.may_try:
        return False
    query = {"launch_id": job.launch_id}
    _put_before(launchpad, LAST_CHANCE, query, f"^{QUARANTINED}")
    # Not only if the note is new: whoever wrote it may have been killed right after.
    still = {"fw_id": job.fw_id, "launches": job.launch_id, "state": "FIZZLED"}
    if launchpad.fireworks.find_one(still, {"_id": 1}) is None:
        return False
    launchpad.rerun_fw(job.fw_id)
    return True


def _suspects(launchpad: LaunchPad) -> Iterator[Suspect]:
    """Yield what `find_suspects` returns."""
    fields = {"fw_id": 1, "name": 1, "launches": 1}
    query = {"state": "FIZZLED"}
    failed = {job["fw_id"]: job for job in launchpad.fireworks.find(query, fields)}
    for fw_id, notes in sorted(_notes_of(launchpad, list(failed)).items()):
        launch_id, last = max(notes.items())
        # Its chance was noted by somebody who was killed before the job was ready.
        is_torn = last.startswith(LAST_CHANCE)
        is_over = last.startswith(QUARANTINED)
        was_lost = any(re.search(_IS_LOSS, note) for note in notes.values())
        if launch_id not in failed[fw_id]["launches"]:
            continue  # it runs by now, or has ended
        had_it = any(note.startswith(LAST_CHANCE) for note in notes.values())
        if is_torn or (is_over and (was_lost or had_it)):
            name = failed[fw_id]["name"]
            yield Suspect(fw_id, launch_id, name, may_try=is_torn or not had_it)


def _notes_of(launchpad: LaunchPad, fw_ids: list[int]) -> dict[int, dict[int, str]]:
    """Return the notes of jobs by launch."""
    found: dict[int, dict[int, str]] = {}
    query = {"fw_id": {"$in": fw_ids}, "wyckflow_note": {"$exists": True}}
    fields = {"fw_id": 1, "launch_id": 1, "wyckflow_note": 1}
    for launch in launchpad.launches.find(query, fields):
        notes = found.setdefault(launch["fw_id"], {})
        notes[launch["launch_id"]] = str(launch["wyckflow_note"])
    return found


def _put_before(
    launchpad: LaunchPad, words: str, query: dict[str, Any], beginning: str
) -> None:
    """Put words before the notes of launches that begin in some way."""
    launchpad.launches.update_many(
        {**query, "wyckflow_note": {"$regex": beginning}},
        [{"$set": {"wyckflow_note": {"$concat": [words, "$wyckflow_note"]}}}],
    )


def _count_notes(launchpad: LaunchPad, fw_id: int, beginning: str) -> int:
    """Count the launches of a job whose note begins in some way."""
    query = {"fw_id": fw_id, "wyckflow_note": {"$regex": beginning}}
    return int(launchpad.launches.count_documents(query))
