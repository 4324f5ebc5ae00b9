"""``wyckflow campaign``: begin, look at, extend, hold, free, end, repeat, move."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from wyckflow.cli.campaign_move import export, import_
from wyckflow.cli.campaign_view import (
    render_budget,
    render_costs,
    render_funnel,
    say_rest,
    show_estimate,
    show_request,
)
from wyckflow.cli.console import out, plain_table, say
from wyckflow.cli.options import ProjectOption
from wyckflow.schemas.campaign import CampaignState
from wyckflow.store.campaign.control import (
    cancel_campaign,
    pause_campaign,
    resume_campaign,
    retry_campaign,
    set_priority,
)
from wyckflow.store.campaign.file import write_template
from wyckflow.store.campaign.funnel import read_funnel
from wyckflow.store.campaign.progress import advance_campaign
from wyckflow.store.campaign.record import campaign_names, mark_campaign, read_campaign
from wyckflow.store.campaign.rounds import extend_campaign
from wyckflow.store.candidates.query import Candidates
from wyckflow.store.monitor import read_status, read_traceback
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from wyckflow.store.campaign.control import Controlled

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Begin a campaign, look at it, extend it; hold, free, end or repeat its jobs; "
    "take it to a folder, and from there to another database.",
)

app.command("export", no_args_is_help=True)(export)
app.command("import", no_args_is_help=True)(import_)

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


@app.command("list")
def list_(project: ProjectOption = None) -> None:
    """List the campaigns of the project: state, rounds, genes, candidates.

    Example: wyckflow campaign list
    """
    database = load_project(project).database()
    names = campaign_names(database)
    if not names:
        out.print(
            "No campaign yet: 'wyckflow campaign new' writes a file to begin with."
        )
        return
    table = plain_table(
        "campaign", "state", "rounds", "genes", "candidates", "with energy", "submitted"
    )
    for name in names:
        found = read_campaign(database, name)
        with Candidates(database, campaign=name) as candidates:
            n_all = candidates.count()
            n_relaxed = candidates.count({"energy_per_atom": {"$ne": None}})
        table.add_row(
            escape(name),
            str(found.state),
            str(len(found.rounds)),
            f"{sum(item.n_genes for item in found.rounds):,}",
            f"{n_all:,}",
            f"{n_relaxed:,}",
            f"{found.rounds[0].submitted_at:%Y-%m-%d %H:%M}" if found.rounds else "-",
        )
    out.print(table)


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
    out.print()
    out.print(render_costs(campaign, advanced.usage))
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
    known = sent.round.leaves_out
    if known:
        say(f"genes that {_name_rounds(known)} planned are not relaxed again")
    if unknown := sorted(set(range(sent.round.number)) - set(known)):
        say(
            f"{_name_rounds(unknown)} had no plan yet: a gene that both propose is "
            "relaxed in both"
        )
    show_estimate(sent.campaign.spec, sent.round.estimate)


def _name_rounds(numbers: list[int]) -> str:
    """Return rounds in words."""
    several = "s" if len(numbers) > 1 else ""
    return f"round{several} {', '.join(map(str, numbers))}"


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
def retry(
    name: NameArgument,
    failed: Annotated[
        bool,
        typer.Option("--failed", help="Those that failed: there are no others to run."),
    ] = True,
    project: ProjectOption = None,
) -> None:
    """Run the quarantined jobs again, three tries each, and what waits for them.

    Example: wyckflow campaign retry oxides
    """
    del failed  # a word for those who like to say it
    done = retry_campaign(load_project(project).database(), name)
    _tell(done, "made ready again", "")


@app.command()
def failures(name: NameArgument, project: ProjectOption = None) -> None:
    """Show why jobs are quarantined: each reason with the whole message of one of them.

    A job is quarantined when it failed, or took its worker down, three times.

    Example: wyckflow campaign failures oxides
    """
    database = load_project(project).database()
    status = read_status(database, campaign=name)
    for reason in status.reasons:
        jobs = "job" if reason.n_jobs == 1 else "jobs"
        out.print(
            f"[red]{reason.n_jobs:,} {jobs} ({escape(reason.name)}):[/red] "
            f"{escape(reason.reason)}"
        )
        out.print(f"job {reason.fw_id} says:")
        out.print(read_traceback(database, reason.fw_id), markup=False, highlight=False)
    if not status.reasons:
        out.print("No job is quarantined.")


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
