"""Neighbours that are looked up again only when atoms have moved far enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wyckflow.relax.quotient.search import find_topology
from wyckflow.relax.quotient.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from wyckflow.relax.quotient.cells import Cells

SKIN: Final = 1.0
"""How much farther than its cut-off the search looks for edges, in A."""

ANGLE_SKIN: Final = 0.6
"""How much farther than its cut-off the search looks for sides of angles, in A."""


class Neighborhood:
    """The topology of a batch, kept valid at the least cost.

    It holds more edges than the network sees, and what is beyond the network's cut-offs
    at a geometry is left out there, so that skins change the cost and not the answer.

    Parameters
    ----------
    edge_cutoff, angle_cutoff
        Distances in A within which it must be complete.
    skin, angle_skin
        Added to them when neighbours are looked for, in A.

    Attributes
    ----------
    n_searches
        Structures whose neighbours were looked for, since the beginning.
    """

    def __init__(
        self,
        edge_cutoff: float,
        angle_cutoff: float,
        *,
        skin: float = SKIN,
        angle_skin: float = ANGLE_SKIN,
    ) -> None:
        self._cutoffs = edge_cutoff, angle_cutoff
        self._reaches = edge_cutoff + skin, angle_cutoff + angle_skin
        self._topology: Topology | None = None
        self._parameters: Tensor | None = None
        self._lattices: Tensor | None = None
        self.n_searches = 0

    def look_around(
        self, cells: Cells, parameters: Tensor, lattices: Tensor
    ) -> Topology:
        """Return a topology that is complete at a geometry.

        Structures after those of the last call are new.

        Parameters
        ----------
        cells
            The batch.
        parameters
            Free coordinates, one row per orbit.
        lattices
            Cell vectors in A.
        """
        is_stale = self._find_stale(cells, parameters, lattices)
        places = is_stale.nonzero()[:, 0]
        stale = places.tolist()
        if stale:
            self.n_searches += len(stale)
            found = find_topology(
                cells.select(stale),
                parameters[is_stale[cells.orbits.owner]],
                lattices[places],
                edge_cutoff=self._reaches[0],
                angle_cutoff=self._reaches[1],
            ).moved_to(places)
            self._remember(cells, parameters, lattices, is_stale)
            if self._topology is None or len(stale) == len(cells):
                self._topology = found
            else:
                kept = self._topology.select(~is_stale)
                self._topology = Topology.join([kept, found])
        return self._topology  # type: ignore[return-value]  # the first call sets it

    def select(self, cells: Cells, keep: Sequence[int]) -> None:
        """Forget the structures that leave the batch.

        Parameters
        ----------
        cells
            The batch before.
        keep
            Places of those that stay, ascending.
        """
        if self._parameters is None or self._lattices is None or not keep:
            self._topology = self._parameters = self._lattices = None
            return
        rows = cells.orbits.owner.new_tensor(list(keep))
        mask = rows.new_zeros(len(cells)).bool().index_fill(0, rows, value=True)
        if self._topology is not None:
            self._topology = self._topology.select(mask, mask.cumsum(0) - 1)
        self._parameters = self._parameters[mask[cells.orbits.owner]]
        self._lattices = self._lattices[rows]

    def _find_stale(self, cells: Cells, parameters: Tensor, lattices: Tensor) -> Tensor:
        """Return which structures could miss an edge within the cut-offs.

        What was farther apart than the reach is now at least at the reach, times the
        smallest stretch of the cell, less the moves of both atoms.
        """
        import torch

        result = torch.ones(len(cells), dtype=torch.bool, device=lattices.device)
        if self._parameters is None or self._lattices is None:
            return result
        n_known = len(self._lattices)
        atoms = cells.atoms
        is_known = atoms.owner < n_known
        moved = parameters[: len(self._parameters)] - self._parameters
        moved = moved[cells.orbits_of_atoms[is_known]]
        moved = (atoms.rotations[is_known] * moved[:, None, :]).sum(-1)
        owner = atoms.owner[is_known]
        paths = torch.bmm(moved[:, None, :], lattices[owner])[:, 0].norm(dim=1)
        farthest = paths.new_zeros(n_known).scatter_reduce(0, owner, paths, "amax")
        stretch = torch.linalg.svdvals(
            torch.linalg.solve(self._lattices, lattices[:n_known])
        )[:, -1]
        result[:n_known] = False
        for cutoff, reach in zip(self._cutoffs, self._reaches, strict=True):
            result[:n_known] |= reach * stretch - 2 * farthest < cutoff
        return result

    def _remember(
        self, cells: Cells, parameters: Tensor, lattices: Tensor, is_stale: Tensor
    ) -> None:
        """Keep the geometries at which neighbours were looked for."""
        import torch

        if self._parameters is None or self._lattices is None:
            self._parameters, self._lattices = parameters.clone(), lattices.clone()
            return
        n_rows, n_known = len(self._parameters), len(self._lattices)
        before = torch.cat([self._parameters, parameters[n_rows:]])
        self._parameters = parameters.where(
            is_stale[cells.orbits.owner][:, None], before
        )
        before = torch.cat([self._lattices, lattices[n_known:]])
        self._lattices = lattices.where(is_stale[:, None, None], before)
