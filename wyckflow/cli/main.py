"""The ``wyckflow`` command: its tree, and errors as one sentence."""

from __future__ import annotations

import os
import platform
import sys
from typing import Annotated

import typer

from wyckflow import __version__
from wyckflow.cli import (
    approve,
    campaign,
    candidates,
    classifier,
    data,
    database,
    demo,
    dft,
    doctor,
    electronic,
    evaluate,
    explain,
    gene,
    generate,
    hull,
    hull_build,
    hull_fetch,
    init,
    model,
    phonon,
    plot,
    predict_structure,
    relax,
    report,
    screen,
    status,
    submit,
    train,
    worker,
)
from wyckflow.cli.console import complain, out
from wyckflow.errors import WyckflowError

TRACEBACK_FLAG = "--traceback"

app = typer.Typer(
    name="wyckflow",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="""Discover new inorganic crystals by generative design, on a database.

    [bold]First steps[/bold]

    wyckflow demo                       a small campaign from start to end

    wyckflow init my-project            a project folder with its own MongoDB

    cd my-project && wyckflow doctor    is everything in place?

    wyckflow worker start --category gpu

    wyckflow status --watch
    """,
    epilog="Any command explains itself: wyckflow COMMAND --help",
)
app.add_typer(database.app, name="db")
app.add_typer(worker.app, name="worker")
app.add_typer(data.app, name="data")
hull.app.command("build", no_args_is_help=True)(hull_build.build)
hull.app.add_typer(hull_fetch.app, name="fetch")
app.add_typer(hull.app, name="hull")
app.add_typer(campaign.app, name="campaign")
app.add_typer(model.app, name="model")
app.add_typer(dft.app, name="dft")
app.add_typer(plot.app, name="plot")
app.add_typer(classifier.app, name="classifier")
app.add_typer(gene.app, name="gene")
app.command("init")(init.init)
app.command("submit", no_args_is_help=True)(submit.submit)
app.command("run", no_args_is_help=True)(submit.run)
app.command("build")(submit.build)
app.command("status")(status.status)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("generate")(generate.generate)
app.command("relax")(relax.relax)
app.command("screen")(screen.screen)
app.command("explain")(explain.explain)
app.command("evaluate")(evaluate.evaluate)
app.command("phonon")(phonon.phonon)
app.command("predict-structure", no_args_is_help=True)(predict_structure.predict)
app.command("masses")(electronic.masses)
app.command("candidates")(candidates.candidates)
app.command("report", no_args_is_help=True)(report.report)
app.command("approve")(approve.approve)
app.command("advance")(approve.advance)


@app.callback()
def main(
    traceback: Annotated[
        bool, typer.Option(TRACEBACK_FLAG, help="On an error, show where it arose.")
    ] = False,
) -> None:
    """Discover new inorganic crystals by generative design, on a database."""


@app.command()
def version() -> None:
    """Print the versions of wyckflow and Python."""
    out.print(f"wyckflow {__version__} (Python {platform.python_version()})")


def run() -> None:
    """Run the command; an error is one sentence, unless more is asked for."""
    wants_traceback = TRACEBACK_FLAG in sys.argv
    arguments = [word for word in sys.argv[1:] if word != TRACEBACK_FLAG]
    try:
        app(args=arguments)
    except WyckflowError as error:
        if wants_traceback:
            raise
        complain(str(error))
        raise SystemExit(1) from None
    except BrokenPipeError:  # the reader, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        if wants_traceback:
            raise
        complain(
            f"{type(error).__name__}: {error}. This is not an error that wyckflow "
            f"foresaw: run the command again with {TRACEBACK_FLAG} and report what it "
            "shows."
        )
        raise SystemExit(2) from None


if __name__ == "__main__":
    run()
