"""The few numbers that move: allowed strains and free coordinates, in one scale.

The variables of a structure are its symmetry-allowed strains, then the free coordinates
of its orbits, both scaled so that the energy is about equally steep in all of them: a
coordinate is the Cartesian path of one atom in A times the square root of the
multiplicity, a strain is multiplied by a length and the square root of the number of
atoms. Every structure that they describe has the space group of its gene.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.tables import CrystalSystem
from wyckflow.relax.quotient.cells import Cells, stack_lattices, stack_parameters
from wyckflow.relax.quotient.ragged import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.network import Evaluation

N_STRAINS: Final = 6
EV_PER_A3_IN_GPA: Final = 160.21766208

_STRAIN_LENGTH: Final = 1.2
"""In A: a strain times this and the root of the atoms is as soft as a coordinate."""

_REACH_OF_STRAIN: Final = 3.0
"""In A: how far apart atoms are whose distance a strain changes."""

_XX, _YY, _ZZ, _YZ, _XZ, _XY = range(N_STRAINS)
_ALLOWED: Final = {
    CrystalSystem.TRICLINIC: [[_XX], [_YY], [_ZZ], [_YZ], [_XZ], [_XY]],
    CrystalSystem.MONOCLINIC: [[_XX], [_YY], [_ZZ], [_XZ]],
    CrystalSystem.ORTHORHOMBIC: [[_XX], [_YY], [_ZZ]],
    CrystalSystem.TETRAGONAL: [[_XX, _YY], [_ZZ]],
    CrystalSystem.TRIGONAL: [[_XX, _YY], [_ZZ]],
    CrystalSystem.HEXAGONAL: [[_XX, _YY], [_ZZ]],
    CrystalSystem.CUBIC: [[_XX, _YY, _ZZ]],
}


@dataclass(frozen=True, eq=False)
class OrbitVariables(Rows):
    """How the coordinates of each orbit depend on the variables.

    Attributes
    ----------
    columns
        The variable that stands for each coordinate, counted within the structure; one
        beyond the last where the coordinate is not free.
    references
        Free coordinates where all variables are zero.
    paths
        Coordinates move by ``paths @ variables``; shape (orbits, 3, 3).
    """

    columns: Tensor
    references: Tensor
    paths: Tensor


@dataclass(frozen=True, eq=False)
class Variables:
    """The variables of a batch.

    Attributes
    ----------
    cells
        The structures.
    strains
        Orthonormal symmetric strains that keep the crystal system, zeros to fill up;
        shape (structures, 6, 3, 3).
    strain_scales
        What a strain is multiplied with, in A.
    lattices
        Cell vectors in A where all variables are zero.
    orbits
        How coordinates depend on the variables.
    sizes
        Number of variables of each structure.
    """

    cells: Cells
    strains: Tensor
    strain_scales: Tensor
    lattices: Tensor
    orbits: OrbitVariables
    sizes: Tensor

    @classmethod
    def from_structures(
        cls, structures: Sequence[ReducedStructure], device: str
    ) -> Variables:
        """Start at some structures, whose variables are zero.

        Parameters
        ----------
        structures
            At least one, of supported elements.
        device
            Where the tensors live.
        """
        import torch

        genes = [structure.gene for structure in structures]
        cells = Cells.from_genes(genes, device)
        lattices = stack_lattices(structures, device)
        parameters = stack_parameters(structures, device)
        bases = np.stack([allowed_strains(gene.crystal_system) for gene in genes])
        n_strains = [len(_ALLOWED[gene.crystal_system]) for gene in genes]
        is_free = cells.orbits.is_free
        metrics = _metrics(cells, lattices)
        roots = cells.orbits.multiplicities.double().sqrt()[:, None, None]
        inverse = torch.linalg.inv(torch.linalg.cholesky(metrics).mT) / roots
        free = is_free.new_tensor(n_strains).index_add(
            0, cells.orbits.owner, is_free.sum(1)
        )
        return cls(
            cells=cells,
            strains=torch.from_numpy(bases).to(device),
            strain_scales=_STRAIN_LENGTH * cells.n_atoms.double().sqrt(),
            lattices=lattices,
            orbits=OrbitVariables(
                owner=cells.orbits.owner,
                columns=_count_columns(cells, n_strains),
                references=parameters,
                paths=inverse * is_free[:, :, None] * is_free[:, None, :],
            ),
            sizes=free.long(),
        )

    def __len__(self) -> int:
        """Return the number of structures."""
        return len(self.cells)

    @property
    def width(self) -> int:
        """Columns of a table of variables: those of the largest, and no less than 6."""
        return max(N_STRAINS, int(self.sizes.max()))

    def select(self, keep: Sequence[int]) -> Variables:
        """Return some of the structures, in ascending order of their places."""
        rows = self.sizes.new_tensor(list(keep))
        mask = self.sizes.new_zeros(len(self)).bool().index_fill(0, rows, value=True)
        return Variables(
            cells=self.cells.select(keep),
            strains=self.strains[rows],
            strain_scales=self.strain_scales[rows],
            lattices=self.lattices[rows],
            orbits=self.orbits.select(mask, mask.cumsum(0) - 1),
            sizes=self.sizes[rows],
        )

    def join(self, other: Variables) -> Variables:
        """Return these structures and then the others."""
        import torch

        places = len(self) + torch.arange(len(other), device=self.sizes.device)
        return Variables(
            cells=self.cells.join(other.cells),
            strains=torch.cat([self.strains, other.strains]),
            strain_scales=torch.cat([self.strain_scales, other.strain_scales]),
            lattices=torch.cat([self.lattices, other.lattices]),
            orbits=OrbitVariables.join([self.orbits, other.orbits.moved_to(places)]),
            sizes=torch.cat([self.sizes, other.sizes]),
        )

    def place(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return free coordinates, one row per orbit, and cell vectors in A.

        Parameters
        ----------
        points
            Variables, one row per structure, zeros to fill up.
        """
        import torch

        strain = torch.einsum("sk,skij->sij", points[:, :N_STRAINS], self.strains)
        strain = strain / self.strain_scales[:, None, None]
        lattices = self.lattices + self.lattices @ strain
        moves = (self.orbits.paths * self._of_orbits(points)[:, None, :]).sum(-1)
        return self.orbits.references + moves, lattices

    def gradient(self, found: Evaluation, width: int) -> Tensor:
        """Return the derivatives of the energies in the variables, in eV.

        Parameters
        ----------
        found
            What the network said.
        width
            Columns to return.
        """
        import torch

        result = found.energies.new_zeros(len(self), width + 1)
        in_strain = self.lattices.mT @ found.lattice_gradients
        result[:, :N_STRAINS] = (
            torch.einsum("skij,sij->sk", self.strains, in_strain)
            / self.strain_scales[:, None]
        )
        of_orbits = (self.orbits.paths * found.parameter_gradients[:, :, None]).sum(1)
        flat = self.orbits.owner[:, None] * (width + 1) + self._columns(width)
        result = result.view(-1).index_add(0, flat.view(-1), of_orbits.view(-1))
        return result.view(len(self), width + 1)[:, :width]

    def path_lengths(self, steps: Tensor) -> Tensor:
        """Return how far steps move any atom, or stretch a bond by strain, in A.

        Parameters
        ----------
        steps
            Changes of the variables.
        """
        import torch

        by_strain = (steps[:, :N_STRAINS] * self._is_strain()).norm(dim=1)
        by_strain = by_strain * (_REACH_OF_STRAIN / self.strain_scales)
        of_orbits = self._of_orbits(steps).norm(dim=1)
        of_orbits = of_orbits / self.cells.orbits.multiplicities.double().sqrt()
        farthest = torch.zeros_like(by_strain).scatter_reduce(
            0, self.orbits.owner, of_orbits, "amax"
        )
        return torch.maximum(by_strain, farthest)

    def _is_strain(self) -> Tensor:
        return self.strains.square().sum((2, 3))

    def columns_of(self, orbits: Tensor, width: int) -> Tensor:
        """Return the variables behind the coordinates of some orbits.

        Parameters
        ----------
        orbits
            Their rows.
        width
            What stands for a coordinate that is not free.
        """
        return self._columns(width)[orbits]

    def _columns(self, width: int) -> Tensor:
        """Return columns, with the fill-up column for coordinates that are not free."""
        return self.orbits.columns.clamp(max=width)

    def _of_orbits(self, points: Tensor) -> Tensor:
        """Return the variables of each orbit, one per coordinate."""
        import torch

        padded = torch.nn.functional.pad(points, (0, 1))
        return padded[self.orbits.owner[:, None], self._columns(points.shape[1])]


def allowed_strains(crystal_system: CrystalSystem) -> NDArray[np.float64]:
    """Return an orthonormal basis of the strains that keep a crystal system.

    The cell has its first vector along x and the second in the xy plane; it keeps
    these strains when it is strained.

    Parameters
    ----------
    crystal_system
        One of seven.

    Returns
    -------
    ndarray
        Symmetric, shape (6, 3, 3); zeros follow the basis.
    """
    pairs = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    basis = np.zeros((N_STRAINS, 3, 3))
    for strain, components in zip(basis, _ALLOWED[crystal_system], strict=False):
        for component in components:
            i, j = pairs[component]
            strain[i, j] = strain[j, i] = 1.0
    norms = np.linalg.norm(basis, axis=(1, 2), keepdims=True)
    normal: NDArray[np.float64] = basis / np.maximum(norms, 1.0)
    return normal


def find_max_forces(cells: Cells, lattices: Tensor, found: Evaluation) -> Tensor:
    """Return the largest force on an atom of each structure in eV/A.

    Parameters
    ----------
    cells, lattices
        The structures.
    found
        What the network said of them.
    """
    import torch

    metrics = _metrics(cells, lattices)
    slopes = found.parameter_gradients * cells.orbits.is_free
    solved = torch.linalg.solve(metrics, slopes[:, :, None])[:, :, 0]
    squares = (slopes * solved).sum(1).clamp(min=0)
    sizes = squares.sqrt() / cells.orbits.multiplicities
    # An answer that is no number must not pass for a small force.
    sizes = sizes.nan_to_num(nan=math.inf)
    return torch.zeros_like(found.energies).scatter_reduce(
        0, cells.orbits.owner, sizes, "amax"
    )


def find_forces(cells: Cells, lattices: Tensor, found: Evaluation) -> Tensor:
    """Return the forces on all atoms in eV/A, in the order of the atoms.

    Parameters
    ----------
    cells, lattices
        The structures.
    found
        What the network said of them.
    """
    import torch

    orbits, rows = cells.orbits, cells.orbits_of_atoms
    slopes = found.parameter_gradients * orbits.is_free
    solved = torch.linalg.solve(_metrics(cells, lattices), slopes[:, :, None])
    solved = solved[:, :, 0] * orbits.is_free / orbits.multiplicities[:, None]
    # The same change of the free coordinates moves each atom along its force.
    moves = (cells.atoms.rotations * solved[rows][:, None, :]).sum(-1)
    forces: Tensor = torch.einsum("ai,aij->aj", moves, lattices[cells.atoms.owner])
    return -forces


def find_stresses(strains: Tensor, lattices: Tensor, found: Evaluation) -> Tensor:
    """Return the stress tensors in GPa, positive where a cell wants to shrink.

    Parameters
    ----------
    strains
        The strains that each structure allows.
    lattices
        Cell vectors in A.
    found
        What the network said.
    """
    import torch

    slopes = lattices.mT @ found.lattice_gradients
    amounts = torch.einsum("skij,sij->sk", strains, slopes)
    averaged = torch.einsum("sk,skij->sij", amounts, strains)
    volumes = torch.linalg.det(lattices)
    return averaged / volumes[:, None, None] * EV_PER_A3_IN_GPA


def _metrics(cells: Cells, lattices: Tensor) -> Tensor:
    """Return scalar products of the paths of the free coordinates, in A^2.

    Coordinates that are not free have unit vectors of their own.
    """
    import torch

    maps = cells.atoms.rotations[cells.first_atoms]
    paths = lattices[cells.orbits.owner].mT @ maps
    is_free = cells.orbits.is_free
    fixed = torch.diag_embed(1 - is_free)
    return (paths.mT @ paths) * is_free[:, :, None] * is_free[:, None, :] + fixed


def _count_columns(cells: Cells, n_strains: Sequence[int]) -> Tensor:
    """Assign a column to each free coordinate, after the strains."""
    orbits = cells.orbits
    flat = orbits.is_free.long().view(-1)
    numbers = flat.cumsum(0) - flat
    starts = numbers.view(-1, 3)[orbits.starts(len(cells)), 0]
    within = numbers.view(-1, 3) - starts[orbits.owner][:, None]
    columns = within + flat.new_tensor(n_strains)[orbits.owner][:, None]
    beyond = 2**31
    return columns.where(orbits.is_free > 0, columns.new_full((), beyond))
