"""``wyckflow worker``: processes that pull jobs and run them."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from wyckflow.cli.console import out
from wyckflow.cli.options import ProjectOption
from wyckflow.store.project import load_project
from wyckflow.store.worker.loop import WorkerOptions, run_worker

if TYPE_CHECKING:
    from types import FrameType

    from wyckflow.store.project import Project

app = typer.Typer(no_args_is_help=True, help="Processes that pull jobs and run them.")


@app.callback()
def worker() -> None:
    """Run processes that pull jobs."""


@app.command()
def start(
    category: Annotated[
        str,
        typer.Option(
            metavar="gpu|cpu|vasp",
            help="Kind of job to pull. CPU workers take unlabelled ones too. A kind of "
            "your own needs a file fworker_KIND.yaml in the project.",
        ),
    ],
    project: ProjectOption = None,
    processes: Annotated[
        int, typer.Option(help="Workers to run side by side; one per core.", min=1)
    ] = 1,
    lifetime: Annotated[
        float | None,
        typer.Option(
            help="Take no new job after this many seconds: set it below the queue's "
            "time limit.",
            show_default=False,
        ),
    ] = None,
    idle: Annotated[
        float | None,
        typer.Option(
            help="Leave after this many seconds without work. Default: wait for ever.",
            show_default=False,
        ),
    ] = None,
    max_jobs: Annotated[
        int | None,
        typer.Option(help="Leave after this many jobs.", min=1, show_default=False),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Base of the worker's name. Default: the host's.", show_default=False
        ),
    ] = None,
) -> None:
    """Run a worker until it is told to leave.

    SIGTERM, SIGUSR1 and Ctrl-C give the job in hand back to the queue and end
    the worker; a database that goes away is waited for. On a cluster this is
    the line of the batch script: wyckflow worker start --category gpu
    --lifetime 3300
    """
    home = load_project(project)
    if processes > 1:
        raise typer.Exit(_run_several(home, category, processes))
    options = WorkerOptions(category, name, lifetime, idle, max_jobs)
    _log_progress()
    run_worker(home, options, say=_log)


def _log(text: str) -> None:
    """Print one line of a worker's log, whose disk may be full."""
    with suppress(OSError):
        stamp = time.strftime("%H:%M:%S")
        out.print(f"{stamp} {text}", markup=False, soft_wrap=True)


class _ProgressLog(logging.Handler):
    """Sends what jobs tell of their progress to the worker's log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line."""
        _log(record.getMessage())


def _log_progress() -> None:
    """Show how far a job is, such as the genes of a shard that are relaxed."""
    logger = logging.getLogger("wyckflow")
    logger.setLevel(logging.INFO)
    logger.addHandler(_ProgressLog())


def _run_several(home: Project, category: str, processes: int) -> int:
    """Run several workers as processes of their own, and end them together."""
    command = [sys.executable, "-m", "wyckflow.cli.main", *_same_arguments()]
    command += ["--project", str(home.folder), "--processes", "1"]
    children = [subprocess.Popen(command) for _ in range(processes)]  # noqa: S603

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for child in children:
            child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, pass_on)
    # A terminal sends Ctrl-C to the children as well.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    codes = [child.wait() for child in children]
    out.print(f"{processes} {category} workers have left")
    return max(codes)


def _same_arguments() -> list[str]:
    """Return this command's arguments without those that the parent replaces."""
    words = iter(sys.argv[1:])
    kept = []
    for word in words:
        if word in {"--processes", "--project", "-p"}:
            next(words, None)
        elif not word.startswith(("--processes=", "--project=")):
            kept.append(word)
    return kept
