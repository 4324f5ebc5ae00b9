"""``wyckflow evaluate``: generated sets against real crystals, side by side."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from wyckflow.cli.options import JsonOption
from wyckflow.crystal.encode import DEFAULT_SYMPREC, Engine
from wyckflow.errors import DatasetError, nearest_name
from wyckflow.report.comparison import compare_sets, plot_comparison
from wyckflow.schemas.evaluation import EvaluationDoc, Population
from wyckflow.schemas.target import Window
from wyckflow.screening.metrics import (
    EvaluationOptions,
    GeneSet,
    evaluate_sets,
    read_set,
)
from wyckflow.screening.metrics.evaluate import N_RESAMPLES
from wyckflow.screening.metrics.judged import ENERGY_COLUMN, judge_genes
from wyckflow.screening.novelty import KnownGenes
from wyckflow.screening.novelty.known import is_known_file, load_known

if TYPE_CHECKING:
    from collections.abc import Sequence

_POPULATIONS = {
    Population.ALL: "taken",
    Population.UNIQUE: "taken: the different ones",
    Population.NOVEL: "taken: the novel ones",
}
_ENDINGS = {".csv", ".tsv", ".gz", ".json", ".npz", ".txt", ".cif"}


def evaluate(
    sets: Annotated[
        list[Path],
        typer.Argument(
            metavar="SET...",
            help="Generated sets: a text file with a gene per line, a table (CSV, TSV, "
            "JSON) of genes, of PyXtal arguments or of structures, a dataset or arrays "
            "of genes (.npz), structure files or folders.",
            show_default=False,
        ),
    ],
    reference: Annotated[
        Path,
        typer.Option(
            "--reference",
            "-r",
            help="Real crystals to compare with; a dataset, or any of these forms.",
            show_default=False,
        ),
    ],
    known: Annotated[
        list[Path] | None,
        typer.Option(
            "--known",
            "-k",
            help="What counts as known: usually the crystals that the generator "
            "learned from. Give it once per file.",
            show_default=False,
        ),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "--n",
            min=1,
            help="Genes that the metrics are for.",
            show_default="the size of the smallest population",
        ),
    ] = None,
    population: Annotated[
        Population | None,
        typer.Option(
            help="Genes that distributions are taken over.",
            show_default="novel with --known, else unique",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=LOW:HIGH",
            help="Count genes whose prediction lies in a range, e.g. band_gap=0.5:2; "
            "one end may be left out.",
            show_default=False,
        ),
    ] = None,
    energy: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="Column with the energy above the hull in eV/atom; sets without it "
            "are measured without energies.",
        ),
    ] = ENERGY_COLUMN,
    attempts: Annotated[
        list[int] | None,
        typer.Option(
            help="How many genes the generator tried to make, once per SET in their "
            "order; gives the share that is valid.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random draws.", min=0)] = 0,
    resamples: Annotated[
        int, typer.Option(help="Random draws behind every interval.", min=10)
    ] = N_RESAMPLES,
    symprec: Annotated[
        float,
        typer.Option(help="Tolerance in A of the symmetry of structures.", min=1e-8),
    ] = DEFAULT_SYMPREC,
    engine: Annotated[
        Engine, typer.Option(help="Package that finds the symmetry of structures.")
    ] = Engine.SPGLIB,
    genes: Annotated[
        Path | None,
        typer.Option(
            "--genes", help="Also write a CSV with a row per gene.", show_default=False
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Also draw it: a PNG, PDF or SVG file.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure generated sets against real crystals, side by side.

    What is valid, unique, novel, charge neutral, and how far the distributions of
    sites, elements, free coordinates and space groups are from real ones, with 95 %
    intervals. All sets are measured at the same size, and beside each distance stands
    the floor: what as many real crystals, drawn by chance, would score. A column
    energy_above_hull (eV/atom), or the one that --energy names, also gives the share
    that is stable, unique and novel.

    Example: wyckflow evaluate mine.csv theirs.csv.gz --reference test.npz
    --known train.npz --plot sets.png
    """
    options = EvaluationOptions(
        n=n, population=population, n_resamples=resamples, seed=seed
    )
    windows = dict(_parse_window(text) for text in target or ())
    read = _read_all([*sets, reference], symprec=symprec, engine=engine)
    generated = _with_energies(_with_attempts(read[:-1], attempts or []), energy)
    what_is_known = _read_known(known or [], symprec=symprec, engine=engine)
    with err.status("measuring"):
        documents = evaluate_sets(
            generated, read[-1], known=what_is_known, target=windows, options=options
        )
    if genes is not None:
        _write_genes(genes, generated, what_is_known, windows)
    if plot is not None:
        plot_comparison(documents, plot)
    if as_json:
        texts = ",\n".join(document.model_dump_json(indent=1) for document in documents)
        out.print(f"[\n{texts}\n]", markup=False, soft_wrap=True)
        return
    _show(documents)


def _read_all(
    paths: Sequence[Path], *, symprec: float, engine: Engine
) -> list[GeneSet]:
    """Read sets with a bar each; names that come twice are told apart."""
    found = []
    with Progress(
        TextColumn("reading {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as progress:
        for path in paths:
            bar = progress.add_task(escape(path.name), total=None)
            found.append(
                read_set(
                    path,
                    name=_short_name(path),
                    symprec=symprec,
                    engine=engine,
                    report=lambda done, total, bar=bar: progress.update(  # type: ignore[misc]  # a default binds early
                        bar, completed=done, total=total
                    ),
                )
            )
    return found


def _short_name(path: Path) -> str:
    """Return the name of a file without the endings that tell its kind."""
    name = path.resolve().name
    while Path(name).suffix.lower() in _ENDINGS:
        name = Path(name).stem
    return name


def _with_attempts(sets: Sequence[GeneSet], attempts: Sequence[int]) -> list[GeneSet]:
    """Say how many genes each generator tried to make."""
    if not attempts:
        return list(sets)
    if len(attempts) != len(sets):
        raise DatasetError(
            f"{len(attempts)} numbers of attempts came for {len(sets)} sets; give "
            "--attempts once per set, in their order."
        )
    return [
        replace(one, n_attempts=count)
        for one, count in zip(sets, attempts, strict=True)
    ]


def _with_energies(sets: Sequence[GeneSet], column: str) -> list[GeneSet]:
    """Take a column under any name as the energy above the hull."""
    if column == ENERGY_COLUMN:
        return list(sets)
    known = dict.fromkeys(name for one in sets for name in one.columns)
    if column not in known:
        raise DatasetError(
            f"No set has a column of numbers {column!r} to take as the energy above "
            f"the hull; there are {', '.join(known) or 'none'}."
            f"{nearest_name(column, known)}"
        )
    renamed = []
    for one in sets:
        columns = {k: v for k, v in one.columns.items() if k != ENERGY_COLUMN}
        if column in columns:
            columns[ENERGY_COLUMN] = columns[column]
        renamed.append(replace(one, columns=columns))
    return renamed


def _read_known(
    paths: Sequence[Path], *, symprec: float, engine: Engine
) -> KnownGenes | None:
    """Join all that counts as known."""
    parts = []
    for path in paths:
        if is_known_file(path):
            parts.append(load_known(path))
            continue
        (one,) = _read_all([path], symprec=symprec, engine=engine)
        codes = one.table.space_group_numbers, one.table.codes
        with err.status("working out what their orderings look like"):
            parts.append(KnownGenes.from_codes(codes, name=one.name))
    return parts[0].join(*parts[1:]) if parts else None


def _parse_window(text: str) -> tuple[str, Window]:
    name, equals, ends = text.partition("=")
    low, colon, high = ends.partition(":")
    try:
        limits = [float(end) if end.strip() else None for end in (low, high)]
    except ValueError:
        limits = []
    if not equals or not colon or not limits:
        raise DatasetError(
            f"--target {text!r} is no range of a column; write it like "
            "band_gap=0.5:2 or formation_energy_per_atom=:-0.5."
        )
    return name.strip(), Window(min=limits[0], max=limits[1])


def _write_genes(
    path: Path,
    sets: Sequence[GeneSet],
    known: KnownGenes | None,
    windows: dict[str, Window],
) -> None:
    """Write what is said of each gene."""
    rows = [
        {"set": one.name, **row}
        for one in sets
        for row in judge_genes(one, known=known, target=windows).iter_rows()
    ]
    columns = dict.fromkeys(name for row in rows for name in row)
    try:
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(columns), restval="")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise DatasetError(f"{str(path)!r} cannot be written: {error}.") from error


def _show(documents: Sequence[EvaluationDoc]) -> None:
    """Print the table, and what stands behind it."""
    table = plain_table("", *(escape(d.name) for d in documents), "floor", "reference")
    for label, counts in (
        ("rows", [d.n_rows for d in documents]),
        ("valid genes", [d.n_valid for d in documents]),
        ("different genes", [d.n_unique for d in documents]),
        (_POPULATIONS[documents[0].population], [d.n_population for d in documents]),
    ):
        table.add_row(label, *(f"{count:,}" for count in counts), "", "")
    table.add_section()
    for row in compare_sets(documents):
        cells = (escape(cell) for cell in row.cells)
        table.add_row(row.label, *cells, row.floor, row.reference)
    out.print(table)
    _show_notes(documents)


def _show_notes(documents: Sequence[EvaluationDoc]) -> None:
    """Say what the numbers are for, and what was left out."""
    first = documents[0]
    sizes = " and ".join(dict.fromkeys(f"{d.n_sampled:,}" for d in documents))
    say(
        f"chemistry and distances are for {sizes} {first.population} genes, against "
        f"{first.reference.n_genes:,} of {first.reference.name}; brackets: 95 %, "
        f"{first.n_resamples} draws, seed {first.seed}"
    )
    say("floor: the mean of as many real crystals drawn from the reference")
    if first.known is not None:
        say(
            f"known: {first.known.n_genes:,} genes of {first.known.name} "
            f"({first.known.known_id})"
        )
    say(f"charge neutral: {first.neutrality_rule}")
    for document in documents:
        for reason, count in document.unreadable.items():
            say(f"{document.name}: {count:,} rows hold no gene ({reason})")
        for example in document.unreadable_examples[:3]:
            say(f"  {example}")
        if document.n_cannot_judge_neutrality:
            say(
                f"{document.name}: {document.n_cannot_judge_neutrality:,} genes hold "
                "an element without known charges and count as not neutral"
            )
        if document.n_with_energy:
            say(
                f"{document.name}: {document.n_with_energy:,} of {document.n_unique:,} "
                "different genes have an energy above the hull"
            )
