"""The tables of several structures on one device, and where their atoms are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from wyckflow.crystal.tables import TRANSLATION_DENOMINATOR
from wyckflow.relax.guards import covalent_radii_per_atom
from wyckflow.relax.quotient.orbits import QuotientTable, load_quotient_table
from wyckflow.relax.quotient.ragged import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.crystal.reduced import ReducedStructure


@dataclass(frozen=True, eq=False)
class Orbits(Rows):
    """One row per Wyckoff orbit.

    Attributes
    ----------
    elements
        Atomic number minus one.
    radii
        Covalent radius in A.
    multiplicities
        Atoms of the orbit.
    first_atoms
        Its representative, counted within the structure.
    is_free
        Which of its three coordinates are free, as 0 or 1.
    """

    elements: Tensor
    radii: Tensor
    multiplicities: Tensor
    first_atoms: Tensor
    is_free: Tensor


@dataclass(frozen=True, eq=False)
class Atoms(Rows):
    """One row per atom of the conventional cell.

    Attributes
    ----------
    orbits
        The orbit of the atom, counted within the structure.
    rotations, translations
        The affine map from the free coordinates of the orbit to the atom.
    """

    orbits: Tensor
    rotations: Tensor
    translations: Tensor


@dataclass(frozen=True, eq=False)
class Cells:
    """The unchanging part of the structures of a batch.

    Attributes
    ----------
    tables
        The integer tables of each structure.
    orbits, atoms
        Rows of all structures.
    """

    tables: tuple[QuotientTable, ...]
    orbits: Orbits
    atoms: Atoms

    def __len__(self) -> int:
        """Return the number of structures."""
        return len(self.tables)

    @classmethod
    def from_genes(cls, genes: Sequence[WyckoffGene], device: str) -> Self:
        """Collect the tables of some genes of supported elements.

        Parameters
        ----------
        genes
            At least one.
        device
            Where the tensors live.
        """
        from pymatgen.core.periodic_table import Element

        tables = tuple(load_table(gene) for gene in genes)
        elements = [Element(s.element).Z - 1 for gene in genes for s in gene.sites]
        radii = [
            covalent_radii_per_atom(gene)[table.first_atoms]
            for gene, table in zip(genes, tables, strict=True)
        ]
        owners = np.arange(len(tables))
        orbits = Orbits(
            owner=_tensor(np.repeat(owners, [t.n_orbits for t in tables]), device),
            elements=_tensor(elements, device),
            radii=_tensor(np.concatenate(radii), device),
            multiplicities=_joined(tables, "multiplicities", device),
            first_atoms=_joined(tables, "first_atoms", device),
            is_free=_joined(tables, "is_free", device).double(),
        )
        translations = _joined(tables, "translations", device).double()
        atoms = Atoms(
            owner=_tensor(np.repeat(owners, [t.n_atoms for t in tables]), device),
            orbits=_joined(tables, "orbits", device),
            rotations=_joined(tables, "rotations", device).double(),
            translations=translations / TRANSLATION_DENOMINATOR,
        )
        return cls(tables, orbits, atoms)

    def select(self, keep: Sequence[int]) -> Cells:
        """Return some of the structures, in ascending order of their places.

        Parameters
        ----------
        keep
            Their places, ascending.
        """
        mask = self.orbits.owner.new_zeros(len(self)).bool()
        mask[list(keep)] = True
        places = mask.cumsum(0) - 1
        return Cells(
            tuple(self.tables[place] for place in keep),
            self.orbits.select(mask, places),
            self.atoms.select(mask, places),
        )

    def join(self, other: Cells) -> Cells:
        """Return these structures and then the others."""
        places = len(self) + self.orbits.owner.new_tensor(range(len(other)))
        return Cells(
            self.tables + other.tables,
            Orbits.join([self.orbits, other.orbits.moved_to(places)]),
            Atoms.join([self.atoms, other.atoms.moved_to(places)]),
        )

    @property
    def n_atoms(self) -> Tensor:
        """Atoms of each structure's conventional cell."""
        return self.atoms.counts(len(self))

    @property
    def first_atoms(self) -> Tensor:
        """The first atom of each orbit, as a row of the atoms."""
        starts = self.atoms.starts(len(self))
        return starts[self.orbits.owner] + self.orbits.first_atoms

    @property
    def orbits_of_atoms(self) -> Tensor:
        """The orbit of each atom, as a row of the orbits."""
        starts = self.orbits.starts(len(self))
        return starts[self.atoms.owner] + self.atoms.orbits

    def place_atoms(self, parameters: Tensor) -> Tensor:
        """Return fractional coordinates of all atoms, not wrapped.

        Parameters
        ----------
        parameters
            Free coordinates, one row per orbit.
        """
        of_atoms = parameters.index_select(0, self.orbits_of_atoms)
        moved: Tensor = (self.atoms.rotations * of_atoms[:, None, :]).sum(-1)
        return moved + self.atoms.translations


def load_table(gene: WyckoffGene) -> QuotientTable:
    """Return the integer tables of a gene."""
    letters = tuple(site.letter for site in gene.sites)
    return load_quotient_table(gene.space_group_number, letters)


def stack_parameters(structures: Sequence[ReducedStructure], device: str) -> Tensor:
    """Return the free coordinates of some structures, one row per orbit."""
    return _tensor(np.concatenate([s.parameters for s in structures]), device)


def stack_lattices(structures: Sequence[ReducedStructure], device: str) -> Tensor:
    """Return the cells of some structures in A, shape (structures, 3, 3)."""
    return _tensor(np.stack([s.lattice for s in structures]), device)


def _joined(tables: Sequence[QuotientTable], name: str, device: str) -> Tensor:
    return _tensor(np.concatenate([getattr(table, name) for table in tables]), device)


def _tensor(values: Any, device: str) -> Tensor:
    import torch

    return torch.as_tensor(np.asarray(values)).to(device)
