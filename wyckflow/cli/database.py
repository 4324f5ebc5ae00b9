"""``wyckflow db``: the project's own MongoDB server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wyckflow.cli.console import duration, out, say
from wyckflow.cli.options import ProjectOption
from wyckflow.store.embedded.server import EmbeddedServer
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from wyckflow.store.embedded.server import ServerStatus

app = typer.Typer(
    no_args_is_help=True,
    help="The project's own MongoDB server: start, stop, look.",
)


@app.command()
def start(
    project: ProjectOption = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="Also listen on this port of 127.0.0.1, for other programs of this "
            "machine. Default: a socket file in the project only.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Start the server; one that runs already is left alone.

    It goes on when you log out, until 'wyckflow db stop'. Data, log and
    password stay under PROJECT/database, readable by you only.
    """
    home = load_project(project)
    server = EmbeddedServer(home.database_folder)
    say("starting MongoDB")
    _show(server.start(port=port or home.database().local_port))


@app.command()
def stop(project: ProjectOption = None) -> None:
    """Stop the server cleanly; workers wait for it to come back."""
    server = EmbeddedServer(load_project(project).database_folder)
    out.print("stopped" if server.stop() else "it was not running")


@app.command()
def status(project: ProjectOption = None) -> None:
    """Say whether the server runs, where, since when, and how large it is."""
    _show(EmbeddedServer(load_project(project).database_folder).status())


def _show(status: ServerStatus) -> None:
    """Print a server's status."""
    out.print(f"[bold]{status.state}[/bold]  {status.detail}")
    if status.pid is not None:
        since = duration(status.uptime_s)
        out.print(f"  process {status.pid}, MongoDB {status.version}, up for {since}")
        out.print(f"  socket  {status.socket}")
        if status.port:
            out.print(f"  port    127.0.0.1:{status.port}")
    out.print(f"  log     {status.log}")
