"""``wyckflow demo``: a small campaign from genes to a table of crystals."""

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

from wyckflow.cli.console import duration, out, plain_table, say
from wyckflow.cli.init import prepare_own_project
from wyckflow.cli.status import render
from wyckflow.errors import WyckflowError
from wyckflow.resources import Category
from wyckflow.schemas.screening import Verdict
from wyckflow.settings import SETTINGS_FILE
from wyckflow.store.monitor import read_status
from wyckflow.store.project import load_project
from wyckflow.store.server import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.store.project import Project

MEASURED_A: Final[dict[str, float | None]] = {
    "221 Sr:a Ti:b O:c": 3.905,
    "225 Na:a Cl:b": 5.640,
    "216 Zn:a S:c": 5.409,
    "221 Cs:a Cl:b": 4.123,
    "225 Ca:a F:c": 5.463,
    "225 Mg:c Si:a": 6.351,
    "136 Ti:a O:f": 4.594,
    "186 Ga:b N:b": 3.189,
    "225 Na:c Cl:a": None,  # Na2Cl is not neutral: stopped by the screen
}
"""Known crystals, with the lattice parameter a measured at room temperature, in A."""

WORKERS: Final = (Category.CPU, Category.GPU)
PATIENCE_S = 1800.0


def demo(
    folder: Annotated[
        Path, typer.Argument(help="Project folder of the demo; made if missing.")
    ] = Path("wyckflow-demo"),
    shards: Annotated[
        int, typer.Option(help="Relaxation jobs; more can run side by side.", min=1)
    ] = 2,
    keep_server: Annotated[
        bool, typer.Option("--keep-server", help="Leave MongoDB running at the end.")
    ] = False,
) -> None:
    """Run a small campaign on this machine, with nothing set up before.

    Starts a MongoDB server in FOLDER, sends nine known crystals as genes (space
    group and Wyckoff letters, no coordinates) through FireWorks workers in
    processes of their own: screened by charge on a CPU worker, built and
    relaxed with CHGNet on a GPU worker (it uses the CPU where there is no GPU).
    The result is read back from MongoDB. Takes a few minutes.
    """
    began = time.monotonic()
    project = _project(folder.expanduser().resolve())
    server = EmbeddedServer(project.database_folder)
    server.start()
    try:
        campaign = f"demo-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
        _submit(project, campaign, shards)
        with _workers(project) as workers:
            _wait(project, campaign, workers)
        _show(_candidates(project, campaign))
        out.print(f"\nTook {duration(time.monotonic() - began)}.")
        _say_what_next(project, campaign, keep_server=keep_server)
    finally:
        if not keep_server:
            server.stop()


def _project(folder: Path) -> Project:
    """Return the demo's project, made on the first run."""
    if (folder / SETTINGS_FILE).is_file():
        return load_project(folder)
    say(f"making a project with a MongoDB server of its own in {folder}")
    return prepare_own_project(folder)


def _submit(project: Project, campaign: str, shards: int) -> None:
    """Send the flow to the LaunchPad."""
    from wyckflow.flows.demo import DemoFlowMaker
    from wyckflow.makers.relax import RelaxMaker
    from wyckflow.store.submit import submit

    maker = DemoFlowMaker(relax_maker=RelaxMaker(n_trials=2), n_shards=shards)
    flow = maker.make(list(MEASURED_A))
    ids = submit(flow, campaign=campaign, database=project.database())
    say(f"submitted campaign {campaign}: {len(MEASURED_A)} genes in {len(ids)} jobs")


@contextmanager
def _workers(project: Project) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run one worker of each kind for a block, each with a log in the project."""
    processes = []
    for category in WORKERS:
        log = project.folder / f"worker-{category}.log"
        say(f"starting a {category} worker, log in {log.name}")
        command = [sys.executable, "-m", "wyckflow.cli.main", "worker", "start"]
        command += ["--category", category, "--project", str(project.folder)]
        with log.open("a") as stream:
            process = subprocess.Popen(  # noqa: S603 (our own command)
                command,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
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
) -> None:
    """Show progress until every job has ended, or nothing can go on."""
    database = project.database()
    deadline = time.monotonic() + PATIENCE_S
    with Live(console=out, auto_refresh=False, transient=not out.is_terminal) as live:
        while True:
            status = read_status(database, campaign=campaign)
            if out.is_terminal:
                live.update(render(status), refresh=True)
            if not status.n_open:
                break
            reasons = [failure.message for failure in status.failures]
            if any(worker.poll() is not None for worker in workers):
                reasons.append("a worker ended")
            if time.monotonic() > deadline:
                reasons.append("out of patience")
            if reasons:
                raise WyckflowError(
                    f"The demo did not finish ({'; '.join(reasons)}). See what the "
                    f"workers say in {project.folder}/worker-*.log."
                )
            time.sleep(1.0)
    if not out.is_terminal:
        out.print(render(status))


def _candidates(project: Project, campaign: str) -> list[CandidateDoc]:
    """Join the outputs into candidates and read them back."""
    from wyckflow.store.builder import build_candidates
    from wyckflow.store.query import find_candidates

    database = project.database()
    report = build_candidates(database, campaign=campaign)
    say(f"joined {report.n_outputs} job outputs into candidates")
    return find_candidates(
        database, campaign=campaign, sort=[("energy_per_atom", 1), ("gene_id", 1)]
    )


def _show(candidates: list[CandidateDoc]) -> None:
    """Print what the database holds now, beside what was measured."""
    out.print("\n[bold]Candidates, read back from MongoDB[/bold]\n")
    table = plain_table("crystal", "gene", "outcome", "eV/atom", "a / A", "measured a")
    for column in table.columns[1:3]:
        column.justify, column.no_wrap = "left", True
    for item in candidates:
        table.add_row(
            item.formula_pretty,
            item.gene,
            _outcome(item),
            _number(item.energy_per_atom),
            _number(_lattice_a(item)),
            _number(MEASURED_A.get(item.gene)),
        )
    out.print(table)
    scales = {item.energy_scale for item in candidates if item.energy_scale}
    out.print(
        f"\nEnergies are on the scale {', '.join(sorted(scales))}: those of a network "
        "trained on Materials Project GGA(+U), not of DFT. Lattice parameters of PBE, "
        "which it learnt, lie 1 to 2 % above measured ones."
    )


def _outcome(candidate: CandidateDoc) -> str:
    """Say in a few words how far a candidate came."""
    if candidate.verdict is not Verdict.PASS:
        return f"stopped: {candidate.verdicts[-1].filter}".replace("_", " ")
    if not candidate.outcomes:
        return "not relaxed"
    kept = ", symmetry kept" if candidate.is_symmetry_kept else ""
    return f"{candidate.outcomes[-1].outcome}{kept}"


def _lattice_a(candidate: CandidateDoc) -> float | None:
    """Return the first lattice parameter of a candidate's structure, in A."""
    if candidate.structure is None:
        return None
    return float(candidate.structure["lattice"]["a"])


def _number(value: float | None) -> str:
    """Return a number with three digits, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def _say_what_next(project: Project, campaign: str, *, keep_server: bool) -> None:
    """Say how to look around."""
    out.print(f"\nEverything is in {project.folder}. To look around:")
    out.print(f"  cd {project.folder}")
    if not keep_server:
        out.print("  wyckflow db start")
    out.print(f"  wyckflow status --campaign {campaign}")
    out.print("  wyckflow doctor")
