"""All atoms of crystals that are kept as one point per orbit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from wyckflow.crystal.tables import (
    N_SPACE_GROUPS,
    TRANSLATION_DENOMINATOR,
    load_space_group,
)
from wyckflow.ml.forward.moves import N_LETTERS, Maps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.ml.forward.crystals import Crystals


@dataclass(frozen=True, eq=False, slots=True)
class Atoms:
    """All atoms of conventional cells.

    Attributes
    ----------
    offsets
        Where the atoms of each crystal begin, and where the last ones end (n + 1,).
    site_indices
        The orbit of each atom, counted through all crystals.
    atomic_numbers
        One per atom.
    coordinates
        Fractional, in [0, 1), one row per atom.
    """

    offsets: NDArray[np.int64]
    site_indices: NDArray[np.int64]
    atomic_numbers: NDArray[np.int64]
    coordinates: NDArray[np.float64]


def expand(crystals: Crystals) -> Atoms:
    """Write out all atoms of the conventional cells, orbit by orbit.

    Parameters
    ----------
    crystals
        With cells.
    """
    maps = _orbit_maps()
    groups = crystals.space_group_numbers[crystals.crystal_indices]
    key = groups * N_LETTERS + crystals.letter_indices
    counts = maps.counts[key]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    which = np.arange(offsets[-1]) + np.repeat(maps.starts[key] - offsets[:-1], counts)
    site = np.repeat(np.arange(len(key)), counts)
    points = maps.apply(which, crystals.coordinates[site]) % 1.0
    return Atoms(
        offsets=offsets[crystals.offsets],
        site_indices=site,
        atomic_numbers=crystals.atomic_numbers[site],
        coordinates=points,
    )


@lru_cache(maxsize=1)
def _orbit_maps() -> Maps:
    """Return all points of all Wyckoff positions; keys as in `load_stabilisers`."""
    n_groups = N_SPACE_GROUPS + 1
    counts = np.zeros((n_groups, N_LETTERS), np.int64)
    rotations, translations = [], []
    for number in range(1, n_groups):
        for place, position in enumerate(load_space_group(number).positions):
            counts[number, place] = position.multiplicity
            rotations.append(position.rotations)
            translations.append(position.translations)
    flat = counts.ravel()
    return Maps(
        rotations=np.concatenate(rotations).astype(np.float64),
        translations=np.concatenate(translations) / TRANSLATION_DENOMINATOR,
        starts=np.cumsum(flat) - flat,
        counts=flat,
    )
