"""Where a reference comes from: bundled with wyckflow, a file, or a file by version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from wyckflow.errors import ReferenceDataError
from wyckflow.thermo.reference import VERSION_LENGTH, ReferenceSet

BUNDLED: Final = "bundled"
DEFAULT_BUNDLED: Final = "chgnet-0.3.0"
REFERENCE_ENDING: Final = ".reference.npz"
_VERSION: Final = re.compile(rf"[0-9a-f]{{{VERSION_LENGTH}}}")


def load_reference(
    source: str, *, folder: Path | None = None, version: str | None = None
) -> ReferenceSet:
    """Load a reference by name, version or path.

    Parameters
    ----------
    source
        ``bundled`` or ``bundled:NAME``, a version (16 digits of its hash) to be found
        in the folder, or the path of a file.
    folder
        Where files named by their version are.
    version
        What the content must be, if that matters.

    Raises
    ------
    ReferenceDataError
        If there is no such reference, or it is of another version.
    """
    found = _load(source, folder)
    if version is not None and found.version != version:
        raise ReferenceDataError(
            f"The reference {source!r} is version {found.version}, but version "
            f"{version} was asked for: bring that file here ('wyckflow hull export "
            f"{version} FILE'), or ask for the one that is here."
        )
    return found


def is_version(text: str) -> bool:
    """Return whether a text has the form of a version.

    Parameters
    ----------
    text
        Such as ``0123456789abcdef``.
    """
    return _VERSION.fullmatch(text) is not None


def path_of_version(folder: Path, version: str) -> Path:
    """Return where a file named by its version is, or would be.

    Parameters
    ----------
    folder
        Of such files.
    version
        Hash of the content.
    """
    return folder / f"{version}{REFERENCE_ENDING}"


def _load(source: str, folder: Path | None) -> ReferenceSet:
    kind, _, name = source.partition(":")
    if kind == BUNDLED:
        from wyckflow.thermo.bundled import load_bundled_reference

        return load_bundled_reference(name or DEFAULT_BUNDLED)
    if is_version(source) and folder is not None:
        path = path_of_version(folder, source)
        if not path.is_file():
            raise ReferenceDataError(
                f"No reference of version {source} is in {folder}; write it there "
                f"with 'wyckflow hull export {source}' where the database is at hand."
            )
        return load_reference(str(path), version=source)
    return ReferenceSet.load(Path(source).expanduser())
