"""``wyckflow screen``: genes through filters, each rejection with its reason."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from wyckflow.cli.console import err, out, say
from wyckflow.cli.options import JsonOption
from wyckflow.cli.screen_view import show_cost, show_funnel
from wyckflow.errors import ModelError, ScreenError
from wyckflow.makers.evidence import CLASSIFIERS, gather_evidence
from wyckflow.schemas.screening import ScreeningDoc, pack_verdicts
from wyckflow.screening.cost import KnownGroup, cost_of
from wyckflow.screening.evidence import Evidence
from wyckflow.screening.metrics.reading import read_set
from wyckflow.screening.presets import PRESETS, load_costs, load_screen, write_screen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wyckflow.makers.evidence import GatheredEvidence
    from wyckflow.schemas.screening import ScreenCost
    from wyckflow.screening.metrics.gene_set import GeneSet
    from wyckflow.screening.screen import Screen, Screening

_DEVIATION = "_deviation"
_COLUMNS = (
    "row",
    "gene_id",
    "gene",
    "verdict",
    "filter",
    "value",
    "threshold",
    "reason",
)


def screen(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Genes: text with one per line, CSV with a column 'gene', a dataset, "
            "or structures. Columns such as 'metal' and 'band_gap' are evidence.",
            show_default=False,
        ),
    ] = None,
    which: Annotated[
        str,
        typer.Option(
            "--screen",
            "-s",
            metavar="NAME|FILE",
            help=f"{', '.join(PRESETS)}, or a YAML file of your own.",
        ),
    ] = "default",
    known: Annotated[
        list[Path] | None,
        typer.Option(
            help="Known crystals to which novelty is relative: a dataset. Give it once "
            "per file.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="CSV for the verdicts.", show_default=False
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Figure of the funnel, .png or .pdf.", show_default=False),
    ] = None,
    cost: Annotated[
        bool,
        typer.Option(
            "--cost",
            help="FILES are datasets of known crystals: say what each filter would "
            "drop of them.",
        ),
    ] = False,
    group: Annotated[
        KnownGroup, typer.Option(help="Of which crystals, with --cost.")
    ] = KnownGroup.ALL,
    show: Annotated[
        bool, typer.Option("--show", help="Print the screen as YAML, and stop.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put genes through a screen: who passes, who fails, why, and by how much.

    Each gene meets one filter after the other until one does not pass it. What
    cannot be judged is told apart from what fails. Beside a screen that comes
    with wyckflow stands what it drops of known crystals.

    Example: wyckflow screen genes.txt -o verdicts.csv --plot funnel.png

    Example: wyckflow screen generated.csv --screen published

    Example: wyckflow screen mp20.npz --screen mine.yaml --cost

    Example: wyckflow screen --screen published --show > mine.yaml
    """
    chosen = load_screen(which)
    if show:
        typer.echo(write_screen(chosen), nl=False)
        return
    if not files:
        raise ScreenError(
            "No genes came; give a file, as in 'wyckflow screen genes.txt', or "
            "--show to see the screen."
        )
    if cost:
        _show_costs(chosen, files, group, known or (), as_json=as_json)
        return
    sets = [_read(path) for path in files]
    _refuse_two(sets)
    (genes,) = sets
    gathered = _gather(chosen, genes, known or ())
    screening = _judge(chosen, genes, gathered)
    costs = load_costs(chosen)
    if as_json:
        out.print_json(
            _document(screening, gathered, costs).model_dump_json(exclude={"blob"})
        )
    else:
        show_funnel(screening, gathered.origins, costs)
    if output is not None:
        _write(output, screening, genes, gathered, costs)
        say(f"{len(genes):,} verdicts in {output}")
    if plot is not None:
        from wyckflow.report.funnel import plot_funnel

        plot_funnel(plot, screening.funnel, costs=costs, title=f"{genes.name}")
        say(f"funnel in {plot}")


def _read(path: Path) -> GeneSet:
    """Read genes, with a bar."""
    with _bar(f"reading {path.name}") as progress:
        task = progress.add_task("rows", total=None)
        found = read_set(
            path,
            report=lambda done, total: progress.update(
                task, completed=done, total=total
            ),
        )
    for row in found.unreadable[:3]:
        say(f"row {row.row} is no gene: {row.message}")
    if len(found.unreadable) > 3:  # noqa: PLR2004 - as many as were shown
        say(f"and {len(found.unreadable) - 3:,} more rows that are no genes")
    return found


def _refuse_two(sets: Sequence[GeneSet]) -> None:
    """Refuse several files, whose genes would lose their names."""
    if len(sets) > 1:
        raise ScreenError(
            f"{len(sets)} files came; screen one at a time, or put their genes into "
            "one file, so that repetitions are found across them."
        )


def _gather(chosen: Screen, genes: GeneSet, known: Sequence[Path]) -> GatheredEvidence:
    """Take columns as evidence, and find the rest."""
    spreads = {
        name.removesuffix(_DEVIATION): values
        for name, values in genes.columns.items()
        if name.endswith(_DEVIATION)
    }
    given = {
        name: (values, f"column of {genes.name}")
        for name, values in genes.columns.items()
        if name in chosen.needs
    }
    return gather_evidence(chosen, given, deviations=spreads, known=known)


def _judge(chosen: Screen, genes: GeneSet, gathered: GatheredEvidence) -> Screening:
    """Screen, with a bar."""
    with _bar("screening") as progress:
        task = progress.add_task("genes", total=len(genes.table))
        return chosen.judge(
            genes.table,
            gathered.evidence,
            report=lambda done: progress.update(task, completed=done),
        )


def _bar(what: str) -> Progress:
    """Return a bar that goes away when it is done."""
    return Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )


def _document(
    screening: Screening, gathered: GatheredEvidence, costs: list[ScreenCost]
) -> ScreeningDoc:
    """Return what the job would store."""
    return ScreeningDoc(
        screen=screening.screen.definition,
        evidence=gathered.origins,
        n_genes=len(screening.table),
        n_accepted=len(screening.passed),
        funnel=screening.funnel,
        costs=costs,
        blob=pack_verdicts(screening.columns),
    )


def _write(
    path: Path,
    screening: Screening,
    genes: GeneSet,
    gathered: GatheredEvidence,
    costs: list[ScreenCost],
) -> None:
    """Write one row per gene."""
    places = genes.table.rows + 1
    verdicts = _document(screening, gathered, costs).iter_verdicts()
    try:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, _COLUMNS)
            writer.writeheader()
            for place, verdict in zip(places.tolist(), verdicts, strict=True):
                writer.writerow({"row": place} | verdict.model_dump(mode="json"))
    except OSError as error:
        raise ScreenError(f"{str(path)!r} cannot be written: {error}.") from error


# --- what it costs ------------------------------------------------------------------


def _show_costs(
    chosen: Screen,
    files: Sequence[Path],
    group: KnownGroup,
    known: Sequence[Path],
    *,
    as_json: bool,
) -> None:
    """Print what the filters drop of known crystals."""
    from wyckflow.crystal.dataset import load_dataset

    for path in files:
        dataset = load_dataset(path)
        properties: Mapping[str, Any] = dataset.properties
        given = {
            name: (np.asarray(properties[name]), f"property of {path.name}")
            for name in chosen.needs
            if name in properties
        }
        evidence = gather_evidence(chosen, given, deviations={}, known=known).evidence
        try:
            found = cost_of(chosen, dataset, group=group, evidence=evidence)
        except ModelError as error:  # a classifier that is not installed
            say(str(error))
            others = {k: v for k, v in evidence.sources.items() if k not in CLASSIFIERS}
            found = cost_of(
                chosen,
                dataset,
                group=group,
                evidence=Evidence(evidence.values, {}, others),
            )
        if as_json:
            out.print_json(json.dumps(found.model_dump()))
        else:
            show_cost(found)
