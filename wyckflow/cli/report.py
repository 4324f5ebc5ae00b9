"""``wyckflow report``: everything that is known of a campaign, as files for people."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from wyckflow.cli.console import err, out, say
from wyckflow.cli.options import ProjectOption
from wyckflow.errors import ConfigurationError
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from wyckflow.schemas.report import ReportData
    from wyckflow.store.connect import Database

_MOST: Final = 1000
FREE_GENES: Final = 1000

KnownOption = Annotated[
    Path | None,
    typer.Option(
        "--known",
        help="A data set ('wyckflow data import'), or a set of known genes, that "
        "novelty and analogues are looked for in.",
        show_default="analogues alone, of what the model learned from",
    ),
]


class Form(StrEnum):
    """What a report is written as."""

    HTML = "html"
    MD = "md"
    PDF_READY = "pdf-ready"


def report(
    campaign: Annotated[
        str, typer.Argument(help="Name of the campaign.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File, or folder for pdf-ready.",
            show_default="the campaign's name",
        ),
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", "-f", help="What comes out.")
    ] = Form.HTML,
    limit: Annotated[
        int, typer.Option(help="Candidates in it, the best first.", min=1)
    ] = _MOST,
    known: KnownOption = None,
    free: Annotated[
        int,
        typer.Option(
            "--free",
            help="Genes that the model draws without a target, to compare with.",
            min=0,
        ),
    ] = FREE_GENES,
    project: ProjectOption = None,
) -> None:
    """Write all that is known of a campaign into one page for the browser.

    The page is one file that loads nothing from anywhere: the funnel with its reasons,
    what was predicted and what came out, a table to sort and filter, and a section per
    candidate with its structure to turn, its phonons, bands, masses and decisions.
    What workers finished since the last time is taken in first.

    html: that page. md: Markdown with figures in a folder beside it. pdf-ready: a
    folder with every figure as PDF, as wide as a journal's column.

    Example: wyckflow report oxides

    Example: wyckflow report oxides --known mp20.npz --free 0 -o oxides.html
    """
    data = gather(
        load_project(project).database(), campaign, limit=limit, known=known, free=free
    )
    for note in data.notes:
        say(note)
    path = output or _default_path(campaign, form)
    if form is Form.HTML:
        write_html(data, path)
        return
    from wyckflow.report.documents import write_figures, write_markdown

    if form is Form.MD:
        n_figures = len(write_markdown(data, path)) - 1
        say(f"report in {path}, {n_figures} figures beside it")
    else:
        written = write_figures(data, path)
        say(f"{len(written)} figures in {path}/")


def write_campaign_report(database: Database, campaign: str, path: Path) -> None:
    """Write the page of a campaign that has just ended, and say where it is.

    Parameters
    ----------
    database
        Where the campaign is.
    campaign
        Its name.
    path
        Of the page.
    """
    write_html(gather(database, campaign), path)


def gather(
    database: Database,
    campaign: str,
    *,
    limit: int = _MOST,
    known: Path | None = None,
    free: int = FREE_GENES,
    has_model: bool = True,
) -> ReportData:
    """Read what a report shows, and say what is being read.

    Parameters
    ----------
    database
        Where the campaign is.
    campaign
        Its name.
    limit
        At most so many candidates.
    known
        A data set or known genes, or None.
    free
        Genes to draw without a target.
    has_model
        Whether to open the model, and read all genes.
    """
    from wyckflow.store.evidence.gather import ReportRequest, gather_report

    if known is not None and not known.is_file():
        raise ConfigurationError(
            f"There is no file {str(known)!r}; 'wyckflow data import' makes a data "
            "set of a table of crystals."
        )
    request = ReportRequest(limit, known, free, has_model)
    with out.status("reading") as status:
        return gather_report(database, campaign, request, report=status.update)


def write_html(data: ReportData, path: Path) -> None:
    """Write the page with a bar of progress, and say how large it became.

    Parameters
    ----------
    data
        Of the report.
    path
        Of the page.
    """
    from wyckflow.report.page.render import write_page

    columns = (TextColumn("candidates"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("", total=len(data.candidates))
        size = write_page(
            data, path, report=lambda n: progress.update(task, completed=n)
        )
    say(
        f"report in {path}: {len(data.candidates):,} of {data.n_candidates:,} "
        f"candidates, {size / 1e6:.1f} MB; open it in a browser"
    )


def _default_path(campaign: str, form: Form) -> Path:
    endings = {Form.HTML: ".html", Form.MD: ".md", Form.PDF_READY: "-figures"}
    return Path(f"{campaign}{endings[form]}")
