"""``wyckflow status``: what runs, how fast, how long still."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.markup import escape

from wyckflow.cli.console import duration, out, plain_table
from wyckflow.cli.options import CampaignOption, JsonOption, ProjectOption
from wyckflow.store.monitor import read_status
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from rich.table import Table

    from wyckflow.store.monitor import Status


def status(
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
    """Show jobs by name and state, workers, rate, time left and failures."""
    home = load_project(project)

    def look() -> Status:
        return read_status(
            home.database(),
            campaign=campaign,
            lost_after_s=home.settings.lost_after_s,
        )

    if as_json:
        out.print_json(json.dumps(asdict(look())))
        return
    if not watch:
        out.print(render(look()))
        return
    with Live(render(look()), console=out, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(every)
                live.update(render(look()), refresh=True)
        except KeyboardInterrupt:
            return


def render(status: Status) -> Group:
    """Return a snapshot as tables and sentences."""
    rate = f"{status.jobs_per_minute:.1f} jobs/min"
    left = duration(status.eta_s) if status.n_open else "nothing left"
    summary = f"{status.n_done} done, {status.n_open} open, {rate}, time left: {left}"
    parts: list[Table | str] = [_jobs(status), "", summary, ""]
    if status.workers:
        parts += [_workers(status), ""]
    else:
        parts += ["no worker is alive", ""]
    parts += [
        f"[red]job {failure.fw_id} ({failure.name}) failed:[/red] "
        f"{escape(failure.message)}"
        for failure in status.failures
    ]
    parts += [f"[yellow]→[/yellow] {escape(hint)}" for hint in status.hints]
    return Group(*parts)


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
