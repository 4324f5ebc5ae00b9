"""A report as Markdown with figures, and its figures alone for a publication."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wyckflow.crystal.tables import load_space_group
from wyckflow.errors import DocumentError
from wyckflow.report.funnel import plot_funnel
from wyckflow.report.look import save_figure
from wyckflow.report.page.words import MISSING, NOVELTY, number, stopped_at
from wyckflow.report.panels import list_panels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.electronic import CarrierSummary, ElectronicDoc
    from wyckflow.schemas.report import ReportData

MOST_ROWS: Final = 100
"""Candidates in the table of a Markdown report."""
_ESCAPED: Final = str.maketrans({c: f"\\{c}" for c in "\\|*_<>`#[]"})


def write_figures(data: ReportData, folder: Path, *, ending: str = "pdf") -> list[Path]:
    """Write every figure for which there are data, as wide as a journal's column.

    Parameters
    ----------
    data
        Of the report.
    folder
        Made if it is missing.
    ending
        ``pdf``, ``svg`` or ``png``.

    Raises
    ------
    DocumentError
        If a file cannot be written.
    """
    _make(folder)
    written = []
    if data.funnel:
        written.append(folder / f"funnel.{ending}")
        plot_funnel(written[-1], data.funnel)
    for panel in list_panels(data):
        written.append(folder / f"{panel.name}.{ending}")
        save_figure(panel.figure(), written[-1])
    return written


def write_markdown(data: ReportData, path: Path) -> list[Path]:
    """Write a report as Markdown, with its figures in a folder beside it.

    Parameters
    ----------
    data
        Of the report.
    path
        Usually with the ending ``.md``.

    Raises
    ------
    DocumentError
        If a file cannot be written.
    """
    folder = path.with_name(f"{path.stem}-figures")
    figures = write_figures(data, folder, ending="png")
    text = "\n".join(_lines(data, folder.name, figures))
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise DocumentError(f"{str(path)!r} cannot be written: {error}.") from error
    return [path, *figures]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DocumentError(f"{str(folder)!r} cannot be made: {error}.") from error


def _lines(data: ReportData, folder: str, figures: Sequence[Path]) -> Iterator[str]:
    """Yield the report line by line."""
    names = {figure.stem for figure in figures}
    yield f"# {_plain(data.campaign)}"
    yield ""
    yield (
        f"{data.n_candidates:,} candidates, gathered {data.made_at:%Y-%m-%d %H:%M} UTC "
        f"by wyckflow {data.wyckflow_version}."
    )
    if data.is_simulated:
        yield "\n**SIMULATED: some numbers come from a simulator, not from VASP.**"
    yield from _request(data)
    yield "\n## Funnel\n"
    yield from _funnel(data)
    if "funnel" in names:
        yield f"\n![funnel]({folder}/funnel.png)"
    yield "\n## Candidates\n"
    yield from _candidates(data)
    yield "\n## Band edges and masses\n"
    yield from _masses(data)
    yield "\n## Figures"
    for panel in list_panels(data):
        yield f"\n### {panel.title}\n\n![{panel.title}]({folder}/{panel.name}.png)\n"
        yield panel.caption
    for sentence in data.notes:
        yield f"\n{_plain(sentence)}"


def _request(data: ReportData) -> Iterator[str]:
    """Yield what was asked, and what it cost."""
    yield "\n## Asked for\n"
    if data.request is None:
        yield "These jobs were sent without a campaign's file."
    else:
        conditions = data.request.spec.target.conditions() or {"target": "anything"}
        for name, words in conditions.items():
            yield f"- {name.replace('_', ' ')}: {_plain(words)}"
    yield ""
    rows = [
        [
            line.name,
            f"{line.used:,.3g}",
            "no limit" if line.allowed is None else f"{line.allowed:,g}",
        ]
        for line in data.budget
    ]
    yield from _table(["cost", "used", "allowed"], rows)


def _funnel(data: ReportData) -> Iterator[str]:
    if not data.funnel:
        yield "No stage has finished yet."
        return
    rows = [
        [
            step.filter.replace("_", " "),
            f"{step.n_in:,}",
            f"{step.n_pass:,}",
            f"{step.n_fail:,}",
            f"{step.n_cannot_judge:,}",
            "; ".join(f"{item.reason} ({item.n_genes:,})" for item in step.reasons[:2]),
        ]
        for step in data.funnel
    ]
    heads = ["stage", "in", "passed", "failed", "cannot judge", "mostly"]
    yield from _table(heads, rows)


def _candidates(data: ReportData) -> Iterator[str]:
    """Yield the best candidates."""
    if not data.candidates:
        yield "There are no candidates yet."
        return
    rows = [_row(data, item) for item in data.candidates[:MOST_ROWS]]
    heads = ["formula", "space group", "sites", "above hull (eV/atom)", "P50"]
    heads += ["gap, DFT (eV)", "gap, predicted (eV)", "lattice", "novelty"]
    yield from _table([*heads, "stopped at", "gene"], rows)
    if data.n_candidates > MOST_ROWS:
        yield f"\n{data.n_candidates - MOST_ROWS:,} more are in the database."


def _row(data: ReportData, item: CandidateDoc) -> list[str]:
    novelty = data.evidence_of(item).novelty
    lattice = item.lattice_stability
    symbol = load_space_group(item.space_group_number).symbol
    return [
        item.formula_pretty + (" (SIMULATED)" if item.is_simulated else ""),
        f"{item.space_group_number} {symbol}",
        str(item.nsites),
        number(item.energy_above_hull),
        number(item.probability_within_50_mev, 2),
        number(item.band_gap, 2),
        number(item.predicted_band_gap, 2),
        MISSING if lattice is None else lattice.replace("_", " "),
        MISSING if novelty is None else NOVELTY[novelty],
        stopped_at(item) or MISSING,
        item.gene,
    ]


def _masses(data: ReportData) -> Iterator[str]:
    """Yield gaps and masses in the manner of Table 3 of the WyCryst+ paper."""
    rows = []
    for item in data.candidates:
        found = data.evidence_of(item).electrons
        if found is not None:
            document: ElectronicDoc = found.document
            rows.append(
                [
                    item.formula_pretty,
                    number(document.band_gap),
                    number(item.dft_energy_above_hull),
                    *_carrier(document.holes),
                    *_carrier(document.electrons),
                ]
            )
    if not rows:
        yield "No DFT bands have been computed yet."
        return
    heads = ["crystal", "gap (eV)", "above hull, DFT (eV/atom)"]
    heads += ["holes at", "mass (m0)", "valleys", "electrons at", "mass (m0)"]
    yield from _table([*heads, "valleys"], rows)


def _carrier(one: CarrierSummary) -> list[str]:
    mass = number(one.conductivity_mass)
    if one.conductivity_mass is None and one.band_mass is not None:
        mass = f"~{number(one.band_mass)}"  # along the path alone
    valleys = MISSING if one.n_valleys is None else str(one.n_valleys)
    return [one.label or MISSING, mass, valleys]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(map(_plain, row))} |"


def _plain(text: str) -> str:
    """Return text that Markdown takes as it is."""
    return text.translate(_ESCAPED)
