"""``wyckflow plot``: single figures of a campaign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wyckflow.cli.console import say
from wyckflow.cli.options import ProjectOption
from wyckflow.cli.report import gather
from wyckflow.errors import QueryError
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.report import ReportData

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Draw one figure of a campaign: PNG, PDF or SVG, by the ending of the file.",
)

CampaignArgument = Annotated[
    str, typer.Argument(help="Name of the campaign.", show_default=False)
]
GeneArgument = Annotated[
    str,
    typer.Argument(
        metavar="GENE_ID",
        help="Id of a candidate, or its first digits.",
        show_default=False,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File.", show_default="CAMPAIGN-FIGURE.png"),
]


@app.command()
def funnel(
    campaign: CampaignArgument,
    output: OutputOption = None,
    project: ProjectOption = None,
) -> None:
    """Draw how many genes each stage left.

    Example: wyckflow plot funnel oxides -o funnel.pdf
    """
    from wyckflow.report.funnel import plot_funnel
    from wyckflow.store.campaign.funnel import read_funnel

    steps = read_funnel(load_project(project).database(), campaign)
    if not steps:
        raise QueryError(
            f"No stage of a campaign {campaign!r} has finished; 'wyckflow status' "
            "shows what has."
        )
    path = output or Path(f"{campaign}-funnel.png")
    plot_funnel(path, steps, title=f"Campaign {campaign}")
    say(f"figure in {path}")


@app.command()
def parity(
    campaign: CampaignArgument,
    output: OutputOption = None,
    project: ProjectOption = None,
) -> None:
    """Draw predicted against computed formation energies and gaps.

    Example: wyckflow plot parity oxides
    """
    _draw_group("parity", campaign, output, project)


@app.command()
def energies(
    campaign: CampaignArgument,
    output: OutputOption = None,
    project: ProjectOption = None,
) -> None:
    """Draw how far candidates lie above the hull.

    Example: wyckflow plot energies oxides
    """
    _draw_group("energies", campaign, output, project)


@app.command()
def latent(
    campaign: CampaignArgument,
    output: OutputOption = None,
    project: ProjectOption = None,
) -> None:
    """Draw the latent space of the model that proposed the genes.

    Example: wyckflow plot latent oxides
    """
    _draw_group("latent", campaign, output, project)


@app.command()
def phonons(
    campaign: CampaignArgument,
    gene_id: GeneArgument,
    output: OutputOption = None,
    project: ProjectOption = None,
) -> None:
    """Draw the phonon bands of one candidate.

    Example: wyckflow plot phonons oxides 419f61
    """
    from wyckflow.report.phonon_bands import plot_phonons

    data, item = _find(campaign, gene_id, project)
    found = data.evidence_of(item).phonons
    if found is None or found.spectrum is None:
        raise QueryError(
            f"No phonon bands of {item.formula_pretty} ({item.gene_id}) are kept; "
            "phonons are computed of candidates near the hull, if the campaign's file "
            "has a section 'phonon'."
        )
    path = output or Path(f"{campaign}-phonons-{item.gene_id[:8]}.png")
    plot_phonons(found.document, found.spectrum, found.settings, path)
    say(f"figure in {path}")


@app.command()
def bands(
    campaign: CampaignArgument,
    gene_id: GeneArgument,
    output: OutputOption = None,
    project: ProjectOption = None,
) -> None:
    """Draw the electronic bands of one candidate, with pockets and fitted masses.

    Bands of a VASP run outside a campaign: wyckflow masses RUN -o FOLDER

    Example: wyckflow plot bands oxides 419f61
    """
    from wyckflow.report.bands_plot import plot_bands

    data, item = _find(campaign, gene_id, project)
    found = data.evidence_of(item).electrons
    if found is None or found.bands is None:
        raise QueryError(
            f"No electronic bands of {item.formula_pretty} ({item.gene_id}) are kept; "
            "VASP computes them after 'wyckflow approve'."
        )
    path = output or Path(f"{campaign}-bands-{item.gene_id[:8]}.png")
    plot_bands(found.bands, found.document, path)
    say(f"figure in {path}")


def _draw_group(
    group: str, campaign: str, output: Path | None, project: Path | None
) -> None:
    """Draw the figures of one section side by side."""
    from wyckflow.report.look import save_figure
    from wyckflow.report.panels import join_panels, list_panels

    data = gather(load_project(project).database(), campaign)
    panels = list_panels(data, group)
    if not panels:
        notes = " ".join(data.notes)
        raise QueryError(
            f"Campaign {campaign!r} has no data for a figure of {group}. {notes}"
        )
    path = output or Path(f"{campaign}-{group}.png")
    save_figure(join_panels(panels, title=f"Campaign {campaign}"), path)
    for panel in panels:
        say(f"{panel.title}: {panel.caption}")
    say(f"figure in {path}")


def _find(
    campaign: str, gene_id: str, project: Path | None
) -> tuple[ReportData, CandidateDoc]:
    """Return a campaign and the one candidate that is meant."""
    from wyckflow.store.candidates.explain import explain_candidate

    database = load_project(project).database()
    data = gather(database, campaign)
    item = explain_candidate(database, gene_id, campaign=campaign).candidate
    return data, item
