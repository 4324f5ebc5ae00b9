"""What a running job tells the worker around it: that it got on, and what to do later.

Without a worker of ours, in a notebook or under another launcher, nobody listens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class _Running:
    """The job in hand, if a worker of ours has one."""

    is_held: bool = False
    n_steps: int = 0
    later: list[Callable[[], None]] = field(default_factory=list)


_JOB = _Running()


def when_stored(act: Callable[[], None]) -> None:
    """Do something once the result of the running job is safe in the database.

    Such as removing what it kept for a resume: between the end of ``make`` and that
    moment, minutes may pass in which the server is away and the worker is killed. At
    once where no worker of ours says when.

    Parameters
    ----------
    act
        What to do.
    """
    if _JOB.is_held:
        _JOB.later.append(act)
    else:
        act()


def got_on() -> None:
    """Say that the job has kept something that it will not have to do again.

    A job that is lost with its worker after that is not to blame.
    """
    _JOB.n_steps += 1


def n_steps_kept() -> int:
    """Return how often the job in hand has said that it got on."""
    return _JOB.n_steps


def begin_job() -> None:
    """Begin a job: what an earlier one said is void."""
    _JOB.is_held, _JOB.n_steps, _JOB.later = True, 0, []


def end_job(*, is_stored: bool) -> None:
    """End a job: do what it wanted done, or forget it.

    Parameters
    ----------
    is_stored
        Whether its result is safe.
    """
    later, _JOB.is_held, _JOB.n_steps, _JOB.later = _JOB.later, False, 0, []
    for act in later:
        if is_stored:
            act()
