"""A job store that takes no result from a worker that has lost its job.

A worker that stood still for a while, and was taken for dead, knows nothing of it when
it goes on: its job has been given to another.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from jobflow import JobStore
from pymongo.errors import AutoReconnect

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

TRIES: Final = 4
"""Of writing a result; each waits for the server as long as its URI says."""


class Superseded(BaseException):
    """Raised where a result would be stored that another worker answers for.

    Passes through any ``except Exception`` of a job.
    """


class FencedJobStore(JobStore):  # type: ignore[misc]  # jobflow's bases are untyped
    """A job store that asks before each write whether the job is still ours.

    A write that the server's end cut off is repeated.

    Attributes
    ----------
    is_ours
        Answers.
    """

    is_ours: Callable[[], bool] | None = None

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Write documents, unless another worker has the job now.

        Parameters
        ----------
        *args, **kwargs
            As of `JobStore.update`.

        Raises
        ------
        Superseded
            If so.
        """
        for tries_left in reversed(range(TRIES)):
            if self.is_ours is not None and not self.is_ours():
                raise Superseded("This job was given to another worker.")
            try:
                super().update(*args, **kwargs)
            except AutoReconnect as error:  # what was written is written anew
                if not tries_left:
                    raise
                logger.warning("storing a result again: %s", error)
            else:
                return
