"""``wyckflow explain``: why one candidate stands where it does."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.markup import escape

from wyckflow.cli.console import duration, out, plain_table
from wyckflow.cli.options import CampaignOption, JsonOption, ProjectOption
from wyckflow.schemas.screening import Verdict
from wyckflow.store.candidates.builder import build_candidates, list_campaigns
from wyckflow.store.candidates.explain import explain_candidate
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from rich.table import Table

    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.store.candidates.explain import Explanation, Link

_SHOWN_DIGITS: Final = 8
_MINUTES: Final = len("2026-01-31T12:34")
_S_PER_MINUTE: Final = 60

_COLOURS = {
    Verdict.PASS: "green",
    Verdict.FAIL: "red",
    Verdict.CANNOT_JUDGE: "yellow",
}


def explain(
    gene_id: Annotated[
        str,
        typer.Argument(
            metavar="GENE_ID",
            help="Id of the gene, or its first digits.",
            show_default=False,
        ),
    ],
    campaign: CampaignOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Tell every decision about one candidate, by how much it failed, and its cost.

    What workers finished since the last time is taken in first. Filters behind
    the one that stopped a gene were not asked; where the gene alone decides, what
    they would have said is shown.

    Example: wyckflow explain 419f61

    Example: wyckflow explain 419f611950debd20 --campaign oxides
    """
    database = load_project(project).database()
    for name in [campaign] if campaign else list_campaigns(database):
        build_candidates(database, campaign=name)
    found = explain_candidate(database, gene_id, campaign=campaign)
    if as_json:
        out.print_json(json.dumps(_as_data(found)))
    else:
        _show(found)


def _as_data(found: Explanation) -> dict[str, object]:
    """Return the explanation for programs."""
    candidate = found.candidate
    return {
        "gene_id": candidate.gene_id,
        "gene": candidate.gene,
        "formula": candidate.formula_pretty,
        "campaign": candidate.campaign,
        "verdict": candidate.verdict,
        "links": [asdict(link) for link in found.links],
        "outcomes": [item.model_dump() for item in candidate.outcomes],
        "round": candidate.round,
        "model_id": candidate.model_id,
        "jobs": [asdict(job) for job in found.jobs],
        "cpu_s": found.cpu_s,
    }


def _show(found: Explanation) -> None:
    """Print the explanation for people."""
    candidate = found.candidate
    out.print(
        f"[bold]{candidate.formula_pretty}[/bold]  {escape(candidate.gene)}  "
        f"{candidate.gene_id}  [dim]campaign {escape(candidate.campaign)}[/dim]"
    )
    table = plain_table("stage", "filter", "verdict", "value", "limit", "off by", "why")
    for column in (table.columns[1], table.columns[2], table.columns[6]):
        column.justify = "left"
    stage = ""
    for link in found.links:
        name = link.filter or ""
        table.add_row(
            "" if link.stage == stage else link.stage,
            escape(name.replace("_", " ")),
            _word_verdict(link),
            _number(link.value),
            _number(link.threshold),
            _number(link.excess if link.verdict is Verdict.FAIL else None),
            escape(link.reason or (link.rule if link.verdict is Verdict.FAIL else "")),
        )
        stage = link.stage
    out.print(table)
    for outcome in candidate.outcomes:
        out.print(f"{outcome.stage}: {outcome.outcome.replace('_', ' ')}")
    if not found.links and not candidate.outcomes:
        out.print("Nothing was decided about it yet.")
    if found.jobs:
        out.print()
        out.print(_jobs(found))
        out.print(
            f"It took about {_seconds(found.cpu_s)} of a processor: its share of these "
            f"jobs. {_say_origin(candidate)}"
        )


def _jobs(found: Explanation) -> Table:
    """Return the jobs behind the decisions, with what this candidate took of each."""
    table = plain_table("job", "id", "number", "host", "ended", "of", "share", "whole")
    for job in found.jobs:
        table.add_row(
            job.name,
            job.uuid[:_SHOWN_DIGITS],
            "-" if job.fw_id is None else str(job.fw_id),
            escape(job.host) or "-",
            job.ended_at[:_MINUTES].replace("T", " ") or "-",
            "-" if job.n_items is None else f"{job.n_items:,}",
            _seconds(job.cpu_s),
            _seconds(job.job_cpu_s),
        )
    return table


def _say_origin(candidate: CandidateDoc) -> str:
    """Say which round and model proposed a candidate."""
    if candidate.round is None:
        return "No generator proposed it."
    model = (candidate.model_id or "unknown")[:_SHOWN_DIGITS]
    return f"Proposed in round {candidate.round} by the model {model}."


def _seconds(value: float | None) -> str:
    """Return processor time, or a dash."""
    if value is None:
        return "-"
    return f"{value:.2g} s" if value < _S_PER_MINUTE else duration(value)


def _word_verdict(link: Link) -> str:
    """Return a verdict in its colour."""
    if link.verdict is None:
        return "[dim]-[/dim]"
    colour = _COLOURS[link.verdict]
    return f"[{colour}]{link.verdict.replace('_', ' ')}[/{colour}]"


def _number(value: float | None) -> str:
    """Return a number, or nothing."""
    return "" if value is None else f"{value:.4g}"
