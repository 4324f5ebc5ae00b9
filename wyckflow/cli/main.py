"""The ``wyckflow`` command: its tree, and errors as one sentence."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from typing import Annotated, Final

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
    predict,
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

    wyckflow demo                          a small campaign from start to end

    wyckflow init my-project               a project folder with its own MongoDB

    cd my-project && wyckflow doctor       is everything in place?

    wyckflow campaign new oxides.yaml      a file that states the target

    wyckflow submit oxides.yaml            its jobs, for the workers

    wyckflow worker start --category gpu   runs those of a kind; another takes cpu

    wyckflow status oxides --watch         how far it is
    """,
    epilog="Any command explains itself: wyckflow COMMAND --help",
)
hull.app.command("build", no_args_is_help=True)(hull_build.build)
hull.app.add_typer(hull_fetch.app, name="fetch")

_START: Final = "Start"

PANELS: Final[dict[str, dict[str, Callable[..., None] | typer.Typer]]] = {
    _START: {"demo": demo.demo, "init": init.init, "doctor": doctor.doctor},
    "Campaigns, in a project": {
        "submit": submit.submit,
        "run": submit.run,
        "status": status.status,
        "campaign": campaign.app,
        "build": submit.build,
        "candidates": candidates.candidates,
        "explain": explain.explain,
        "report": report.report,
        "plot": plot.app,
        "approve": approve.approve,
        "advance": approve.advance,
    },
    "Single steps, without a project": {
        "generate": generate.generate,
        "predict": predict.predict,
        "predict-structure": predict_structure.predict,
        "screen": screen.screen,
        "evaluate": evaluate.evaluate,
        "relax": relax.relax,
        "phonon": phonon.phonon,
        "masses": electronic.masses,
        "gene": gene.app,
        "hull": hull.app,
        "dft": dft.app,
    },
    "Data and models": {
        "data": data.app,
        "train": train.train,
        "model": model.app,
        "classifier": classifier.app,
    },
    "Database and workers": {"db": database.app, "worker": worker.app},
}
_NEEDS_ARGUMENTS: Final = {"submit", "run", "report", "predict", "predict-structure"}

for _panel, _commands in PANELS.items():
    for _name, _command in _commands.items():
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, name=_name, rich_help_panel=_panel)
        else:
            app.command(
                _name,
                no_args_is_help=_name in _NEEDS_ARGUMENTS,
                rich_help_panel=_panel,
            )(_command)


@app.callback()
def main(
    traceback: Annotated[
        bool, typer.Option(TRACEBACK_FLAG, help="On an error, show where it arose.")
    ] = False,
) -> None:
    """Discover new inorganic crystals by generative design, on a database."""


@app.command(rich_help_panel=_START)
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
