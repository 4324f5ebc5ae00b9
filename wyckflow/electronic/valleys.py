"""Carrier pockets: extrema of bands near the edge, and their copies by symmetry.

On lines, a pocket is an extremum along every line that passes through it or one of its
copies. On a whole mesh it is one among all neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.schemas.electronic import Carrier

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.electronic.bands import Bands
    from wyckflow.electronic.edges import Edges
    from wyckflow.electronic.point_group import PointGroup

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

VALLEY_WINDOW: Final = 0.1
"""Default: pockets this near to the edge count, in eV."""
DEGENERACY: Final = 0.01
"""Default: bands this near to each other count as one, in eV."""

_LEVEL: Final = 1e-5
"""Energies nearer than this are equal, in eV."""
_EQUIVALENT: Final = 5e-3
"""Copies by symmetry have the same energy within this, in eV."""
_TOUCHING: Final = 0.03


@dataclass(frozen=True, eq=False, slots=True)
class Pocket:
    """One kind of pocket.

    Attributes
    ----------
    carrier
        Who lives there.
    spin
        Channel, zero or one.
    index
        Of its wave vector among those of the bands.
    bands
        Indices of the bands that meet in it, the one at the edge first.
    energy
        Of the extremum, in eV.
    from_edge
        Distance to the edge of the carrier, in eV.
    places
        Indices of all its copies among the wave vectors.
    """

    carrier: Carrier
    spin: int
    index: int
    bands: tuple[int, ...]
    energy: float
    from_edge: float
    places: tuple[int, ...]


def sign_of(carrier: Carrier) -> int:
    """Return what to multiply a band with so that a carrier's energy rises.

    Parameters
    ----------
    carrier
        Which.
    """
    return -1 if carrier is Carrier.HOLE else 1


def find_pockets(
    bands: Bands,
    edges: Edges,
    group: PointGroup,
    *,
    window: float = VALLEY_WINDOW,
    degeneracy: float = DEGENERACY,
    mesh: tuple[int, int, int] | None = None,
) -> list[Pocket]:
    """Find the pockets of both carriers, those at the edges first.

    Parameters
    ----------
    bands
        On lines, or on a whole mesh.
    edges
        Of the same bands.
    group
        Their symmetry.
    window
        Farthest from the edge, in eV.
    degeneracy
        Bands this near to each other at an extremum belong to one pocket, in eV.
    mesh
        Points along each axis if the wave vectors are a whole mesh in the order of
        `numpy.ndindex`; None for lines.
    """
    neighbours = _mesh_neighbours(mesh) if mesh else _line_neighbours(bands)
    found: list[Pocket] = []
    for carrier in Carrier:
        edge = edges.edge(carrier)
        if edge is None:
            continue
        for spin, channel in enumerate(edges.channels):
            if channel.n_filled is None:
                continue
            order = (
                range(channel.n_filled - 1, -1, -1)
                if carrier is Carrier.HOLE
                else range(channel.n_filled, bands.energies.shape[1])
            )
            stack = sign_of(carrier) * (bands.energies[spin, list(order)] - edge)
            found += _search(
                bands,
                stack,
                list(order),
                group,
                neighbours,
                carrier=carrier,
                spin=spin,
                edge=edge,
                window=window,
                degeneracy=degeneracy,
            )
    return sorted(found, key=lambda one: (one.carrier, one.from_edge))


def _search(
    bands: Bands,
    stack: Floats,
    order: list[int],
    group: PointGroup,
    neighbours: Integers,
    *,
    carrier: Carrier,
    spin: int,
    edge: float,
    window: float,
    degeneracy: float,
) -> list[Pocket]:
    """Find the minima of carrier energies, band after band from the edge."""
    found: list[Pocket] = []
    for place, level in enumerate(stack):
        if level.min() > window:
            break
        is_low = _are_minima(level, neighbours)
        minima = np.flatnonzero(is_low & (level <= window))
        for index in minima[np.argsort(level[minima], kind="stable")]:
            equal = np.flatnonzero(np.abs(level - level[index]) < _EQUIVALENT)
            is_copy = group.same_as(bands.kpoints[index], bands.kpoints[equal])
            copies = equal[is_copy]
            if _is_taken(found, order[place], int(index), copies, neighbours):
                continue
            has_neighbours = (neighbours[copies] != copies[:, None]).any(axis=1)
            if not is_low[copies[has_neighbours]].all():
                continue
            if _is_crossing(stack, place, int(index), neighbours[index]):
                continue
            mine = [
                order[other]
                for other in range(place, len(stack))
                if stack[other, index] - level[index] <= degeneracy
            ]
            found.append(
                Pocket(
                    carrier=carrier,
                    spin=spin,
                    index=int(index),
                    bands=tuple(mine),
                    energy=float(edge + sign_of(carrier) * level[index]),
                    from_edge=max(0.0, float(level[index])),
                    places=tuple(int(one) for one in copies),
                )
            )
    return found


def _are_minima(level: Floats, neighbours: Integers) -> NDArray[np.bool_]:
    """Return which points lie no higher than those beside them; lone ones do not."""
    is_lowest = (level[neighbours] >= level[:, None] - _LEVEL).all(axis=1)
    is_alone = (neighbours == np.arange(len(level))[:, None]).all(axis=1)
    return np.asarray(is_lowest & ~is_alone)


def _is_taken(
    found: list[Pocket],
    band: int,
    index: int,
    copies: Integers,
    neighbours: Integers,
) -> bool:
    """Return whether a minimum is part of a pocket that is known, or its neighbour.

    Two points with the extremum in the middle between them have the same energy.
    """
    around = {int(one) for one in neighbours[index]}
    return any(
        band in pocket.bands
        and (pocket.index in copies or not around.isdisjoint(pocket.places))
        for pocket in found
    )


def _is_crossing(stack: Floats, place: int, index: int, neighbours: Integers) -> bool:
    """Return whether a minimum is the upper half of two bands that cross."""
    if place == 0:
        return False
    around = neighbours[neighbours != index]
    apart = stack[place, index] - stack[place - 1, index]
    if apart > _TOUCHING or len(around) == 0:
        return False
    before = stack[place - 1]
    return bool((before[around] < before[index] - _LEVEL).all())


def _line_neighbours(bands: Bands) -> Integers:
    """Return, for each wave vector, those beside it on a line; itself where none is."""
    found: list[list[int]] = [[] for _ in bands.kpoints]
    for first, last in bands.lines():
        for index in range(first, last + 1):
            if index > first:
                found[index].append(index - 1)
            if index < last:
                found[index].append(index + 1)
    width = max(1, *map(len, found)) if found else 1
    return np.array(
        [row + [index] * (width - len(row)) for index, row in enumerate(found)]
    )


def _mesh_neighbours(mesh: tuple[int, int, int]) -> Integers:
    """Return, for each point of a periodic mesh, the 26 around it."""
    numbers = np.arange(int(np.prod(mesh))).reshape(mesh)
    shifts = [shift for shift in product((-1, 0, 1), repeat=3) if any(shift)]
    rolled = [np.roll(numbers, shift, (0, 1, 2)).ravel() for shift in shifts]
    return np.stack(rolled, axis=1)
