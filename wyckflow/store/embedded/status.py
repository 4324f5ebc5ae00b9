"""Describe an embedded server without touching it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from wyckflow.errors import ServerError
from wyckflow.store.embedded.credentials import check_login, load_credentials
from wyckflow.store.embedded.mongod import format_version
from wyckflow.store.embedded.process import accepts_connections
from wyckflow.store.private import is_locked

if TYPE_CHECKING:
    from wyckflow.store.embedded.record import ServerFolder, ServerRecord

_ANSWER_S = 2.0


class ServerState(StrEnum):
    """How a server is."""

    RUNNING = "running"
    STARTING = "starting"
    STOPPED = "stopped"
    STALE = "stale"


@dataclass(frozen=True)
class ServerStatus:
    """What is known of a server; holds no password.

    Parameters
    ----------
    state
        How it is.
    detail
        What that means, with what to do where something is to be done.
    folder
        Where it lives.
    log
        Its log file.
    data_bytes
        Size of the data files in bytes.
    pid
        Its process, if one runs.
    version
        Of the server that runs, or ran last, e.g. ``"6.0.5"``.
    origin
        Where that program came from, ``"wheel"`` or ``"PATH"``.
    socket
        Its unix socket.
    port
        Its port of 127.0.0.1, or None for the socket alone.
    uptime_s
        Seconds since its start, if it runs.
    """

    state: ServerState
    detail: str
    folder: Path
    log: Path
    data_bytes: int
    pid: int | None = None
    version: str | None = None
    origin: str | None = None
    socket: Path | None = None
    port: int | None = None
    uptime_s: float | None = None


def describe_server(folder: ServerFolder) -> ServerStatus:
    """Describe the server of a folder; nothing is started, stopped or changed.

    Parameters
    ----------
    folder
        Where it lives.
    """
    record = folder.find_record()
    pid = folder.find_pid(record)
    state, detail = _judge(folder, record, pid)
    size = _measure(folder.data)
    if record is None:
        return ServerStatus(state, detail, folder.path, folder.log, size)
    uptime = None
    if pid is not None and record.started_at is not None:
        uptime = max(0.0, time.time() - record.started_at)
    return ServerStatus(
        state,
        detail,
        folder.path,
        folder.log,
        size,
        pid=pid,
        version=format_version(record.version),
        origin=record.origin,
        socket=record.socket,
        port=record.port,
        uptime_s=uptime,
    )


def _judge(
    folder: ServerFolder, record: ServerRecord | None, pid: int | None
) -> tuple[ServerState, str]:
    """Say how the server is, and what to do."""
    if record is not None and folder.is_elsewhere(record):
        return ServerState.STALE, folder.describe_elsewhere(record)
    state, detail = _judge_unlocked(folder, record, pid)
    if state is not ServerState.RUNNING and is_locked(folder.lock):
        return ServerState.STARTING, (
            "Another process is starting or stopping it. Look again in a moment."
        )
    return state, detail


def _judge_unlocked(
    folder: ServerFolder, record: ServerRecord | None, pid: int | None
) -> tuple[ServerState, str]:
    """Say how the server is if nobody is starting or stopping it."""
    if record is None:
        return ServerState.STOPPED, (
            "It was never started here. Start it with `wyckflow db start`."
        )
    if pid is not None:
        return _judge_running(folder, record)
    if record.pid is not None:
        return ServerState.STALE, (
            "It ended without being stopped, at a crash or a restart of the machine. "
            "Start it again with `wyckflow db start`: the journal brings everything "
            "back."
        )
    return ServerState.STOPPED, (
        "It was stopped. Start it with `wyckflow db start` when you need it."
    )


def _judge_running(
    folder: ServerFolder, record: ServerRecord
) -> tuple[ServerState, str]:
    """Say whether a process that lives also serves."""
    if not record.socket.exists() and record.has_users:
        return ServerState.STALE, (
            f"It runs, but its socket {record.socket} is gone. Restart it: `wyckflow "
            "db stop`, then `wyckflow db start`."
        )
    if not accepts_connections(record.socket):
        return ServerState.STARTING, (
            "It does not listen yet; after a crash it first replays its journal. Wait, "
            f"or look into {folder.log}."
        )
    try:
        credentials = load_credentials(folder.credentials)
        is_let_in = check_login(record.socket, credentials, wait_s=_ANSWER_S)
    except ServerError as error:
        return ServerState.STALE, f"It runs, but: {error}"
    if not is_let_in:
        return ServerState.STALE, (
            "It runs, but its users are missing or have other passwords. `wyckflow db "
            "start` completes them."
        )
    return ServerState.RUNNING, f"It answers on {record.address}."


def _measure(folder: Path) -> int:
    """Add up the sizes of all files below a folder, in bytes."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # the server removes files as we look
                total += (Path(root) / name).stat().st_size
    return total
