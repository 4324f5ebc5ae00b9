"""The folder of an embedded server: its files, and the process they belong to."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from wyckflow.errors import ServerError
from wyckflow.store.embedded.mongod import find_origin, read_version
from wyckflow.store.embedded.process import read_command
from wyckflow.store.private import is_on_network, write_private_file


class ServerRecord(BaseModel):
    """The content of ``server.json``: the server that runs, or ran last.

    Parameters
    ----------
    pid
        Its process, None once it was stopped.
    started_at
        When it started, in seconds since 1970.
    host
        The machine it was started on.
    binary
        The program.
    version
        What the program says of itself; the data belong to its series.
    origin
        ``"wheel"`` or ``"PATH"``.
    socket
        The unix socket.
    port
        The port of 127.0.0.1, or None for the socket alone.
    is_ephemeral
        Whether it keeps the database in memory only.
    has_users
        Whether its users were made.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pid: int | None = None
    started_at: float | None = None
    host: str
    binary: Path
    version: tuple[int, int, int]
    origin: str
    socket: Path
    port: int | None = None
    is_ephemeral: bool = False
    has_users: bool = False

    @property
    def address(self) -> str:
        """What the server listens on, in words."""
        also = "" if self.port is None else f" and port {self.port} of 127.0.0.1"
        return f"the socket {self.socket}{also}"


@dataclass(frozen=True)
class ServerFolder:
    """Where one server lives.

    Parameters
    ----------
    path
        The folder, absolute and without links.
    """

    path: Path

    @property
    def data(self) -> Path:
        """The folder of the data files."""
        return self.path / "data"

    @property
    def log(self) -> Path:
        """The log file."""
        return self.path / "mongod.log"

    @property
    def lock(self) -> Path:
        """The file whose lock is held by who starts or stops the server."""
        return self.path / "server.lock"

    @property
    def credentials(self) -> Path:
        """The file of the passwords."""
        return self.path / "credentials.json"

    @property
    def _record(self) -> Path:
        return self.path / "server.json"

    @property
    def has_data_on_disk(self) -> bool:
        """Whether a server ever kept a database here."""
        return (self.data / "WiredTiger").exists()

    def read_record(self) -> ServerRecord | None:
        """Read ``server.json``, None if no server was ever started here.

        Raises
        ------
        ServerError
            When it is damaged.
        """
        try:
            return ServerRecord.model_validate_json(self._record.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise ServerError(
                f"{self._record} cannot be read or is damaged. Delete it: it is "
                "written anew at the next start."
            ) from error

    def write_record(self, record: ServerRecord) -> ServerRecord:
        """Write ``server.json`` and return what was written."""
        write_private_file(self._record, record.model_dump_json(indent=2) + "\n")
        return record

    def find_record(self) -> ServerRecord | None:
        """Read ``server.json``; where it misses a server that runs, ask that one."""
        record = self.read_record()
        pid = self.find_pid(record)
        if pid is None or (record is not None and record.pid == pid):
            return record
        if record is None:
            record = _recover_record(read_command(pid))
        started_at = None
        with suppress(FileNotFoundError):
            started_at = (self.data / "mongod.lock").stat().st_mtime
        return record.model_copy(update={"pid": pid, "started_at": started_at})

    def find_running(self) -> ServerRecord | None:
        """Return the record of a server that runs, None if none does.

        Raises
        ------
        ServerError
            When another machine may run it.
        """
        record = self.find_record()
        if record is not None and self.is_elsewhere(record):
            raise ServerError(self.describe_elsewhere(record))
        return record if self.find_pid(record) is not None else None

    def find_pid(self, record: ServerRecord | None) -> int | None:
        """Return the process of the server, by mongod's own record or else by ours."""
        pids = []
        with suppress(OSError, ValueError):  # no lock, or one that is being written
            pids.append(int((self.data / "mongod.lock").read_text()))
        if record is not None and record.pid is not None:
            pids.append(record.pid)
        return next((pid for pid in pids if self.is_ours(pid)), None)

    def is_ours(self, pid: int) -> bool:
        """Tell whether a process is the server of this folder, started by us.

        Its command line must name both the data and the log: a pid alone may have
        gone to another process, and another mongod may have been given the data.
        """
        sign = f" --dbpath {self.data} --logpath {self.log} "
        return sign in " ".join(read_command(pid))

    def is_elsewhere(self, record: ServerRecord) -> bool:
        """Tell whether another machine that sees the folder may run the server."""
        is_foreign = record.pid is not None and record.host != socket.gethostname()
        return is_foreign and is_on_network(self.path)

    def describe_elsewhere(self, record: ServerRecord) -> str:
        """Say where the server runs, and what to do."""
        return (
            f"The server in {self.path} was started on the machine {record.host} (pid "
            f"{record.pid}) and not stopped. Use or stop it there; if that machine is "
            f"gone, delete {self._record} and start again."
        )


def _recover_record(command: list[str]) -> ServerRecord:
    """Make out from the command line of a running server how it was started."""
    binary = Path(command[0])
    address = command[command.index("--bind_ip") + 1].split(",")[-1]
    return ServerRecord(
        host=socket.gethostname(),
        binary=binary,
        version=read_version(binary),
        origin=find_origin(binary),
        socket=Path(address),
        port=int(command[command.index("--port") + 1]) if "--port" in command else None,
        is_ephemeral="ephemeralForTest" in command,
    )
