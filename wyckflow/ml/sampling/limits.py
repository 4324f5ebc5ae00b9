"""A target's conditions on symmetry, elements and size, as the decoder obeys them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from wyckflow.crystal.elements import ATOMIC_NUMBERS, SYMBOLS
from wyckflow.errors import GeneError, TargetError
from wyckflow.ml.codec.arrangement import MAX_SPECIES
from wyckflow.ml.mpvae.limits import DEFAULT_MAX_ATOMS, DecodingLimits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wyckflow.schemas.target import Target

LEFT_TO_CHOICE: Final = ("elements_any", "nsites")
"""Conditions of which the decoder obeys a part at most: genes are chosen afterwards."""


def limit_decoding(
    target: Target,
    known_elements: NDArray[np.bool_],
    *,
    max_atoms: int = DEFAULT_MAX_ATOMS,
) -> DecodingLimits:
    """Return what the decoder is bound to, so that no gene is made in vain.

    Parameters
    ----------
    target
        What is wanted.
    known_elements
        Atomic numbers that the model was trained on (119,).
    max_atoms
        Most atoms in the conventional cell, unless the target allows fewer.

    Raises
    ------
    TargetError
        If the model cannot write any gene like this.
    """
    known = {SYMBOLS[number - 1] for number in known_elements.nonzero()[0] if number}
    if unknown := [e for e in target.elements_all if e not in known]:
        raise TargetError(
            f"The target needs {', '.join(unknown)}, which the model has never seen; "
            f"it knows {len(known)} elements. Train one on data with "
            f"{'it' if len(unknown) == 1 else 'them'}."
        )
    allowed = known - set(target.elements_none)
    if target.elements_only:
        allowed &= set(target.elements_only)
    _check_choice(target, allowed, max_atoms)
    try:
        return DecodingLimits(
            max_atoms=int(min(max_atoms, target.nsites.upper)),
            min_elements=max(1, math.ceil(max(target.n_elements.lower, 1))),
            max_elements=int(min(MAX_SPECIES, target.n_elements.upper)),
            space_groups=frozenset(target.allowed_space_groups),
            elements=frozenset(sorted(allowed, key=ATOMIC_NUMBERS.__getitem__)),
            required_elements=frozenset(target.elements_all),
        )
    except GeneError as error:
        raise TargetError(f"No gene can meet the target. {error}") from None


def _check_choice(target: Target, allowed: set[str], max_atoms: int) -> None:
    """Refuse what would be tried in vain, since genes are chosen by it afterwards."""
    if not allowed:
        raise TargetError(
            "No gene can meet the target: of the elements that it allows, the model "
            "has seen none. Allow others, or take a model that knows them."
        )
    possible = allowed & set(target.elements_any)
    if len(target.elements_all) >= target.n_elements.upper:
        possible &= set(target.elements_all)
    if target.elements_any and not possible:
        raise TargetError(
            f"No gene can meet the target: it needs one of "
            f"{', '.join(target.elements_any)} (elements_any), and none of them is "
            "known to the model and left by the other conditions on elements. Change "
            "one of these conditions."
        )
    if target.nsites.lower > max_atoms:
        raise TargetError(
            f"No gene can meet the target: it asks for {target.nsites.lower:g} atoms "
            f"in the conventional cell at least, and {max_atoms=} are allowed at most. "
            "Raise that limit, or take the condition back."
        )
