"""A project folder: the files that FireWorks, jobflow and wyckflow read.

``launchpad.yaml`` is the one truth about where the database is; the others repeat it
for the programs that insist on files of their own.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from wyckflow.errors import ConfigurationError, nearest_name
from wyckflow.resources import Category
from wyckflow.settings import (
    PROJECT_LAYOUT,
    PROJECT_VARIABLE,
    SETTINGS_FILE,
    WyckflowSettings,
    find_project,
)
from wyckflow.store.connect import OUTAGE_TOLERANCE_MS, Database
from wyckflow.store.private import write_private_file

if TYPE_CHECKING:
    from pathlib import Path

LAUNCHPAD_FILE = "launchpad.yaml"
JOBFLOW_FILE = "jobflow.yaml"
FIREWORKS_FILE = "FW_config.yaml"
ENVIRONMENT_FILE = "env.sh"

FIREWORKS_RULES: Final[dict[str, Any]] = {
    "SORT_FWS": "FIFO",  # else the order of equal priority is undefined
    "WFLOCK_EXPIRATION_SECS": 60,
    "WFLOCK_EXPIRATION_KILL": True,  # else a dead worker's lock stays for ever
    "PING_TIME_SECS": 60,
    "RUN_EXPIRATION_SECS": 1800,  # must exceed the longest outage to live through
    "RAPIDFIRE_SLEEP_SECS": 5,
    "PRINT_FW_JSON": False,  # one file less per launch
    "STREAM_LOGLEVEL": "WARNING",
    "ROCKET_STREAM_LOGLEVEL": "WARNING",
}
"""FireWorks' own settings, each against a way in which a job was lost."""

PULLS: Final[dict[Category, list[str | None]]] = {
    Category.GPU: ["gpu"],
    Category.CPU: ["cpu", None],  # also what names no kind of worker
    Category.VASP: ["vasp"],
}
"""What the workers of a new project pull; its worker files have the last word."""


@dataclass(frozen=True)
class Project:
    """A project folder and the settings that hold in it."""

    folder: Path
    settings: WyckflowSettings

    @property
    def database_folder(self) -> Path:
        """Where the project's own server keeps its data."""
        return self.folder / "database"

    @property
    def launch_folder(self) -> Path:
        """Where workers work."""
        return self.folder / "launches"

    def path(self, name: str) -> Path:
        """Return the path of one of the project's files."""
        return self.folder / name

    def worker_file(self, category: str) -> Path:
        """Return the FireWorks worker file of a kind of worker."""
        return self.folder / f"fworker_{category}.yaml"

    @property
    def worker_kinds(self) -> list[str]:
        """The kinds of worker that the project has files for."""
        files = self.folder.glob("fworker_*.yaml")
        return sorted(path.stem.removeprefix("fworker_") for path in files)

    def pulls(self, category: str) -> list[str | None]:
        """Return the categories that a kind of worker pulls, as its file says.

        Raises
        ------
        ConfigurationError
            If there is no such kind, or its file does not say.
        """
        kinds = self.worker_kinds
        if category not in kinds:
            raise ConfigurationError(
                f"There is no kind of worker {category!r} here."
                f"{nearest_name(category, kinds)} Known: {', '.join(kinds) or 'none'}. "
                f"A new kind needs a file {self.worker_file(category).name} like that "
                "of another."
            )
        path = self.worker_file(category)
        worker = read_yaml(path, remedy="run 'wyckflow init' again")
        missing = [key for key in ("name", "category", "query") if key not in worker]
        if missing or not worker["category"]:
            what = f"lacks {', '.join(missing)}" if missing else "names no category"
            raise ConfigurationError(
                f"{path} {what}; its worker would fail, or pull jobs of every kind. "
                f"Write category: [{category}], name: {category}-worker, query: '{{}}'."
            )
        found = worker["category"]
        return list(found) if isinstance(found, list) else [str(found)]

    def environment(self) -> dict[str, str]:
        """Return the variables by which FireWorks and jobflow find these files."""
        return {
            PROJECT_VARIABLE: str(self.folder),
            "FW_CONFIG_FILE": str(self.path(FIREWORKS_FILE)),
            "JOBFLOW_CONFIG_FILE": str(self.path(JOBFLOW_FILE)),
        }

    def database(self) -> Database:
        """Return the database that ``launchpad.yaml`` names.

        Raises
        ------
        ConfigurationError
            If the file is missing or cannot be understood.
        """
        path = self.path(LAUNCHPAD_FILE)
        launchpad = read_yaml(path, remedy="run 'wyckflow init'")
        uri, name = launchpad.get("host"), launchpad.get("name")
        if not isinstance(uri, str) or not isinstance(name, str):
            raise ConfigurationError(
                f"{path} must name 'host' (a mongodb:// URI) and 'name' (the "
                f"database); it has {', '.join(sorted(launchpad)) or 'nothing'}. Run "
                "'wyckflow init'."
            )
        if not uri.startswith("mongodb"):
            port = launchpad.get("port") or 27017
            uri = f"mongodb://{uri}:{port}/"
        return Database.from_uri(uri, name, password=self.settings.password())

    def write_files(
        self,
        database: Database,
        *,
        store_password: bool,
        password_file: Path | None = None,
    ) -> list[Path]:
        """Write every file of the folder; the caller has asked about overwriting.

        Parameters
        ----------
        database
            What the files point at.
        store_password
            Whether files may hold its password (mode 0600); without it plain
            ``rlaunch`` cannot log in, ``wyckflow worker`` can.
        password_file
            Remembered in ``wyckflow.yaml``, so that workers find it.
        """
        shown = database if store_password else without_password(database)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.launch_folder.mkdir(exist_ok=True)
        launchpad = shown.launchpad_options(timeout_ms=OUTAGE_TOLERANCE_MS)
        fireworks = FIREWORKS_RULES | {
            "CONFIG_FILE_DIR": str(self.folder),
            "LAUNCHPAD_LOC": str(self.path(LAUNCHPAD_FILE)),
        }
        exports = "".join(
            f"export {name}={shlex.quote(value)}\n"
            for name, value in self.environment().items()
        )
        written = [
            write_private_yaml(self.path(LAUNCHPAD_FILE), launchpad),
            write_private_yaml(
                self.path(JOBFLOW_FILE), {"JOB_STORE": shown.job_store_spec()}
            ),
            write_private_yaml(self.path(FIREWORKS_FILE), fireworks),
        ]
        shell = self.path(ENVIRONMENT_FILE)
        write_private_file(shell, f"# Before lpad, rlaunch or qlaunch.\n{exports}")
        written.append(shell)
        for category, pulls in PULLS.items():
            worker = {"name": f"{category}-worker", "category": pulls, "query": "{}"}
            written.append(write_private_yaml(self.worker_file(category), worker))
        written.append(self._write_settings(password_file))
        return written

    def _write_settings(self, password_file: Path | None) -> Path:
        """Write ``wyckflow.yaml``, keeping every setting that it has."""
        path = self.path(SETTINGS_FILE)
        content = read_yaml(path, remedy="remove it") if path.exists() else {}
        content.setdefault("project_layout", PROJECT_LAYOUT)
        if password_file is not None:
            absolute = password_file.expanduser().resolve()
            content["database_password_file"] = str(absolute)
        return write_private_yaml(path, content)

    def existing_files(self) -> list[Path]:
        """Return those of the project's files that are there already."""
        names = (LAUNCHPAD_FILE, JOBFLOW_FILE, FIREWORKS_FILE, ENVIRONMENT_FILE)
        paths = [self.path(name) for name in names]
        paths += [self.worker_file(category) for category in Category]
        return [path for path in paths if path.exists()]


def load_project(folder: Path | None = None) -> Project:
    """Return the project named, of the environment, or of the working directory.

    Parameters
    ----------
    folder
        The project folder; searched for if ``None``.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    found = folder.expanduser().resolve() if folder else find_project()
    if found is None or not (found / SETTINGS_FILE).is_file():
        where = f"{found} is" if found else "The working directory is not inside"
        raise ConfigurationError(
            f"{where} {'not ' if found else ''}a wyckflow project (a folder with "
            f"{SETTINGS_FILE}). Go into one, name it with --project or "
            f"{PROJECT_VARIABLE}, or make one with 'wyckflow init FOLDER'."
        )
    return Project(found, WyckflowSettings.load(found))


def read_yaml(path: Path, *, remedy: str) -> dict[str, Any]:
    """Read a YAML mapping.

    Parameters
    ----------
    path
        The file.
    remedy
        What to do when it cannot be read, for the message.

    Raises
    ------
    ConfigurationError
        If it is missing, unreadable, or no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path} is missing: {remedy}.") from error
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"{path} cannot be read as YAML ({error}): correct it, or {remedy}."
        ) from error
    if not isinstance(content, dict):
        raise ConfigurationError(
            f"{path} must hold 'name: value' lines: correct it, or {remedy}."
        )
    return content


def write_private_yaml(path: Path, content: dict[str, Any]) -> Path:
    """Write a mapping to a file that only its owner can read; return the file."""
    write_private_file(path, yaml.safe_dump(content, sort_keys=False))
    return path


def without_password(database: Database) -> Database:
    """Return the same address without its password."""
    scheme, _, rest = database.uri.partition("://")
    user, at, host = rest.rpartition("@")
    return Database(f"{scheme}://{user.partition(':')[0]}{at}{host}", database.name)
