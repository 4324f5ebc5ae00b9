"""``wyckflow campaign``: hold, free, end, repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wyckflow.cli.console import say
from wyckflow.cli.options import ProjectOption
from wyckflow.store.control import (
    cancel_campaign,
    pause_campaign,
    resume_campaign,
    retry_campaign,
    set_priority,
)
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from wyckflow.store.control import Controlled

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Hold, free, end or repeat the jobs of a campaign. Running jobs finish.",
)

NameArgument = Annotated[
    str, typer.Argument(help="Name of the campaign.", show_default=False)
]


@app.command()
def pause(name: NameArgument, project: ProjectOption = None) -> None:
    """Hold every job that has not begun.

    Example: wyckflow campaign pause oxides
    """
    done = pause_campaign(load_project(project).database(), name)
    _tell(done, "held", f"'wyckflow campaign resume {name}' frees them")


@app.command()
def resume(name: NameArgument, project: ProjectOption = None) -> None:
    """Free the jobs that were held.

    Example: wyckflow campaign resume oxides
    """
    done = resume_campaign(load_project(project).database(), name)
    _tell(done, "freed", "")


@app.command()
def cancel(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    project: ProjectOption = None,
) -> None:
    """End every job that has not begun or has failed; what is finished stays.

    Example: wyckflow campaign cancel oxides
    """
    database = load_project(project).database()
    if not yes:
        question = f"End the open jobs of {name}? They cannot be resumed."
        typer.confirm(question, abort=True)
    _tell(cancel_campaign(database, name), "ended", "")


@app.command()
def retry(name: NameArgument, project: ProjectOption = None) -> None:
    """Run the failed jobs once more, and what waits for them.

    Example: wyckflow campaign retry oxides
    """
    done = retry_campaign(load_project(project).database(), name)
    _tell(done, "made ready again", "")


@app.command()
def priority(
    name: NameArgument,
    number: Annotated[int, typer.Argument(help="Higher runs first; 0 is usual.")],
    project: ProjectOption = None,
) -> None:
    """Say how soon the jobs that have not begun run.

    Example: wyckflow campaign priority oxides 5
    """
    done = set_priority(load_project(project).database(), name, number)
    _tell(done, f"given priority {number}", "")


def _tell(done: Controlled, verb: str, hint: str) -> None:
    """Say what happened, and what still runs."""
    jobs = "job" if done.n_changed == 1 else "jobs"
    running = f"; {done.n_running} running will finish" if done.n_running else ""
    ending = f" ({hint})" if hint and done.n_changed else ""
    say(f"{done.n_changed:,} {jobs} {verb}{running}{ending}")
