"""Known crystals of the same elements, their Wyckoff letters side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.report.page.markup import Html, join, note, table, tag
from wyckflow.report.page.words import MISSING, formula

if TYPE_CHECKING:
    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.report import Analogue, ReportData


def render_analogues(data: ReportData, candidate: CandidateDoc) -> Html:
    """Return the nearest known crystals with their letters beside the candidate's.

    Parameters
    ----------
    data
        Of the report.
    candidate
        Which.
    """
    evidence = data.evidence_of(candidate)
    if evidence.analogues is None:
        return note(
            "Nobody looked: 'wyckflow report --known DATASET' compares with the "
            "crystals of a data set."
        )
    if not evidence.analogues:
        return note(f"{data.known_name} holds no crystal of {candidate.chemsys} alone.")
    same = [one for one in evidence.analogues if one.is_same_group]
    others = [one for one in evidence.analogues if not one.is_same_group]
    parts: list[Html] = []
    if same:
        parts.append(_letters(candidate, same))
    if others:
        rows = [
            [one.name, formula(one.formula_pretty), tag("code", one.gene)]
            for one in others
        ]
        parts.append(table(["other groups", "formula", "gene"], rows))
    parts.append(
        note(f"From {data.known_name}; exactly the elements {candidate.chemsys}.")
    )
    return join(parts)


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
    return table(heads, rows, caption="letters side by side")
