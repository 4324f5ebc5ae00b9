"""The table of candidates, with what it can be filtered by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wyckflow.report.page.markup import Html, join, note, tag
from wyckflow.report.page.words import (
    AT_LEAST,
    MISSING,
    NOVELTY,
    formula,
    is_lower_bound,
    mark,
    number,
    percent,
    seconds,
    space_group,
    stopped_at,
    symbol,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.report import Evidence, ReportData


@dataclass(frozen=True, slots=True)
class _Column:
    """One column: its head, what it shows, and what it is sorted by."""

    head: str | Html
    unit: str
    show: Callable[[CandidateDoc, Evidence], object]
    sort: Callable[[CandidateDoc, Evidence], str | float | None]
    is_number: bool = True


def _name_novelty(evidence: Evidence) -> str:
    return MISSING if evidence.novelty is None else NOVELTY[evidence.novelty]


def _hull(item: CandidateDoc) -> object:
    """Return the distance to the hull, marked where it is but a lower bound."""
    text = number(item.energy_above_hull)
    if item.energy_above_hull is None or not is_lower_bound(item):
        return text
    why = "a lower bound: the reference lacks compounds of these elements"
    return tag("span", f"{AT_LEAST} {text}", title=why)


def _cost(evidence: Evidence) -> float | None:
    """Return the processor seconds of relaxation and phonons, where known."""
    phonons = evidence.phonons
    parts = [
        evidence.relaxation_cpu_s,
        None if phonons is None else phonons.document.cpu_s,
    ]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _gap(item: CandidateDoc, evidence: Evidence) -> object:
    """Return the gap by DFT, or what was predicted, marked as such."""
    if item.band_gap is not None:
        return number(item.band_gap, 2)
    if item.predicted_band_gap is None:
        return MISSING
    deviation = evidence.deviations.get("band_gap")
    spread = "" if deviation is None else f"±{number(deviation, 1)}"
    return tag("i", f"{number(item.predicted_band_gap, 2)}{spread}", title="predicted")


_COLUMNS: Final = (
    _Column(
        "formula",
        "",
        lambda item, _: join(
            [
                tag("a", formula(item.formula_pretty), href=f"#c-{item.gene_id}"),
                tag("b", " SIM", class_="sim", title="holds simulated numbers")
                if item.is_simulated
                else None,
            ]
        ),
        lambda item, _: item.formula_pretty,
        is_number=False,
    ),
    _Column(
        "space group",
        "",
        lambda item, _: space_group(item.space_group_number),
        lambda item, _: item.space_group_number,
        is_number=False,
    ),
    _Column("sites", "", lambda item, _: item.nsites, lambda item, _: item.nsites),
    _Column(
        "above hull",
        "eV/atom",
        lambda item, _: _hull(item),
        lambda item, _: item.energy_above_hull,
    ),
    _Column(
        "P(≤ 50 meV)",
        "",
        lambda item, _: percent(item.probability_within_50_mev),
        lambda item, _: item.probability_within_50_mev,
    ),
    _Column(
        "above hull, DFT",
        "eV/atom",
        lambda item, _: number(item.dft_energy_above_hull),
        lambda item, _: item.dft_energy_above_hull,
    ),
    _Column(
        "formation",
        "eV/atom",
        lambda item, _: number(item.formation_energy_per_atom, 2),
        lambda item, _: item.formation_energy_per_atom,
    ),
    _Column(
        "gap",
        "eV",
        _gap,
        lambda item, _: (
            item.predicted_band_gap if item.band_gap is None else item.band_gap
        ),
    ),
    _Column(
        "lattice",
        "",
        lambda item, _: mark(item.lattice_stability),
        lambda item, _: item.min_phonon_frequency_thz,
        is_number=False,
    ),
    _Column(
        symbol("m", "h"),
        "m₀",
        lambda item, _: number(item.hole_mass or item.hole_band_mass, 2),
        lambda item, _: item.hole_mass or item.hole_band_mass,
    ),
    _Column(
        symbol("m", "e"),
        "m₀",
        lambda item, _: number(item.electron_mass or item.electron_band_mass, 2),
        lambda item, _: item.electron_mass or item.electron_band_mass,
    ),
    _Column(
        "novelty",
        "",
        lambda _, evidence: _name_novelty(evidence),
        lambda _, evidence: evidence.novelty,
        is_number=False,
    ),
    _Column(
        "cost",
        "CPU s",
        lambda _, evidence: seconds(_cost(evidence)),
        lambda _, evidence: _cost(evidence),
    ),
    _Column(
        "verdict",
        "",
        lambda item, _: mark(item.verdict),
        lambda item, _: item.verdict,
        is_number=False,
    ),
    _Column(
        "stopped at",
        "",
        lambda item, _: stopped_at(item) or MISSING,
        lambda item, _: stopped_at(item),
        is_number=False,
    ),
)


def render_table(data: ReportData) -> Html:
    """Return the table; columns that nobody fills are left out.

    Parameters
    ----------
    data
        Of the report.
    """
    if not data.candidates:
        return tag(
            "section",
            tag("h2", "Candidates"),
            note("There are no candidates yet."),
            id="candidates",
        )
    pairs = [(item, data.evidence_of(item)) for item in data.candidates]
    columns = [
        column
        for column in _COLUMNS
        if any(column.sort(*pair) not in (None, "") for pair in pairs)
    ]
    head = [_head(column) for column in columns]
    whole = tag(
        "table",
        tag("caption", "candidates; a click on a head sorts"),
        tag("thead", tag("tr", *head)),
        tag("tbody", *(_row(columns, *pair) for pair in pairs)),
        id="list",
    )
    known = f" Novelty is against {data.known_name}." if data.known_name else ""
    left_out = data.n_candidates - len(data.candidates)
    more = f" {left_out:,} more are in the database." if left_out > 0 else ""
    return tag(
        "section",
        tag("h2", "Candidates"),
        _filters(data.candidates),
        tag("p", class_="note", id="shown", aria_live="polite"),
        tag("div", whole, class_="wide"),
        note(
            "Energies are those of CHGNet unless DFT is named. A distance with "
            f"{AT_LEAST} is a lower bound: the reference lacks compounds of these "
            "elements. Gaps in italics were predicted by the generator, with one "
            f"standard deviation.{known}{more}"
        ),
        id="candidates",
    )


def _head(column: _Column) -> Html:
    """Return a head that sorts when it is clicked."""
    unit = tag("small", column.unit) if column.unit else None
    button = tag("button", column.head, unit, type="button")
    kind = "number" if column.is_number else None
    return tag("th", button, scope="col", class_=kind, aria_sort="none")


def _row(columns: Iterable[_Column], item: CandidateDoc, evidence: Evidence) -> Html:
    """Return one candidate, with what filters ask for."""
    cells = []
    for column in columns:
        value = column.sort(item, evidence)
        text = f"{value:.6g}" if isinstance(value, float) else value
        cells.append(
            tag(
                "td",
                column.show(item, evidence),
                data_v=text,
                class_="number" if column.is_number else None,
            )
        )
    return tag(
        "tr",
        *cells,
        data_id=item.gene_id,
        data_text=f"{item.formula_pretty} {item.chemsys} {item.gene} {item.gene_id}",
        data_system=str(item.crystal_system),
        data_stop=stopped_at(item),
        data_hull=None
        if item.energy_above_hull is None
        else f"{item.energy_above_hull:.6g}",
    )


def _filters(found: Iterable[CandidateDoc]) -> Html:
    """Return the fields that the table is filtered by."""
    items = list(found)
    systems = sorted({str(item.crystal_system) for item in items})
    stops = sorted({stopped_at(item) for item in items} - {""})
    return tag(
        "form",
        tag(
            "label",
            "search",
            tag(
                "input",
                type="search",
                id="search",
                placeholder="formula, element, group, id",
            ),
        ),
        _choice("crystal system", "system", systems),
        _choice("stopped at", "stop", ["nowhere", *stops]),
        tag(
            "label",
            "above hull at most",
            tag("input", type="number", step="0.01", id="hull", placeholder="eV/atom"),
        ),
        tag("button", "show all", type="reset"),
        class_="filters",
        role="search",
    )


def _choice(label: str, name: str, values: Iterable[str]) -> Html:
    options = [tag("option", "any", value="")]
    options += [tag("option", value, value=value) for value in values]
    return tag("label", label, tag("select", *options, id=name))
