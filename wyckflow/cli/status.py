"""``wyckflow status``: what runs, how fast, how long still."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Group
from rich.live import Live
from rich.markup import escape

from wyckflow.cli.campaign_view import render_budget, render_funnel, say_state
from wyckflow.cli.console import duration, out, plain_table
from wyckflow.cli.options import CampaignOption, JsonOption, ProjectOption
from wyckflow.store.campaign.status import read_campaign_status
from wyckflow.store.monitor import read_status
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from wyckflow.store.campaign.status import CampaignStatus
    from wyckflow.store.monitor import Status

_REASONS_SHOWN: Final = 8


def status(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[CAMPAIGN]",
            help="Show this campaign: its funnel, jobs, budget, and time left.",
            show_default=False,
        ),
    ] = None,
    project: ProjectOption = None,
    campaign: CampaignOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Renew the table until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(help="Seconds between two looks with --watch.", min=0.5)
    ] = 3.0,
    as_json: JsonOption = False,
) -> None:
    """Show jobs by name and state, workers, rate, time left and failures.

    Of one campaign also the funnel so far and what was used of its budget. To look
    changes nothing: 'wyckflow campaign show' and 'wyckflow build' join candidates.

    Example: wyckflow status oxides --watch
    """
    home = load_project(project)
    chosen = name or campaign
    lost_after_s = home.settings.lost_after_s

    def look() -> tuple[Group, dict[str, Any]]:
        if chosen is None:
            found = read_status(home.database(), lost_after_s=lost_after_s)
            return render(found), asdict(found)
        seen = read_campaign_status(home.database(), chosen, lost_after_s=lost_after_s)
        return render_campaign(seen), asdict(seen.jobs) | seen.as_data()

    if as_json:
        out.print_json(json.dumps(look()[1]))
        return
    if not watch:
        out.print(look()[0])
        return
    with Live(look()[0], console=out, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(every)
                live.update(look()[0], refresh=True)
        except KeyboardInterrupt:
            return


def render_campaign(seen: CampaignStatus) -> Group:
    """Return a campaign's snapshot as tables and sentences.

    Parameters
    ----------
    seen
        The snapshot.
    """
    parts: list[RenderableType] = [_summary(seen), ""]
    if seen.jobs.rows:
        parts += [_jobs(seen.jobs), ""]
    if seen.campaign is not None:
        budget = render_budget(seen.campaign.spec.budget, seen.usage)
        parts = [say_state(seen.campaign), *parts, budget, ""]
    parts += _workers_and_hints(seen.jobs)
    if seen.funnel:  # last: a terminal that is too low shows what changes
        parts += ["", render_funnel(seen.funnel, is_short=True)]
    return Group(*parts)


def _summary(seen: CampaignStatus) -> str:
    """Return rate and time left in a sentence."""
    jobs = seen.jobs
    if not jobs.rows and seen.usage.jobs:
        return "no job of it is in FireWorks: it ran without, or in another database"
    words = (
        f"{jobs.n_done} done, {jobs.n_open} open, {jobs.jobs_per_minute:.1f} jobs/min"
    )
    if not jobs.n_open:
        return f"{words}, nothing left"
    left = "unknown" if seen.eta_s is None else f"about {duration(seen.eta_s)}"
    why = f" ({seen.eta_reason})" if seen.eta_reason else ""
    n_left = seen.usage.n_planned - seen.usage.n_relaxed
    more = f"; {n_left:,} relaxations to come" if n_left > 0 else ""
    return f"{words}, time left: {left}{why}{more}"


def render(status: Status) -> Group:
    """Return a snapshot as tables and sentences."""
    rate = f"{status.jobs_per_minute:.1f} jobs/min"
    left = f"time left: {duration(status.eta_s)}" if status.n_open else "nothing left"
    summary = f"{status.n_done} done, {status.n_open} open, {rate}, {left}"
    parts: list[RenderableType] = [_jobs(status), "", summary, ""]
    return Group(*parts, *_workers_and_hints(status))


def _workers_and_hints(status: Status) -> list[RenderableType]:
    """Return the workers, why jobs failed, and what a person should do."""
    parts: list[RenderableType] = []
    if status.workers:
        parts += [_workers(status), ""]
    else:
        parts += ["no worker is alive", ""]
    if status.reasons:
        parts += [_failures(status), ""]
    return [*parts, *(f"[yellow]→[/yellow] {escape(hint)}" for hint in status.hints)]


def _failures(status: Status) -> Table:
    """Return the table of failures by reason, each with a job to look at."""
    table = plain_table("failed job", "jobs", "such as", "why (numbers left out)")
    table.columns[-1].justify = "left"
    table.columns[-1].overflow = "fold"
    for item in status.reasons[:_REASONS_SHOWN]:
        same = [one for one in status.failures if one.name == item.name]
        example = str(same[0].fw_id) if same else "-"
        table.add_row(item.name, str(item.n_jobs), example, escape(item.reason))
    return table


def _jobs(status: Status) -> Table:
    """Return the table of jobs."""
    table = plain_table(
        "job", "worker", "waiting", "ready", "running", "done", "failed"
    )
    for row in status.rows:
        counts = (
            row.count("WAITING"),
            row.count("READY"),
            row.count("RUNNING", "RESERVED"),
            row.count("COMPLETED"),
            row.count("FIZZLED"),
        )
        table.add_row(row.name, row.category, *(str(n) if n else "-" for n in counts))
    if not status.rows:
        table.add_row("(no jobs yet)", *["-"] * 6)
    return table


def _workers(status: Status) -> Table:
    """Return the table of workers."""
    table = plain_table("worker", "kind", "host", "job", "heard")
    for worker in status.workers:
        heard = f"{duration(worker.silent_s)} ago"
        table.add_row(
            worker.name,
            worker.category,
            worker.host,
            str(worker.fw_id or "-"),
            heard if worker.is_alive else f"[red]{heard}: lost?[/red]",
        )
    return table
