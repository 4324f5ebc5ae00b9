"""What changes only where or how fast: read on each machine, never sent with a job.

Values come, strongest first, from ``WYCKFLOW_*`` environment variables, from
``wyckflow.yaml`` in the project folder, and from the defaults below. Anything that
changes an answer is a field of a maker instead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from wyckflow.errors import ConfigurationError, nearest_name

ENVIRONMENT_PREFIX = "WYCKFLOW_"
SETTINGS_FILE = "wyckflow.yaml"
PROJECT_VARIABLE = f"{ENVIRONMENT_PREFIX}PROJECT"

PROJECT_LAYOUT = 1
"""Version of the project folder: raised when its files change their meaning."""


class WyckflowSettings(BaseSettings):
    """Settings of this machine and project; unknown ones are refused by name."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, extra="forbid", validate_assignment=True
    )

    project: Path | None = Field(
        default=None,
        description="Project folder; if unset, found upwards from where you are.",
    )
    project_layout: int = Field(
        default=PROJECT_LAYOUT,
        description="Layout of the project folder, written by 'wyckflow init'.",
    )
    database_password: SecretStr | None = Field(
        default=None,
        description="Password for the URI in launchpad.yaml when that has none; "
        "give it in the environment, never in a file.",
    )
    database_password_file: Path | None = Field(
        default=None,
        description="File whose first line is that password.",
    )
    data: Path | None = Field(
        default=None, description="Folder of datasets for tests and benchmarks."
    )
    oracles: Path | None = Field(
        default=None, description="Folder of independent tables for tests."
    )
    scratch: Path | None = Field(
        default=None,
        description="Folder for what a running job has finished, so that it need not "
        "begin again after a kill. If unset, 'scratch' in the project folder, or "
        "'wyckflow' in the user's cache folder. On a disk that all workers share, any "
        "of them can go on.",
    )
    references: Path | None = Field(
        default=None,
        description="Folder of reference sets for the hull, each a file named by its "
        "version, as 'wyckflow hull export' writes them. If unset, 'references' in the "
        "project folder.",
    )
    device: str = Field(
        default="auto",
        description="Where networks run: auto (an accelerator if there is one), "
        "cpu, cuda or cuda:N.",
    )
    threads: int = Field(
        default=1,
        ge=1,
        description="Threads per worker process; more processes beat more threads.",
    )
    vasp_command: str = Field(
        default="srun vasp_std", description="Command that runs VASP on a VASP node."
    )
    heartbeat_s: float = Field(
        default=15.0,
        gt=0,
        description="How often a worker says that it is alive, in seconds.",
    )
    lost_after_s: float = Field(
        default=90.0,
        gt=0,
        description="Silence after which a worker is shown as lost, in seconds.",
    )
    rerun_after_s: float = Field(
        default=75.0,
        gt=0,
        description="Silence after which the job of a worker on another machine is run "
        "again, in seconds. A living worker that was only cut off for as long works "
        "on, but what it finds is not stored twice.",
    )
    recovery_period_s: float = Field(
        default=15.0,
        gt=0,
        description="How often a worker looks for jobs that others lost, in seconds.",
    )
    stuck_after_s: float | None = Field(
        default=1800.0,
        gt=0,
        description="A worker whose job has used no processor time for so many "
        "seconds, and has not started a program such as VASP, ends itself, and the job "
        "is run again. Never if null.",
    )
    idle_poll_s: float = Field(
        default=2.0,
        gt=0,
        description="How often an idle worker asks for work, in seconds.",
    )

    @classmethod
    def load(cls, project: Path | None = None) -> Self:
        """Read the settings that hold here.

        Parameters
        ----------
        project
            Project folder whose ``wyckflow.yaml`` counts; searched for if ``None``.

        Raises
        ------
        ConfigurationError
            If a setting is unknown or its value is not one.
        """
        folder = project or find_project()
        stored = _read_settings_file(folder / SETTINGS_FILE) if folder else {}
        _refuse_unknown_variables(cls)
        variables = {name.upper() for name in os.environ}
        values = {
            name: value
            for name, value in stored.items()
            if f"{ENVIRONMENT_PREFIX}{name}".upper() not in variables
        }
        if folder is not None:
            values["project"] = folder
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigurationError(_explain(error, folder)) from error

    def scratch_folder(self) -> Path:
        """Return the folder for what running jobs have finished; it may not exist."""
        if self.scratch is not None:
            return self.scratch.expanduser()
        if self.project is not None:
            return self.project / "scratch"
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return Path(cache).expanduser() / "wyckflow"

    def references_folder(self) -> Path | None:
        """Return the folder of reference sets by version; none without a project."""
        if self.references is not None:
            return self.references.expanduser()
        return None if self.project is None else self.project / "references"

    def password(self) -> str | None:
        """Return the database password given apart from the URI, if any.

        Raises
        ------
        ConfigurationError
            If the password file cannot be read.
        """
        if self.database_password is not None:
            return self.database_password.get_secret_value()
        if self.database_password_file is None:
            return None
        path = self.database_password_file.expanduser()
        try:
            return path.read_text().splitlines()[0].strip()
        except (OSError, IndexError) as error:
            raise ConfigurationError(
                f"The password file {path} cannot be read or is empty; put the "
                "password on its first line, readable by you only (chmod 600)."
            ) from error


def find_project(start: Path | None = None) -> Path | None:
    """Return the project folder: named by the environment, or the nearest upwards.

    Parameters
    ----------
    start
        Where to begin; the working directory if ``None``.
    """
    named = os.environ.get(PROJECT_VARIABLE)
    if named:
        return Path(named).expanduser().resolve()
    folder = (start or Path.cwd()).resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / SETTINGS_FILE).is_file():
            return candidate
    return None


def _read_settings_file(path: Path) -> dict[str, Any]:
    """Read a project's settings and check their names and layout."""
    if not path.is_file():
        return {}
    try:
        stored = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise ConfigurationError(
            f"{path} is not valid YAML ({error}); correct it, or remove it and run "
            "'wyckflow init'."
        ) from error
    if not isinstance(stored, dict):
        raise ConfigurationError(f"{path} must hold 'name: value' lines, see the docs.")
    known = WyckflowSettings.model_fields
    for name in stored:
        if name not in known:
            raise ConfigurationError(
                f"{path} has an unknown setting {name!r}.{nearest_name(name, known)} "
                f"Known: {', '.join(sorted(known))}."
            )
    if "database_password" in stored:
        raise ConfigurationError(
            f"{path} holds a database_password; settings files are shared and logged. "
            "Use the WYCKFLOW_DATABASE_PASSWORD variable or database_password_file."
        )
    layout = stored.get("project_layout", PROJECT_LAYOUT)
    if layout != PROJECT_LAYOUT:
        raise ConfigurationError(
            f"The project folder {path.parent} has layout {layout}, this wyckflow "
            f"reads layout {PROJECT_LAYOUT}. Nothing was changed. Use the wyckflow "
            "that made it, or make a new project folder with 'wyckflow init' and "
            "point it at the same database."
        )
    return stored


def _refuse_unknown_variables(settings: type[WyckflowSettings]) -> None:
    """Refuse a misspelt ``WYCKFLOW_*`` variable instead of ignoring it."""
    known = {f"{ENVIRONMENT_PREFIX}{name}".upper() for name in settings.model_fields}
    for name in os.environ:
        if name.upper().startswith(ENVIRONMENT_PREFIX) and name.upper() not in known:
            raise ConfigurationError(
                f"The environment variable {name} is not a setting of wyckflow."
                f"{nearest_name(name.upper(), known)} Unset it or correct its name."
            )


def _explain(error: ValidationError, folder: Path | None) -> str:
    """Say in one sentence which setting has which wrong value."""
    parts = [
        f"{'.'.join(str(part) for part in item['loc'])}: {item['msg'].lower()}"
        for item in error.errors(include_input=False)
    ]
    where = f" (environment, or {folder / SETTINGS_FILE})" if folder else ""
    return f"A setting has a value that it cannot have{where}: {'; '.join(parts)}."
