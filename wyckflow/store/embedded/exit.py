"""Explain why a server ended that nobody stopped."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class ServerExit:
    """An end of the server that nobody asked for.

    Parameters
    ----------
    code
        Exit status, negative for a signal, or None where unknown.
    text
        What it wrote into the log since it was started.
    log
        File of the log.
    data
        Folder of the data files.
    port
        Port of 127.0.0.1 that was asked for, if any.
    """

    code: int | None
    text: str
    log: Path
    data: Path
    port: int | None

    def explain(self) -> str:
        """Say why the server ended and what to do about it."""
        return f"mongod did not start: {self._find_cause()} (Log: {self.log})"

    def _find_cause(self) -> str:
        for sign, cause in self._list_known_causes().items():
            if sign in self.text:
                return cause
        if self.code == -signal.SIGILL:
            return (
                "this processor lacks instructions that the program needs (AVX). Use "
                "a server on another machine: "
                "`wyckflow init --uri mongodb://... FOLDER`."
            )
        if self.code == -signal.SIGKILL:
            return (
                "it was killed from outside, perhaps for want of memory. Give it more "
                "memory or start it on another machine."
            )
        last = " | ".join(self._list_complaints()[-3:]) or "it wrote no error"
        return f"it ended with status {self.code}: {last}. Mend this and start again."

    def _list_known_causes(self) -> dict[str, str]:
        """Give a sentence for every sign in the log that has one remedy."""
        data = self.data
        full = f"the disk or your quota of {data} is used up. Free some space."
        version = f"another version of mongod made the data in {data}. Use that one."
        return {
            "DBPathInUse": f"another mongod{self._name_owner()}, which wyckflow did "
            f"not start, uses the data in {data}. Stop it, or choose another folder.",
            "Address already in use": f"port {self.port} of 127.0.0.1 is taken by "
            "another program. Choose another with `--port OTHER`, or leave it out.",
            "No space left on device": full,
            "Disk quota exceeded": full,
            "featureCompatibilityVersion document": version,
            "unsupported WiredTiger file version": version,
            "WT_TRY_SALVAGE": f"the data in {data} are damaged. Restore them from a "
            "backup, or try `mongod --repair` on a copy.",
            "Too many open files": "the limit of open files is too low. Raise it "
            "(`ulimit -n 64000`).",
            "Read-only file system": f"{data} cannot be written. Choose another "
            "folder.",
            "Permission denied": f"some file in {data} does not belong to you. Take "
            "it over, or choose another folder.",
        }

    def _name_owner(self) -> str:
        """Name the process that wrote the lock file of the data folder."""
        try:
            return f" (pid {int((self.data / 'mongod.lock').read_text())})"
        except (OSError, ValueError):
            return ""

    def _list_complaints(self) -> list[str]:
        """Pick the errors out of the log, one sentence each."""
        complaints = []
        for line in filter(str.strip, self.text.splitlines()):
            try:
                entry = json.loads(line)
            except ValueError:
                complaints.append(line.strip()[:300])  # written before the log opened
                continue
            if isinstance(entry, dict) and entry.get("s") in {"E", "F"}:
                details = json.dumps(entry.get("attr", {}))[:300]
                complaints.append(f"{entry.get('msg')} {details}")
        return complaints


def read_log_since(log: Path, offset: int) -> str:
    """Read what was written into a log after ``offset``, at most the last 64 kB.

    Parameters
    ----------
    log
        File of the log.
    offset
        Its size in bytes before.
    """
    try:
        with log.open("rb") as handle:
            end = handle.seek(0, os.SEEK_END)
            handle.seek(max(offset, end - 65536))
            return handle.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
