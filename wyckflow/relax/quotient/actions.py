"""What the operations of the space groups do to the edges of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.relax.quotient.orbits import ATOM_STRIDE
from wyckflow.relax.quotient.ragged import smallest, spread

if TYPE_CHECKING:
    from torch import Tensor

    from wyckflow.relax.quotient.cells import Cells
    from wyckflow.relax.quotient.orbits import QuotientTable

# Names of edges of different centres are this far apart; no cell has 32,768 atoms.
CENTER_STRIDE: Final = ATOM_STRIDE << 15


@dataclass(frozen=True, eq=False)
class TableIndex:
    """The tables of all structures, each table once, and where each structure's are."""

    orbit_starts: Tensor
    atom_starts: Tensor
    atom_orbits: Tensor
    n_atoms: Tensor
    orbit_structures: Tensor
    stabilizer_sizes: Tensor
    stabilizer_starts: Tensor
    image_starts: Tensor
    columns: Tensor
    images: Tensor
    reverse_starts: Tensor
    reverse_atoms: Tensor
    reverse_shifts: Tensor
    back_starts: Tensor
    back_rotations: Tensor

    @classmethod
    def of(cls, cells: Cells) -> TableIndex:
        """Put the different tables of a batch side by side."""
        import torch

        owner = cells.orbits.owner
        unique: dict[int, tuple[int, QuotientTable]] = {}
        which = [unique.setdefault(id(t), (len(unique), t))[0] for t in cells.tables]
        tables = [table for _, table in unique.values()]

        def put(values: Any) -> Tensor:
            return torch.as_tensor(np.asarray(values)).to(owner.device)

        def joined(name: str) -> Tensor:
            return put(np.concatenate([getattr(t, name).ravel() for t in tables]))

        def starts(counts: Any) -> Any:
            return np.cumsum(counts) - counts

        table_of = put(which)
        n_atoms = np.array([table.n_atoms for table in tables])
        n_orbits = np.array([table.n_orbits for table in tables])
        sizes = np.concatenate([table.stabilizer_sizes for table in tables])
        atoms_of_orbits = np.repeat(n_atoms, n_orbits)
        orbit_starts = cells.orbits.starts(len(cells))
        rows = torch.arange(len(owner), device=owner.device)
        orbit_in_table = put(starts(n_orbits))[table_of][owner] + (
            rows - orbit_starts[owner]
        )
        return cls(
            orbit_starts=orbit_starts,
            atom_starts=cells.atoms.starts(len(cells)),
            atom_orbits=cells.atoms.orbits,
            n_atoms=put(n_atoms)[table_of],
            orbit_structures=owner,
            stabilizer_sizes=put(sizes)[orbit_in_table],
            stabilizer_starts=put(starts(sizes))[orbit_in_table],
            image_starts=put(starts(sizes * atoms_of_orbits))[orbit_in_table],
            columns=joined("stabilizer_columns").view(-1, 3),
            images=joined("images"),
            reverse_starts=put(starts(atoms_of_orbits))[orbit_in_table],
            reverse_atoms=joined("reverse_atoms"),
            reverse_shifts=joined("reverse_shifts").view(-1, 3),
            back_starts=put(starts(n_atoms))[table_of],
            back_rotations=joined("back_rotations").view(-1, 3, 3),
        )

    def carry(self, centers: Tensor, atoms: Tensor, shifts: Tensor) -> Star:
        """Apply to edges all operations that leave their centre in place.

        Parameters
        ----------
        centers
            Rows of the orbits.
        atoms
            Counted within the structure.
        shifts
            Lattice vectors.
        """
        sizes = self.stabilizer_sizes[centers]
        edges, operations = spread(sizes)
        center = centers[edges]
        n_atoms = self.n_atoms[self.orbit_structures[center]]
        images = self.image_starts[center] + operations * n_atoms + atoms[edges]
        columns = self.columns.index_select(
            0, self.stabilizer_starts[center] + operations
        )
        moved = (columns * shifts.index_select(0, edges)).sum(1)
        names = center * CENTER_STRIDE + self.images[images] + moved
        return Star(edges, names, sizes.cumsum(0) - sizes, sizes)


@dataclass(frozen=True, eq=False)
class Star:
    """The images of edges under the operations that leave their centre in place.

    Attributes
    ----------
    edges
        The edge of each row; rows of one edge are neighbours, the identity first.
    names
        The image.
    starts, sizes
        Where the rows of each edge start, and how many they are.
    """

    edges: Tensor
    names: Tensor
    starts: Tensor
    sizes: Tensor

    def canonical_names(self) -> Tensor:
        """Return the smallest name among the images of each edge."""
        largest = 2**62
        return smallest(self.names, self.edges, len(self.starts), default=largest)
