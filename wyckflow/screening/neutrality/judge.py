"""Verdicts on charge neutrality, each with the rule that decided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.composition import Compositions
from wyckflow.crystal.elements import SYMBOLS
from wyckflow.schemas.screening import Judgement, Verdict
from wyckflow.screening.neutrality.balance import Balance
from wyckflow.screening.neutrality.published import (
    find_published_charges,
    lacks_published_states,
)
from wyckflow.screening.neutrality.rule import NeutralityRule, PublishedRule
from wyckflow.screening.neutrality.tables import load_elements, load_states

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

DEFAULT_RULE: Final = NeutralityRule()


class Finding(IntEnum):
    """Which rule decided."""

    ELEMENTAL = 0
    ALLOY = 1
    BALANCED = 2
    MIXED_VALENCE = 3
    UNBALANCED = 4
    UNORDERED = 5
    UNKNOWN = 6


_VERDICTS: Final = {
    Finding.UNBALANCED: Verdict.FAIL,
    Finding.UNORDERED: Verdict.FAIL,
    Finding.UNKNOWN: Verdict.CANNOT_JUDGE,
}

REASONS: Final = {
    Finding.ELEMENTAL: "a single element",
    Finding.ALLOY: "an alloy: metals only",
    Finding.BALANCED: "charges add up to zero",
    Finding.MIXED_VALENCE: "charges add up to zero with mixed valence",
    Finding.UNBALANCED: "no allowed charges add up to zero",
    Finding.UNORDERED: "charges add up to zero only with a cation that is not less "
    "electronegative than every anion",
}


@dataclass(frozen=True, eq=False, slots=True)
class NeutralityFindings:
    """What a rule says of many compositions.

    Attributes
    ----------
    findings
        (n,), a `Finding` each.
    charges
        (n,), total charge nearest to zero that the rule allows, in elementary charges
        per formula unit; zero where the composition passes, not-a-number where it
        cannot be judged, or no charges can be given at all.
    """

    findings: NDArray[np.uint8]
    charges: NDArray[np.float64]

    @property
    def passes(self) -> NDArray[np.bool_]:
        """Which pass."""
        return self.findings < Finding.UNBALANCED


def are_neutral(
    compositions: Compositions, rule: NeutralityRule = DEFAULT_RULE
) -> NDArray[np.bool_]:
    """Return SMACT's answer for many compositions.

    Parameters
    ----------
    compositions
        Any number of them.
    rule
        What counts as neutral.

    Returns
    -------
    numpy.ndarray
        What ``smact.screening.smact_validity`` says with the same options, (n,);
        exact also where SMACT says no for giving up on mixed valence.
    """
    distinct, places = compositions.distinct()
    return _find_passing(distinct, rule)[0][places]


def find_neutrality(
    compositions: Compositions, rule: NeutralityRule | PublishedRule = DEFAULT_RULE
) -> NeutralityFindings:
    """Return why compositions pass or fail, and by how much.

    Parameters
    ----------
    compositions
        Any number of them.
    rule
        What counts as neutral.
    """
    distinct, places = compositions.distinct()
    if isinstance(rule, PublishedRule):
        found = _find_published(distinct, rule)
    else:
        found = _find_by_smact(distinct, rule)
    return NeutralityFindings(found.findings[places], found.charges[places])


def judge_charge_neutrality(
    composition: Mapping[str, int],
    rule: NeutralityRule | PublishedRule = DEFAULT_RULE,
) -> Judgement:
    """Judge one composition.

    Parameters
    ----------
    composition
        Atoms of each element, in any multiple of the formula unit.
    rule
        What counts as neutral.

    Returns
    -------
    Judgement
        Its value is the total charge nearest to zero. Cannot judge where an element
        has no oxidation state or no electronegativity.

    Raises
    ------
    ValueError
        If there is no atom, or a negative or fractional number of them.
    GeneError
        If a symbol is that of no element.
    """
    return judge_charge_neutralities([composition], rule)[0]


def judge_charge_neutralities(
    compositions: Sequence[Mapping[str, int]],
    rule: NeutralityRule | PublishedRule = DEFAULT_RULE,
) -> list[Judgement]:
    """Judge many compositions, see :func:`judge_charge_neutrality`.

    Parameters
    ----------
    compositions
        Atoms of each element, one mapping per composition.
    rule
        What counts as neutral.
    """
    table = Compositions.from_mappings(compositions)
    found = find_neutrality(table, rule)
    lacking = describe_lacking(table, rule, found.findings == Finding.UNKNOWN)
    return [
        Judgement(
            verdict=_VERDICTS.get(Finding(finding), Verdict.PASS),
            value=None if np.isnan(charge) else charge,
            threshold=None if np.isnan(charge) else 0.0,
            reason=lacking.get(row, REASONS.get(Finding(finding), "")),
        )
        for row, (finding, charge) in enumerate(
            zip(found.findings.tolist(), found.charges.tolist(), strict=True)
        )
    ]


def describe_lacking(
    compositions: Compositions,
    rule: NeutralityRule | PublishedRule,
    is_unknown: NDArray[np.bool_],
) -> dict[int, str]:
    """Return in words what is not known of some rows.

    Parameters
    ----------
    compositions
        All of them.
    rule
        What was asked.
    is_unknown
        Of which to speak.
    """
    lacks = _lacking_words(rule)
    texts = {}
    for row in np.flatnonzero(is_unknown).tolist():
        numbers = [z for z in compositions.atomic_numbers[row].tolist() if z]
        named = [f"{lacks[z]} of {SYMBOLS[z - 1]}" for z in numbers if lacks[z]]
        texts[row] = f"not known: {', '.join(named)}"
    return texts


def _find_published(
    compositions: Compositions, rule: PublishedRule
) -> NeutralityFindings:
    """Apply the rule of the WyCryst codes."""
    charges = find_published_charges(compositions, rule)
    findings = np.full(len(compositions), Finding.UNBALANCED, np.uint8)
    findings[charges == 0] = Finding.BALANCED
    findings[compositions.n_elements == 1] = Finding.ELEMENTAL
    findings[np.isnan(charges)] = Finding.UNKNOWN
    return NeutralityFindings(findings, charges)


def _find_by_smact(
    compositions: Compositions, rule: NeutralityRule
) -> NeutralityFindings:
    """Apply SMACT's rule, then ask of what failed why and by how much."""
    passes, findings = _find_passing(compositions, rule)
    charges = np.where(passes, 0.0, np.nan)
    failing = np.flatnonzero(findings == Finding.UNBALANCED)
    some = compositions.take(failing)
    if rule.requires_electronegativity_order:
        anyhow = replace(rule, requires_electronegativity_order=False)
        is_unordered = _balance(anyhow, mixed=rule.accepts_mixed_valence).can_balance(
            some
        )
        findings[failing[is_unordered]] = Finding.UNORDERED
    balance = _balance(rule, mixed=rule.accepts_mixed_valence)
    charges[failing] = balance.nearest_charges(some)
    return NeutralityFindings(findings, charges)


def _find_passing(
    compositions: Compositions, rule: NeutralityRule
) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Return what passes, and the findings with all failures alike."""
    elements, states = load_elements(), load_states(rule)
    z = compositions.atomic_numbers
    is_element = z > 0
    findings = np.full(len(compositions), Finding.UNBALANCED, np.uint8)
    lacks = ~np.array([bool(of_z) for of_z in states])
    if rule.requires_electronegativity_order:
        lacks |= np.isnan(elements.electronegativities)
    findings[(lacks[z] & is_element).any(axis=1)] = Finding.UNKNOWN
    if rule.accepts_alloys:
        findings[(elements.is_metal[z] | ~is_element).all(axis=1)] = Finding.ALLOY
    findings[compositions.n_elements == 1] = Finding.ELEMENTAL
    for mixed, finding in (
        (False, Finding.BALANCED),
        (True, Finding.MIXED_VALENCE),
    ):
        if mixed and not rule.accepts_mixed_valence:
            continue
        rows = np.flatnonzero(findings == Finding.UNBALANCED)
        if mixed:
            rows = rows[elements.has_mixed_valence[z[rows]].any(axis=1)]
        is_neutral = _balance(rule, mixed=mixed).can_balance(compositions.take(rows))
        findings[rows[is_neutral]] = finding
    return findings < Finding.UNBALANCED, findings


@lru_cache(maxsize=32)
def _balance(rule: NeutralityRule, *, mixed: bool) -> Balance:
    """Return the solver of a rule, made once."""
    return Balance(
        load_elements(),
        load_states(rule),
        ordered=rule.requires_electronegativity_order,
        mixed=mixed,
    )


@lru_cache(maxsize=32)
def _lacking_words(rule: NeutralityRule | PublishedRule) -> list[str]:
    """Return by atomic number what a rule does not know of an element, if anything."""
    if isinstance(rule, PublishedRule):
        lacks = lacks_published_states(rule).tolist()
        return ["charges or electronegativity" if lack else "" for lack in lacks]
    elements, states = load_elements(), load_states(rule)
    words = []
    for z, of_z in enumerate(states):
        if not elements.is_known[z]:
            words.append("any chemical data")
        elif not of_z:
            words.append("oxidation states")
        elif rule.requires_electronegativity_order and np.isnan(
            elements.electronegativities[z]
        ):
            words.append("electronegativity")
        else:
            words.append("")
    return words
