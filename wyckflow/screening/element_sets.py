"""Named sets of elements for filters, each with its source.

``radioactive``
    Without a stable isotope, by NUBASE2020 (Kondev et al., Chinese Phys. C 2021, 45,
    030001): technetium, promethium, and all from polonium on. Bismuth, whose isotope
    lives 2e19 years, is not among them.
``f_block``
    Lanthanum to lutetium and actinium to lawrencium: the lanthanoids and actinoids of
    the IUPAC Red Book (2005), IR-3.5, both ends included.
``toxic``
    Arsenic, cadmium, mercury and lead, which the World Health Organization lists among
    ten chemicals of major public health concern (2020); beryllium, a carcinogen of
    group 1 (IARC Monographs 100C, 2012); thallium. Whether a crystal is toxic depends
    on more than its elements.
``precious``
    The platinum metals, silver and gold.
``earth_abundant``
    At least 50 mg per kg of the continental crust (CRC Handbook of Chemistry and
    Physics, section 14, "Abundance of elements in the Earth's crust and in the sea"),
    and nitrogen, which is in the air.
``noble_gases``
    Helium to radon.
``chalcogens``, ``halogens``
    Oxygen to polonium, fluorine to astatine.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from wyckflow.crystal.elements import ATOMIC_NUMBERS, SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Mapping


def _from_to(first: str, last: str) -> tuple[str, ...]:
    """Return the elements from one to another, both included."""
    return tuple(SYMBOLS[ATOMIC_NUMBERS[first] - 1 : ATOMIC_NUMBERS[last]])


ELEMENT_SETS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "radioactive": ("Tc", "Pm", *_from_to("Po", "Og")),
        "f_block": (*_from_to("La", "Lu"), *_from_to("Ac", "Lr")),
        "toxic": ("Be", "As", "Cd", "Hg", "Tl", "Pb"),
        "precious": ("Ru", "Rh", "Pd", "Ag", "Os", "Ir", "Pt", "Au"),
        "earth_abundant": (
            *("H", "C", "N", "O", "F", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "K"),
            *("Ca", "Ti", "V", "Cr", "Mn", "Fe", "Ni", "Cu", "Zn", "Rb", "Sr", "Zr"),
            *("Ba", "Ce"),
        ),
        "noble_gases": ("He", "Ne", "Ar", "Kr", "Xe", "Rn"),
        "chalcogens": ("O", "S", "Se", "Te", "Po"),
        "halogens": ("F", "Cl", "Br", "I", "At"),
    }
)
"""Symbols by name of the set, in the order of the periodic table."""
