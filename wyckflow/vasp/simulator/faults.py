"""Failures on request: the first runs in a folder fail as VASP would."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from wyckflow.errors import ConfigurationError, nearest_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FAULTS: Final = ("brmix", "crash", "unconverged", "truncated", "silent")
"""What can be asked for: an error that custodian mends, a sudden death, electrons that
do not converge, a vasprun.xml that ends in the middle, and none at all."""

SEGMENTATION_FAULT: Final = 174
_BRMIX: Final = (
    "       N       E                     dE             d eps       ncg     rms\n"
    " BRMIX: very serious problems\n the old and the new charge density differ"
)


class Faults:
    """The failures that were asked for, counted in a folder.

    Parameters
    ----------
    folder
        Where runs are counted. That of the run itself, in which custodian runs VASP
        again, makes each job fail so often; one that all share, all of them together.
    wanted
        Such as ``brmix:1``: which, and how many runs it strikes.
    n_spared
        Runs before the first that it may strike.

    Raises
    ------
    ConfigurationError
        If a text is no such failure.
    """

    def __init__(
        self, folder: Path, wanted: Iterable[str], *, n_spared: int = 0
    ) -> None:
        self.folder = folder
        self.n_spared = n_spared
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
        self.folder.mkdir(parents=True, exist_ok=True)
        counter = self.folder / f".simulated-{name}"
        n_before = int(counter.read_text()) if counter.exists() else 0
        counter.write_text(str(n_before + 1))
        return 0 <= n_before - self.n_spared < self.wanted[name]


def truncate(path: Path) -> None:
    """Cut a file in the middle, as a full disk does.

    Parameters
    ----------
    path
        Of the file.
    """
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def describe_brmix() -> str:
    """Return what VASP prints before it gives up on the charge density."""
    return _BRMIX


def describe_crash() -> None:
    """Write what a dying VASP leaves on the error stream."""
    sys.stderr.write("forrtl: severe (174): SIGSEGV, segmentation fault occurred\n")
