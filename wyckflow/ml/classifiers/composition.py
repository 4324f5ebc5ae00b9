"""Composition groups: oxides, halides, chalcogenides, intermetallics and so on."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import ATOMIC_NUMBERS, SYMBOLS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.ml.codec.sites import SiteTensors


class CompositionGroup(StrEnum):
    """Kind of compound, by its most electronegative elements."""

    OXIDES = "oxides"
    HALIDES = "halides"
    CHALCOGENIDES = "chalcogenides"
    MIXED_ANIONS = "mixed anions"
    PNICTIDES = "pnictides"
    HYDRIDES = "hydrides"
    BORIDES_CARBIDES_SILICIDES = "borides, carbides, silicides"
    INTERMETALLICS = "intermetallics"


GROUPS: Final = tuple(CompositionGroup)
"""The groups in the order of their codes."""

# The first of them that a compound holds names it; intermetallics hold none.
_ANIONS: Final = (
    (CompositionGroup.OXIDES, ("O",)),
    (CompositionGroup.HALIDES, ("F", "Cl", "Br", "I")),
    (CompositionGroup.CHALCOGENIDES, ("S", "Se", "Te")),
    (CompositionGroup.PNICTIDES, ("N", "P", "As", "Sb")),
    (CompositionGroup.HYDRIDES, ("H",)),
    (CompositionGroup.BORIDES_CARBIDES_SILICIDES, ("B", "C", "Si", "Ge")),
)
_N_MIXABLE: Final = 3


def group_compositions(sites: SiteTensors) -> NDArray[np.int64]:
    """Return the code of the composition group of each gene, an index into `GROUPS`.

    Compounds of two of oxygen, halogens and the chalcogens S, Se, Te have mixed
    anions. Antimony counts as a pnictide, bismuth as a metal.

    Parameters
    ----------
    sites
        The genes.
    """
    holds = np.stack([_holds(sites, symbols) for _, symbols in _ANIONS], axis=1)
    codes = np.full(len(sites), GROUPS.index(CompositionGroup.INTERMETALLICS))
    for column in reversed(range(len(_ANIONS))):
        codes[holds[:, column]] = GROUPS.index(_ANIONS[column][0])
    is_mixed = holds[:, :_N_MIXABLE].sum(axis=1) > 1
    codes[is_mixed] = GROUPS.index(CompositionGroup.MIXED_ANIONS)
    return codes


def _holds(sites: SiteTensors, symbols: tuple[str, ...]) -> NDArray[np.bool_]:
    """Tell which genes hold any of some elements."""
    wanted = np.zeros(len(SYMBOLS) + 1, np.bool_)
    wanted[[ATOMIC_NUMBERS[symbol] for symbol in symbols]] = True
    return np.asarray(wanted[sites.atomic_number].any(axis=1))
