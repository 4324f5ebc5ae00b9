"""Which wyckflow a job was submitted by, so that no older one runs it."""

from __future__ import annotations

from typing import Any, Final

from packaging.version import Version

from wyckflow import __version__
from wyckflow.errors import ConfigurationError

RELEASE: Final = "wyckflow_release"
"""Key of the metadata of every job that was submitted."""

_STEP: Final = 1000


def release_number(version: str = __version__) -> int:
    """Return a version as a number that sorts as versions do.

    Parameters
    ----------
    version
        Such as ``0.1.0``; what follows its three numbers does not count.
    """
    major, minor, micro = Version(version).release[:3]
    return (major * _STEP + minor) * _STEP + micro


def release_text(number: int) -> str:
    """Return the version that a number stands for.

    Parameters
    ----------
    number
        From `release_number`.
    """
    rest, micro = divmod(number, _STEP)
    major, minor = divmod(rest, _STEP)
    return f"{major}.{minor}.{micro}"


def refuse_newer_job(metadata: dict[str, Any] | None) -> None:
    """Refuse a job of a newer wyckflow, whose options this one might not know.

    Workers of ours leave such jobs alone; FireWorks' ``rlaunch`` takes them.

    Parameters
    ----------
    metadata
        Of the job.

    Raises
    ------
    ConfigurationError
        With the remedy.
    """
    wanted = (metadata or {}).get(RELEASE, 0)
    if wanted > release_number():
        raise ConfigurationError(
            f"This job was submitted by wyckflow {release_text(wanted)}, and this "
            f"worker has {__version__}, which may not know its options: install that "
            "version here, or a newer one, and rerun the job."
        )
