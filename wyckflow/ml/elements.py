"""What is tabulated about the chemical elements, as numbers a network can take."""

from __future__ import annotations

import math
import re
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.elements import N_ATOMIC_NUMBERS, SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_BLOCKS: Final = "spdf"


def _attribute(name: str) -> Callable[[Any], float | None]:
    """Read a tabulated number."""
    return lambda element: getattr(element, name)


def _logarithm(name: str) -> Callable[[Any], float | None]:
    """Read a positive number that spans orders of magnitude."""
    return lambda element: math.log(getattr(element, name))


def _positive(name: str) -> Callable[[Any], float | None]:
    """Read a number of which the table writes "unknown" as zero."""
    return lambda element: getattr(element, name) or None


def _ionization(order: int) -> Callable[[Any], float | None]:
    return lambda element: element.ionization_energies[order]


def _extreme(
    name: str, choose: Callable[[Sequence[float]], float]
) -> Callable[[Any], float | None]:
    """Read the lowest or the highest of several oxidation states."""
    return lambda element: choose(getattr(element, name) or (math.nan,))


def _electrons(block: str) -> Callable[[Any], float | None]:
    """Count the electrons of one kind outside the noble-gas core."""

    def count(element: Any) -> float:
        outside = element.electronic_structure.split("]")[-1]
        return sum(int(n) for n in re.findall(rf"\d{block}(\d+)", outside))

    return count


def _orbital_depth(block: str) -> Callable[[Any], float | None]:
    """Read how deep the highest atomic orbital of one kind lies, as a logarithm."""

    def read(element: Any) -> float:
        orbitals = element.atomic_orbitals
        depths = (-energy for name, energy in orbitals.items() if name[1] == block)
        return math.log(min(depths))

    return read


def _is_block(block: str) -> Callable[[Any], float | None]:
    return lambda element: float(element.block == block)


def _is(name: str) -> Callable[[Any], float | None]:
    return lambda element: float(getattr(element, name))


_READERS: Final[dict[str, Callable[[Any], float | None]]] = {
    "group": _attribute("group"),
    "period": _attribute("row"),
    **{f"is_{block}_block": _is_block(block) for block in _BLOCKS},
    **{f"valence_{block}_electrons": _electrons(block) for block in _BLOCKS},
    **{f"{block}_orbital_depth": _orbital_depth(block) for block in _BLOCKS},
    "electronegativity": _attribute("X"),
    "first_ionization_energy": _ionization(0),
    "second_ionization_energy": _ionization(1),
    "electron_affinity": _attribute("electron_affinity"),
    "atomic_radius": _positive("atomic_radius"),
    "calculated_radius": _positive("atomic_radius_calculated"),
    "van_der_waals_radius": _positive("van_der_waals_radius"),
    "metallic_radius": _positive("metallic_radius"),
    "ionic_radius": _positive("average_ionic_radius"),
    "molar_volume": _logarithm("molar_volume"),
    "melting_point": _logarithm("melting_point"),
    "boiling_point": _logarithm("boiling_point"),
    "atomic_mass": _logarithm("atomic_mass"),
    "mendeleev_number": _positive("mendeleev_no"),
    "lowest_common_oxidation_state": _extreme("common_oxidation_states", min),
    "highest_common_oxidation_state": _extreme("common_oxidation_states", max),
    "lowest_oxidation_state": _extreme("oxidation_states", min),
    "highest_oxidation_state": _extreme("oxidation_states", max),
    "is_metal": _is("is_metal"),
    "is_metalloid": _is("is_metalloid"),
    "is_halogen": _is("is_halogen"),
    "is_chalcogen": _is("is_chalcogen"),
    "is_rare_earth": _is("is_rare_earth"),
}

# Written out, because which values are lacking is known only once the tables are read;
# a test compares the two.
_INCOMPLETE: Final = (
    *(f"valence_{block}_electrons" for block in _BLOCKS),
    *(f"{block}_orbital_depth" for block in _BLOCKS),
    "electronegativity",
    "first_ionization_energy",
    "second_ionization_energy",
    "electron_affinity",
    "atomic_radius",
    "calculated_radius",
    "van_der_waals_radius",
    "metallic_radius",
    "ionic_radius",
    "molar_volume",
    "melting_point",
    "boiling_point",
    "mendeleev_number",
    "lowest_common_oxidation_state",
    "highest_common_oxidation_state",
    "lowest_oxidation_state",
    "highest_oxidation_state",
)

ELEMENT_FEATURES: Final = (
    *_READERS,
    *(f"lacks_{name}" for name in _INCOMPLETE),
)
"""Names of the columns of `element_features`."""


@lru_cache(maxsize=1)
def element_features() -> NDArray[np.float32]:
    """Return one row of numbers per element, from pymatgen's tables.

    Columns have mean zero and spread one over the elements whose value is known. Where
    it is not, the number is zero and the column ``lacks_...`` is one.

    Returns
    -------
    numpy.ndarray
        (119, columns), read-only; row Z belongs to atomic number Z, row 0 is zero.
    """
    values = _read_tables()
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    mean = np.where(known, values, 0).sum(axis=0) / count
    centred = np.where(known, values - mean, 0)
    spread = np.sqrt((centred**2).sum(axis=0) / count)
    columns = list(_READERS)
    lacking = ~known[:, [columns.index(name) for name in _INCOMPLETE]]
    table = np.zeros((N_ATOMIC_NUMBERS, len(ELEMENT_FEATURES)), np.float32)
    table[1:] = np.concatenate([centred / spread, lacking], axis=1)
    table.flags.writeable = False
    return table


def _read_tables() -> NDArray[np.float64]:
    """Ask pymatgen for every column of every element; not-a-number where unknown."""
    from pymatgen.core import Element

    values = np.full((len(SYMBOLS), len(_READERS)), np.nan)
    with warnings.catch_warnings():
        # The tables warn of each missing value, and then give one that means nothing.
        warnings.simplefilter("error", UserWarning)
        for row, symbol in enumerate(SYMBOLS):
            element = Element(symbol)
            for column, read in enumerate(_READERS.values()):
                try:
                    value = read(element)
                except (UserWarning, KeyError, IndexError, TypeError, ValueError):
                    continue
                values[row, column] = np.nan if value is None else value
    return values
