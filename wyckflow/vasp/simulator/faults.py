"""Failures on request: the first runs in a folder fail as VASP would."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from wyckflow.errors import ConfigurationError, nearest_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FAULTS: Final = ("brmix", "crash")
"""What can be asked for: an error that custodian mends, and a sudden death."""

SEGMENTATION_FAULT: Final = 174
_BRMIX: Final = (
    "       N       E                     dE             d eps       ncg     rms\n"
    " BRMIX: very serious problems\n the old and the new charge density differ"
)


class Faults:
    """The failures that were asked for, counted in the folder of the run.

    Parameters
    ----------
    folder
        Of the run; custodian runs VASP in it again.
    wanted
        Such as ``brmix:1``: which, and how many runs it strikes.

    Raises
    ------
    ConfigurationError
        If a text is no such failure.
    """

    def __init__(self, folder: Path, wanted: Iterable[str]) -> None:
        self.folder = folder
        self.wanted: dict[str, int] = {}
        for text in wanted:
            name, _, times = text.partition(":")
            if name not in FAULTS or not (times or "1").isdecimal():
                raise ConfigurationError(
                    f"{text!r} is no failure of the simulator."
                    f"{nearest_name(name, FAULTS)} Give one of {', '.join(FAULTS)}, "
                    "and how many runs it strikes, such as 'brmix:1'."
                )
            self.wanted[name] = int(times or "1")

    def strikes(self, name: str) -> bool:
        """Return whether a failure strikes this run, and count it.

        Parameters
        ----------
        name
            One of `FAULTS`.
        """
        if name not in self.wanted:
            return False
        counter = self.folder / f".simulated-{name}"
        struck = int(counter.read_text()) if counter.exists() else 0
        counter.write_text(str(struck + 1))
        return struck < self.wanted[name]


def describe_brmix() -> str:
    """Return what VASP prints before it gives up on the charge density."""
    return _BRMIX


def describe_crash() -> None:
    """Write what a dying VASP leaves on the error stream."""
    sys.stderr.write("forrtl: severe (174): SIGSEGV, segmentation fault occurred\n")
