"""Numbers, formulas and verdicts as people read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from wyckflow.report.distributions import symbol_text
from wyckflow.report.page.markup import Html, join, tag
from wyckflow.schemas.phonon import LatticeStability
from wyckflow.schemas.relaxation import Outcome
from wyckflow.schemas.screening import Verdict

if TYPE_CHECKING:
    from wyckflow.schemas.candidate import CandidateDoc

MISSING: Final = "\N{EN DASH}"
"""Stands where there is no number."""
TIMES, ALPHA = "\N{MULTIPLICATION SIGN}", "\N{GREEK SMALL LETTER ALPHA}"
AT_LEAST: Final = "\N{GREATER-THAN OR EQUAL TO}"
NOVELTY: Final = (
    "known gene",
    "known prototype",
    "known parent",
    "new",
)
"""Names of the levels of novelty, by their number."""

_MARKS: Final = {
    Verdict.PASS: ("pass", "good"),
    Verdict.FAIL: ("fail", "bad"),
    Verdict.CANNOT_JUDGE: ("cannot judge", "open"),
    LatticeStability.STABLE: ("stable", "good"),
    LatticeStability.BORDERLINE: ("borderline", "open"),
    LatticeStability.UNSTABLE: ("unstable", "bad"),
    LatticeStability.CANNOT_JUDGE: ("cannot judge", "open"),
}
_SIGNS: Final = {"good": "✓", "bad": "✗", "open": "?"}
_STEPS: Final = {
    "hull distance": "hull",
    "chgnet phonon": "phonons",
    "gamma phonon": "dft lattice",
}
"""Steps of the funnel by the stage that decides, where the names differ."""
_LITTLE: Final = 0.05


def number(value: float | None, digits: int = 3) -> str:
    """Return a number, or a dash.

    Parameters
    ----------
    value
        What to write.
    digits
        After the point.
    """
    if value is None:
        return MISSING
    text = f"{value:.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else text.lstrip("-")


def quantity(value: float | None, unit: str, digits: int = 3) -> str | None:
    """Return a number with its unit, or nothing.

    Parameters
    ----------
    value
        What to write.
    unit
        Behind it.
    digits
        After the point.
    """
    return None if value is None else f"{number(value, digits)} {unit}"


def percent(value: float | None) -> str:
    """Return a probability in percent, or a dash.

    Parameters
    ----------
    value
        Between 0 and 1.
    """
    return MISSING if value is None else f"{100 * value:.0f} %"


def seconds(value: float | None) -> str:
    """Return processor seconds.

    Parameters
    ----------
    value
        How many.
    """
    if value is None:
        return MISSING
    return f"{value:.2f}" if value < _LITTLE else f"{value:.1f}"


def formula(text: str) -> Html:
    """Return a formula with its numbers below the line.

    Parameters
    ----------
    text
        Such as ``SrTiO3``.
    """
    parts = re.split(r"(\d+(?:\.\d+)?)", text)
    return join(
        tag("sub", part) if place % 2 else part for place, part in enumerate(parts)
    )


def space_group(number_of: int) -> str:
    """Return number and symbol of a space group.

    Parameters
    ----------
    number_of
        Of the International Tables.
    """
    return f"{number_of} {symbol_text(number_of)}"


def count(n: int, noun: str) -> str:
    """Return how many there are of something.

    Parameters
    ----------
    n
        How many.
    noun
        In the singular, with an s for more.
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def symbol(letter: str, below: str) -> Html:
    """Return a quantity with its index below the line.

    Parameters
    ----------
    letter, below
        Such as m and h.
    """
    return tag("i", letter, tag("sub", below))


def is_lower_bound(candidate: CandidateDoc) -> bool:
    """Return whether phases may be missing that a candidate competes with.

    Parameters
    ----------
    candidate
        Which.
    """
    known = candidate.hull_completeness
    return known is not None and bool(
        known.n_empty_subsystems or known.missing_elements
    )


def mark(verdict: Verdict | LatticeStability | None) -> Html:
    """Return a verdict with a sign and a colour; neither says it alone.

    Parameters
    ----------
    verdict
        Or None, where none was given.
    """
    if verdict is None:
        return tag("span", MISSING, class_="mark")
    word, kind = _MARKS[verdict]
    sign = tag("span", _SIGNS[kind], aria_hidden="true")
    return tag("span", sign, f" {word}", class_=f"mark {kind}")


def stopped_at(candidate: CandidateDoc) -> str:
    """Return the step of the funnel that stopped a candidate; empty if none has.

    Parameters
    ----------
    candidate
        Which.
    """
    outcomes = {item.stage: item.outcome for item in candidate.outcomes}
    for item in candidate.verdicts:
        if item.verdict is not Verdict.PASS:
            step = _STEPS.get(item.stage, item.filter or item.stage)
            return step.replace("_", " ")
    relaxed = outcomes.get("chgnet relax")
    if relaxed is None:
        return "plan"
    return "" if relaxed == Outcome.CONVERGED else "relaxation"
