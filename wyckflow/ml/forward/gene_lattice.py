"""The network of sites with a look at the crystal: cell and distances.

To the gene it adds what changes between crystals of one gene: the cell (volume per
atom, lengths, angles) in every site, and between every two orbits, the distances at
which an atom of one sees those of the other.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from pydantic import Field

from wyckflow.ml.elements import ELEMENT_FEATURES, element_features
from wyckflow.ml.forward.crystals import carry, random_cosets
from wyckflow.ml.forward.gene import GeneSizes
from wyckflow.ml.forward.gene_lattice_network import GeneLatticeNetwork
from wyckflow.ml.forward.neighbors import NeighborGraphs, find_graphs
from wyckflow.ml.forward.wycryst_lattice import lengths_and_cosines

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from wyckflow.ml.forward.crystals import Crystals

N_CELL_FEATURES: Final = 8
_TYPICAL_VOLUME: Final = 15.0  # A^3 per atom


class GeneLatticeSizes(GeneSizes):
    """Sizes of the network, and how far it sees."""

    n_neighbors: int = Field(
        default=16, ge=1, description="Neighbours of an atom that are looked at."
    )
    cutoff: float = Field(
        default=8.0, gt=1, description="Distance in A beyond which there are none."
    )
    n_distances: int = Field(
        default=32, ge=4, description="Functions of distance up to there."
    )


@dataclass(frozen=True, eq=False, slots=True)
class SitesInCells:
    """Crystals for the network that sees them, ``n`` of up to ``L`` orbits.

    Attributes
    ----------
    space_group
        (n,).
    atomic_number, letter, multiplicity, mask
        Of the orbits (n, L), as in `wyckflow.ml.codec.sites.SiteTensors`.
    cell
        Numbers about the cell (n, `N_CELL_FEATURES`).
    distance, weight, edge
        Distances between orbits in A, how many atoms each stands for, and the place
        ``(row * L + center) * L + other`` of each in a flat list of pairs (edges,).
    """

    space_group: Tensor
    atomic_number: Tensor
    letter: Tensor
    multiplicity: Tensor
    mask: Tensor
    cell: Tensor
    distance: Tensor
    weight: Tensor
    edge: Tensor

    def to(self, device: str) -> SitesInCells:
        """Return the same on another device."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        return SitesInCells(**{name: part.to(device) for name, part in parts.items()})


class GeneLatticeRepresentation:
    """Sites of a gene with cell and distances.

    Parameters
    ----------
    sizes
        Of the network, and how far it sees.
    """

    name = "gene-l"
    needs_cells = True
    can_augment = True

    def __init__(self, sizes: GeneLatticeSizes | None = None) -> None:
        self.sizes = sizes or GeneLatticeSizes()

    def prepare(self, crystals: Crystals) -> tuple[Crystals, NeighborGraphs]:
        """Look for neighbours, once; distances are those of every description."""
        sizes = self.sizes
        graphs = find_graphs(
            crystals, n_neighbors=sizes.n_neighbors, cutoff=sizes.cutoff
        )
        return crystals, graphs

    def batch(
        self,
        prepared: tuple[Crystals, NeighborGraphs],
        rows: NDArray[np.int64],
        rng: np.random.Generator | None,
    ) -> SitesInCells:
        """Return some crystals as tensors.

        Parameters
        ----------
        prepared
            What `prepare` returned.
        rows
            Which of them.
        rng
            Draws a description of each, if it came.
        """
        everything, graphs = prepared
        crystals = everything.take(rows)
        if rng is not None:
            crystals = carry(crystals, random_cosets(crystals, rng))
        sites = crystals.sites
        length = sites.mask.shape[1]
        starts = graphs.edge_offsets[rows]
        counts = graphs.edge_offsets[rows + 1] - starts
        before = np.cumsum(counts) - counts
        edges = np.arange(counts.sum()) + np.repeat(starts - before, counts)
        row = np.repeat(np.arange(len(rows)), counts)
        place = (row * length + graphs.centers[edges]) * length + graphs.others[edges]
        arrays: dict[str, NDArray[Any]] = {
            "space_group": sites.space_group,
            "atomic_number": sites.atomic_number,
            "letter": sites.letter,
            "multiplicity": sites.multiplicity,
            "mask": sites.mask,
            "cell": cell_features(crystals),
            "distance": graphs.distances[edges],
            "weight": graphs.weights[edges] / self.sizes.n_neighbors,
            "edge": place,
        }
        return SitesInCells(**{k: torch.as_tensor(v) for k, v in arrays.items()})

    def network(self, n_outputs: int) -> nn.Module:
        """Return a network with fresh weights."""
        sizes = self.sizes
        return GeneLatticeNetwork(
            width=sizes.width,
            n_layers=sizes.n_layers,
            n_heads=sizes.n_heads,
            dropout=sizes.dropout,
            n_outputs=n_outputs,
            n_cell_features=N_CELL_FEATURES,
            cutoff=sizes.cutoff,
            n_distances=sizes.n_distances,
        )

    def to(self, batch: SitesInCells, device: str) -> SitesInCells:
        """Return a batch on another device."""
        return batch.to(device)


def cell_features(crystals: Crystals) -> NDArray[np.float32]:
    """Return numbers about cells (n, `N_CELL_FEATURES`).

    They are the logarithms of the volume per atom over a typical one, of the same over
    that of the elements by themselves, and of the lengths over the edge of a cube of
    the same volume; and the cosines of the angles.

    Parameters
    ----------
    crystals
        With cells.
    """
    lengths, cosines = lengths_and_cosines(crystals)
    volume = np.abs(np.linalg.det(np.asarray(crystals.lattices)))
    atoms = crystals.multiplicities.astype(np.float64)
    n_atoms = np.add.reduceat(atoms, crystals.offsets[:-1])
    column = ELEMENT_FEATURES.index("molar_volume")
    own = element_features()[crystals.atomic_numbers, column] * atoms
    of_elements = np.add.reduceat(own, crystals.offsets[:-1]) / n_atoms
    per_atom = np.log(volume / n_atoms / _TYPICAL_VOLUME)
    shape = np.log(lengths) - np.log(volume)[:, None] / 3
    whole = np.column_stack([per_atom, of_elements, shape, cosines])
    return whole.astype(np.float32)
