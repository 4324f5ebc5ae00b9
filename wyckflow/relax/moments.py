"""Magnetic moments of relaxed structures, asked for once at the end.

Neither energies nor forces depend on them, so the relaxation goes without.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.backends import Backend

    Moments = list[float] | None

logger = logging.getLogger(__name__)


def ask_for_moments(
    structures: Sequence[ReducedStructure | None], backend: Backend
) -> list[Moments]:
    """Return how large the magnetic moments of structures are, in mu_B.

    Parameters
    ----------
    structures
        As relaxed; None where there is none.
    backend
        What relaxed them.

    Returns
    -------
    list
        For each structure one moment per orbit, in the order of its gene; None without
        a structure, if the backend predicts none, or if it failed, which the log says:
        a relaxation is not lost for its moments.
    """
    present = [item for item in structures if item is not None]
    found = iter(_ask_guardedly(present, backend))
    return [None if item is None else next(found) for item in structures]


def _ask_guardedly(
    structures: Sequence[ReducedStructure], backend: Backend
) -> list[Moments]:
    """Ask for all at once; if that fails, for each alone."""
    if not structures:
        return []
    try:
        return backend.magnetic_moments(structures)
    except Exception:  # one structure must not take the others with it
        if len(structures) == 1:
            logger.exception("No magnetic moments of %s", structures[0].gene)
            return [None]
    return [
        moments for item in structures for moments in _ask_guardedly([item], backend)
    ]
