"""Find a ``mongod`` program, say how to call it, and explain why it ended.

Two places are looked at: the wheel of the extra ``embedded``, which carries the
program below ``fiftyone/db/bin`` (found without importing anything), and ``PATH``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from wyckflow.errors import ServerError

OLDEST_SERIES = (5, 0)
NEWEST_MAJOR = 8

_LAST_EPHEMERAL_SERIES = (6, 0)
_VERSION = re.compile(r"db version v(\d+)\.(\d+)\.(\d+)")
_REMEDY = (
    "Do one of these: `pip install 'wyckflow[embedded]'` (Linux on x86_64); put a "
    "mongod of version 5.0 to 8.x on PATH; or use a server that runs elsewhere, "
    "`wyckflow init --uri mongodb://... FOLDER`."
)


@dataclass(frozen=True)
class MongodBinary:
    """A server program that was asked for its version.

    Parameters
    ----------
    path
        Where the program is.
    version
        What it says of itself, as (major, minor, patch).
    origin
        ``"wheel"`` or ``"PATH"``.
    """

    path: Path
    version: tuple[int, int, int]
    origin: str

    @property
    def series(self) -> tuple[int, int]:
        """Major and minor version; data files belong to one series."""
        return self.version[:2]

    @property
    def has_ephemeral_engine(self) -> bool:
        """Whether it can keep a database in memory only (dropped after 6.0)."""
        return self.series <= _LAST_EPHEMERAL_SERIES


def find_mongod(series: tuple[int, int] | None = None) -> MongodBinary:
    """Find a server program of a supported version, the wheel's before PATH's.

    Parameters
    ----------
    series
        The (major, minor) version that made the data, if there are any: a program of
        this series is preferred, wherever it is.

    Raises
    ------
    ServerError
        When there is none that works and is supported.
    """
    usable: list[MongodBinary] = []
    refused: list[str] = []
    for path, origin in _list_candidates():
        try:
            version = read_version(path)
        except ServerError as error:
            refused.append(str(error))
            continue
        if version[:2] >= OLDEST_SERIES and version[0] <= NEWEST_MAJOR:
            usable.append(MongodBinary(path, version, origin))
        else:
            refused.append(
                f"{path} is mongod {format_version(version)}, supported are 5.0 to 8.x."
            )
    if not usable:
        reasons = " ".join(refused) or "No mongod came with a wheel or is on PATH."
        raise ServerError(f"There is no usable MongoDB server. {reasons} {_REMEDY}")
    return next((binary for binary in usable if binary.series == series), usable[0])


def read_version(path: Path) -> tuple[int, int, int]:
    """Ask a server program for its version.

    Parameters
    ----------
    path
        The program.

    Raises
    ------
    ServerError
        When it does not run or does not tell, e.g. for want of a system library.
    """
    try:
        answer = subprocess.run(  # noqa: S603 - a program that we found ourselves
            [path, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(f"{path} does not run: {error}.") from error
    match = _VERSION.search(answer.stdout)
    if match is None:
        said = (answer.stderr or answer.stdout).strip()[-300:] or "nothing"
        raise ServerError(
            f"{path} --version ended with {answer.returncode} and said: {said}."
        )
    major, minor, patch = (int(number) for number in match.groups())
    return major, minor, patch


def format_version(version: tuple[int, ...]) -> str:
    """Write a version with dots.

    Parameters
    ----------
    version
        Its numbers.
    """
    return ".".join(str(number) for number in version)


def find_origin(path: Path) -> str:
    """Say where a program came from, ``"wheel"`` or ``"PATH"``.

    Parameters
    ----------
    path
        The program.
    """
    return "wheel" if path in _list_wheel_programs() else "PATH"


def _list_candidates() -> list[tuple[Path, str]]:
    """List the programs that exist, with their origin."""
    candidates = [(path, "wheel") for path in _list_wheel_programs()]
    on_path = shutil.which("mongod")
    if on_path is not None:
        candidates.append((Path(on_path), "PATH"))
    return candidates


def _list_wheel_programs() -> list[Path]:
    """Find the program inside the wheel; nothing of the wheel is executed."""
    spec = find_spec("fiftyone")
    folders = (spec.submodule_search_locations or []) if spec else []
    paths = [Path(folder) / "db" / "bin" / "mongod" for folder in folders]
    return [path for path in paths if path.is_file()]


def build_command(
    binary: Path,
    *,
    data: Path,
    log: Path,
    socket: Path,
    port: int | None,
    is_ephemeral: bool,
    has_users: bool,
) -> list[str]:
    """Write the command line of the server.

    Parameters
    ----------
    binary
        The program.
    data
        Folder of the data files.
    log
        File of the log.
    socket
        Path of the unix socket.
    port
        Port of 127.0.0.1, or None for the socket alone.
    is_ephemeral
        Keep everything in memory.
    has_users
        Whether the users exist; if so, nobody may come in without a password.
    """
    addresses = [str(socket)] if port is None else ["127.0.0.1", str(socket)]
    command = [
        *(str(binary), "--dbpath", str(data), "--logpath", str(log)),
        *("--logappend", "--logRotate", "reopen"),
        *("--quiet", "--auth", "--bind_ip", ",".join(addresses)),
        "--nounixsocket",  # no second socket in /tmp, named after the port
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    ]
    if port is not None:
        command += ["--port", str(port)]
    if has_users:
        command += ["--setParameter", "enableLocalhostAuthBypass=false"]
    if is_ephemeral:
        return [*command, "--storageEngine", "ephemeralForTest"]
    # The default journal takes 300 MB of an empty database; this one 10 MB.
    journal = "log=(prealloc=false,file_max=10MB)"
    return [
        *command,
        *("--storageEngine", "wiredTiger", "--wiredTigerCacheSizeGB", "0.25"),
        *("--wiredTigerEngineConfigString", journal),
    ]
