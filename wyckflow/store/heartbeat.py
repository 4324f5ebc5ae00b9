"""Workers say that they live, with the server's clock."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pymongo.errors import PyMongoError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from wyckflow.store.connect import Database

WORKERS = "workers"


class Heartbeat:
    """A thread that writes this worker's sign of life.

    Parameters
    ----------
    database
        Where to.
    worker
        Unique name of the worker.
    category
        What it pulls.
    period_s
        Seconds between two signs.
    current_job
        Returns the id of the job in hand, if any.
    """

    def __init__(
        self,
        database: Database,
        worker: str,
        category: str,
        *,
        period_s: float,
        current_job: Callable[[], int | None],
    ) -> None:
        self.worker = worker
        self._mongo = database.open()
        self._period_s = period_s
        self._current_job = current_job
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._known = {
            "host": socket.gethostname(),
            "boot_id": boot_id(),
            "pid": os.getpid(),
            "category": category,
            "started_at": datetime.now(UTC),
        }

    def __enter__(self) -> Self:
        """Announce the worker and begin."""
        self._write("alive")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say that the worker leaves."""
        self._stop.set()
        with suppress(PyMongoError):
            self._write("left")
        self._mongo.client.close()

    def _beat(self) -> None:
        """Write until told to stop; an outage is waited out."""
        while not self._stop.wait(self._period_s):
            with suppress(PyMongoError):
                self._write("alive")

    def _write(self, state: str) -> None:
        """Write one sign of life with the server's clock."""
        self._mongo[WORKERS].update_one(
            {"_id": self.worker},
            {
                "$set": {
                    **self._known,
                    "state": state,
                    "fw_id": self._current_job(),
                },
                "$currentDate": {"seen_at": True},
            },
            upsert=True,
        )


def boot_id() -> str:
    """Return what tells this boot of this machine from every other."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
