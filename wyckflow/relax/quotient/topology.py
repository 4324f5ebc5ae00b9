"""Which edges and angles of a batch are equal by symmetry."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from wyckflow.relax.quotient.ragged import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Edges(Rows):
    """Vectors whose length or direction is asked for.

    They lead from the first atom of an orbit to an image of an atom.

    Attributes
    ----------
    centers
        The orbit, counted within the structure.
    atoms
        The atom, counted within the structure.
    images
        Its lattice vector; floating-point integers, shape (edges, 3).
    """

    centers: Tensor
    atoms: Tensor
    images: Tensor


@dataclass(frozen=True, eq=False)
class Bonds(Rows):
    """Classes of pairs of atoms, whichever end is looked from.

    Attributes
    ----------
    edges
        One edge of the class, counted within the structure.
    """

    edges: Tensor


@dataclass(frozen=True, eq=False)
class Neighbors(Rows):
    """Classes of neighbours of the first atom of an orbit.

    Attributes
    ----------
    centers, others
        The orbits at both ends, counted within the structure.
    bonds
        The bond, counted within the structure.
    weights
        Neighbours in the class.
    """

    centers: Tensor
    others: Tensor
    bonds: Tensor
    weights: Tensor


@dataclass(frozen=True, eq=False)
class Angles(Rows):
    """Classes of angles between a bond and a second one at the same atom.

    Attributes
    ----------
    centers
        The orbit of the atom, counted within the structure.
    first_edges, second_edges
        The two sides, counted within the structure.
    first_bonds, second_bonds
        Their bonds, counted within the structure.
    weights
        Angles in the class, at either end of the first bond.
    """

    centers: Tensor
    first_edges: Tensor
    second_edges: Tensor
    first_bonds: Tensor
    second_bonds: Tensor
    weights: Tensor


@dataclass(frozen=True, eq=False)
class Topology:
    """The classes of all structures of a batch.

    It holds more than the network looks at, so that it stays valid while atoms move.

    Attributes
    ----------
    edges, bonds, neighbors, angles
        Rows of all structures.
    """

    edges: Edges
    bonds: Bonds
    neighbors: Neighbors
    angles: Angles

    def select(self, keep: Tensor, places: Tensor | None = None) -> Topology:
        """Return the rows of some structures; see :meth:`Rows.select`."""
        return self._map(lambda rows: rows.select(keep, places))

    def moved_to(self, places: Tensor) -> Topology:
        """Return the same rows with every structure at another place."""
        return self._map(lambda rows: rows.moved_to(places))

    @staticmethod
    def join(parts: Sequence[Topology]) -> Topology:
        """Return the rows of several batches, whose places must be different."""
        return Topology(
            **{
                field.name: type(getattr(parts[0], field.name)).join(
                    [getattr(part, field.name) for part in parts]
                )
                for field in fields(Topology)
            }
        )

    def _map(self, change: Any) -> Topology:
        return Topology(**{f.name: change(getattr(self, f.name)) for f in fields(self)})
