"""What is known of each element: SMACT's oxidation states, read once, as arrays."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.elements import N_ATOMIC_NUMBERS, SYMBOLS
from wyckflow.screening.neutrality.rule import OxidationStates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.screening.neutrality.rule import NeutralityRule

_ATTRIBUTES: Final = {
    OxidationStates.ICSD24: "oxidation_states_icsd24",
    OxidationStates.ICSD16: "oxidation_states_icsd16",
    OxidationStates.SMACT14: "oxidation_states_smact14",
    OxidationStates.PYMATGEN: "oxidation_states_sp",
    OxidationStates.WIKI: "oxidation_states_wiki",
}
"""Where SMACT keeps each list on its elements."""

States = tuple[tuple[int, ...], ...]
"""Oxidation states by atomic number, in ascending order."""


@dataclass(frozen=True, eq=False, slots=True)
class ElementTable:
    """What SMACT knows of the elements, by atomic number; entry 0 is no element.

    Attributes
    ----------
    is_known
        Whether SMACT has data of the element at all.
    is_metal
        Whether it counts as a metal in alloys.
    has_mixed_valence
        Whether its atoms may differ in charge.
    electronegativities
        On Pauling's scale, not-a-number where it has no value.
    """

    is_known: NDArray[np.bool_]
    is_metal: NDArray[np.bool_]
    has_mixed_valence: NDArray[np.bool_]
    electronegativities: NDArray[np.float64]


@lru_cache(maxsize=1)
def load_elements() -> ElementTable:
    """Return SMACT's table of elements."""
    from smact import metals
    from smact.screening import MIXED_VALENCE_ELEMENTS

    found = _smact_elements()
    values = np.full(N_ATOMIC_NUMBERS, np.nan)
    for number, element in found.items():
        if element.pauling_eneg is not None:
            values[number] = element.pauling_eneg
    return ElementTable(
        is_known=_mark(SYMBOLS[number - 1] for number in found),
        is_metal=_mark(metals),
        has_mixed_valence=_mark(MIXED_VALENCE_ELEMENTS),
        electronegativities=values,
    )


def load_states(rule: NeutralityRule) -> States:
    """Return the oxidation states that a rule believes in.

    Parameters
    ----------
    rule
        Its list, and what it chooses from it.
    """
    if rule.oxidation_states is OxidationStates.ICSD24_CONSENSUS:
        return _reported_states(rule.includes_zero, rule.min_reports, rule.commonality)
    return listed_states(rule.oxidation_states)


@cache
def listed_states(name: OxidationStates) -> States:
    """Return one of the lists that SMACT keeps on its elements, as it is.

    Parameters
    ----------
    name
        Any but ``icsd24_consensus``, which is made of reports.
    """
    attribute = _ATTRIBUTES[name]
    states: list[tuple[int, ...]] = [()] * N_ATOMIC_NUMBERS
    for number, element in _smact_elements().items():
        states[number] = tuple(sorted(set(getattr(element, attribute) or ())))
    return tuple(states)


@cache
def _reported_states(
    includes_zero: bool, min_reports: int, commonality: str | float
) -> States:
    """Return the states with enough reports in the ICSD of 2024."""
    from smact.utils.oxidation import ICSD24OxStatesFilter

    with warnings.catch_warnings():
        # pandas speaks of its future to SMACT, which is not for our users.
        warnings.simplefilter("ignore")
        table = ICSD24OxStatesFilter().filter(
            consensus=min_reports, include_zero=includes_zero, commonality=commonality
        )
    texts = dict(zip(table["element"], table["oxidation_state"], strict=True))
    return (
        (),
        *(
            tuple(sorted({int(word) for word in str(texts.get(s, "")).split()}))
            for s in SYMBOLS
        ),
    )


@lru_cache(maxsize=1)
def _smact_elements() -> dict[int, Any]:
    """Return SMACT's elements by atomic number."""
    from smact import Element

    found = {}
    for number, symbol in enumerate(SYMBOLS, start=1):
        try:
            found[number] = Element(symbol)
        except KeyError:  # SMACT ends with lawrencium
            break
    return found


def _mark(symbols: Any) -> NDArray[np.bool_]:
    """Return which atomic numbers are among some symbols."""
    chosen = set(symbols)
    return np.array([False, *(symbol in chosen for symbol in SYMBOLS)])
