"""The neutrality test of the WyCryst codes, exact and without their combinations."""

from __future__ import annotations

import warnings
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import (
    ATOMIC_NUMBERS,
    FORMULA_RANKS,
    N_ATOMIC_NUMBERS,
    SYMBOLS,
)
from wyckflow.screening.neutrality.sums import (
    add_states,
    charges_of,
    smallest_difference,
)
from wyckflow.screening.neutrality.tables import States, listed_states

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.crystal.composition import Compositions
    from wyckflow.screening.neutrality.rule import OxidationStates, PublishedRule

_FREE: Final = ATOMIC_NUMBERS["Te"]


class Role(IntEnum):
    """Place of an element in the order of electronegativity."""

    LEAST = 0
    MIDDLE = 1
    MOST = 2


def find_published_charges(
    compositions: Compositions, rule: PublishedRule
) -> NDArray[np.float64]:
    """Return the total charge nearest to zero, per formula unit.

    Parameters
    ----------
    compositions
        Any number of them.
    rule
        Which states.

    Returns
    -------
    numpy.ndarray
        Zero where the formula is neutral; not-a-number where it cannot be judged,
        since an element has no state or no electronegativity.
    """
    states = states_by_role(rule.oxidation_states)
    found = np.full(len(compositions), np.nan)
    for row in range(len(compositions)):
        counts = compositions.row(row)
        species = [(ATOMIC_NUMBERS[symbol], n) for symbol, n in counts.items()]
        total = 0 if len(species) == 1 else _nearest(species, states)
        found[row] = np.nan if total is None else total
    return found


def lacks_published_states(rule: PublishedRule) -> NDArray[np.bool_]:
    """Return by atomic number which elements the rule cannot judge.

    Parameters
    ----------
    rule
        Which states.
    """
    states = states_by_role(rule.oxidation_states)
    no_state = np.array([not of_z for of_z in states[Role.MIDDLE]])
    return no_state | np.isnan(_electronegativities())


def _nearest(species: list[tuple[int, int]], states: tuple[States, ...]) -> int | None:
    """Return the nearest total charge of two or more elements, if they have any."""
    values = _electronegativities()
    if any(np.isnan(values[z]) for z, _ in species):
        return None
    # Elements of the same electronegativity stay in the order of the formula.
    order = sorted(species, key=lambda pair: float(values[pair[0]]))
    roles = [Role.LEAST, *([Role.MIDDLE] * (len(order) - 2)), Role.MOST]
    reached, offset = 1, 0
    for (z, n), role in zip(order, roles, strict=True):
        charges = charges_of(states[role][z], n, mixed=True)
        if not charges:
            return None
        reached = add_states(reached, [charge - charges[0] for charge in charges])
        offset -= charges[0]
    if offset < 0:
        return smallest_difference(reached << -offset, 1)
    return smallest_difference(reached, 1 << offset)


@cache
def states_by_role(name: OxidationStates) -> tuple[States, States, States]:
    """Return what the rule allows each element as first, middle and last.

    Parameters
    ----------
    name
        The list of states that the signs choose from.
    """
    from pymatgen.core import Element

    listed = listed_states(name)
    allowed: list[list[tuple[int, ...]]] = [[()] for _ in Role]
    for z, symbol in enumerate(SYMBOLS, start=1):
        element, states = Element(symbol), listed[z]
        positive = tuple(state for state in states if state > 0)
        negative = tuple(state for state in states if state < 0)
        is_positive = z != _FREE and (element.is_metal or element.is_metalloid)
        # An empty choice means no choice to pymatgen, which then takes all it knows.
        fallback = tuple(sorted(element.oxidation_states)) if states else ()
        allowed[Role.LEAST].append(positive or fallback)
        allowed[Role.MIDDLE].append((positive if is_positive else states) or fallback)
        allowed[Role.MOST].append(negative or fallback)
    least, middle, most = (tuple(of_role) for of_role in allowed)
    return least, middle, most


@cache
def _electronegativities() -> NDArray[np.float64]:
    """Return pymatgen's values by atomic number, which differ from SMACT's."""
    from pymatgen.core import Element

    values = np.full(N_ATOMIC_NUMBERS, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where it has no value
        for symbol in FORMULA_RANKS:
            values[ATOMIC_NUMBERS[symbol]] = Element(symbol).X
    return values
