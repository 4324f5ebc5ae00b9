"""Why a candidate stands where it does, and which jobs and versions say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wyckflow.report.page.markup import Html, facts, join, note, table, tag
from wyckflow.report.page.words import (
    MISSING,
    count,
    formula,
    is_lower_bound,
    mark,
    percent,
)

if TYPE_CHECKING:
    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.report import Evidence


_UNITS: Final = {
    "hull distance": "eV/atom",
    "chgnet phonon": "THz",
    "gamma phonon": "THz",
    "dft dispersion": "THz",
    "dft hull": "eV/atom",
}
"""Of what a stage compares; filters of the screen have each their own."""


def render_decisions(candidate: CandidateDoc) -> Html:
    """Return the chain of verdicts, and what the hull compared it with.

    Parameters
    ----------
    candidate
        Which.
    """
    rows = [
        [
            item.stage,
            (item.filter or "").replace("_", " "),
            mark(item.verdict),
            _value(item.value, item.stage),
            _value(item.threshold, item.stage),
            tag("div", item.reason, class_="why") if item.reason else "",
        ]
        for item in candidate.verdicts
    ]
    heads = ["stage", "filter", "verdict", "value", "limit", "why"]
    parts = [
        table(heads, rows, numbers=(3, 4), caption="chain of verdicts")
        if rows
        else note("Nothing was decided about it yet.")
    ]
    if rows:
        parts.append(
            note(
                "What each filter of the screen said, and would have said: ",
                tag("code", f"wyckflow explain {candidate.gene_id}"),
            )
        )
    if candidate.decomposition:
        phases = join(
            [
                join([formula(one.formula_pretty), f" ({percent(one.fraction)})"])
                for one in candidate.decomposition
            ],
            " + ",
        )
        parts.append(tag("p", "Competes with: ", phases))
    known = candidate.hull_completeness
    if known is not None and is_lower_bound(candidate):
        parts.append(
            note(
                f"The reference knows {known.n_entries} phases of its elements; "
                f"{known.n_empty_subsystems} of {known.n_subsystems} chemical systems "
                "hold no compound there: the distance is a lower bound."
            )
        )
    return join(parts)


def _value(value: float | None, stage: str) -> str:
    """Return what was compared, with its unit where the stage alone says which."""
    if value is None:
        return MISSING
    text = f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
    return f"{text} {_UNITS[stage]}" if stage in _UNITS else text


def render_provenance(candidate: CandidateDoc, evidence: Evidence) -> Html:
    """Return which jobs, which versions, when.

    Parameters
    ----------
    candidate
        Which.
    evidence
        With how it was relaxed.
    """
    origin = candidate.provenance
    packages = ", ".join(f"{item.name} {item.version}" for item in origin.packages)
    relaxation = evidence.relaxation
    return join(
        [
            facts(
                [
                    ("gene id", tag("code", candidate.gene_id)),
                    ("round", candidate.round),
                    (
                        "model",
                        candidate.model_id and tag("code", candidate.model_id[:16]),
                    ),
                    ("energy scale", candidate.energy_scale),
                    (
                        "hull",
                        candidate.hull_version and tag("code", candidate.hull_version),
                    ),
                    (
                        "relaxed from",
                        None
                        if relaxation is None
                        else f"{count(evidence.n_trials or 1, 'start')}, "
                        f"{relaxation.n_evaluations_of_gene} evaluations",
                    ),
                    ("last changed", f"{candidate.updated_at:%Y-%m-%d %H:%M} UTC"),
                    ("joined by", f"wyckflow {origin.wyckflow_version}, {packages}"),
                ]
            ),
            tag(
                "details",
                tag("summary", count(len(candidate.job_uuids), "job")),
                tag(
                    "ul",
                    *(tag("li", tag("code", uuid)) for uuid in candidate.job_uuids),
                ),
            ),
        ]
    )
