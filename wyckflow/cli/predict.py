"""``wyckflow predict``: properties of genes and crystals that people have."""

from __future__ import annotations

import csv
import json
from contextlib import ExitStack
from itertools import islice
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

from wyckflow.cli.console import err, out
from wyckflow.cli.options import JsonOption, ProjectOption
from wyckflow.cli.predict_rows import open_rows
from wyckflow.cli.predict_view import Summary, describe, show
from wyckflow.errors import ConfigurationError, DatasetError, ModelError
from wyckflow.makers._predictors import PropertyPredictor
from wyckflow.makers.models import load_model
from wyckflow.relax.contract import RelaxOptions
from wyckflow.schemas.prediction import PredictionRefusal
from wyckflow.settings import WyckflowSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from wyckflow.ml.forward.crystals import Crystals
    from wyckflow.relax.intake import Entry

_BATCH = 2048


def predict(
    model: Annotated[
        str,
        typer.Argument(
            help="'bundled', a model's file, or a model registered in the project.",
            show_default=False,
        ),
    ],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Crystals: tables with a column 'gene' or 'cif', text with a gene per "
            "line, CIF, POSCAR, folders of these, datasets (.npz).",
            show_default=False,
        ),
    ] = None,
    gene: Annotated[
        list[str] | None,
        typer.Option(
            "--gene",
            "-g",
            help="Such as '221 Sr:a Ti:b O:c'. Give it once per gene.",
            show_default=False,
        ),
    ] = None,
    campaign: Annotated[
        str | None,
        typer.Option(
            "--campaign", "-c", help="Its candidates, too.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="CSV for all predictions.", show_default=False
        ),
    ] = None,
    symprec: Annotated[
        float,
        typer.Option(help="Tolerance in A of the symmetry of structures.", min=1e-5),
    ] = RelaxOptions().symprec,
    n_descriptions: Annotated[
        int | None,
        typer.Option(
            "--descriptions",
            help="Equivalent descriptions to average over; a forward model that was "
            "trained without 'augment' takes one.",
            min=1,
            show_default="4, or what a forward model was trained with",
        ),
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict properties of crystals, each with its uncertainty.

    A generator's networks read the gene alone, which is the space group and which
    element sits where. A forward model ('wyckflow train' with 'model: forward') may
    read cell and coordinates too: it takes structures, and of a campaign the relaxed
    ones, and refuses bare genes. Estimates that order crystals, on the scale of what
    the model learned from. What cannot be taken is a row with its reason, and the
    rest goes on.

    Example: wyckflow predict bundled genes.csv my-cifs/ -o predicted.csv

    Example: wyckflow predict bundled --gene '221 Sr:a Ti:b O:c'

    Example: wyckflow predict my-model --campaign oxides -o predicted.csv
    """
    _check_asked(model, files or [], gene or [], campaign, output)
    predictor = _load(model, project, n_descriptions)
    n_rows, entries = open_rows(
        files or [],
        gene or [],
        campaign,
        project=project,
        symprec=symprec,
        with_cells=predictor.needs_cells,
    )
    names = predictor.properties
    summary = Summary()
    with ExitStack() as stack:
        write = _open_csv(output, names, stack) if output else None
        report = _start_bar(n_rows, stack)
        for row in _predict(predictor, entries):
            summary.add(row, keep=as_json and output is None)
            if write is not None:
                write(row)
            report()
    if as_json:
        out.print_json(json.dumps(describe(predictor, summary, output)))
    else:
        show(predictor, summary, output)
    if not summary.n_predicted:
        raise typer.Exit(1)


# --- what comes in --------------------------------------------------------------------


def _check_asked(
    model: str,
    files: Sequence[Path],
    genes: Sequence[str],
    campaign: str | None,
    output: Path | None,
) -> None:
    """Refuse to begin without crystals, or to write into what is read."""
    if not (files or genes or campaign):
        raise DatasetError(
            "No crystals came; give, after the model, a file, "
            "--gene '221 Sr:a Ti:b O:c', or --campaign."
        )
    read = [Path(model), *files]
    if output is not None and output.resolve() in [path.resolve() for path in read]:
        raise ConfigurationError(
            f"{str(output)!r} would be read and written at once; give another name "
            "with --output."
        )


def _load(
    model: str, project: Path | None, n_descriptions: int | None
) -> PropertyPredictor:
    """Open a model from wherever it is."""
    from wyckflow.ml.model_file import BUNDLED_MODELS

    here = WyckflowSettings.load()
    source: Any = model
    if model not in BUNDLED_MODELS and not Path(model).is_file():
        from wyckflow.store.models import fetch_model
        from wyckflow.store.project import load_project

        try:
            database = load_project(project).database()
        except ConfigurationError as error:
            raise ModelError(
                f"There is no model {model!r}: give 'bundled', a model's file, or, "
                "inside a project or with --project, the name of a registered model."
            ) from error
        source = fetch_model(database, model)
    loaded = load_model(source, here.device, here.threads)
    return PropertyPredictor.load(*loaded, n_descriptions=n_descriptions)


# --- predicting -----------------------------------------------------------------------


def _predict(
    predictor: PropertyPredictor, entries: Iterable[Entry]
) -> Iterator[dict[str, Any]]:
    """Yield a row per entry, in order, some thousand at a time."""
    iterator = iter(entries)
    while part := list(islice(iterator, _BATCH)):
        refusals, crystals = _sort_out(predictor, part)
        values, errors = predictor.predict(crystals)
        numbers = zip(values.tolist(), errors.tolist(), strict=True)
        for entry, refusal in zip(part, refusals, strict=True):
            row: dict[str, Any] = {"name": entry.name, "gene": "", "formula": ""}
            if entry.gene is not None:
                row |= {"gene": entry.gene.to_text(), "formula": entry.gene.formula}
            if not refusal:
                for name, value, error in zip(
                    predictor.properties, *next(numbers), strict=True
                ):
                    row |= {name: value, f"{name}_deviation": error}
            yield row | {"refusal": refusal, "source": entry.source}


def _sort_out(
    predictor: PropertyPredictor, entries: Sequence[Entry]
) -> tuple[list[str], Crystals]:
    """Say why entries are not predicted, and return the crystals of the others."""
    from wyckflow.ml.forward.crystals import (
        crystals_from_genes,
        crystals_from_structures,
    )

    refusals = [entry.refusal for entry in entries]
    asked = []
    for place, entry in enumerate(entries):
        if refusals[place] or entry.gene is None:
            continue
        if predictor.needs_cells and entry.structure is None:
            refusals[place] = predictor.explain(PredictionRefusal.NO_CELL, entry.gene)
        else:
            asked.append((place, entry.gene, entry.structure))
    structures = [item for *_, item in asked if item is not None]
    crystals = (
        crystals_from_structures(structures)
        if predictor.needs_cells
        else crystals_from_genes([gene for _, gene, _ in asked])
    )
    kept = []
    reasons = predictor.find_refused(crystals)
    for row, ((place, gene, _), reason) in enumerate(zip(asked, reasons, strict=True)):
        if reason is None:
            kept.append(row)
        else:
            refusals[place] = predictor.explain(reason, gene)
    return refusals, crystals.take(np.array(kept, np.int64))


def _start_bar(n_rows: int, stack: ExitStack) -> Callable[[], None]:
    """Show a bar while the stack is open."""
    progress = stack.enter_context(
        Progress(
            TextColumn("predicting"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
        )
    )
    task = progress.add_task("crystals", total=n_rows)
    return lambda: progress.advance(task)


# --- what comes out -------------------------------------------------------------------


def _open_csv(
    path: Path, names: Sequence[str], stack: ExitStack
) -> Callable[[dict[str, Any]], object]:
    """Open a table, and return what writes a row into it."""
    columns = ["name", "gene", "formula"]
    numbers = [column for name in names for column in (name, f"{name}_deviation")]
    try:
        stream = stack.enter_context(path.open("w", newline="", encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{str(path)!r} cannot be written: {error}.") from error
    writer = csv.DictWriter(
        stream, [*columns, *numbers, "refusal", "source"], lineterminator="\n"
    )
    writer.writeheader()

    def write(row: dict[str, Any]) -> None:
        rounded = {name: f"{row[name]:.6g}" for name in numbers if name in row}
        writer.writerow(row | rounded)

    return write
