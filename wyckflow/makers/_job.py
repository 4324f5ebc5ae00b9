"""The one decorator that makes our ``make`` methods jobs.

It fixes what every job of wyckflow shares: the schema of its document, the blob store
for bulky fields, its own worker category (a parent never passes its own on), and a
refusal to work where the result would be lost.
"""

from __future__ import annotations

import time
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from jobflow import JobConfig, Response, job

from wyckflow.errors import ConfigurationError
from wyckflow.makers._release import refuse_newer_job
from wyckflow.schemas.blob import BLOB_FIELD, BLOB_STORE

if TYPE_CHECKING:
    from collections.abc import Callable

    from wyckflow.schemas.base import WyckflowDoc

P = ParamSpec("P")
T = TypeVar("T")


def wyckflow_job(
    schema: type[WyckflowDoc], **job_options: Any
) -> Callable[[Callable[P, T]], Callable[P, Any]]:
    """Turn the ``make`` of a maker into a job that emits ``schema``.

    Parameters
    ----------
    schema
        The document that the job returns; a reference to a field that it does not
        have fails while the flow is built.
    **job_options
        Passed to :func:`jobflow.job`, for instance ``config`` to override ours.

    Returns
    -------
    Callable
        The decorator.
    """
    options: dict[str, Any] = {
        "output_schema": schema,
        BLOB_STORE: BLOB_FIELD,
        "config": JobConfig(pass_manager_config=False),
        **job_options,
    }

    def decorate(make: Callable[P, T]) -> Callable[P, Any]:
        @wraps(make)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            refuse_to_lose_results()
            wall, cpu = time.perf_counter(), time.process_time()
            result = make(*args, **kwargs)
            document = result.output if isinstance(result, Response) else result
            if isinstance(document, schema):
                document.provenance.wall_s = time.perf_counter() - wall
                document.provenance.cpu_s = time.process_time() - cpu
            return result

        return job(run, **options)  # type: ignore[no-any-return]

    return decorate


def refuse_to_lose_results() -> None:
    """Stop a FireWorks launch whose job store forgets everything.

    Without ``JOBFLOW_CONFIG_FILE`` jobflow falls back on a store in memory: every job
    is then COMPLETED and nothing is stored. FireWorks' ``rlaunch`` does not check.
    """
    from jobflow import CURRENT_JOB, SETTINGS
    from maggma.stores import MemoryStore

    current = CURRENT_JOB.job
    refuse_newer_job(current.metadata if current is not None else None)
    is_launched = current is not None and "fw_id" in (current.metadata or {})
    if is_launched and type(SETTINGS.JOB_STORE.docs_store) is MemoryStore:
        raise ConfigurationError(
            "This worker would lose every result: jobflow has no job store configured. "
            "Run 'source env.sh' of your wyckflow project before rlaunch or qlaunch "
            "(it sets JOBFLOW_CONFIG_FILE), or use 'wyckflow worker start'; then "
            "'lpad rerun_fws' this job."
        )
