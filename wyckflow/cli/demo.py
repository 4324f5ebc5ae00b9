"""``wyckflow demo``: a small campaign from a target to a table of crystals."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.live import Live

from wyckflow.cli.campaign_view import show_estimate
from wyckflow.cli.console import complain, duration, out, say
from wyckflow.cli.demo_dft import (
    REQUEST,
    VASP_JOBS,
    send_to_simulator,
    show_simulated,
    simulator_variables,
)
from wyckflow.cli.demo_known import show_known, submit_known
from wyckflow.cli.init import prepare_own_project
from wyckflow.cli.report import write_campaign_report
from wyckflow.cli.status import render
from wyckflow.cli.submit import show_result
from wyckflow.errors import ModelError, WyckflowError
from wyckflow.resources import Category
from wyckflow.schemas.campaign import MOST_GENES, Budget, CampaignSpec
from wyckflow.schemas.target import PAPER_TARGET
from wyckflow.settings import SETTINGS_FILE
from wyckflow.store.campaign.progress import advance_campaign
from wyckflow.store.campaign.rounds import submit_campaign
from wyckflow.store.embedded.server import EmbeddedServer
from wyckflow.store.monitor import read_status
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wyckflow.store.monitor import Status
    from wyckflow.store.project import Project

WORKERS: Final = (Category.CPU, Category.GPU, Category.GPU)
"""Two of the kind that has most to do: one per core of a small machine."""

PATIENCE_S: Final = 1800.0
GENES_PER_RELAXATION: Final = 30
FEWEST_RELAXATIONS: Final = 3
"""Of so many genes, one may be relaxed, which takes longest, and at least so many."""

_LOOKS_BEFORE_THE_END: Final = 5
"""A child becomes ready a moment after its parent has ended."""


def demo(
    folder: Annotated[
        Path, typer.Argument(help="Project folder of the demo; made if missing.")
    ] = Path("wyckflow-demo"),
    genes: Annotated[
        int,
        typer.Option(
            help="Genes to generate; the time grows with them.", min=8, max=MOST_GENES
        ),
    ] = 3000,
    known: Annotated[
        bool, typer.Option("--known", help="Nine known crystals instead of new ones.")
    ] = False,
    with_dft_simulator: Annotated[
        bool,
        typer.Option(
            "--with-dft-simulator",
            help="Send a crystal or two on to a simulator of VASP.",
        ),
    ] = False,
    keep_server: Annotated[
        bool, typer.Option("--keep-server", help="Leave MongoDB running at the end.")
    ] = False,
) -> None:
    """Run a small campaign on this machine, with nothing set up before.

    Starts a MongoDB server in FOLDER and sends a campaign through FireWorks workers
    in processes of their own: the bundled model proposes genes (space group and
    Wyckoff letters, no coordinates) for the target of the WyCryst+ paper, they are
    screened, the most promising are relaxed with CHGNet, held against the hull of
    known phases, and the best get phonons. The result is read back from MongoDB.
    Takes a few minutes; GPU workers use the processor where there is no GPU.

    With --with-dft-simulator, the best go on through the gate before VASP to a program
    that writes VASP's files and has none of its physics; all it writes says SIMULATED.

    Example: wyckflow demo --genes 1000

    Example: wyckflow demo --known --with-dft-simulator
    """
    began = time.monotonic()
    project = _project(folder.expanduser().resolve())
    server = EmbeddedServer(project.database_folder)
    server.start()
    try:
        name = f"demo-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
        is_known = _submit(project, name, genes, known=known, dft=with_dft_simulator)
        vasp = simulator_variables(project) if with_dft_simulator else None
        with _workers(project, vasp) as workers:
            status = _wait(project, name, workers)
            if with_dft_simulator:
                send_to_simulator(project.database(), name)
                status = _wait(project, name, workers)
        if is_known:
            show_known(project.database(), name)
        else:
            advance_campaign(project.database(), name)
            show_result(project.database(), name, project.folder / name)
        if with_dft_simulator:
            show_simulated(project.database(), name)
        page = project.folder / f"{name}.html"
        write_campaign_report(project.database(), name, page)
        out.print(f"\nTook {duration(time.monotonic() - began)}.")
        _say_what_next(project, name, is_known=is_known, keep_server=keep_server)
        _complain(project, status)
    finally:
        if not keep_server:
            server.stop()


def _project(folder: Path) -> Project:
    """Return the demo's project, made on the first run."""
    if (folder / SETTINGS_FILE).is_file():
        return load_project(folder)
    say(f"making a project with a MongoDB server of its own in {folder}")
    return prepare_own_project(folder)


def _submit(project: Project, name: str, genes: int, *, known: bool, dft: bool) -> bool:
    """Send the campaign; return whether it is the one on known crystals."""
    database = project.database()
    if not known:
        try:
            spec = make_campaign(name, genes, with_dft=dft)
            sent = submit_campaign(database, spec)
        except ModelError as error:
            say(f"{error} Known crystals are shown instead.")
        else:
            say(f"submitted campaign {name}: {sent.round.n_genes:,} genes to generate")
            show_estimate(sent.campaign.spec, sent.round.estimate)
            return False
    submit_known(database, name)
    return True


def make_campaign(name: str, n_genes: int, *, with_dft: bool = False) -> CampaignSpec:
    """Return a campaign on the paper's target that a small machine can finish.

    Parameters
    ----------
    name
        Its name.
    n_genes
        Genes to generate.
    with_dft
        Whether its best crystals go to VASP.
    """
    n_relaxations = max(n_genes // GENES_PER_RELAXATION, FEWEST_RELAXATIONS)
    return CampaignSpec(
        name=name,
        target=PAPER_TARGET,
        n_genes=n_genes,
        hull={"threshold": 0.05},
        phonon={"max_atoms_in_all": 6_000},
        shard_minutes=0.2,
        dft=REQUEST if with_dft else None,
        budget=Budget(
            relaxations=n_relaxations,
            vasp_jobs=VASP_JOBS if with_dft else 0,
        ),
    )


@contextmanager
def _workers(
    project: Project, vasp: dict[str, str] | None = None
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run one worker of each kind for a block, each with a log in the project.

    One for VASP only with the variables that stand in for it.
    """
    processes = []
    kinds = (*WORKERS, Category.VASP) if vasp else WORKERS
    for number, category in enumerate(kinds):
        log = project.folder / f"worker-{number}-{category}.log"
        say(f"starting a {category} worker, log in {log.name}")
        command = [sys.executable, "-m", "wyckflow.cli.main", "worker", "start"]
        command += ["--category", category, "--project", str(project.folder)]
        with log.open("a") as stream:
            process = subprocess.Popen(  # noqa: S603 (our own command)
                command,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1", **(vasp or {})},
            )
        processes.append(process)
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _wait(
    project: Project, campaign: str, workers: list[subprocess.Popen[bytes]]
) -> Status:
    """Show progress until every job that can run has ended, and return the end.

    A shard that fails is that shard's: what waits for it is not waited for.
    """
    database = project.database()
    deadline = time.monotonic() + PATIENCE_S
    n_quiet = 0
    with Live(console=out, auto_refresh=False, transient=not out.is_terminal) as live:
        while n_quiet < _LOOKS_BEFORE_THE_END:
            status = read_status(database, campaign=campaign)
            if out.is_terminal:
                live.update(render(status), refresh=True)
            if not status.n_open:
                break
            is_busy = any(
                row.count("READY", "RUNNING", "RESERVED") for row in status.rows
            )
            n_quiet = 0 if is_busy else n_quiet + 1
            problem = _problem(workers, deadline)
            if problem:
                raise WyckflowError(
                    f"The demo did not finish ({problem}). See what the workers say in "
                    f"{project.folder}/worker-*.log."
                )
            time.sleep(1.0)
    if not out.is_terminal:
        out.print(render(status))
    return status


def _problem(workers: list[subprocess.Popen[bytes]], deadline: float) -> str:
    """Say why nothing can go on, if so."""
    if any(worker.poll() is not None for worker in workers):
        return "a worker ended"
    return "out of patience" if time.monotonic() > deadline else ""


def _complain(project: Project, status: Status) -> None:
    """Name the jobs that failed, and end the command in failure if any has."""
    for failure in status.failures:
        complain(
            f"job {failure.fw_id} ({failure.name}) failed: {failure.message}. More in "
            f"{project.folder}/worker-*.log."
        )
    if status.failures:
        raise typer.Exit(1)


def _say_what_next(
    project: Project, campaign: str, *, is_known: bool, keep_server: bool
) -> None:
    """Say how to look around."""
    out.print(f"\nEverything is in {project.folder}. To look around:")
    out.print(f"  cd {project.folder}")
    if not keep_server:
        out.print("  wyckflow db start")
    out.print(f"  wyckflow status {campaign}")
    if not is_known:
        out.print(f"  wyckflow campaign show {campaign}")
        out.print("  wyckflow candidates -w 'energy_above_hull < 0.05'")
        out.print(f"  wyckflow campaign export {campaign}")
    out.print("  wyckflow doctor")
