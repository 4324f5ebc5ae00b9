"""``wyckflow hull fetch``: known phases with total energies, from where they are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from wyckflow.cli.console import out, say
from wyckflow.cli.options import ProjectOption
from wyckflow.errors import ConfigurationError
from wyckflow.settings import WyckflowSettings
from wyckflow.store.project import load_project
from wyckflow.store.references import ReferenceLedger
from wyckflow.thermo.composition import format_system, parse_system
from wyckflow.thermo.source import path_of_version

app = typer.Typer(
    no_args_is_help=True, help="Known phases from the internet, with your own key."
)


@app.callback()
def fetch() -> None:
    """Known phases from the internet, with your own key."""


@app.command(no_args_is_help=True)
def mp(
    chemsys: Annotated[
        list[str],
        typer.Option(
            "--chemsys",
            "-s",
            help="Chemical system, such as Ca-Ti-O; can be repeated.",
            show_default=False,
        ),
    ],
    entries: Annotated[
        Path | None,
        typer.Option(
            help="Keep the entries in this file, too (.json or .json.gz).",
            show_default=False,
        ),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Fetch all phases of chemical systems from the Materials Project.

    For the hull by DFT: total energies by GGA and GGA+U (thermo type GGA_GGA+U), with
    the corrections of 2020, the elements included. They go into the project's
    database, and as a file to where jobs look; the version that is printed is what a
    campaign's file names as 'reference'. Your key is read from MP_API_KEY.

    Example: wyckflow hull fetch mp --chemsys Ca-Ti-O --chemsys Ba-Ti-O
    """
    from wyckflow.makers._mp_entries import make_reference
    from wyckflow.vasp.mp_fetch import THERMO_TYPE, fetch_entries

    systems = [format_system(parse_system(text)) for text in chemsys]
    if entries is not None and not entries.name.endswith((".json", ".json.gz")):
        raise ConfigurationError(
            f"{entries} would hold JSON; give it the ending .json or .json.gz."
        )
    database = load_project(project).database()
    fetched = fetch_entries(systems)
    made = make_reference(
        fetched.entries,
        f"materials-project {', '.join(systems)}",
        provenance={
            "database": f"Materials Project {fetched.database_version}",
            "thermo type": THERMO_TYPE,
            "chemical systems": ", ".join(systems),
            "fetched": f"{datetime.now(UTC):%Y-%m-%d}",
        },
    )
    if entries is not None:
        from monty.serialization import dumpfn

        dumpfn(list(fetched.entries), entries)
    with ReferenceLedger(database) as ledger:
        stored = ledger.store(made)
    folder = WyckflowSettings.load(project).references_folder()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        made.save(path_of_version(folder, made.version))
    say(
        f"{stored.n_entries:,} phases of {', '.join(systems)}, Materials Project "
        f"{fetched.database_version}, {THERMO_TYPE}, {stored.scale}"
    )
    out.print(stored.version)
