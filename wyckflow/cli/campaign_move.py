"""``wyckflow campaign export`` and ``import``: a campaign to a folder, and back."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from wyckflow.cli.console import out, say
from wyckflow.cli.options import ProjectOption
from wyckflow.store.campaign.progress import advance_campaign
from wyckflow.store.exchange.exporting import export_campaign
from wyckflow.store.exchange.importing import import_campaign
from wyckflow.store.exchange.readme import folder_name
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MEGABYTE = 1_000_000


def export(
    name: Annotated[
        str, typer.Argument(help="Name of the campaign.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder to make.",
            show_default="the campaign's name and '-export'",
        ),
    ] = None,
    parquet: Annotated[
        bool | None,
        typer.Option(
            "--parquet/--no-parquet",
            help="Write candidates.parquet as well.",
            show_default="if pyarrow is installed",
        ),
    ] = None,
    models: Annotated[
        bool,
        typer.Option(
            "--models/--no-models",
            help="Write the models' files: with them the campaign can be extended "
            "where it is imported.",
        ),
    ] = True,
    project: ProjectOption = None,
) -> None:
    """Write a whole campaign to a folder: for people, programs, other databases.

    A CIF per crystal, candidates as CSV, Parquet and JSON lines, OPTIMADE entries, the
    campaign's file, models, jobs and hulls behind the numbers, the outputs of all jobs,
    and a list of hashes. README.md in the folder says what is what.

    Example: wyckflow campaign export oxides -o oxides-2026

    Example: wyckflow campaign export oxides --no-models
    """
    database = load_project(project).database()
    advance_campaign(database, name)
    folder = output or Path(folder_name(name))
    with _progress("candidates") as report:
        done = export_campaign(
            database,
            name,
            folder,
            parquet=parquet,
            with_models=models,
            report=report,
        )
    found = done.manifest
    say(
        f"{found.n_candidates:,} candidates, {found.n_structures:,} structures and "
        f"{found.n_outputs:,} job outputs of {name} in {folder}/ "
        f"({len(found.files) + 1:,} files, {done.n_bytes / _MEGABYTE:.1f} MB, content "
        f"{found.content_id})"
    )
    if parquet is None and not done.has_parquet:
        say(
            "no candidates.parquet: pyarrow is not installed ('pip install "
            "wyckflow[parquet]'); candidates.csv has the same columns"
        )
    if done.models_left_out:
        say(f"without the files of the models {', '.join(done.models_left_out)}")
    out.print(f"What is what: {folder / 'README.md'}")


def import_(
    folder: Annotated[
        Path, typer.Argument(help="Exported campaign.", show_default=False)
    ],
    project: ProjectOption = None,
) -> None:
    """Bring an exported campaign into the project's database.

    Every file is held against the list of hashes first. What is there already and the
    same is left alone, so that repeating it does no harm; another campaign of the same
    name is refused. Jobs that had not ended do not come along.

    Example: wyckflow campaign import oxides-2026
    """
    database = load_project(project).database()
    with _progress("candidates") as report:
        done = import_campaign(database, folder, report=report)
    if not done.n_new:
        say(f"campaign {done.campaign} was here already, and is the same")
        return
    say(
        f"campaign {done.campaign}: {done.n_candidates:,} candidates and "
        f"{done.n_outputs:,} job outputs ({done.n_new:,} documents new here)"
    )
    if done.models_missing:
        say(
            f"the files of the models {', '.join(done.models_missing)} are not in the "
            "folder: 'wyckflow campaign extend' needs another model with --model"
        )
    out.print(f"Look at it: wyckflow campaign show {done.campaign}")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far it is."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def report(n_done: int, n_all: int) -> None:
            bar.update(task, completed=n_done, total=n_all)

        yield report
