"""The reference sets that come with the package, so that anyone can judge offline.

They hold compositions, energies and ids of known phases, no structures, and they are
partial: some 12,000 phases of the Materials Project out of 150,000. A hull of few
phases lies too high, so that a distance to it is a *lower bound* of the distance to the
full hull. Whatever is far above it is unstable; what is on it may be stable.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.errors import ReferenceDataError, nearest_name
from wyckflow.thermo.reference import ReferenceSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUNDLED_REFERENCES: Final = {
    "chgnet-0.3.0": "reference-chgnet-0.3.0.npz",
    "mp2020-gga-u": "reference-mp2020-gga-u.npz",
}
"""File of each scale."""

HULL_POINT_SOURCE: Final = "hull of the Materials Project"
"""Source of entries that are no phases but known energies of the hull."""

HULL_POINT_PREFIX: Final = "hull-at-"
"""Before the id of the phase by whose distance to the hull a hull point is known."""

_FOLDER: Final = "data"


@lru_cache(maxsize=2)
def load_bundled_reference(scale: str = "chgnet-0.3.0") -> ReferenceSet:
    """Return the reference set of a scale that comes with the package.

    On ``chgnet-0.3.0`` it holds total energies of known phases that CHGNet relaxed, and
    of the elements. On ``mp2020-gga-u`` it holds formation energies, and besides phases
    *hull points*: where the Materials Project states both the formation energy of a
    phase and its distance to the hull, their difference is the energy of its full hull
    at that composition, whatever it is made of. Some mixture of known phases reaches
    it, so it competes like a phase, and the bound gets tighter.

    Parameters
    ----------
    scale
        One of `BUNDLED_REFERENCES`.

    Raises
    ------
    ReferenceDataError
        If there is none of this scale.
    """
    if scale not in BUNDLED_REFERENCES:
        raise ReferenceDataError(
            f"No reference set of the scale {scale!r} comes with the package, only of "
            f"{', '.join(BUNDLED_REFERENCES)}; build one with 'wyckflow hull build'."
            f"{nearest_name(str(scale), BUNDLED_REFERENCES)}"
        )
    packaged = files("wyckflow.thermo").joinpath(_FOLDER, BUNDLED_REFERENCES[scale])
    return ReferenceSet.from_bytes(packaged.read_bytes(), where=packaged.name)


def find_exact_entries(reference: ReferenceSet) -> NDArray[np.bool_]:
    """Return which entries of the bundled DFT set lie exactly on the full hull.

    Those are the hull points, and the phases whose published distance is zero, which
    are those without a hull point.

    Parameters
    ----------
    reference
        `load_bundled_reference` of ``mp2020-gga-u``, or a part of it that keeps each
        phase and its hull point together.
    """
    ids = [str(name) for name in reference.ids]
    above = {
        name.removeprefix(HULL_POINT_PREFIX)
        for name in ids
        if name.startswith(HULL_POINT_PREFIX)
    }
    return np.array([name not in above for name in ids])
