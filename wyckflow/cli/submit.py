"""``wyckflow submit``, ``run`` and ``build``: a campaign sent, run here, joined."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

import typer

from wyckflow.cli.campaign_view import (
    render_candidates,
    render_costs,
    render_funnel,
    say_scale,
    show_estimate,
)
from wyckflow.cli.candidates import Format, write_rows, write_structures
from wyckflow.cli.console import complain, out, say
from wyckflow.cli.options import CampaignOption, ProjectOption
from wyckflow.errors import CampaignError, nearest_name
from wyckflow.settings import find_project
from wyckflow.store.campaign.file import read_campaign_file
from wyckflow.store.campaign.funnel import read_funnel
from wyckflow.store.campaign.progress import advance_campaign, read_usage
from wyckflow.store.campaign.record import campaign_names, find_campaign, read_campaign
from wyckflow.store.campaign.register import register_campaign
from wyckflow.store.campaign.rounds import submit_campaign
from wyckflow.store.candidates.builder import build_candidates, list_campaigns
from wyckflow.store.candidates.query import BEST_FIRST, find_candidates
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wyckflow.schemas.campaign import CampaignSpec
    from wyckflow.store.campaign.local import LocalRun
    from wyckflow.store.connect import Database

_SHOWN: Final = 10
_MOST_WRITTEN: Final = 100_000

FileArgument = Annotated[
    Path, typer.Argument(help="A campaign's file.", show_default=False)
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Folder for candidates.csv, CIFs and funnel.png.",
        show_default="the campaign's name",
    ),
]


def submit(
    file: FileArgument,
    priority: Annotated[int, typer.Option(help="Higher runs first; 0 is usual.")] = 0,
    local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="Run it here and now, without workers, up to the gate before VASP.",
        ),
    ] = False,
    output: OutputOption = None,
    project: ProjectOption = None,
) -> None:
    """Send a campaign to the workers. Sending it again changes nothing.

    Example: wyckflow submit oxides.yaml
    """
    if local:
        run(file, output, project)
        return
    spec = read_campaign_file(file)
    database = load_project(project).database()
    sent = submit_campaign(database, spec, priority=priority)
    name = spec.name
    if not sent.fw_ids:
        say(
            f"campaign {name} was sent before, or has run; its budget is that of the "
            "file now. "
            f"'wyckflow campaign extend {name} --genes N' adds a round"
        )
        return
    say(f"campaign {name}: {sent.round.n_genes:,} genes, model {sent.round.model_name}")
    show_estimate(spec, sent.round.estimate)
    out.print("Workers do the rest, one of each kind at least:")
    out.print("  wyckflow worker start --category gpu")
    out.print("  wyckflow worker start --category cpu")
    out.print(f"How far it is: wyckflow status {name} --watch")


def run(
    file: FileArgument, output: OutputOption = None, project: ProjectOption = None
) -> None:
    """Run a campaign here and now, in one process, without FireWorks and workers.

    The same jobs make the same documents: in the project's database if you are in a
    project, else in a database of its own that is gone afterwards. The files stay.

    It ends at the gate before VASP, whatever the section 'dft' of the file says: VASP
    needs workers.

    Example: wyckflow run oxides.yaml -o oxides
    """
    spec = read_campaign_file(file)
    if run_campaign(spec, output or Path(spec.name), project=project):
        raise typer.Exit(1)


def run_campaign(
    spec: CampaignSpec, folder: Path, *, project: Path | None = None
) -> int:
    """Run a campaign in this process, print its result, and write its files.

    Parameters
    ----------
    spec
        What to do.
    folder
        For the files.
    project
        Project folder whose database is used; the one you are in if None, and a
        database for this run alone outside of any.

    Returns
    -------
    int
        Jobs that failed.
    """
    with _database(project) as database:
        campaign = register_campaign(database, spec)
        show_estimate(spec, campaign.rounds[0].estimate)
        done = _run_with_progress(database, spec.name, folder)
        for name, words in done.failures:
            complain(f"a job '{name}' failed: {words}")
        advance_campaign(database, spec.name)
        say(f"{done.n_jobs} jobs done, {len(done.failures)} failed")
        show_result(database, spec.name, folder)
        if spec.dft is not None:
            _say_gate(spec.name, is_kept=_is_in_project(project))
    return len(done.failures)


def _say_gate(name: str, *, is_kept: bool) -> None:
    """Say that the run ended before VASP, and how to go on."""
    out.print("\nNothing went on to VASP: a run without workers ends at that gate.")
    if is_kept:
        out.print(
            f"'wyckflow advance {name}' applies the rule of the file, 'wyckflow "
            f"approve --campaign {name}' lets crystals through by hand. Then workers "
            "of the kinds cpu and vasp do the rest."
        )
    else:
        out.print(
            "This run's database is gone, so nothing can follow: 'wyckflow submit' the "
            "file in a project."
        )


def build(
    campaign: CampaignOption = None,
    from_scratch: Annotated[
        bool,
        typer.Option("--from-scratch", help="Drop the candidates and join all again."),
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Join what jobs found into candidates, and hold campaigns beyond their budget.

    Incremental and harmless to repeat. 'wyckflow candidates' and 'campaign show' do
    it by themselves.

    Example: wyckflow build --campaign oxides --from-scratch
    """
    database = load_project(project).database()
    known = sorted({*campaign_names(database), *list_campaigns(database)})
    if campaign is not None and campaign not in known:
        raise CampaignError(
            f"No job of a campaign {campaign!r} has an output."
            f"{nearest_name(campaign, known)} Known: {', '.join(known) or 'none'}."
        )
    for name in [campaign] if campaign else known:
        _build(database, name, from_scratch=from_scratch)
    if not known:
        out.print("No campaign has run here yet: 'wyckflow submit FILE' sends one.")


def show_result(database: Database, name: str, folder: Path | None) -> None:
    """Print the funnel, the best candidates and the costs, and write files.

    Parameters
    ----------
    database
        Where the campaign is.
    name
        Its name.
    folder
        For the files; none are written if None.
    """
    funnel = read_funnel(database, name)
    out.print("\n[bold]Funnel[/bold]\n")
    out.print(render_funnel(funnel))
    relaxed = {"energy_per_atom": {"$ne": None}}
    best = find_candidates(
        database, campaign=name, where=relaxed, sort=BEST_FIRST, limit=_SHOWN
    )
    if best:
        out.print("\n[bold]The candidates lowest above the hull[/bold]\n")
        out.print(render_candidates(best))
        say_scale(best)
    else:
        out.print("\nNo gene came as far as to an energy.")
    out.print("\n[bold]What it took[/bold]\n")
    out.print(render_costs(read_campaign(database, name), read_usage(database, name)))
    if folder is not None:
        _write(database, name, folder)


def _write(database: Database, name: str, folder: Path) -> None:
    """Write candidates, structures and the figure."""
    from wyckflow.report.funnel import plot_funnel

    folder.mkdir(parents=True, exist_ok=True)
    out.print()
    found = find_candidates(database, campaign=name, limit=_MOST_WRITTEN)
    if found:
        write_rows(found, Format.CSV, folder / "candidates.csv")
        relaxed = [item for item in found if item.structure is not None]
        write_structures(relaxed, Format.CIF, folder / "crystals")
    if funnel := read_funnel(database, name):
        plot_funnel(folder / "funnel.png", funnel, title=f"Campaign {name}")
        say(f"figure in {folder / 'funnel.png'}")


def _build(database: Database, name: str, *, from_scratch: bool) -> None:
    """Join one campaign, and say what came of it."""
    if find_campaign(database, name) is None:  # jobs that were submitted one by one
        built = build_candidates(database, campaign=name, from_scratch=from_scratch)
        held = None
        reason = ""
    else:
        done = advance_campaign(database, name, from_scratch=from_scratch)
        built, held, reason = done.built, done.held, done.reason
    say(
        f"{name}: {built.n_outputs:,} new outputs, {built.n_candidates:,} candidates "
        f"updated, {built.n_ranked_again:,} ranked again"
    )
    if held is not None:
        say(f"{name}: {reason}; {held.n_changed:,} open jobs held")


def _run_with_progress(database: Database, name: str, folder: Path) -> LocalRun:
    """Run the first round, showing which job is at work."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    from wyckflow.store.campaign.local import count_planned_jobs, run_round_locally

    campaign = read_campaign(database, name)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, transient=not out.is_terminal) as bar:
        task = bar.add_task("begin", total=None)

        def report(job: str, has_ended: bool) -> None:
            bar.update(task, description=job, advance=int(has_ended))
            if has_ended and job == "campaign plan":
                n_planned = count_planned_jobs(database, name) or 0
                bar.update(task, total=bar.tasks[task].completed + n_planned)

        return run_round_locally(
            database,
            campaign,
            campaign.rounds[0],
            folder=folder / "jobs",
            report=report,
        )


def _is_in_project(project: Path | None) -> bool:
    """Return whether the documents of a run stay."""
    return project is not None or find_project() is not None


@contextmanager
def _database(project: Path | None) -> Iterator[Database]:
    """Yield the project's database, or one for this run alone."""
    if _is_in_project(project):
        yield load_project(project).database()
        return
    from wyckflow.store.connect import Database
    from wyckflow.store.embedded.server import temporary_server
    from wyckflow.store.indexes import create_indexes

    say("not in a project: the database of this run is gone afterwards, files stay")
    with (
        TemporaryDirectory(prefix="wyckflow-") as folder,
        temporary_server(Path(folder), ephemeral=False) as server,
    ):
        database = Database.from_uri(server.uri, server.database_name)
        create_indexes(database)
        yield database
