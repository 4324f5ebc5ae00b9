"""Ids that follow from what jobs are, so that doing a thing twice is harmless."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jobflow import Job

_NAMESPACE: Final = uuid.UUID("6f0f5b8e-52a4-4b0c-9a1c-6b8f0d1c7a11")


def job_uuid(identity: str, job_name: str) -> str:
    """Return the id of a job from its place in a campaign.

    Parameters
    ----------
    identity
        Campaign and round, and number of the shard where there is one.
    job_name
        Stage.
    """
    return str(uuid.uuid5(_NAMESPACE, f"{identity}/{job_name}"))


def identify(job: Job, identity: str | None) -> Job:
    """Give a job the id that belongs to its place, if it has one.

    Parameters
    ----------
    job
        Changed in place and returned; before its output is referred to.
    identity
        As in :func:`job_uuid`, or None to leave the job its random id.
    """
    if identity is not None:
        job.set_uuid(job_uuid(identity, job.name))
    return job
