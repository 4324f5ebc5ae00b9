"""What a hull says: distances as arrays, decompositions as lists of products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from wyckflow.thermo.scale import EnergyScale

    # Named, since Sphinx takes an underscore at the end of a word for a link.
    Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class HullDistances:
    """Distances of candidates to a hull, in their order.

    Attributes
    ----------
    energies_above_hull
        eV/atom; below zero where a candidate lowers the hull; NaN where it cannot be
        judged.
    formation_energies
        Relative to the elements, eV/atom; NaN where it cannot be judged.
    hull_energies
        Formation energy of the competing phases together, eV/atom.
    missing_elements
        For each candidate that cannot be judged, the symbols without a reference.
    scale
        Scale of all energies.
    version
        Version of the hull.
    """

    energies_above_hull: NDArray[np.float64]
    formation_energies: NDArray[np.float64]
    hull_energies: NDArray[np.float64]
    missing_elements: Mapping[int, tuple[str, ...]]
    scale: EnergyScale
    version: str

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.energies_above_hull)

    @property
    def can_judge(self) -> Flags:
        """Whether every element of a candidate has a reference."""
        return ~np.isnan(self.hull_energies)


@dataclass(frozen=True, slots=True)
class Product:
    """One of the phases into which a composition decomposes.

    Attributes
    ----------
    id
        Of its entry; the symbol of an element that is zero by definition.
    formula
        Reduced formula.
    fraction
        Share of the atoms that are in it.
    formation_energy_per_atom
        eV/atom.
    """

    id: str
    formula: str
    fraction: float
    formation_energy_per_atom: float
