"""``wyckflow approve`` and ``advance``: what goes to VASP, by hand or by rule."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape

from wyckflow.cli.campaign_view import number
from wyckflow.cli.console import out, plain_table, say
from wyckflow.cli.options import CampaignOption, JsonOption, ProjectOption
from wyckflow.errors import CampaignError, ConfigurationError, QueryError, nearest_name
from wyckflow.settings import WyckflowSettings
from wyckflow.store.campaign.progress import advance_campaign
from wyckflow.store.campaign.record import campaign_names, find_campaign
from wyckflow.store.candidates.builder import build_candidates, list_campaigns
from wyckflow.store.candidates.query import BEST_FIRST, FIELDS, find_candidates
from wyckflow.store.candidates.where import parse_where
from wyckflow.store.gate.sending import approve_candidates, list_waiting, open_gate
from wyckflow.store.gate.stopped import audit_stopped
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.store.connect import Database

_SHOWN: Final = 20
_MOST_AT_ONCE: Final = 1000
_SHORTEST: Final = 4


def approve(
    gene_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[GENE_ID]...",
            help="Ids of genes, or their first digits. Without any, and without "
            "--where, what waits is shown.",
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            "--where",
            "-w",
            metavar="CONDITION",
            help="All that waits and meets this, such as 'energy_above_hull < 0.03'.",
        ),
    ] = "",
    campaign: CampaignOption = None,
    by: Annotated[
        str | None,
        typer.Option(help="Who approves.", show_default="your login name"),
    ] = None,
    here: Annotated[
        bool,
        typer.Option(
            "--here/--elsewhere",
            help="Whether VASP runs on this machine: look for all that it needs first.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent, and stop.")
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Let crystals through to VASP, each in a workflow of its own.

    Nothing spends VASP time before somebody approves it, or the campaign's file has a
    rule and a budget for it. A crystal is sent once, however often it is approved.

    Example: wyckflow approve --campaign oxides

    Example: wyckflow approve 419f61 7d02aa --by Ada

    Example: wyckflow approve -c oxides -w 'energy_above_hull < 0.03 and nsites < 20'
    """
    database = load_project(project).database()
    for name in [campaign] if campaign else list_campaigns(database):
        build_candidates(database, campaign=name)
    if not gene_ids and not where:
        _show_waiting(database, campaign)
        return
    chosen = _choose(database, gene_ids or [], where, campaign)
    out.print(_table(chosen))
    _preflight(chosen, is_here=here)
    if dry_run:
        say(f"{len(chosen):,} crystals would be sent")
        return
    if not yes:
        typer.confirm(f"Send {len(chosen):,} crystals to VASP?", abort=True)
    for name in sorted({item.campaign for item in chosen}):
        own = [item for item in chosen if item.campaign == name]
        done = approve_candidates(
            database, own, approved_by=by or getpass.getuser() or "somebody"
        )
        n_jobs = sum(item.n_vasp_jobs for item in done.sent)
        before = f"; {len(done.known):,} were before" if done.known else ""
        say(
            f"campaign {name}: {len(done.sent):,} crystals approved, {n_jobs:,} VASP "
            f"jobs{before}"
        )
    out.print("A VASP node takes them: wyckflow worker start --category vasp")
    out.print("How far they are: wyckflow dft status")


def advance(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[CAMPAIGN]", help="Which.", show_default="all"),
    ] = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Bring campaigns as far as they get without workers; harmless to repeat.

    Joins what jobs found into candidates, holds what the budget does not cover, and
    lets crystals through to VASP that the campaign's own rule lets through. Those whose
    runs stopped are audited as they are. CPU workers do both between their jobs, too.

    Example: wyckflow advance oxides
    """
    database = load_project(project).database()
    known = campaign_names(database)
    if name is not None and find_campaign(database, name) is None:
        raise CampaignError(
            f"No campaign {name!r} was submitted here.{nearest_name(name, known)} "
            f"Known: {', '.join(known) or 'none'}."
        )
    rows = [_advance(database, one) for one in ([name] if name else known)]
    if as_json:
        out.print_json(json.dumps(rows))
        return
    for row in rows:
        say(
            f"{row['campaign']}: {row['n_outputs']:,} new outputs, "
            f"{row['n_candidates']:,} candidates updated, {len(row['sent'])} crystals "
            "sent to VASP"
        )
        if row["reason"]:
            say(f"{row['campaign']}: {row['reason']}; its open jobs are held")
    if not rows:
        out.print("No campaign was submitted here: 'wyckflow submit FILE' sends one.")


def _advance(database: Database, name: str) -> dict[str, Any]:
    """Advance one campaign; return what was done."""
    done = advance_campaign(database, name)
    opened = open_gate(database, name)
    audit_stopped(database, name)
    return {
        "campaign": name,
        "n_outputs": done.built.n_outputs,
        "n_candidates": done.built.n_candidates,
        "reason": done.reason,
        "sent": [item.gene_id for item in opened.sent],
    }


def _show_waiting(database: Database, campaign: str | None) -> None:
    """Show what could be approved, the best first."""
    names = [campaign] if campaign else list_campaigns(database)
    waiting = [item for name in names for item in list_waiting(database, name)]
    if not waiting:
        out.print("Nothing waits: no relaxed candidate that is not with VASP already.")
        return
    out.print(_table(waiting[:_SHOWN]))
    say(
        f"{len(waiting):,} crystals wait; nothing was sent. Name ids, or give --where "
        "CONDITION"
    )


def _choose(
    database: Database, gene_ids: Sequence[str], where: str, campaign: str | None
) -> list[CandidateDoc]:
    """Return the candidates that are meant, each once."""
    found: dict[tuple[str, str], CandidateDoc] = {}
    for words in gene_ids:
        for item in _find_gene(database, words, campaign):
            found[item.campaign, item.gene_id] = item
    if where:
        conditions = parse_where(where, FIELDS)
        for name in [campaign] if campaign else list_campaigns(database):
            waiting = {item.gene_id for item in list_waiting(database, name)}
            for item in find_candidates(
                database,
                campaign=name,
                where={"$and": [conditions, {"gene_id": {"$in": sorted(waiting)}}]},
                sort=BEST_FIRST,
                limit=_MOST_AT_ONCE + 1,
            ):
                found[item.campaign, item.gene_id] = item
    if not found:
        raise QueryError(
            f"Nothing that waits meets {where!r}; 'wyckflow approve' shows what waits."
        )
    if len(found) > _MOST_AT_ONCE:
        raise QueryError(
            f"More than {_MOST_AT_ONCE:,} crystals meet {where!r}; ask for fewer."
        )
    return list(found.values())


def _find_gene(
    database: Database, words: str, campaign: str | None
) -> list[CandidateDoc]:
    """Return the one candidate whose id begins so."""
    start = words.strip().lower()
    if len(start) < _SHORTEST or any(c not in "0123456789abcdef" for c in start):
        raise QueryError(
            f"{words!r} is no id of a gene: give at least {_SHORTEST} of its "
            "hexadecimal digits, as 'wyckflow candidates' shows them."
        )
    found = find_candidates(
        database, campaign=campaign, where={"gene_id": {"$regex": f"^{start}"}}
    )
    if not found:
        raise QueryError(
            f"No candidate has an id that begins with {words!r}; 'wyckflow approve' "
            "shows what waits."
        )
    if len(found) > 1:
        names = ", ".join(f"{item.gene_id} of {item.campaign}" for item in found[:5])
        raise QueryError(
            f"{words!r} could be {names}; give more digits, or --campaign."
        )
    return found


def _preflight(chosen: Sequence[CandidateDoc], *, is_here: bool) -> None:
    """Look for what would stop VASP; refuse only if it is to run here."""
    from wyckflow.makers.vasp_preflight import inspect_elements

    elements = sorted({symbol for item in chosen for symbol in item.elements})
    command = WyckflowSettings.load().vasp_command
    found = inspect_elements(elements, command=command if is_here else None)
    for text in found.warnings:
        out.print(f"[yellow]warning:[/yellow] {escape(text)}", soft_wrap=True)
    if not found.problems:
        return
    if is_here:
        listed = "; ".join(
            f"({place}) {text}" for place, text in enumerate(found.problems, 1)
        )
        raise ConfigurationError(f"VASP cannot run here: {listed}. Nothing was sent.")
    for text in found.problems:
        out.print(f"[yellow]on this machine:[/yellow] {escape(text)}", soft_wrap=True)
    say("VASP runs elsewhere, where the first job of each crystal looks again")


def _table(found: Sequence[CandidateDoc]) -> Table:
    """Return a line per crystal, with what speaks for and against it."""
    table = plain_table(
        "formula",
        "group",
        "atoms",
        "above hull",
        "lattice",
        "verdict",
        "campaign",
        "id",
    )
    for item in found:
        table.add_row(
            item.formula_pretty,
            str(item.space_group_number),
            str(item.nsites),
            number(item.energy_above_hull),
            (item.lattice_stability or "-").replace("_", " "),
            "-" if item.verdict is None else item.verdict.replace("_", " "),
            escape(item.campaign),
            item.gene_id,
        )
    return table
