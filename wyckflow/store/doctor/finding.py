"""What the doctor finds, and whom it examines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from wyckflow.errors import ConfigurationError

if TYPE_CHECKING:
    from wyckflow.store.connect import Database
    from wyckflow.store.project import Project


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    topic: str
    level: Level
    text: str


@dataclass
class Patient:
    """What is examined: a project, and its database once that has answered.

    Parameters
    ----------
    home
        The project, if there is one.
    address
        Its database, set by the check that reached it.
    may_fix
        Whether checks may mend what they find.
    """

    home: Project | None
    address: Database | None = None
    may_fix: bool = False

    @property
    def project(self) -> Project:
        """The project, for checks that need one."""
        if self.home is None:
            raise ConfigurationError("There is no project here: 'wyckflow init'.")
        return self.home

    @property
    def database(self) -> Database:
        """The database, for checks that need one that answers."""
        if self.address is None:
            raise ConfigurationError("No database has answered: 'wyckflow db start'.")
        return self.address
