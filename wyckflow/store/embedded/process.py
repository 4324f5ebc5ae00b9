"""Processes and unix sockets, as the embedded server needs them."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wyckflow.errors import ServerError
from wyckflow.store.private import make_private_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHORT_BASE = Path("/tmp")  # noqa: S108 - only a private, checked folder goes there
"""Where sockets go whose own path would be too long.

Not ``$XDG_RUNTIME_DIR``: that is removed at logout, and the server stays.
"""

_SOCKET_PATH_LIMIT = 107 if sys.platform == "linux" else 103
_PR_SET_PDEATHSIG = 1


def choose_socket(folder: Path) -> Path:
    """Choose where the socket of a server goes: its folder, or a short private one.

    Parameters
    ----------
    folder
        The server's folder, which exists.

    Raises
    ------
    ServerError
        When the short folder is not ours.
    """
    path = folder / "mongod.sock"
    # mongod reads its addresses as a list with commas, and a colon as a port.
    fits = len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT and not set(",:") & set(
        str(path)
    )
    if fits and _can_hold_sockets(folder):
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    directory = SHORT_BASE / f"wyckflow-{os.geteuid()}-{digest}"
    make_private_directory(directory)
    return directory / path.name


def _can_hold_sockets(folder: Path) -> bool:
    """Try it: some network file systems cannot."""
    probe = folder / "try.sock"
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(probe))
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)
    return True


def accepts_connections(path: Path) -> bool:
    """Tell whether somebody listens on a unix socket.

    Parameters
    ----------
    path
        The socket.
    """
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(1.0)
        try:
            caller.connect(str(path))
        except OSError:
            return False
    return True


def spawn(
    command: Sequence[str], *, folder: Path, log: Path, die_with_parent: bool
) -> int:
    """Start a program in a session of its own and return its pid.

    Parameters
    ----------
    command
        The program and its arguments.
    folder
        Its working folder.
    log
        Where its output goes, at the end of what is there.
    die_with_parent
        Ask Linux to send it SIGTERM when the thread that calls this ends; elsewhere
        this has no effect.

    Raises
    ------
    ServerError
        When it cannot be started.
    """
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(  # noqa: S603 - a program that we found ourselves
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, "LC_ALL": "C"},  # an unknown locale would be fatal
                start_new_session=True,
                umask=0o077,
                preexec_fn=_make_mourner() if die_with_parent else None,  # noqa: PLW1509
            )  # PLW1509: for tests, whose processes start it from one thread
        finally:
            os.close(output)
    except OSError as error:
        raise ServerError(
            f"{command[0]} cannot be started in {folder}: {error.strerror}. "
            "Check both and start again."
        ) from error
    process.returncode = 0  # the program outlives this object; `check_child` reaps it
    return process.pid


def _make_mourner() -> Callable[[], None] | None:
    if platform.system() != "Linux":
        return None
    return partial(_end_with, os.getpid(), ctypes.CDLL(None))


def _end_with(parent: int, libc: ctypes.CDLL) -> None:
    """Between fork and exec: get SIGTERM at the parent's death, also if just past."""
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def check_child(pid: int) -> tuple[bool, int | None]:
    """Tell whether a process is a living child, or with which status a child ended.

    Of another process nothing is known: ``(False, None)``.

    Parameters
    ----------
    pid
        The process.
    """
    if pid <= 0:
        return False, None
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return False, None
    return (False, os.waitstatus_to_exitcode(status)) if ended else (True, None)


def read_command(pid: int) -> list[str]:
    """Return the command line of a process, empty if it does not run.

    Parameters
    ----------
    pid
        The process.
    """
    if pid <= 0:
        return []
    if Path("/proc/self/cmdline").exists():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return []
        return [os.fsdecode(word) for word in words[:-1]]
    answer = subprocess.run(  # noqa: S603 - a number is all that comes from outside
        ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.split()


def start_mark(pid: int) -> str | None:
    """Return what tells a process from a later one of the same number.

    Parameters
    ----------
    pid
        The process.

    Returns
    -------
    str | None
        ``None`` if it has ended, also if nobody has asked how; empty if it lives and
        the system does not say more.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "" if _takes_signals(pid) else None
    state, *fields = text.rpartition(")")[2].split()  # names may hold brackets
    return None if state in "ZX" else fields[18]


def _takes_signals(pid: int) -> bool:
    """Return whether there is a process of a number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def list_descendants(pid: int) -> list[int]:
    """Return the processes below one, deepest first (Linux; elsewhere none).

    Parameters
    ----------
    pid
        The process.
    """
    found: list[int] = []
    try:
        lists = Path(f"/proc/{pid}/task").glob("*/children")
        children = [int(child) for path in lists for child in path.read_text().split()]
    except OSError:
        return found
    for child in children:
        found += [*list_descendants(child), child]
    return found
