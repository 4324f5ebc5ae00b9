"""Where the network must not be asked: holes, explosions, unknown elements.

At contact the energy of CHGNet falls (a pair of atoms at 0.1 A is bound by an electron
volt), and far apart its forces vanish, so that both nonsense ends "converge". A cell
that collapses also takes memory as one over its volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.schemas.relaxation import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from wyckflow.crystal.gene import WyckoffGene

    Floats = NDArray[np.float64]

VOLUMES_PER_ATOM: Final = (4.0, 150.0)
"""Smallest and largest volume per atom that is relaxed, in A^3."""

MIN_AXIS: Final = 1.5
"""Shortest cell vector that is relaxed, in A."""

MIN_VOLUME_RATIO: Final = 0.12
"""Smallest volume over the product of the cell lengths: below, the cell is flat."""

MIN_CONTACT_RATIO: Final = 0.5
"""Shortest distance over the sum of two covalent radii that is relaxed."""

_ROUNDING: Final = 1e-8


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a structure is not relaxed, or no further.

    Attributes
    ----------
    outcome
        What kind of problem.
    reason
        What was found, against which limit.
    """

    outcome: Outcome
    reason: str


def find_unsupported_elements(
    elements: Iterable[str], supported_atomic_numbers: frozenset[int]
) -> Problem | None:
    """Return a problem if the network was not trained on an element.

    Parameters
    ----------
    elements
        Chemical symbols.
    supported_atomic_numbers
        What the network knows.
    """
    from pymatgen.core.periodic_table import Element

    unknown = [
        symbol
        for symbol in elements
        if Element(symbol).Z not in supported_atomic_numbers
    ]
    if not unknown:
        return None
    return Problem(
        Outcome.UNSUPPORTED_ELEMENT,
        f"the network was not trained on {', '.join(sorted(unknown))}",
    )


def covalent_radii_per_atom(gene: WyckoffGene) -> Floats:
    """Return the covalent radius of every atom of the conventional cell, in A.

    Parameters
    ----------
    gene
        A gene of supported elements; atoms stand orbit by orbit.
    """
    from wyckflow.crystal.build.volumes import load_atomic_volumes

    elements = load_atomic_volumes().elements
    radii = [elements[site.element].covalent_radius for site in gene.sites]
    return np.repeat(radii, gene.multiplicities)


def find_geometry_problem(
    lattice: Floats, positions: Floats, radii: Floats, *, cutoff: float
) -> Problem | None:
    """Return the first thing wrong with a geometry, if any.

    Parameters
    ----------
    lattice
        Rows are the cell vectors, in A.
    positions
        Cartesian, one row per atom, in A.
    radii
        Covalent radius of each atom, in A.
    cutoff
        Distance within which atoms see each other, in A.
    """
    if not (np.isfinite(lattice).all() and np.isfinite(positions).all()):
        return Problem(Outcome.NON_FINITE, "a coordinate is not finite")
    # Cheap tests first: the neighbours of a collapsed cell would fill the memory.
    return _find_cell_problem(lattice, len(positions)) or _find_contact_problem(
        lattice, positions, radii, cutoff=cutoff
    )


def _find_cell_problem(lattice: Floats, n_atoms: int) -> Problem | None:
    """Judge volume and shape of a cell."""
    lengths = np.linalg.norm(lattice, axis=1)
    volume = float(np.linalg.det(lattice))
    smallest, largest = VOLUMES_PER_ATOM
    if volume / n_atoms < smallest:
        return _guarded("volume per atom", volume / n_atoms, "A^3", f"below {smallest}")
    if volume / n_atoms > largest:
        return _guarded("volume per atom", volume / n_atoms, "A^3", f"above {largest}")
    if lengths.min() < MIN_AXIS:
        return _guarded("shortest axis", lengths.min(), "A", f"below {MIN_AXIS}")
    ratio = volume / float(lengths.prod())
    if ratio < MIN_VOLUME_RATIO:
        return _guarded(
            "volume over a b c", ratio, "", f"below {MIN_VOLUME_RATIO}: a flat cell"
        )
    return None


def _find_contact_problem(
    lattice: Floats, positions: Floats, radii: Floats, *, cutoff: float
) -> Problem | None:
    """Look for overlapping and for lonely atoms."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    points = np.ascontiguousarray(positions, dtype=np.float64)
    centers, others, _, distances = find_points_in_spheres(
        points,
        points,
        r=float(cutoff),
        pbc=np.ones(3, dtype=np.int64),
        lattice=np.ascontiguousarray(lattice, dtype=np.float64),
        tol=_ROUNDING,
    )
    is_itself = (centers == others) & (distances < _ROUNDING)
    centers, others = centers[~is_itself], others[~is_itself]
    distances = distances[~is_itself]
    if lonely := len(positions) - len(np.unique(centers)):
        return Problem(
            Outcome.ISOLATED, f"{lonely} atoms have no neighbour within {cutoff:g} A"
        )
    ratios = distances / (radii[centers] + radii[others])
    if ratios.min() < MIN_CONTACT_RATIO:
        return _guarded(
            "shortest distance over covalent radii",
            ratios.min(),
            "",
            f"below {MIN_CONTACT_RATIO}",
        )
    return None


def _guarded(what: str, value: float, unit: str, limit: str) -> Problem:
    """Word a problem alike in all cases."""
    return Problem(
        Outcome.GUARDED, f"{what} {value:.3g} {unit}".rstrip() + f", {limit}"
    )
