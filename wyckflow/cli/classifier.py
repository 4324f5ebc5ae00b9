"""``wyckflow classifier``: train, ask, and look at classifiers of genes."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from wyckflow.cli.classifier_view import show_card, show_course
from wyckflow.cli.console import err, out, plain_table, say
from wyckflow.cli.options import JsonOption
from wyckflow.crystal.dataset.table import load_dataset
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import ModelError
from wyckflow.ml.classifiers.bundled import BUNDLED_CLASSIFIERS, open_classifier
from wyckflow.ml.classifiers.files import write_classifier
from wyckflow.ml.classifiers.options import ClassifierOptions, parse_task
from wyckflow.ml.classifiers.study import plan_study, run_study
from wyckflow.screening.metrics.reading import read_set

if TYPE_CHECKING:
    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.classifiers.model import Classifier

_DEFAULTS = ClassifierOptions()
_MOST_SHOWN = 20
_COLUMNS = ("gene", "score", "spread", "reason")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Probabilities of genes: is it a metal, could it be synthesised?",
)

Row = tuple[str, float, float, str]

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|FILE",
        help=f"{' or '.join(BUNDLED_CLASSIFIERS)}, or a file of your own.",
    ),
]


@app.command("score", no_args_is_help=True)
def score(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Genes: text with one per line, CSV with a column 'gene', a dataset, "
            "or structures.",
            show_default=False,
        ),
    ] = None,
    gene: Annotated[
        list[str] | None,
        typer.Option(
            "--gene",
            "-g",
            metavar="GENE",
            help="Such as '221 Sr:a Ti:b O:c'. Give it once per gene.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = BUNDLED_CLASSIFIERS[0],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="CSV for the scores.", show_default=False),
    ] = None,
) -> None:
    """Score genes; equivalent genes get the same score.

    The spread is how far the networks of the ensemble differ. A gene with an
    element that the classifier hardly ever saw has no score, but a reason.
    What a score means, and how good it is, says 'wyckflow classifier card'.

    Example: wyckflow classifier score --gene '221 Sr:a Ti:b O:c'

    Example: wyckflow classifier score genes.txt --model metal -o scores.csv
    """
    classifier = open_classifier(model)
    genes = [WyckoffGene.from_text(text) for text in gene or ()]
    for path in files or ():
        found = read_set(path)
        genes += found.table.genes()
        if found.unreadable:
            say(f"{path.name}: {len(found.unreadable):,} rows are no genes")
    if not genes:
        raise ModelError(
            "No genes came; give a file, or --gene as in 'wyckflow classifier score "
            '--gene "221 Sr:a Ti:b O:c"\'.'
        )
    rows = _score(classifier, genes)
    _show_scores(rows[:_MOST_SHOWN])
    if len(rows) > _MOST_SHOWN and output is None:
        say(f"and {len(rows) - _MOST_SHOWN:,} more; give --output to see them all")
    if output is not None:
        _write_scores(output, rows)
        say(f"{len(rows):,} scores in {output}")


@app.command("card")
def card(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help=f"{' or '.join(BUNDLED_CLASSIFIERS)}, or a file of your own.",
        ),
    ] = BUNDLED_CLASSIFIERS[0],
    plot: Annotated[
        Path | None,
        typer.Option(help="Calibration plot, .png or .pdf.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a classifier's score means, and how good it is on rows held out.

    Example: wyckflow classifier card metal --plot metal.png
    """
    described = open_classifier(model).card
    if as_json:
        out.print_json(described.model_dump_json())
    else:
        show_card(described)
    if plot is not None:
        from wyckflow.report.calibration_plot import plot_calibration

        plot_calibration(plot, described)
        say(f"drawn: {plot}")


@app.command("train", no_args_is_help=True)
def train(
    task: Annotated[
        str, typer.Argument(help="metal or synthesizability.", show_default=False)
    ],
    datasets: Annotated[
        list[Path],
        typer.Argument(
            help="Datasets: crystals with band gaps, or crystals that were made.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The model.", show_default=False)
    ],
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(
            "--unlabelled",
            "-u",
            help="Dataset of crystals that may or may not be makeable. Give it once "
            "per file.",
            show_default=False,
        ),
    ] = None,
    test: Annotated[
        list[Path] | None,
        typer.Option(
            "--test",
            help="Dataset to measure on; its formulas are kept out of the training. "
            "Give it once per file.",
            show_default=False,
        ),
    ] = None,
    share: Annotated[
        float,
        typer.Option(help="Makeable crystals among the unlabelled, assumed.", min=0),
    ] = _DEFAULTS.unlabelled_share,
    members: Annotated[
        int, typer.Option(help="Networks that vote.", min=1)
    ] = _DEFAULTS.n_members,
    epochs: Annotated[
        int, typer.Option(help="Passes over the rows.", min=1)
    ] = _DEFAULTS.n_epochs,
    seed: Annotated[int, typer.Option(help="Of everything drawn.", min=0)] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model of this name.")
    ] = False,
) -> None:
    """Train a classifier and write it with its card.

    The task 'metal' learns from band gaps (0 is a metal). The task
    'synthesizability' learns from crystals that were made and from unlabelled
    ones, weighted so that neither the size of the cell nor the kind of compound
    tells the two apart. A tenth of the formulas is kept for calibration.

    Example: wyckflow classifier train metal mp20.npz --test mp20-test.npz -o metal

    Example: wyckflow classifier train synthesizability made.npz -u wbm.npz -o mine
    """
    path = output if output.suffix == ".npz" else output.with_name(f"{output.name}.npz")
    if path.exists() and not overwrite:
        raise ModelError(
            f"{str(path)!r} exists already; choose another name or give --overwrite."
        )
    study = plan_study(
        parse_task(task), *(_load(part) for part in (datasets, unlabelled, test))
    )
    options = ClassifierOptions(
        n_members=members, n_epochs=epochs, unlabelled_share=share, seed=seed
    )
    with Progress(
        TextColumn("training"),
        BarColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as progress:
        bar = progress.add_task("epochs", total=None)
        trained = run_study(
            study,
            options,
            report=lambda n, total: progress.update(bar, completed=n, total=total),
        )
    write_classifier(trained.classifier, path)
    show_course(trained.history)
    show_card(trained.classifier.card)
    say(f"{path}: classifier {trained.classifier.identity[:12]}")


def _load(paths: list[Path] | None) -> list[tuple[str, Dataset]]:
    """Read datasets, each with the name of its file."""
    return [(path.stem, load_dataset(path)) for path in paths or ()]


def _score(classifier: Classifier, genes: list[WyckoffGene]) -> list[Row]:
    """Return text, score, spread and reason of each gene."""
    scores, spreads = classifier.score_with_spread(genes)
    return [
        (gene.to_text(), value, spread, reason)
        for gene, value, spread, reason in zip(
            genes,
            scores.tolist(),
            spreads.tolist(),
            classifier.explain(genes),
            strict=True,
        )
    ]


def _show_scores(rows: list[Row]) -> None:
    """Print one line per gene."""
    table = plain_table("gene", "score", "spread", "")
    for text, value, spread, reason in rows:
        if math.isnan(value):
            table.add_row(escape(text), "-", "-", f"cannot judge: {reason}")
        else:
            table.add_row(escape(text), f"{value:.3f}", f"{spread:.3f}", "")
    out.print(table)


def _write_scores(path: Path, rows: list[Row]) -> None:
    """Write one row per gene; a missing score is an empty field."""
    try:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(_COLUMNS)
            for text, value, spread, reason in rows:
                known = not math.isnan(value)
                numbers = (value, spread) if known else ("", "")
                writer.writerow((text, *numbers, reason))
    except OSError as error:
        raise ModelError(f"{str(path)!r} cannot be written: {error}.") from error
