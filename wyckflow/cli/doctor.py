"""``wyckflow doctor``: what is wrong, and what to do."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from wyckflow.cli.console import out, plain_table
from wyckflow.cli.options import JsonOption, ProjectOption
from wyckflow.settings import find_project
from wyckflow.store.doctor import Finding, Level, examine
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from wyckflow.store.project import Project

MARKS = {
    Level.OK: "[green]ok[/green]",
    Level.WARNING: "[yellow]look[/yellow]",
    Level.FAILURE: "[bold red]wrong[/bold red]",
}


def doctor(
    project: ProjectOption = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Create missing indexes, rerun lost jobs, release dead locks, let "
            "jobs try once more that were quarantined for lost workers. Deletes "
            "nothing but bulk older than a day that no result refers to.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Examine installation, project, database and jobs; each line says what to do.

    Ends with status 1 if something is wrong.
    """
    home = _find(project)
    findings = list(examine(home, fix=fix))
    if as_json:
        out.print_json(json.dumps([asdict(finding) for finding in findings]))
    else:
        _show(findings, home)
    if any(finding.level is Level.FAILURE for finding in findings):
        raise typer.Exit(1)


def _find(project: ProjectOption) -> Project | None:
    """Return the project if there is one; only a named one must exist."""
    return load_project(project) if project or find_project() else None


def _show(findings: list[Finding], home: Project | None) -> None:
    """Print one line per finding."""
    table = plain_table("", "", "")
    table.show_header = False
    table.columns[1].justify = table.columns[2].justify = "left"
    table.columns[2].overflow = "fold"
    for finding in findings:
        table.add_row(MARKS[finding.level], finding.topic, escape(finding.text))
    out.print(table)
    count = Counter(finding.level for finding in findings)
    if home is None:
        out.print(
            "\nNo project here, so only the installation was examined. "
            "'wyckflow init FOLDER' makes one; --project names one."
        )
    wrong, look = count[Level.FAILURE], count[Level.WARNING]
    out.print(f"\n{count[Level.OK]} ok, {look} to look at, {wrong} wrong")
