"""Known crystals of the same elements, their Wyckoff letters side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.report.page.markup import Html, join, note, table, tag
from wyckflow.report.page.words import MISSING, formula, number

if TYPE_CHECKING:
    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.report import Analogue, ReportData


_ABOVE: Final = "above hull, DFT (eV/atom)"


def render_analogues(data: ReportData, candidate: CandidateDoc) -> Html:
    """Return the nearest known crystals with their letters beside the candidate's.

    Parameters
    ----------
    data
        Of the report.
    candidate
        Which.
    """
    found = data.evidence_of(candidate).analogues
    if found is None:
        return note(
            "Nobody looked: 'wyckflow report CAMPAIGN --known DATASET' compares with "
            "the crystals of a data set."
        )
    system = candidate.chemsys
    parts: list[Html] = []
    if same := [one for one in found if one.is_same_group]:
        parts.append(_letters(candidate, same))
    if others := [one for one in found if one.gene and not one.is_same_group]:
        parts.append(_rows("other groups", others))
    if bare := [one for one in found if not one.gene]:
        parts.append(_rows("letters not at hand", bare))
    if not found:
        parts.append(note(f"No known crystal of exactly {system} was found."))
    where = f"Of exactly {system}, the nearest first. " if found else ""
    parts.append(note(f"{where}{data.analogues_from}"))
    return join(parts)


def _rows(head: str, found: list[Analogue]) -> Html:
    """Return crystals of other groups, or of which no gene is known."""
    has_genes = any(one.gene for one in found)
    rows = [
        [
            one.name,
            formula(one.formula_pretty),
            *([tag("code", one.gene)] if has_genes else []),
            number(one.energy_above_hull),
        ]
        for one in found
    ]
    middle = ["gene"] if has_genes else []
    heads = [head, "formula", *middle, _ABOVE]
    return table(heads, rows, numbers=(len(heads) - 1,))


def _letters(candidate: CandidateDoc, same: list[Analogue]) -> Html:
    """Return the elements on each position, the candidate first."""
    genes = [
        WyckoffGene.from_text(text)
        for text in (candidate.gene, *(a.gene for a in same))
    ]
    group = genes[0].space_group
    used = {site.letter for gene in genes for site in gene.sites}
    heads: list[object] = ["position", "this candidate"]
    heads += [join([one.name, tag("br"), formula(one.formula_pretty)]) for one in same]
    rows = []
    for letter in (letter for letter in group.letters if letter in used):
        cells = [
            " ".join(site.element for site in gene.sites if site.letter == letter)
            or MISSING
            for gene in genes
        ]
        mine, *rest = cells
        marked = [
            cell if cell == mine else tag("em", cell, class_="other") for cell in rest
        ]
        rows.append([group.position(letter).label, mine, *marked])
    distances = [one.energy_above_hull for one in same]
    if any(value is not None for value in distances):
        own = candidate.dft_energy_above_hull
        rows.append([_ABOVE, *map(number, (own, *distances))])
    return table(heads, rows, caption="letters side by side")
