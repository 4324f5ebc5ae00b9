"""``wyckflow campaign``: begin, look at, extend, hold, free, end, repeat."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wyckflow.cli.campaign_view import (
    render_budget,
    render_funnel,
    say_rest,
    show_request,
)
from wyckflow.cli.console import out, say
from wyckflow.cli.options import ProjectOption
from wyckflow.schemas.campaign import CampaignState
from wyckflow.store.campaign_file import write_template
from wyckflow.store.campaign_funnel import read_funnel
from wyckflow.store.campaign_progress import advance_campaign
from wyckflow.store.campaign_record import mark_campaign, read_campaign
from wyckflow.store.campaigns import extend_campaign
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
    help="Begin a campaign, look at it, extend it; hold, free, end or repeat its jobs.",
)

NameArgument = Annotated[
    str, typer.Argument(help="Name of the campaign.", show_default=False)
]


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="File to write.")] = Path(
        "campaign.yaml"
    ),
    name: Annotated[
        str | None,
        typer.Option(help="Name of the campaign.", show_default="that of the file"),
    ] = None,
) -> None:
    """Write a campaign's file with comments, and the target of the WyCryst+ paper.

    Example: wyckflow campaign new oxides.yaml
    """
    write_template(file, name=name)
    say(f"{file} written: change what you like, then 'wyckflow submit {file}'")


@app.command()
def show(name: NameArgument, project: ProjectOption = None) -> None:
    """Show what was asked, what each stage has passed so far, and what it cost.

    What workers finished since the last time is taken in first. If the budget is used
    up, the open jobs are held.

    Example: wyckflow campaign show oxides
    """
    database = load_project(project).database()
    advanced = advance_campaign(database, name)
    campaign = read_campaign(database, name)
    show_request(campaign)
    if funnel := read_funnel(database, name):
        out.print()
        out.print(render_funnel(funnel))
    else:
        out.print("\nNothing has run yet: 'wyckflow status' shows what waits for whom.")
    out.print()
    out.print(render_budget(campaign.spec.budget, advanced.usage))
    say_rest(advanced.usage)


@app.command()
def extend(
    name: NameArgument,
    genes: Annotated[int, typer.Option(help="Genes of the new round.", min=1)],
    model: Annotated[
        str | None,
        typer.Option(
            help="'bundled', a file, or a registered model.",
            show_default="that of the last round",
        ),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Add a round: other random numbers, and another model if you like.

    Example: wyckflow campaign extend oxides --genes 1000
    """
    database = load_project(project).database()
    sent = extend_campaign(database, name, genes, model=model)
    left = sent.round.max_relaxations
    limit = "" if left is None else f", of which {left:,} may be relaxed"
    say(f"round {sent.round.number} of {name}: {genes:,} genes{limit}")


@app.command()
def pause(name: NameArgument, project: ProjectOption = None) -> None:
    """Hold every job that has not begun.

    Example: wyckflow campaign pause oxides
    """
    database = load_project(project).database()
    done = pause_campaign(database, name)
    mark_campaign(database, name, CampaignState.PAUSED, reason="held by hand")
    _tell(done, "held", f"'wyckflow campaign resume {name}' frees them")


@app.command()
def resume(name: NameArgument, project: ProjectOption = None) -> None:
    """Free the jobs that were held.

    Example: wyckflow campaign resume oxides
    """
    database = load_project(project).database()
    done = resume_campaign(database, name)
    mark_campaign(database, name, CampaignState.ACTIVE)
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
    done = cancel_campaign(database, name)
    mark_campaign(database, name, CampaignState.CANCELLED)
    _tell(done, "ended", "")


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
