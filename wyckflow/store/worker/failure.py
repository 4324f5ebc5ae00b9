"""What a failed job's traceback says about whose fault it was."""

from __future__ import annotations

import re
from typing import Any, Final

_CONNECTION_ERRORS: Final = (
    "AutoReconnect",
    "NetworkTimeout",
    "NotPrimaryError",
    "ServerSelectionTimeoutError",
)
_NO_ROOM: Final = re.compile(
    r"\[Errno (28|122)\]|No space left on device|Disk quota exceeded"
)


def traceback_of(action: Any) -> str:
    """Return the traceback that FireWorks stores with the end of a job, or nothing.

    Parameters
    ----------
    action
        A ``FWAction``, or its dictionary.
    """
    if isinstance(action, dict):
        stored = action.get("stored_data") or {}
    else:
        stored = getattr(action, "stored_data", None) or {}
    return str((stored.get("_exception") or {}).get("_stacktrace") or "")


def last_line(trace: str) -> str:
    """Return the last line of a traceback, where the error is named.

    Parameters
    ----------
    trace
        The traceback.
    """
    lines = trace.strip().splitlines()
    return lines[-1].strip() if lines else ""


def was_cut_off(action: Any) -> bool:
    """Return whether a job failed because the database went away.

    Parameters
    ----------
    action
        As in :func:`traceback_of`.
    """
    return is_lost_connection(traceback_of(action))


def is_lost_connection(trace: str) -> bool:
    """Return whether a traceback names an error of the connection to the database.

    Parameters
    ----------
    trace
        The traceback.
    """
    return any(f"pymongo.errors.{name}" in trace for name in _CONNECTION_ERRORS)


def ran_out_of_room(action: Any) -> bool:
    """Return whether a job failed because a disk, or a quota on it, was full.

    Parameters
    ----------
    action
        As in :func:`traceback_of`.
    """
    return bool(_NO_ROOM.search(traceback_of(action)))


def gave_up_itself(action: Any) -> bool:
    """Return whether a job failed that had tried again, and in other ways, by itself.

    custodian restarts VASP with what it knows to help; when it gives up, three times as
    many hours of VASP would end the same way.

    Parameters
    ----------
    action
        As in :func:`traceback_of`.
    """
    return last_line(traceback_of(action)).startswith("custodian.")


def was_superseded(action: Any) -> bool:
    """Return whether a job ended because another worker has it now.

    Parameters
    ----------
    action
        As in :func:`traceback_of`.
    """
    return "wyckflow.store.fence.Superseded" in traceback_of(action)
