"""Which space group a relaxed structure has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.cell import Refusal
from wyckflow.crystal.encode import encode_structure

if TYPE_CHECKING:
    from wyckflow.crystal.reduced import ReducedStructure

TIGHT_SYMPREC: Final = 1e-5
"""Tolerance in A at which only an exact supergroup is found."""


def find_space_group(structure: ReducedStructure, symprec: float) -> int | None:
    """Return the number of the space group, or none if none is found.

    Parameters
    ----------
    structure
        Any structure; it has the group of its gene, or a supergroup of it.
    symprec
        Distance tolerance in A.
    """
    coordinates, numbers = structure.expand()
    cell = (np.array(structure.lattice), coordinates, numbers)
    encoded = encode_structure(cell, symprec=symprec)
    if isinstance(encoded, Refusal):
        return None
    return encoded.gene.space_group_number
