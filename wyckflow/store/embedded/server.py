"""Start and stop a MongoDB server that lives in a folder of its own.

Everything is below the folder: the data, the log, what is known of the running server
(``server.json``) and its passwords (``credentials.json``). The server survives the
process that starts it; whoever comes next finds it by the folder alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from wyckflow.errors import ServerError
from wyckflow.store.embedded.credentials import (
    DATABASE,
    build_uri,
    create_credentials,
    ensure_users,
    load_credentials,
)
from wyckflow.store.embedded.exit import ServerExit, read_log_since
from wyckflow.store.embedded.mongod import (
    MongodBinary,
    build_command,
    find_mongod,
    format_version,
)
from wyckflow.store.embedded.process import (
    accepts_connections,
    check_child,
    choose_socket,
    spawn,
)
from wyckflow.store.embedded.record import ServerFolder, ServerRecord
from wyckflow.store.embedded.status import ServerState, ServerStatus, describe_server
from wyckflow.store.private import hold_lock, make_private_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EmbeddedServer", "ServerState", "ServerStatus", "temporary_server"]

FREE_BYTES_NEEDED = 500 * 10**6
"""Free space below which no server is started."""

LOG_BYTES_ALLOWED = 20 * 10**6
"""Size from which the log is put aside at a start; one old log is kept."""

_POLL_S = 0.005
_ANSWER_S = 10.0


class EmbeddedServer:
    """A MongoDB server in a folder, reached by a unix socket and with a password.

    Parameters
    ----------
    folder
        Where it lives; made when it first starts, and private to its owner.
    """

    database_name: ClassVar[str] = DATABASE

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder).resolve()
        self._files = ServerFolder(self.folder)

    def __repr__(self) -> str:
        """Name the folder, nothing else."""
        return f"{type(self).__name__}({str(self.folder)!r})"

    @property
    def uri(self) -> str:
        """The URI of the user ``wyckflow``, password included: keep it private.

        Raises
        ------
        ServerError
            When the server was never started.
        """
        return self._build_uri(as_admin=False)

    @property
    def admin_uri(self) -> str:
        """The URI of the user ``admin``, who may do everything in every database.

        Raises
        ------
        ServerError
            When the server was never started.
        """
        return self._build_uri(as_admin=True)

    def start(
        self,
        *,
        port: int | None = None,
        wait_s: float = 60,
        ephemeral: bool = False,
        die_with_parent: bool = False,
    ) -> ServerStatus:
        """Start the server unless it runs, and return when it takes passwords.

        Parameters
        ----------
        port
            Listen on this port of 127.0.0.1 too; None for the unix socket alone.
        wait_s
            How long it may take, in seconds.
        ephemeral
            For tests: keep the database in memory, where the program can (up to 6.0).
            There is no journal then, and no port.
        die_with_parent
            For tests: let the server end with the thread that starts it (Linux).

        Raises
        ------
        ServerError
            When it cannot start; the message says why and what to do.
        ValueError
            When a server in memory is asked for a port.
        """
        if ephemeral and port is not None:
            raise ValueError(
                f"{port=}, but an ephemeral server has none: until its users exist, "
                "anybody could come in by it. Leave out one of the two."
            )
        deadline = time.monotonic() + wait_s
        make_private_directory(self.folder)
        with hold_lock(self._files.lock, wait_s=wait_s):
            running = self._files.find_running()
            if running is None:
                launch = _Launch(self._files, deadline, die_with_parent=die_with_parent)
                launch.run(port=port, ephemeral=ephemeral)
            elif port not in {None, running.port}:
                raise ServerError(
                    f"The server in {self.folder} runs already, on {running.address}, "
                    f"not on port {port}. Stop it first: `wyckflow db stop`."
                )
            else:
                _Launch(self._files, deadline).resume(running)
        return self.status()

    def stop(self, *, wait_s: float = 60) -> bool:
        """Stop the server cleanly; return whether it ran.

        Only a process whose command line names this folder's data and log is ever
        signalled.

        Parameters
        ----------
        wait_s
            How long it may take, in seconds.

        Raises
        ------
        ServerError
            When it does not end in time, or runs on another machine.
        """
        if not self.folder.is_dir():
            return False
        with hold_lock(self._files.lock, wait_s=wait_s):
            running = self._files.find_running()
            if running is None:
                return False
            _terminate(self._files, running, time.monotonic() + wait_s)
        return True

    def status(self) -> ServerStatus:
        """Describe the server; nothing is started, stopped or changed."""
        return describe_server(self._files)

    def _build_uri(self, *, as_admin: bool) -> str:
        record = self._files.find_record()
        if record is None:
            raise ServerError(
                f"The server in {self.folder} was never started, so it has no URI. "
                "Start it first: `wyckflow db start`."
            )
        return build_uri(
            load_credentials(self._files.credentials),
            socket=record.socket,
            port=record.port,
            as_admin=as_admin,
            is_journaled=not record.is_ephemeral,
        )


@contextmanager
def temporary_server(folder: Path, *, ephemeral: bool) -> Iterator[EmbeddedServer]:
    """Run a server for a block; it also ends with the process, however that ends.

    Parameters
    ----------
    folder
        Where it lives; stays when the block ends.
    ephemeral
        Keep the database in memory only: starts faster, and has no journal.
    """
    server = EmbeddedServer(folder)
    server.start(ephemeral=ephemeral, die_with_parent=True)
    try:
        yield server
    finally:
        server.stop()


class _Launch:
    """One attempt to bring a server up, while its folder is locked."""

    def __init__(
        self, files: ServerFolder, deadline: float, *, die_with_parent: bool = False
    ) -> None:
        self.files = files
        self.deadline = deadline
        self.die_with_parent = die_with_parent

    def run(self, *, port: int | None, ephemeral: bool) -> None:
        """Check everything, start, and make the users before any port is open."""
        previous = self.files.read_record()
        binary = self._choose_binary(previous, ephemeral=ephemeral)
        self._check_space()
        self._ensure_credentials()
        make_private_directory(self.files.data)
        self._put_log_aside()
        is_ephemeral = ephemeral and binary.has_ephemeral_engine
        record = ServerRecord(
            host=socket.gethostname(),
            binary=binary.path,
            version=binary.version,
            origin=binary.origin,
            socket=choose_socket(self.files.path),
            is_ephemeral=is_ephemeral,
            has_users=previous is not None and previous.has_users and not is_ephemeral,
        )
        if port is not None and not record.has_users:
            # Until the first user exists, anybody who can connect may create it: do
            # that behind the private socket.
            record = self._spawn(record)
            _terminate(self.files, record, self.deadline)
        self._spawn(record.model_copy(update={"port": port, "pid": None}))

    def resume(self, record: ServerRecord) -> None:
        """See to a server that runs: an earlier start may not have come to its end."""
        self._await_listening(record, log_size=0)
        self._ensure_users(record)
        if self._put_log_aside() and record.pid is not None:
            os.kill(record.pid, signal.SIGUSR1)  # open the log anew

    def _await_listening(self, record: ServerRecord, *, log_size: int) -> None:
        while not accepts_connections(record.socket):
            self._check_alive(record, log_size)
            time.sleep(_POLL_S)

    def _ensure_users(self, record: ServerRecord) -> ServerRecord:
        """See that the users can come in, and remember it."""
        credentials = load_credentials(self.files.credentials)
        ensure_users(record.socket, credentials, wait_s=_ANSWER_S)
        return self.files.write_record(record.model_copy(update={"has_users": True}))

    def _choose_binary(
        self, previous: ServerRecord | None, *, ephemeral: bool
    ) -> MongodBinary:
        """Find a program that fits the data, before anything is touched."""
        folder = self.files.path
        if ephemeral and self.files.has_data_on_disk:
            raise ServerError(
                f"{folder} holds a database on disk; a server in memory needs an empty "
                "folder of its own."
            )
        if previous is not None and previous.is_ephemeral and not ephemeral:
            raise ServerError(
                f"{folder} was used by a server in memory, which kept nothing. Delete "
                "the folder, or choose another one."
            )
        if previous is None or not self.files.has_data_on_disk:
            return find_mongod()
        series = previous.version[:2]
        binary = find_mongod(series)
        if binary.series != series:
            needed = format_version(series)
            raise ServerError(
                f"The data in {folder} belong to mongod {needed}, but {binary.path} is "
                f"{format_version(binary.version)}; nothing was touched. Put a mongod "
                f"{needed} on PATH (it was {previous.binary}), or move the data with "
                "mongodump and mongorestore into a new folder."
            )
        return binary

    def _check_space(self) -> None:
        free = shutil.disk_usage(self.files.path).free
        if free < FREE_BYTES_NEEDED:
            raise ServerError(
                f"The disk of {self.files.path} has {free / 1e6:.0f} MB left, a server "
                f"needs {FREE_BYTES_NEEDED / 1e6:.0f} MB. Free some space, or choose "
                "another folder."
            )

    def _ensure_credentials(self) -> None:
        """Draw the passwords if there is no database yet, else read them."""
        path = self.files.credentials
        if not path.exists() and not self.files.has_data_on_disk:
            create_credentials(path)
        with suppress(FileNotFoundError):
            path.chmod(0o600)
        load_credentials(path)

    def _put_log_aside(self) -> bool:
        """Keep the log from growing without end; tell whether it was put aside."""
        log = self.files.log
        if not log.exists() or log.stat().st_size <= LOG_BYTES_ALLOWED:
            return False
        log.replace(log.with_name(f"{log.name}.1"))
        return True

    def _spawn(self, record: ServerRecord) -> ServerRecord:
        """Start one process and wait until it serves."""
        files = self.files
        log_size = files.log.stat().st_size if files.log.exists() else 0
        files.write_record(record)  # first, so that no process is ever without
        command = build_command(
            record.binary,
            data=files.data,
            log=files.log,
            socket=record.socket,
            port=record.port,
            is_ephemeral=record.is_ephemeral,
            has_users=record.has_users,
        )
        pid = spawn(
            command,
            folder=files.path,
            log=files.log,
            die_with_parent=self.die_with_parent,
        )
        started = {"pid": pid, "started_at": time.time()}
        record = record.model_copy(update=started)
        with self._stop_on_error(record):
            files.write_record(record)
        self._await_listening(record, log_size=log_size)
        with self._stop_on_error(record):
            return self._ensure_users(record)

    @contextmanager
    def _stop_on_error(self, record: ServerRecord) -> Iterator[None]:
        """Leave no server behind that nobody could find or enter."""
        try:
            yield
        except ServerError:
            _terminate(self.files, record, self.deadline)
            raise

    def _check_alive(self, record: ServerRecord, log_size: int) -> None:
        """Raise if the server that we wait for has ended, or took too long."""
        pid = record.pid if record.pid is not None else 0
        ended, code = _check_end(self.files, pid)
        if ended:
            self.files.write_record(record.model_copy(update={"pid": None}))
            log = self.files.log
            text = read_log_since(log, log_size)
            end = ServerExit(code, text, log, self.files.data, record.port)
            raise ServerError(end.explain())
        if time.monotonic() > self.deadline:
            raise ServerError(
                f"The server in {self.files.path} (pid {pid}) does not listen yet; "
                "after a crash it first replays its journal. It goes on: wait, then "
                f"start it again, or look into {self.files.log}."
            )


def _terminate(files: ServerFolder, record: ServerRecord, deadline: float) -> None:
    """Send SIGTERM to the server and wait for its end."""
    pid = record.pid
    if pid is None:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    while not _check_end(files, pid)[0]:
        if time.monotonic() > deadline:
            raise ServerError(
                f"The server in {files.path} (pid {pid}) is still writing its data. "
                f"Wait, or look into {files.log}; do not kill it."
            )
        time.sleep(_POLL_S)
    if record.socket.parent != files.path:
        with suppress(OSError):  # not empty: somebody else's file lies there
            record.socket.parent.rmdir()
    with suppress(ServerError):  # a full disk is no reason why it should not have ended
        files.write_record(record.model_copy(update={"pid": None}))


def _check_end(files: ServerFolder, pid: int) -> tuple[bool, int | None]:
    """Tell whether a server has ended, and how if it is a child of this process.

    A child is asked first: just after its start it has no command line to be known by.
    """
    is_living_child, code = check_child(pid)
    has_ended = not is_living_child and (code is not None or not files.is_ours(pid))
    return has_ended, code
