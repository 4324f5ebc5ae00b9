"""Folders and files that only their owner may see, and locks between processes."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wyckflow.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NETWORK_FILE_SYSTEMS = (
    *("9p", "afs", "beegfs", "ceph", "cifs", "fuse.", "gpfs", "lustre", "nfs"),
    *("orangefs", "panfs", "pvfs2", "smb", "wekafs"),
)


def make_private_directory(path: Path) -> None:
    """Make a folder that only its owner may enter, or make an own one so.

    Parameters
    ----------
    path
        The folder; its parents are made too.

    Raises
    ------
    ServerError
        When it cannot be made, is no folder, or belongs to somebody else.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise ServerError(
                f"{path} must be a folder of your own, but it belongs to user "
                f"{found.st_uid} or is a link. Remove it or choose another folder."
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o700)
        if not os.access(path, os.W_OK | os.X_OK):
            raise ServerError(f"{path} cannot be written. Choose another folder.")
    except OSError as error:
        raise ServerError(
            f"The folder {path} cannot be used: {error.strerror}. Choose another one."
        ) from error


def write_private_file(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all.

    Parameters
    ----------
    path
        The file.
    text
        Its new content.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ServerError(
            f"{path} cannot be written: {error.strerror}. Free some space, or choose "
            "another folder."
        ) from error


@contextmanager
def hold_lock(path: Path, *, wait_s: float) -> Iterator[None]:
    """Keep every other process and thread out of a block.

    The lock ends with the process that holds it, however it ends.

    Parameters
    ----------
    path
        The lock file; it stays when the lock is given back.
    wait_s
        How long to wait for the present holder, in seconds.

    Raises
    ------
    ServerError
        When it was not given in time, or the file system knows no locks.
    """
    deadline = time.monotonic() + wait_s
    try:
        handle = path.open("ab")
    except OSError as error:
        raise ServerError(
            f"{path} cannot be opened: {error.strerror}. Choose another folder."
        ) from error
    with handle:
        while not _try_lock(handle.fileno(), fcntl.LOCK_EX, path):
            if time.monotonic() > deadline:
                raise ServerError(
                    f"Another process has been starting or stopping the server in "
                    f"{path.parent} for more than {wait_s:g} s. Wait for it or end it, "
                    "then try again."
                )
            time.sleep(0.01)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)  # also where a fork has a copy


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds the lock of :func:`hold_lock`.

    Parameters
    ----------
    path
        The lock file.
    """
    try:
        with path.open("rb") as handle:
            return not _try_lock(handle.fileno(), fcntl.LOCK_SH, path)
    except OSError:
        return False


def _try_lock(descriptor: int, kind: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise ServerError(
            f"The file system of {path} gives no locks ({error.strerror}), so a "
            "database would not be safe there. Choose a folder on a local disk."
        ) from error
    return True


def is_on_network(path: Path, *, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Tell whether other machines may see the folder too (Linux only).

    Parameters
    ----------
    path
        An absolute path.
    mounts
        The table of mounts.
    """
    kind, depth = "", -1
    with suppress(OSError):  # no such table: the kind stays unknown
        for line in mounts.read_text(errors="replace").split("\n"):
            fields, _, rest = line.partition(" - ")
            if not rest:
                continue
            mounted_at = Path(fields.split()[4].replace("\\040", " "))
            if path.is_relative_to(mounted_at) and len(mounted_at.parts) >= depth:
                kind, depth = rest.split()[0], len(mounted_at.parts)
    return kind.startswith(_NETWORK_FILE_SYSTEMS)
