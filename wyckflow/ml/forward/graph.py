"""Crystal-graph network: messages between neighbouring atoms, gated by distance.

After the description of CGCNN (Xie and Grossman, Phys. Rev. Lett. 120, 145301, 2018):
nodes are atoms, edges join each to its nearest neighbours, a layer adds to every atom
what its neighbours say, each neighbour let through by a gate, and the mean over the
atoms gives the properties. It differs from the paper in three things: equal atoms and
equal edges are computed once (see `wyckflow.ml.forward.neighbors`), layers are
normalised per atom instead of per batch, and elements are described by tabulated
numbers and by a learned vector that begins at zero.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from torch.nn import functional

from wyckflow.ml.forward.neighbors import NeighborGraphs, find_graphs
from wyckflow.ml.mpvae.heads import PropertyHead
from wyckflow.ml.mpvae.layers import ElementTable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.forward.crystals import Crystals

_GAUSSIAN_STEP: Final = 0.2
"""Between the centres of the functions of distance, and their width, in A."""

_FARTHEST: Final = 30.0


class GraphSizes(BaseModel):
    """How far the graph reaches, and sizes of the network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_neighbors: int = Field(default=12, ge=1, description="Neighbours of an atom.")
    cutoff: float = Field(
        default=8.0, gt=0, description="Distance in A beyond which there are none."
    )
    width: int = Field(default=64, ge=8, description="Length of an atom's vector.")
    n_layers: int = Field(default=3, ge=1, description="Layers of messages.")
    head_width: int = Field(default=128, ge=8, description="Hidden layer of the head.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share left out.")


@dataclass(frozen=True, eq=False, slots=True)
class GraphBatch:
    """Graphs of ``b`` crystals as tensors; indices count through the batch.

    Attributes
    ----------
    owner
        The crystal of every orbit.
    atomic_number, share
        Of every orbit, as in `NeighborGraphs`.
    center, other, distance, weight
        Of every edge, likewise.
    n_crystals
        How many there are.
    """

    owner: Tensor
    atomic_number: Tensor
    share: Tensor
    center: Tensor
    other: Tensor
    distance: Tensor
    weight: Tensor
    n_crystals: int

    def to(self, device: str) -> GraphBatch:
        """Return the same on another device."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        n_crystals = parts.pop("n_crystals")
        moved = {name: value.to(device) for name, value in parts.items()}
        return GraphBatch(**moved, n_crystals=n_crystals)


class GraphRepresentation:
    """Elements and distances of neighbours; the same for every description.

    Parameters
    ----------
    sizes
        Of graph and network.
    """

    name = "graph"
    needs_cells = True
    can_augment = False

    def __init__(self, sizes: GraphSizes | None = None) -> None:
        self.sizes = sizes or GraphSizes()

    def prepare(self, crystals: Crystals) -> NeighborGraphs:
        """Look for all neighbours, once.

        Parameters
        ----------
        crystals
            With cells.
        """
        return find_graphs(
            crystals, n_neighbors=self.sizes.n_neighbors, cutoff=self.sizes.cutoff
        )

    def batch(
        self,
        prepared: NeighborGraphs,
        rows: NDArray[np.int64],
        rng: np.random.Generator | None,  # noqa: ARG002 - all descriptions are alike
    ) -> GraphBatch:
        """Put graphs beside each other.

        Parameters
        ----------
        prepared
            What `prepare` returned.
        rows
            Which crystals.
        rng
            Draws a description where there are several.
        """
        n_nodes, nodes = _gather(prepared.node_offsets, rows)
        n_edges, edges = _gather(prepared.edge_offsets, rows)
        shift = np.repeat(np.cumsum(n_nodes) - n_nodes, n_edges)
        return GraphBatch(
            owner=torch.from_numpy(np.repeat(np.arange(len(rows)), n_nodes)),
            atomic_number=torch.from_numpy(prepared.atomic_numbers[nodes]),
            share=torch.from_numpy(prepared.shares[nodes]),
            center=torch.from_numpy(prepared.centers[edges] + shift),
            other=torch.from_numpy(prepared.others[edges] + shift),
            distance=torch.from_numpy(prepared.distances[edges]),
            weight=torch.from_numpy(prepared.weights[edges]),
            n_crystals=len(rows),
        )

    def network(self, n_outputs: int) -> nn.Module:
        """Return a network that was not trained yet."""
        return GraphNetwork(self.sizes, n_outputs)

    def to(self, batch: GraphBatch, device: str) -> GraphBatch:
        """Return a batch on another device."""
        return batch.to(device)


class GraphNetwork(nn.Module):
    """From graphs to values and logarithms of their spreads, (b, properties) each."""

    def __init__(self, sizes: GraphSizes, n_outputs: int) -> None:
        super().__init__()
        self.elements = ElementTable(sizes.width)
        # What is not in the tables must be learned first: 8.2 GPa for 8.5 otherwise.
        nn.init.zeros_(self.elements.learned.weight)
        n_gaussians = int(sizes.cutoff / _GAUSSIAN_STEP) + 1
        self.register_buffer(
            "gaussians", torch.arange(n_gaussians) * _GAUSSIAN_STEP, persistent=False
        )
        self.layers = nn.ModuleList(
            _GatedMessages(sizes.width, n_gaussians, sizes.n_neighbors)
            for _ in range(sizes.n_layers)
        )
        self.head = PropertyHead(
            sizes.width, n_outputs, sizes.head_width, sizes.dropout
        )

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Predict, in scaled units."""
        away = (batch.distance[:, None] - self.gaussians) / _GAUSSIAN_STEP
        # Without a limit there are denormal numbers, at a tenth of the speed.
        radial = torch.exp(-(away**2).clamp(max=_FARTHEST))
        atoms = self.elements().index_select(0, batch.atomic_number)
        for layer in self.layers:
            atoms = layer(atoms, radial, batch)
        pooled = atoms.new_zeros(batch.n_crystals, atoms.shape[1])
        pooled = pooled.index_add(0, batch.owner, atoms * batch.share[:, None])
        found: tuple[Tensor, Tensor] = self.head(pooled)
        return found


class _GatedMessages(nn.Module):
    """One layer: what an atom hears from its neighbours, each behind a gate."""

    def __init__(self, width: int, n_gaussians: int, n_neighbors: int) -> None:
        super().__init__()
        # One linear map of (atom, neighbour, distance), cut where it can be shared.
        self.of_center = nn.Linear(width, 2 * width)
        self.of_other = nn.Linear(width, 2 * width, bias=False)
        self.of_distance = nn.Linear(n_gaussians, 2 * width, bias=False)
        self.norm_edges = nn.LayerNorm(2 * width)
        self.norm_atoms = nn.LayerNorm(width)
        self.n_neighbors = n_neighbors

    def forward(self, atoms: Tensor, radial: Tensor, batch: GraphBatch) -> Tensor:
        """Return the atoms with what they heard."""
        joined = (
            self.of_center(atoms).index_select(0, batch.center)
            + self.of_other(atoms).index_select(0, batch.other)
            + self.of_distance(radial)
        )
        gate, message = self.norm_edges(joined).chunk(2, -1)
        message = torch.sigmoid(gate) * functional.softplus(message)
        message = message * (batch.weight / self.n_neighbors)[:, None]
        heard = torch.zeros_like(atoms).index_add(0, batch.center, message)
        return functional.softplus(atoms + self.norm_atoms(heard))


def _gather(
    offsets: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many entries each row has, and where they stand."""
    starts = offsets[rows]
    counts = offsets[rows + 1] - starts
    before = np.cumsum(counts) - counts
    return counts, np.arange(counts.sum()) + np.repeat(starts - before, counts)
