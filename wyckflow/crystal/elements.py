"""Chemical symbols in the order of the periodic table, and formulas from counts."""

from __future__ import annotations

from math import gcd, inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Pauling electronegativities by symbol, hydrogen (Z = 1) first; infinite where the
# scale has no value, which sorts noble gases behind fluorine.
# fmt: off
ELECTRONEGATIVITIES: Final[dict[str, float]] = {
    "H": 2.2, "He": inf, "Li": 0.98, "Be": 1.57, "B": 2.04, "C": 2.55, "N": 3.04,
    "O": 3.44, "F": 3.98, "Ne": inf, "Na": 0.93, "Mg": 1.31, "Al": 1.61, "Si": 1.9,
    "P": 2.19, "S": 2.58, "Cl": 3.16, "Ar": inf, "K": 0.82, "Ca": 1.0, "Sc": 1.36,
    "Ti": 1.54, "V": 1.63, "Cr": 1.66, "Mn": 1.55, "Fe": 1.83, "Co": 1.88, "Ni": 1.91,
    "Cu": 1.9, "Zn": 1.65, "Ga": 1.81, "Ge": 2.01, "As": 2.18, "Se": 2.55, "Br": 2.96,
    "Kr": 3.0, "Rb": 0.82, "Sr": 0.95, "Y": 1.22, "Zr": 1.33, "Nb": 1.6, "Mo": 2.16,
    "Tc": 1.9, "Ru": 2.2, "Rh": 2.28, "Pd": 2.2, "Ag": 1.93, "Cd": 1.69, "In": 1.78,
    "Sn": 1.96, "Sb": 2.05, "Te": 2.1, "I": 2.66, "Xe": 2.6, "Cs": 0.79, "Ba": 0.89,
    "La": 1.1, "Ce": 1.12, "Pr": 1.13, "Nd": 1.14, "Pm": 1.13, "Sm": 1.17, "Eu": 1.2,
    "Gd": 1.2, "Tb": 1.1, "Dy": 1.22, "Ho": 1.23, "Er": 1.24, "Tm": 1.25, "Yb": 1.1,
    "Lu": 1.27, "Hf": 1.3, "Ta": 1.5, "W": 2.36, "Re": 1.9, "Os": 2.2, "Ir": 2.2,
    "Pt": 2.28, "Au": 2.54, "Hg": 2.0, "Tl": 1.62, "Pb": 2.33, "Bi": 2.02, "Po": 2.0,
    "At": 2.2, "Rn": 2.2, "Fr": 0.7, "Ra": 0.9, "Ac": 1.1, "Th": 1.3, "Pa": 1.5,
    "U": 1.38, "Np": 1.36, "Pu": 1.28, "Am": 1.3, "Cm": 1.3, "Bk": 1.3, "Cf": 1.3,
    "Es": 1.3, "Fm": 1.3, "Md": 1.3, "No": 1.3, "Lr": 1.3, "Rf": inf, "Db": inf,
    "Sg": inf, "Bh": inf, "Hs": inf, "Mt": inf, "Ds": inf, "Rg": inf, "Cn": inf,
    "Nh": inf, "Fl": inf, "Mc": inf, "Lv": inf, "Ts": inf, "Og": inf,
}
# fmt: on

SYMBOLS: Final = tuple(ELECTRONEGATIVITIES)
ATOMIC_NUMBERS: Final = {symbol: number for number, symbol in enumerate(SYMBOLS, 1)}
N_ATOMIC_NUMBERS: Final = len(SYMBOLS) + 1
"""Length of a table by atomic number, whose first entry stands for no element."""

# The place of an element in a formula: cations first, symbols break a tie.
FORMULA_RANKS: Final = {
    symbol: rank
    for rank, symbol in enumerate(
        sorted(SYMBOLS, key=lambda symbol: (ELECTRONEGATIVITIES[symbol], symbol))
    )
}

# A last pair of elements closer than this is written as one anion, as in Ca3(PO4)2.
_POLYANION_DIFFERENCE: Final = 1.65

# Formulas that are never written with the smallest numbers.
_UNREDUCED: Final = {
    "LiO": "Li2O2",
    "NaO": "Na2O2",
    "KO": "K2O2",
    "RbO": "Rb2O2",
    "CsO": "Cs2O2",
    "HO": "H2O2",
    "H": "H2",
    "N": "N2",
    "O": "O2",
    "F": "F2",
    "Cl": "Cl2",
}


def reduced_formula(counts: Mapping[str, int]) -> str:
    """Write the smallest formula of a composition, cations first.

    Parameters
    ----------
    counts
        Atoms of each element; every symbol is known and every count positive.
    """
    divisor = gcd(*counts.values())
    symbols = sorted(counts, key=FORMULA_RANKS.__getitem__)
    reduced = [(symbol, counts[symbol] // divisor) for symbol in symbols]
    formula = _with_polyanion(reduced) or _plain(reduced)
    return _UNREDUCED.get(formula, formula)


def _with_polyanion(reduced: list[tuple[str, int]]) -> str | None:
    """Bracket the last two elements where both counts share a divisor."""
    if len(reduced) <= 2:  # noqa: PLR2004 - a pair of elements is no salt
        return None
    (inner, n_inner), (outer, n_outer) = reduced[-2:]
    difference = ELECTRONEGATIVITIES[outer] - ELECTRONEGATIVITIES[inner]
    shared = gcd(n_inner, n_outer)
    if shared == 1 or not difference < _POLYANION_DIFFERENCE:
        return None
    anion = _plain([(inner, n_inner // shared), (outer, n_outer // shared)])
    return f"{_plain(reduced[:-2])}({anion}){shared}"


def _plain(counts: list[tuple[str, int]]) -> str:
    return "".join(f"{symbol}{count if count > 1 else ''}" for symbol, count in counts)
