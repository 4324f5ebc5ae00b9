"""``wyckflow init``: a project folder that is known to work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wyckflow.cli.console import out, say
from wyckflow.errors import ConfigurationError
from wyckflow.settings import SETTINGS_FILE, WyckflowSettings
from wyckflow.store.connect import Database
from wyckflow.store.embedded.server import EmbeddedServer
from wyckflow.store.indexes import create_indexes
from wyckflow.store.project import Project, load_project

DEFAULT_DATABASE = "wyckflow"


def init(
    folder: Annotated[Path, typer.Argument(help="Project folder; made if missing.")],
    uri: Annotated[
        str | None,
        typer.Option(
            help="Your own MongoDB or Atlas: mongodb://USER@HOST:27017/?authSource=admin."
            " Default: a server of the project's own.",
            show_default=False,
        ),
    ] = None,
    database: Annotated[
        str, typer.Option(help="Name of the database on that server.")
    ] = DEFAULT_DATABASE,
    password_file: Annotated[
        Path | None,
        typer.Option(
            help="File whose first line is the password for --uri. Another way: the "
            "variable WYCKFLOW_DATABASE_PASSWORD. Neither is ever shown.",
            show_default=False,
        ),
    ] = None,
    store_password: Annotated[
        bool,
        typer.Option(
            "--store-password",
            help="Write that password into the files (mode 0600), which plain rlaunch, "
            "lpad and qlaunch need; 'wyckflow worker' does not.",
        ),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port of 127.0.0.1 for the project's own server. Default: none, a "
            "socket file that only you can open.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing files unasked.")
    ] = False,
) -> None:
    """Make a project folder: database, indexes, and the files that workers read.

    Everything is tested before a file is written, and no file is replaced
    unasked. The database is only added to: run it again whenever in doubt.

    Example: wyckflow init my-project && cd my-project && wyckflow doctor
    """
    folder = folder.expanduser().resolve()
    project = _project(folder, password_file)
    _ask_before_replacing(project, overwrite=overwrite)
    if uri is None:
        address = _own_server(project, database, port)
        store_password = True
    else:
        address = Database.from_uri(uri, database, password=project.settings.password())
        # A password that came inside the URI has no other home than these files.
        store_password = store_password or Database.from_uri(uri, database) == address
    say(f"testing {address.address}")
    info = address.ping()
    address.check_writable()
    indexes = create_indexes(address)
    say(f"MongoDB {info['version']} answers, may be written; {len(indexes)} indexes")
    for path in project.write_files(
        address, store_password=store_password, password_file=password_file
    ):
        say(f"wrote {path.name}")
    _say_what_next(folder, store_password=store_password)


def prepare_own_project(folder: Path) -> Project:
    """Make a project with a server of its own, and return it.

    Parameters
    ----------
    folder
        Its folder, absolute; must not be a project yet.
    """
    project = _project(folder, None)
    address = _own_server(project, DEFAULT_DATABASE, None)
    create_indexes(address)
    project.write_files(address, store_password=True)
    return project


def _project(folder: Path, password_file: Path | None) -> Project:
    """Return the project as it will be; an existing one must be of this layout."""
    if (folder / SETTINGS_FILE).is_file():
        project = load_project(folder)
    else:
        project = Project(folder, WyckflowSettings.load(folder))
    if password_file is not None:
        project.settings.database_password_file = password_file.expanduser().resolve()
    return project


def _ask_before_replacing(project: Project, *, overwrite: bool) -> None:
    """Ask about files that are there already; without a terminal, refuse."""
    existing = [path.name for path in project.existing_files()]
    if not existing or overwrite:
        return
    names = ", ".join(existing)
    question = f"{project.folder} already has {names}. Replace them?"
    try:
        agreed = typer.confirm(question)
    except typer.Abort:
        agreed = False
    if not agreed:
        raise ConfigurationError(
            f"{project.folder} already has {names}. Nothing was changed. Give another "
            "folder, or --overwrite to replace these files (the database stays)."
        )


def _own_server(project: Project, database: str, port: int | None) -> Database:
    """Start the project's own server and return its address."""
    if database != DEFAULT_DATABASE:
        raise ConfigurationError(
            f"--database {database} needs --uri: the project's own server has one "
            f"database, {DEFAULT_DATABASE!r}."
        )
    say(f"starting a MongoDB server of its own under {project.database_folder}")
    server = EmbeddedServer(project.database_folder)
    server.start(port=port)
    return Database.from_uri(server.uri, server.database_name)


def _say_what_next(folder: Path, *, store_password: bool) -> None:
    """Say how to go on."""
    out.print(f"\n[bold]{folder} is ready.[/bold] Next:")
    out.print(f"  cd {folder}")
    out.print("  wyckflow doctor                        is everything in place?")
    out.print("  wyckflow worker start --category gpu   on each machine that works")
    out.print("  source env.sh                          before lpad, rlaunch, qlaunch")
    if not store_password:
        out.print(
            "\nNo password was written. 'wyckflow worker' reads it from "
            "WYCKFLOW_DATABASE_PASSWORD or the password file; plain rlaunch cannot."
        )
