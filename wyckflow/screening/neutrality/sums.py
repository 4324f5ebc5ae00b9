"""Which total charges a set of atoms can take, as the bits of one integer.

Bit ``q`` of a number says whether the charge ``q`` can be reached. Adding an element
is a shift per state, so that the cost grows with the number of states instead of with
the number of their combinations, however many elements there are.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def add_states(reached: int, charges: Iterable[int]) -> int:
    """Return the charges reached when an element adds one of some charges.

    Parameters
    ----------
    reached
        Charges reached so far, none of them negative.
    charges
        Charges of all atoms of the element together, none of them negative.
    """
    total = 0
    for charge in charges:
        total |= reached << charge
    return total


@lru_cache(maxsize=100_000)
def charges_of(states: tuple[int, ...], n_atoms: int, *, mixed: bool) -> Sequence[int]:
    """Return the charges that atoms of one element can have together.

    Parameters
    ----------
    states
        Oxidation states of the element, of any sign.
    n_atoms
        How many atoms.
    mixed
        Whether the atoms may differ.
    """
    if not mixed or not states:
        return [n_atoms * state for state in states]
    lowest = states[0]
    steps = [state - lowest for state in states]
    reached = 1
    for _ in range(n_atoms):
        reached = add_states(reached, steps)
    return [bit + n_atoms * lowest for bit in _bits(reached)]


def smallest_difference(first: int, second: int) -> int | None:
    """Return the difference of two reached charges that is nearest to zero.

    Parameters
    ----------
    first, second
        Reached charges; the difference is the first minus the second.

    Returns
    -------
    int | None
        None if either reaches nothing.
    """
    if not first or not second:
        return None
    for distance in range(max(first.bit_length(), second.bit_length())):
        if first & (second << distance):
            return distance
        if (first << distance) & second:
            return -distance
    return None


def _bits(number: int) -> list[int]:
    """Return the places of the ones."""
    return [place for place, bit in enumerate(reversed(f"{number:b}")) if bit == "1"]
