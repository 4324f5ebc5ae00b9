"""What decoded genes must be like, met by construction and not by rejection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import ATOMIC_NUMBERS, N_ATOMIC_NUMBERS, SYMBOLS
from wyckflow.crystal.tables import N_SPACE_GROUPS
from wyckflow.errors import GeneError, nearest_name
from wyckflow.ml.codec.arrangement import MAX_SPECIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

DEFAULT_MAX_ATOMS: Final = 100


@dataclass(frozen=True, slots=True)
class DecodingLimits:
    """Conditions on the genes that a decoder may write.

    Attributes
    ----------
    max_atoms
        Most atoms in the conventional cell.
    max_sites
        Most occupied orbits.
    min_elements, max_elements
        Number of different elements.
    space_groups
        Numbers that may come; all by default.
    elements
        Symbols that may come; by default those that the model was trained on.
    required_elements
        Symbols that every gene must have.

    Raises
    ------
    GeneError
        If no gene at all can meet the conditions.
    """

    max_atoms: int = DEFAULT_MAX_ATOMS
    max_sites: int = 40
    min_elements: int = 1
    max_elements: int = MAX_SPECIES
    space_groups: frozenset[int] | None = None
    elements: frozenset[str] | None = None
    required_elements: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse conditions that contradict each other."""
        for name in ("space_groups", "elements", "required_elements"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, frozenset(value))
        _check_symbols(self.required_elements)
        _check_symbols(self.elements or ())
        most = min(self.max_elements, MAX_SPECIES)
        if self.elements is not None:
            most = min(most, len(self.elements | self.required_elements))
            if lost := self.required_elements - self.elements:
                raise GeneError(
                    f"{', '.join(sorted(lost))} is required but may not come; add it "
                    "to the elements, or do not require it."
                )
        least = max(self.min_elements, len(self.required_elements), 1)
        if least > most or self.max_sites < least or self.max_atoms < least:
            raise GeneError(
                f"No gene has at least {least} and at most {most} elements with "
                f"{self.max_sites=} and {self.max_atoms=}; widen the limits (the model "
                f"takes {MAX_SPECIES} elements at most)."
            )
        wrong = set(self.space_groups or ()) - set(range(1, N_SPACE_GROUPS + 1))
        if wrong or self.space_groups == frozenset():
            raise GeneError(
                f"{sorted(wrong) or 'An empty set'} came as space groups; give numbers "
                f"from 1 to {N_SPACE_GROUPS}."
            )

    @property
    def least_species(self) -> int:
        """The fewest elements that meet all conditions."""
        return max(self.min_elements, len(self.required_elements), 1)

    def element_mask(self, known: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which atomic numbers may come (119,).

        Parameters
        ----------
        known
            Those that the model was trained on (119,); they are the default.
        """
        if self.elements is None:
            mask = known.copy()
        else:
            mask = np.zeros(N_ATOMIC_NUMBERS, np.bool_)
            mask[[ATOMIC_NUMBERS[symbol] for symbol in self.elements]] = True
        mask |= self.required_mask()
        mask[0] = False
        return mask

    def required_mask(self) -> NDArray[np.bool_]:
        """Return which atomic numbers must come (119,)."""
        mask = np.zeros(N_ATOMIC_NUMBERS, np.bool_)
        mask[[ATOMIC_NUMBERS[symbol] for symbol in self.required_elements]] = True
        return mask

    def group_mask(self) -> NDArray[np.bool_]:
        """Return which space groups may come (231,)."""
        mask = np.zeros(N_SPACE_GROUPS + 1, np.bool_)
        chosen = self.space_groups or range(1, N_SPACE_GROUPS + 1)
        mask[list(chosen)] = True
        return mask


def _check_symbols(symbols: Iterable[str]) -> None:
    for symbol in symbols:
        if symbol not in ATOMIC_NUMBERS:
            hint = nearest_name(str(symbol), SYMBOLS)
            raise GeneError(
                f"{symbol!r} is no chemical symbol; expected one such as 'Ti'.{hint}"
            )
