"""``wyckflow plot``: single figures of a campaign, all asked for in one way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from wyckflow.cli.console import say
from wyckflow.cli.options import ProjectOption
from wyckflow.cli.report import FREE_GENES, gather
from wyckflow.errors import QueryError
from wyckflow.store.project import load_project

if TYPE_CHECKING:
    from collections.abc import Callable

    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.report import ReportData
    from wyckflow.store.connect import Database

    Drawer = Callable[[ReportData, CandidateDoc, Path], str]

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

_OF_CAMPAIGNS: Final = {
    "funnel": "Draw how many genes each stage left.",
    "parity": "Draw predicted against computed formation energies and gaps, with the "
    "intervals of the model.",
    "energies": "Draw how far candidates lie above the hull, by CHGNet and by DFT "
    "apart.",
    "distributions": "Draw properties, hull distances, symmetries and elements of what "
    "was generated, beside genes without a target and what the model learned from.",
    "latent": "Draw the latent space of the model, and where the genes of the campaign "
    "lie in it.",
}
"""Figures of a whole campaign, and what their help says."""

_OF_CANDIDATES: Final = {
    "phonons": "Draw the phonon bands of one candidate.",
    "bands": "Draw the electronic bands of one candidate, with pockets and fitted "
    "masses.\n\nBands of a VASP run outside a campaign: wyckflow masses RUN -o FOLDER",
}
"""Figures of one candidate, and what their help says."""

_WITH_MODEL: Final = frozenset({"distributions", "latent"})
"""Figures for which the model is opened."""


def _add_campaign_figure(name: str, text: str) -> None:
    """Add the command for a figure of a whole campaign."""

    def draw(
        campaign: CampaignArgument,
        output: OutputOption = None,
        project: ProjectOption = None,
    ) -> None:
        path = output or Path(f"{campaign}-{name}.png")
        database = load_project(project).database()
        free = FREE_GENES if name == "distributions" else 0
        data = gather(database, campaign, free=free, has_model=name in _WITH_MODEL)
        for line in _draw_campaign(name, data, path):
            say(line)
        say(f"figure in {path}")

    help_text = f"{text}\n\nExample: wyckflow plot {name} oxides -o {name}.pdf"
    app.command(name, help=help_text)(draw)


def _add_candidate_figure(name: str, text: str) -> None:
    """Add the command for a figure of one candidate."""

    def draw(
        campaign: CampaignArgument,
        gene_id: GeneArgument,
        output: OutputOption = None,
        project: ProjectOption = None,
    ) -> None:
        database = load_project(project).database()
        data, item = _find(database, campaign, gene_id)
        path = output or Path(f"{campaign}-{name}-{item.gene_id[:8]}.png")
        missing = _DRAWERS[name](data, item, path)
        if missing:
            raise QueryError(
                f"No {name} of {item.formula_pretty} ({item.gene_id}) are kept; "
                f"{missing}"
            )
        say(f"figure in {path}")

    example = f"Example: wyckflow plot {name} oxides 419f61 -o {name}.pdf"
    app.command(name, help=f"{text}\n\n{example}")(draw)


for _name, _text in _OF_CAMPAIGNS.items():
    _add_campaign_figure(_name, _text)
for _name, _text in _OF_CANDIDATES.items():
    _add_candidate_figure(_name, _text)


def _draw_campaign(name: str, data: ReportData, path: Path) -> list[str]:
    """Draw what is known of a campaign, and return what the figure says in words."""
    from wyckflow.report.funnel import plot_funnel
    from wyckflow.report.look import save_figure
    from wyckflow.report.panels import join_panels, list_panels

    title = f"Campaign {data.campaign}"
    if name == "funnel" and data.funnel:
        plot_funnel(path, data.funnel, title=title)
        return []
    panels = list_panels(data, name)
    if not panels:
        notes = " ".join(data.notes) or "'wyckflow status' shows what has finished."
        raise QueryError(
            f"Campaign {data.campaign!r} has no data for a figure of {name}. {notes}"
        )
    save_figure(join_panels(panels, title=title), path)
    return [f"{panel.title}: {panel.caption}" for panel in panels]


def _draw_phonons(data: ReportData, item: CandidateDoc, path: Path) -> str:
    """Draw phonon bands; return where they come from if there are none."""
    from wyckflow.report.phonon_bands import plot_phonons

    found = data.evidence_of(item).phonons
    if found is None or found.spectrum is None:
        return (
            "they are computed of candidates near the hull, if the campaign's file has "
            "a section 'phonon'."
        )
    plot_phonons(found.document, found.spectrum, found.settings, path)
    return ""


def _draw_bands(data: ReportData, item: CandidateDoc, path: Path) -> str:
    """Draw electronic bands; return where they come from if there are none."""
    from wyckflow.report.bands_plot import plot_bands

    found = data.evidence_of(item).electrons
    if found is None or found.bands is None:
        return "VASP computes them after 'wyckflow approve'."
    plot_bands(found.bands, found.document, path)
    return ""


_DRAWERS: Final[dict[str, Drawer]] = {"phonons": _draw_phonons, "bands": _draw_bands}


def _find(
    database: Database, campaign: str, gene_id: str
) -> tuple[ReportData, CandidateDoc]:
    """Return a campaign and the one candidate that is meant."""
    from wyckflow.store.candidates.explain import explain_candidate

    data = gather(database, campaign, has_model=False)
    return data, explain_candidate(database, gene_id, campaign=campaign).candidate
