"""``wyckflow data``: files to datasets, what is in them, and their split."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from wyckflow.cli.console import err, out, plain_table, say
from wyckflow.cli.data_view import show_import, show_origin, show_refused, show_summary
from wyckflow.crystal.dataset.describe import describe_dataset
from wyckflow.crystal.dataset.importing import (
    DATASET_ENDING,
    ImportOptions,
    import_dataset,
)
from wyckflow.crystal.dataset.metadata import PARTS
from wyckflow.crystal.dataset.split import GroupBy, split_dataset
from wyckflow.crystal.dataset.table import load_dataset
from wyckflow.crystal.encode import DEFAULT_SYMPREC, Engine
from wyckflow.errors import DatasetError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Make datasets of genes from structure files, look at them, split them.",
)
fetch = typer.Typer(no_args_is_help=True, help="Download structures to import.")
app.add_typer(fetch, name="fetch")


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@app.command("import", no_args_is_help=True)
def import_files(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="CSV, TSV or JSON files (also .gz), CIF, POSCAR, or folders of them.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The dataset.", show_default=False),
    ],
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OURS=THEIRS",
            help="Read their column as ours, e.g. band_gap=Eg_HSE; 'band_gap=' leaves "
            "ours out. Give it once per column.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Also take a column that wyckflow does not know.",
            show_default=False,
        ),
    ] = None,
    symprec: Annotated[
        float, typer.Option(help="Distance tolerance of the symmetry in A.", min=1e-8)
    ] = DEFAULT_SYMPREC,
    angle_tolerance: Annotated[
        float | None,
        typer.Option(help="Angle tolerance in degrees.", show_default="the engine's"),
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="Package that finds the symmetry; moyopy is faster.")
    ] = Engine.SPGLIB,
    keep_duplicates: Annotated[
        bool,
        typer.Option(
            "--keep-duplicates",
            help="Keep all rows with the same gene, not only the most stable.",
        ),
    ] = False,
    licence: Annotated[
        str | None,
        typer.Option(help="Licence of the data, e.g. CC-BY-4.0.", show_default=False),
    ] = None,
    energy_scale: Annotated[
        str | None,
        typer.Option(
            help="What the energies are measured against, e.g. mp2020-gga-u.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", min=1, help="Processes.", show_default="all processors"
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a dataset of this name.")
    ] = False,
) -> None:
    """Make one dataset of files with structures.

    A table has one structure per row, in a column 'cif' or 'structure', and
    known properties (formation_energy_per_atom, band_gap, e_above_hull, ...) in
    others. Rows that cannot be taken are refused with a reason, and the rest
    goes on. An import that was interrupted goes on where it stopped when it is
    run again.

    Example: wyckflow data import mp20.csv.gz -o mp20 --licence CC-BY-4.0
    """
    target = output if output.suffix else output.with_suffix(DATASET_ENDING)
    if target.exists() and not overwrite:
        raise DatasetError(
            f"{str(target)!r} exists already; choose another name or give --overwrite."
        )
    options = ImportOptions(
        symprec=symprec,
        angle_tolerance=angle_tolerance,
        engine=engine,
        columns=dict(_parse_column(text) for text in column or ()),
        kept=tuple(keep or ()),
        keep_duplicates=keep_duplicates,
        licence=licence,
        energy_scale=energy_scale,
        n_jobs=jobs or _processors(),
    )
    with Progress(
        TextColumn("finding genes"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as progress:
        bar = progress.add_task("rows", total=None)
        result = import_dataset(
            files,
            target,
            options=options,
            report=lambda n, total: progress.update(bar, completed=n, total=total),
        )
    show_import(result)


@app.command("describe", no_args_is_help=True)
def describe(
    file: Annotated[Path, typer.Argument(help="A dataset.", show_default=False)],
    plot: Annotated[
        Path | None,
        typer.Option(help="Also draw it: a PNG, PDF or SVG file.", show_default=False),
    ] = None,
    refused: Annotated[
        bool, typer.Option("--refused", help="List the rows that were not taken.")
    ] = False,
) -> None:
    """Show what is in a dataset.

    Example: wyckflow data describe mp20.npz --plot mp20.png
    """
    dataset = load_dataset(file)
    show_origin(dataset)
    show_summary(describe_dataset(dataset))
    if refused:
        show_refused(dataset)
    if plot is not None:
        from wyckflow.crystal.dataset.plot import plot_dataset

        plot_dataset(dataset, plot)
        say(f"drawn: {plot}")


@app.command("split", no_args_is_help=True)
def split(
    file: Annotated[Path, typer.Argument(help="A dataset.", show_default=False)],
    by: Annotated[
        GroupBy, typer.Option(help="What must not be in two parts.")
    ] = GroupBy.FORMULA,
    fractions: Annotated[
        str, typer.Option(help="Shares of train, validation and test.")
    ] = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option(help="Another seed, another split.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Where to write it.", show_default="the file itself"
        ),
    ] = None,
) -> None:
    """Split a dataset into train, validation and test.

    No group is in two parts, and the order of the rows does not matter.

    Example: wyckflow data split mp20.npz --by prototype --fractions 0.9,0.05,0.05
    """
    before = load_dataset(file)
    try:
        shares = [float(share) for share in fractions.split(",")]
    except ValueError:
        raise DatasetError(
            f"--fractions {fractions!r} are no numbers; write them like 0.8,0.1,0.1."
        ) from None
    after = split_dataset(before, fractions=shares, by=by, seed=seed)
    target = output or file
    after.save(target)
    table = plain_table("part", "rows", "share")
    counts = describe_dataset(after).parts
    for part in PARTS:
        count = counts[part.value]
        table.add_row(part.value, f"{count:,}", f"{count / len(after):.1%}")
    out.print(table)
    out.print(
        f"{escape(str(target))}: dataset [bold]{after.dataset_id}[/bold] "
        f"(before the split {before.dataset_id})"
    )


@fetch.command("mp", no_args_is_help=True)
def fetch_mp(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="A .json.gz file to import.", show_default=False
        ),
    ],
    elements: Annotated[
        tuple[int, int], typer.Option(help="Fewest and most elements.")
    ] = (2, 3),
    max_sites: Annotated[
        int, typer.Option(help="Most atoms in the primitive cell.", min=1)
    ] = 20,
    max_hull: Annotated[
        float, typer.Option(help="Highest energy above the hull in eV/atom.", min=0)
    ] = 0.08,
    chemsys: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this chemical system, e.g. Ca-O-Ti or '*-O'; give it once per "
            "system.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Download structures and energies from the Materials Project.

    It takes the package mp-api and your own key in the variable MP_API_KEY.

    Example: wyckflow data fetch mp -o mp.json.gz --elements 2 3 --max-hull 0.08
    """
    from wyckflow.crystal.dataset.materials_project import (
        MaterialsProjectQuery,
        fetch_materials_project,
    )

    query = MaterialsProjectQuery(
        n_elements=elements,
        max_n_sites=max_sites,
        max_energy_above_hull=max_hull,
        chemsys=tuple(chemsys or ()),
    )
    count = fetch_materials_project(output, query)
    out.print(f"{count:,} materials in {escape(str(output))}")
    say(f"next: wyckflow data import {output} -o mp")


def _parse_column(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not equals:
        raise DatasetError(
            f"--column {text!r} names no column of theirs; write it like "
            "band_gap=Eg_HSE."
        )
    return ours.strip(), theirs.strip()
