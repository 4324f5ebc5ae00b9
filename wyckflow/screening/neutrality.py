"""Whether the elements of a composition can take charges that add up to zero.

The test is SMACT's (Davies et al., J. Open Source Softw. 2019, 4, 1361): one oxidation
state per element, cations less electronegative than anions, and every mixture of
metals passes as an alloy.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from math import gcd
from typing import TYPE_CHECKING, Final

from wyckflow.schemas.screening import Judgement, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class OxidationStates(StrEnum):
    """Which list of oxidation states is believed."""

    ICSD24_CONSENSUS = "icsd24_consensus"
    """States in at least three entries of the ICSD of 2024: SMACT's own default."""
    ICSD24 = "icsd24"
    ICSD16 = "icsd16"
    SMACT14 = "smact14"
    PYMATGEN = "pymatgen_sp"


_ATTRIBUTES: Final = {
    OxidationStates.ICSD24: "oxidation_states_icsd24",
    OxidationStates.ICSD16: "oxidation_states_icsd16",
    OxidationStates.SMACT14: "oxidation_states_smact14",
    OxidationStates.PYMATGEN: "oxidation_states_sp",
}
"""Where SMACT keeps each list on its elements."""

_UNKNOWN: Final = "any chemical data"


@dataclass(frozen=True, slots=True)
class NeutralityRule:
    """What counts as charge neutral.

    The defaults are those of SMACT; 91 % of known ternary crystals pass them.

    Attributes
    ----------
    oxidation_states
        The list of oxidation states.
    requires_electronegativity_order
        Whether every cation must be less electronegative than every anion (Pauling).
    accepts_alloys
        Whether metals alone always pass.
    accepts_mixed_valence
        Whether atoms of one element may differ in charge, as in Fe3O4.

    Raises
    ------
    ValueError
        If the list of oxidation states is unknown.
    """

    oxidation_states: OxidationStates = OxidationStates.ICSD24_CONSENSUS
    requires_electronegativity_order: bool = True
    accepts_alloys: bool = True
    accepts_mixed_valence: bool = False

    def __post_init__(self) -> None:
        """Accept the name of a list, too."""
        states = OxidationStates(self.oxidation_states)
        object.__setattr__(self, "oxidation_states", states)

    def __str__(self) -> str:
        """Say the rule in words."""
        parts = [
            f"charges of {self.oxidation_states} add up to zero",
            "cations less electronegative than anions"
            if self.requires_electronegativity_order
            else "any electronegativity",
            "alloys pass" if self.accepts_alloys else "alloys are no exception",
            "mixed valence allowed"
            if self.accepts_mixed_valence
            else "one charge per element",
        ]
        return "; ".join(parts)


DEFAULT_RULE: Final = NeutralityRule()


def judge_charge_neutrality(
    composition: Mapping[str, int], rule: NeutralityRule = DEFAULT_RULE
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
        Cannot judge where an element has no oxidation state or no electronegativity.

    Raises
    ------
    ValueError
        If there is no atom, or a negative or fractional number of them.
    """
    return _judge(_reduce(composition), rule)


def judge_charge_neutralities(
    compositions: Sequence[Mapping[str, int]], rule: NeutralityRule = DEFAULT_RULE
) -> list[Judgement]:
    """Judge many compositions, see :func:`judge_charge_neutrality`.

    Parameters
    ----------
    compositions
        Atoms of each element, one mapping per composition.
    rule
        What counts as neutral.
    """
    return [judge_charge_neutrality(composition, rule) for composition in compositions]


def _reduce(composition: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Return the formula unit, in the order of symbols."""
    counts = [int(n) for n in composition.values()]
    if not counts or min(counts) < 1 or counts != list(composition.values()):
        raise ValueError(
            f"{dict(composition)} is no composition: give a positive whole number of "
            "atoms for each of at least one element."
        )
    unit = gcd(*counts)
    return tuple(
        sorted((s, n // unit) for s, n in zip(composition, counts, strict=True))
    )


@lru_cache(maxsize=100_000)
def _judge(formula: tuple[tuple[str, int], ...], rule: NeutralityRule) -> Judgement:
    """Ask SMACT once per formula and rule."""
    from pymatgen.core.composition import Composition
    from smact.screening import smact_validity

    lacking = {symbol: _lacks(symbol, rule) for symbol, _ in formula}
    if _UNKNOWN in lacking.values():
        return _cannot_judge(lacking)
    states = rule.oxidation_states
    is_default = states is OxidationStates.ICSD24_CONSENSUS
    with warnings.catch_warnings():
        # SMACT warns, and says no, where it gives up on too many combinations.
        warnings.simplefilter("error", UserWarning)
        try:
            is_valid = smact_validity(
                Composition(dict(formula)),
                use_pauling_test=rule.requires_electronegativity_order,
                include_alloys=rule.accepts_alloys,
                oxidation_states_set=None if is_default else str(states),
                mixed_valence=rule.accepts_mixed_valence,
            )
        except UserWarning as warning:
            return Judgement(verdict=Verdict.CANNOT_JUDGE, reason=str(warning))
    if is_valid:
        return Judgement(verdict=Verdict.PASS)
    if any(lacking.values()):
        return _cannot_judge(lacking)
    return Judgement(verdict=Verdict.FAIL, reason="no allowed charges add up to zero")


def _cannot_judge(lacking: Mapping[str, str]) -> Judgement:
    """Name the elements and what is not known of them."""
    named = [f"{what} of {symbol}" for symbol, what in lacking.items() if what]
    return Judgement(
        verdict=Verdict.CANNOT_JUDGE, reason=f"not known: {', '.join(named)}"
    )


@lru_cache(maxsize=1_000)
def _lacks(symbol: str, rule: NeutralityRule) -> str:
    """Return what is not known of an element, or an empty string."""
    from smact import Element

    try:
        element = Element(symbol)
    except KeyError:
        return _UNKNOWN
    if rule.oxidation_states is OxidationStates.ICSD24_CONSENSUS:
        has_states = symbol in _consensus_elements()
    else:
        has_states = bool(getattr(element, _ATTRIBUTES[rule.oxidation_states]))
    if not has_states:
        return "oxidation states"
    if rule.requires_electronegativity_order and element.pauling_eneg is None:
        return "electronegativity"
    return ""


@lru_cache(maxsize=1)
def _consensus_elements() -> frozenset[str]:
    """Return the elements with a state in SMACT's default list."""
    from smact.utils.oxidation import ICSD24OxStatesFilter

    return frozenset(ICSD24OxStatesFilter().filter()["element"])
