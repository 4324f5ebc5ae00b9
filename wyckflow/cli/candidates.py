"""``wyckflow candidates``: ask for crystals, see them, take them along."""

from __future__ import annotations

import io
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from wyckflow.cli.console import out, plain_table, say
from wyckflow.cli.options import CampaignOption, ProjectOption
from wyckflow.errors import QueryError, nearest_name
from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.schemas.target import Target
from wyckflow.store.candidates.builder import build_candidates, list_campaigns
from wyckflow.store.candidates.files import format_cif, structure_stem, write_csv
from wyckflow.store.candidates.query import FIELDS, find_candidates
from wyckflow.store.candidates.where import parse_where
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

_COLUMNS = (
    "formula_pretty",
    "space_group_number",
    "nsites",
    "formation_energy_per_atom",
    "energy_above_hull",
    "band_gap",
    "verdict",
    "gene_id",
)


class Format(StrEnum):
    """How candidates leave the database."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    CIF = "cif"
    POSCAR = "poscar"


def candidates(
    campaign: CampaignOption = None,
    where: Annotated[
        str,
        typer.Option(
            "--where",
            "-w",
            metavar="CONDITION",
            help="Such as 'band_gap > 0.5 and energy_above_hull < 0.05'.",
        ),
    ] = "",
    elements_all: Annotated[
        str, typer.Option(metavar="LIST", help="With all of these, such as Ba,Ti.")
    ] = "",
    elements_any: Annotated[
        str, typer.Option(metavar="LIST", help="With at least one of these.")
    ] = "",
    elements_none: Annotated[
        str, typer.Option(metavar="LIST", help="Without these, such as Pb,Cd,Tl.")
    ] = "",
    sort: Annotated[
        str,
        typer.Option(help="Field to sort by; with a minus before it, from the top."),
    ] = "energy_above_hull",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 20,
    kind: Annotated[
        Format, typer.Option("--format", "-f", help="What comes out.")
    ] = Format.TABLE,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File, or folder for cif and poscar.",
            show_default="the screen; the folder 'crystals'",
        ),
    ] = None,
    fields: Annotated[
        bool, typer.Option("--fields", help="List the fields to ask for, and stop.")
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Find candidates, and print them or write them to files.

    What workers finished since the last time is taken in first. Energies are
    compared within one scale only: the table says which.

    Example: wyckflow candidates -w 'energy_above_hull < 0.05' --elements-none Pb

    Example: wyckflow candidates -w "'O' in elements and nsites <= 10" -f cif -o best
    """
    if fields:
        _show_fields()
        return
    query = _query(
        where,
        Target.model_validate(
            {
                "elements_all": elements_all,
                "elements_any": elements_any,
                "elements_none": elements_none,
            }
        ),
    )
    order = _order(sort)
    database = load_project(project).database()
    for name in [campaign] if campaign else list_campaigns(database):
        build_candidates(database, campaign=name)
    found = find_candidates(
        database, campaign=campaign, where=query, sort=order, limit=limit
    )
    if not found:
        out.print("No candidate meets this. 'wyckflow status' shows what has run.")
        raise typer.Exit(1)
    if kind in (Format.CIF, Format.POSCAR):
        write_structures(found, kind, output or Path("crystals"))
    elif kind is Format.TABLE and output is None:
        out.print(_table(found))
        _say_scales(found)
    else:
        write_rows(found, kind, output)


def _query(where: str, elements: Target) -> dict[str, Any]:
    """Put the conditions of the options into one query."""
    parts = [parse_where(where, FIELDS)] if where else []
    if elements.elements_all:
        parts.append({"elements": {"$all": list(elements.elements_all)}})
    if elements.elements_any:
        parts.append({"elements": {"$in": list(elements.elements_any)}})
    if elements.elements_none:
        parts.append({"elements": {"$nin": list(elements.elements_none)}})
    return {"$and": parts} if parts else {}


def _order(sort: str) -> list[tuple[str, int]]:
    """Read a field to sort by; missing values come last."""
    name = sort.removeprefix("-")
    if name not in FIELDS:
        raise QueryError(
            f"Candidates cannot be sorted by {name!r}.{nearest_name(name, FIELDS)} "
            "'wyckflow candidates --fields' lists the fields."
        )
    return [(name, -1 if sort.startswith("-") else 1), ("gene_id", 1)]


def _show_fields() -> None:
    """List the fields with what they mean."""
    table = plain_table("field", "meaning")
    table.columns[1].justify = "left"
    for name, info in CandidateDoc.model_fields.items():
        table.add_row(name, escape(info.description or ""))
    out.print(table)


def _table(found: Sequence[CandidateDoc]) -> Table:
    """Return a line per candidate, with the columns that any of them fills."""
    rows = [item.model_dump() for item in found]
    shown = [name for name in _COLUMNS if any(row[name] is not None for row in rows)]
    heads = {"formula_pretty": "formula", "space_group_number": "group"}
    table = plain_table(*(heads.get(name, name.replace("_", " ")) for name in shown))
    table.columns[0].no_wrap = table.columns[-1].no_wrap = True  # what one copies
    for row in rows:
        if row["is_simulated"]:
            row["formula_pretty"] += " SIMULATED"
        table.add_row(*(_word(row[name]) for name in shown))
    return table


def _word(value: Any) -> str:
    """Return a value for people."""
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else escape(str(value))


def _say_scales(found: Sequence[CandidateDoc]) -> None:
    """Name the energy scales, and whether a number comes from a simulator."""
    if scales := sorted({item.energy_scale for item in found if item.energy_scale}):
        out.print(f"[dim]energies in eV/atom on the scale {', '.join(scales)}[/dim]")
    if n_simulated := sum(item.is_simulated for item in found):
        out.print(f"[yellow]{n_simulated} of them hold SIMULATED numbers[/yellow]")


def write_rows(
    found: Sequence[CandidateDoc], kind: Format, output: Path | None
) -> None:
    """Write candidates as JSON, or flat as CSV.

    Parameters
    ----------
    found
        At least one.
    kind
        JSON, or CSV for anything else.
    output
        File; the screen if None.
    """
    if kind is Format.JSON:
        text = json.dumps([item.model_dump(mode="json") for item in found], indent=1)
    else:
        buffer = io.StringIO()
        write_csv(found, buffer)
        text = buffer.getvalue()
    if output is None:
        typer.echo(text.rstrip("\n"))
        return
    output.write_text(text)
    say(f"{len(found):,} candidates in {output}")


def write_structures(found: Sequence[CandidateDoc], kind: Format, folder: Path) -> None:
    """Write a structure file per candidate that has a structure.

    Parameters
    ----------
    found
        Any candidates.
    kind
        CIF, or POSCAR.
    folder
        Made if it is missing.
    """
    from pymatgen.core import Structure

    folder.mkdir(parents=True, exist_ok=True)
    n_written = 0
    for item in found:
        if item.structure is None:
            continue
        structure = Structure.from_dict(item.structure)
        stem = structure_stem(item)
        if kind is Format.POSCAR:
            structure.to(filename=str(folder / f"{stem}.poscar"), fmt="poscar")
        else:
            (folder / f"{stem}.cif").write_text(format_cif(structure, stem))
        n_written += 1
    say(f"{n_written:,} of {len(found):,} candidates have a structure: see {folder}/")
