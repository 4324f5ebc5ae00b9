"""Room on the disk where a worker works, before it takes a job and after one failed."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LEAST_FREE_MB: Final = 16.0
"""With less than this, not even the files that every launch leaves have room."""

_LONGEST_WAIT_S: Final = 3600.0


class Room:
    """Says whether a worker may take a job, as far as its disk is concerned.

    Parameters
    ----------
    folder
        Where jobs work; it may not exist yet.
    wait_s
        Seconds without a job after one ran out of room; twice as many each time it
        happens again.
    clock
        Seconds since whenever.
    """

    def __init__(
        self,
        folder: Path,
        *,
        wait_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._first_wait_s = self._wait_s = wait_s
        self._clock = clock
        self._closed_until: float | None = None
        self._why = ""

    def close(self, why: str) -> None:
        """Take no job for a while, since one ran out of room.

        Parameters
        ----------
        why
            In words.
        """
        self._why = why
        self._closed_until = self._clock() + self._wait_s
        self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)

    def prove(self) -> None:
        """Note that a job ended and had room."""
        self._wait_s = self._first_wait_s

    def lacks(self) -> str:
        """Return why there is no room, or an empty string."""
        if self._closed_until is not None:
            if self._clock() < self._closed_until:
                return self._why
            self._closed_until = None
        place = self._folder
        while not place.exists():
            place = place.parent
        free_mb = shutil.disk_usage(place).free / 1e6
        if free_mb >= LEAST_FREE_MB:
            return ""
        return f"{free_mb:.1f} MB free at {self._folder}, {LEAST_FREE_MB:g} are needed"
