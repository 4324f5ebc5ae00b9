"""``wyckflow relax``: structures and genes to relaxed crystals, without a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from wyckflow.cli.console import err, out, plain_table, say
from wyckflow.relax.backends import QuotientBackend
from wyckflow.relax.bulk import BulkOptions, relax_entries
from wyckflow.relax.contract import RelaxOptions
from wyckflow.relax.free import FreeOptions
from wyckflow.relax.halving import HalvingOptions
from wyckflow.relax.intake import open_intake
from wyckflow.relax.potential import DEFAULT_WEIGHTS, load_potential
from wyckflow.relax.result_folder import (
    RESULTS,
    STRUCTURES,
    ResultFolder,
    prepare_folder,
)
from wyckflow.schemas.relaxation import Outcome

if TYPE_CHECKING:
    from rich.table import Table

    from wyckflow.relax.backends import Backend
    from wyckflow.relax.intake import Intake

_DEFAULTS = RelaxOptions()
_MOST_SHOWN = 20
_EDGES_PER_STRUCTURE = 125
_LEAST_EDGES = 8000

Row = dict[str, Any]


def relax(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="CIF, POSCAR, pymatgen JSON, folders of them, CSV with a column "
            "'cif', or .txt with one gene per line.",
            show_default=False,
        ),
    ] = None,
    gene: Annotated[
        list[str] | None,
        typer.Option(
            "--gene",
            "-g",
            metavar="GENE",
            help="Space group and Wyckoff letters, without coordinates, such as "
            "'221 Sr:a Ti:b O:c'. Give it once per gene.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the results.")
    ] = Path("relaxed"),
    fmax: Annotated[
        float, typer.Option(help="Largest force at the end in eV/A.", min=1e-4)
    ] = _DEFAULTS.fmax,
    max_steps: Annotated[
        int, typer.Option(help="Steps after which a relaxation is stopped.", min=1)
    ] = _DEFAULTS.max_steps,
    symprec: Annotated[
        float,
        typer.Option(
            help="Tolerance of the space group before and after in A.", min=1e-8
        ),
    ] = _DEFAULTS.symprec,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Random starts of a gene.", min=1, show_default="2 to 20 by freedom"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of those starts.", min=0)] = 0,
    exhaustive: Annotated[
        bool,
        typer.Option(
            "--exhaustive",
            help="Relax every start of a gene to the end. Otherwise they race: after "
            "a few steps only the promising go on.",
        ),
    ] = False,
    check_free: Annotated[
        bool,
        typer.Option(
            "--check-free",
            help="Then shake each crystal and relax it without symmetry: does the "
            "symmetry hold?",
        ),
    ] = False,
    supercell: Annotated[
        int, typer.Option(help="Cells along each axis for --check-free.", min=1)
    ] = 1,
    weights: Annotated[str, typer.Option(help="Of CHGNet.")] = DEFAULT_WEIGHTS,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch: Annotated[
        int | None,
        typer.Option(
            help="Structures relaxed together.", min=1, show_default="suits the device"
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of an earlier run.")
    ] = False,
) -> None:
    """Relax crystals with CHGNet, cell and atoms, under their symmetry.

    The space group is found once, held exactly, and only what it leaves free is
    varied; many crystals are relaxed together. A gene has no coordinates, so it
    is relaxed from several random starts, which race, and the best is kept. What
    cannot be taken is a row with a reason, and the rest goes on.

    FOLDER gets results.csv (one row per crystal), structures/NAME.cif and
    metadata.json (network, options, versions). Energies are those of CHGNet;
    compare them only with others of the same scale.

    Example: wyckflow relax my-cifs/ POSCAR -o relaxed

    Example: wyckflow relax --gene '221 Ba:a Ti:b O:c' --check-free -o batio3
    """
    options = _parse_options(
        RelaxOptions(fmax=fmax, max_steps=max_steps, symprec=symprec),
        trials=trials,
        seed=seed,
        halving=None if exhaustive else HalvingOptions(),
        supercell=supercell if check_free else None,
    )
    paths = files or []
    intake = open_intake(paths, gene or [])
    prepare_folder(output, paths, overwrite=overwrite)
    backend = _load_backend(weights, device, batch)
    folder = ResultFolder(output, backend, options)
    rows = _run(intake, folder, backend, options)
    _show(rows, folder, with_check=check_free)
    if not any(row["file"] for row in rows):
        raise typer.Exit(1)


def _parse_options(
    relaxation: RelaxOptions,
    *,
    trials: int | None,
    seed: int,
    halving: HalvingOptions | None,
    supercell: int | None,
) -> BulkOptions:
    """Bring the words of the command together."""
    free = None
    if supercell is not None:
        free = FreeOptions(supercell=supercell, seed=seed)
    return BulkOptions(
        relax=relaxation, n_trials=trials, seed=seed, free=free, halving=halving
    )


def _load_backend(weights: str, device: str, batch: int | None) -> Backend:
    """Load the network."""
    potential = load_potential(weights, device=device)
    if batch is None:
        return QuotientBackend(potential)
    from wyckflow.relax.batched import BatchLimits

    n_edges = max(_LEAST_EDGES, _EDGES_PER_STRUCTURE * batch)
    return QuotientBackend(potential, BatchLimits(batch, n_edges))


def _run(
    intake: Intake, folder: ResultFolder, backend: Backend, options: BulkOptions
) -> list[Row]:
    """Relax, with a bar, and return the rows."""
    with Progress(
        TextColumn("relaxing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as progress:
        bar = progress.add_task("crystals", total=len(intake))
        results = relax_entries(
            intake.entries(symprec=options.relax.symprec),
            backend,
            options,
            report=lambda n_done: progress.update(bar, completed=n_done),
        )
        return list(folder.write(results, intake))


def _show(rows: list[Row], folder: ResultFolder, *, with_check: bool) -> None:
    """Print the crystals, what failed, and where everything is."""
    relaxed = [row for row in rows if row["file"]]
    failed = [row for row in rows if not row["file"]]
    if relaxed:
        out.print(_table(relaxed[:_MOST_SHOWN], with_check=with_check))
        scale = relaxed[0]["energy_scale"]
        out.print(f"[dim]energies in eV/atom on the scale {escape(scale)}[/dim]")
    for row in failed[:_MOST_SHOWN]:
        what = f"[red]{escape(row['name'])}: {row['outcome']}[/red]"
        out.print(f"{what}: {escape(row['reason'])}", soft_wrap=True)
    counts = ", ".join(
        f"{count:,} {outcome.replace('_', ' ')}"
        for outcome, count in folder.outcomes.most_common()
    )
    out.print(f"{len(rows):,} crystals: {counts}")
    cpu_s = sum(row["cpu_s"] or 0 for row in rows)
    say(
        f"{folder.path / RESULTS} and {len(relaxed):,} files in "
        f"{folder.path / STRUCTURES}, {cpu_s:.1f} CPU s"
    )


def _table(rows: list[Row], *, with_check: bool) -> Table:
    """Return one line per relaxed crystal."""
    checked = ["symmetry"] if with_check else []
    table = plain_table(
        "crystal", "formula", "space group", "outcome", "energy", "steps", *checked
    )
    for row in rows:
        before, after = row["space_group_before"], row["space_group_after"]
        groups = str(before) if before == after else f"{before} → {after or '?'}"
        good = row["outcome"] == Outcome.CONVERGED
        outcome = row["outcome"].replace("_", " ")
        table.add_row(
            escape(row["name"]),
            row["formula"],
            groups,
            outcome if good else f"[yellow]{outcome}[/yellow]",
            f"{row['energy_ev_per_atom']:.4f}",
            str(row["n_steps"]),
            *([_word_check(row)] if with_check else []),
        )
    return table


def _word_check(row: Row) -> str:
    """Say in a few words whether the symmetry held."""
    verdict = str(row["symmetry"]).replace("_", " ")
    if row["symmetry"] != "broken":
        return verdict
    gain = row["free_energy_gain_mev_per_atom"]
    tight = row["free_space_groups"].split()[0]
    return f"[yellow]broken[/yellow]: {tight}, {gain:.1f} meV/atom lower"
