"""A crystal in its fewest numbers: gene, cell and free coordinates.

Symmetry holds by construction here: whatever the numbers, the expanded atoms sit on
the Wyckoff positions of the gene, and the cell has the form of its crystal system.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from wyckflow.crystal._geometry import (
    ROUNDING,
    cell_from_metric,
    is_in_standard_orientation,
    lengths_and_angles,
    load_orbit_table,
    shortest_contact,
    symmetric_metric,
)
from wyckflow.crystal.elements import ATOMIC_NUMBERS, SYMBOLS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.tables import CrystalSystem
from wyckflow.errors import StructureError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from pymatgen.core.structure import Structure

    from wyckflow.crystal._geometry import OrbitTable

    Floats = NDArray[np.float64]

CELL_TOLERANCE: Final = 0.02
"""Largest change of a scalar product of two cell vectors, over their lengths, that is
taken as noise when a cell is made symmetric: about 1 % in length or 1 degree."""

SMALLEST_RADIUS: Final = 0.5
"""In A; keeps hydrogen and helium atoms, whose covalent radii are about 0.3 A, from
being accepted at distances where potentials know nothing."""

_FORM_OF_CELL: Final = {
    CrystalSystem.TRICLINIC: "any lengths and angles",
    CrystalSystem.MONOCLINIC: "alpha = gamma = 90 (unique axis b)",
    CrystalSystem.ORTHORHOMBIC: "alpha = beta = gamma = 90",
    CrystalSystem.TETRAGONAL: "a = b, alpha = beta = gamma = 90",
    CrystalSystem.TRIGONAL: "a = b, alpha = beta = 90, gamma = 120 (hexagonal axes)",
    CrystalSystem.HEXAGONAL: "a = b, alpha = beta = 90, gamma = 120",
    CrystalSystem.CUBIC: "a = b = c, alpha = beta = gamma = 90",
}


@dataclass(frozen=True, eq=False, slots=True)
class ReducedStructure:
    """A crystal as gene, cell and free coordinates, in the ITA standard setting.

    The cell is made exactly symmetric and turned so that a is along x and b in the
    xy plane. Coordinates that do not enter a Wyckoff position are set to zero and the
    others wrapped into [0, 1). Both arrays are read-only.

    Attributes
    ----------
    gene
        Space group, elements and Wyckoff letters.
    lattice
        Vectors of the conventional cell in rows, in A; right-handed.
    parameters
        Free coordinates, one row of three per site of the gene, in its order. Atom
        ``m`` of a site is at ``rotations[m] @ row + translations[m] / 24`` of its
        `wyckflow.crystal.tables.WyckoffPosition`.

    Raises
    ------
    StructureError
        If the shapes are wrong, a number is not finite, or the cell is not one of the
        crystal system within `CELL_TOLERANCE`.
    """

    gene: WyckoffGene
    lattice: Floats
    parameters: Floats

    def __post_init__(self) -> None:
        """Check the arrays, make the cell symmetric and the coordinates canonical."""
        lattice = np.array(self.lattice, dtype=np.float64)
        parameters = np.array(self.parameters, dtype=np.float64)
        expected = (self.gene.n_orbits, 3)
        if lattice.shape != (3, 3) or parameters.shape != expected:
            raise StructureError(
                f"{self.gene} came with a lattice of shape {lattice.shape} and "
                f"parameters of shape {parameters.shape}; give (3, 3) and {expected}, "
                "one row per site."
            )
        if not (np.isfinite(lattice).all() and np.isfinite(parameters).all()):
            raise StructureError(
                f"{self.gene} came with a lattice or parameters that are not finite."
            )
        lattice = _symmetric_cell(self.gene, lattice)
        parameters = np.where(self.orbit_table.is_free, parameters % 1.0, 0.0)
        parameters[parameters >= 1.0] = 0.0  # -1e-17 % 1.0 is 1.0
        lattice.flags.writeable = parameters.flags.writeable = False
        object.__setattr__(self, "lattice", lattice)
        object.__setattr__(self, "parameters", parameters)

    def __eq__(self, other: object) -> bool:
        """Compare number by number; see the gene's id for sameness of arrangement."""
        if not isinstance(other, ReducedStructure):
            return NotImplemented
        return (
            self.gene == other.gene
            and np.array_equal(self.lattice, other.lattice)
            and np.array_equal(self.parameters, other.parameters)
        )

    def __hash__(self) -> int:
        """Hash what is compared."""
        return hash((self.gene, self.lattice.tobytes(), self.parameters.tobytes()))

    # --- what it holds ----------------------------------------------------------

    @property
    def orbit_table(self) -> OrbitTable:
        """The affine maps from the parameters to all atoms."""
        letters = tuple(site.letter for site in self.gene.sites)
        return load_orbit_table(self.gene.space_group_number, letters)

    @property
    def n_atoms(self) -> int:
        """Atoms in the conventional cell."""
        return self.gene.n_sites

    @property
    def volume(self) -> float:
        """Volume of the conventional cell in A^3."""
        return float(np.linalg.det(self.lattice))

    @property
    def free_parameters(self) -> Floats:
        """Those parameters that can vary, as one vector, site by site."""
        vector: Floats = self.parameters[self.orbit_table.is_free]
        return vector

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """Atomic number of every atom, in the order of :meth:`expand`."""
        numbers = [ATOMIC_NUMBERS[site.element] for site in self.gene.sites]
        return np.repeat(np.array(numbers), self.orbit_table.multiplicities)

    def contact_ratio(self) -> float:
        """Return the shortest distance over the sum of the two radii.

        Radii are those of `contact_radii`.

        Raises
        ------
        StructureError
            If an element has no covalent radius in the table.
        """
        radii = contact_radii(self.gene)
        return shortest_contact(self.orbit_table, radii, self.lattice, self.parameters)

    # --- other forms ------------------------------------------------------------

    def with_values(
        self, *, lattice: Any = None, free_parameters: Any = None
    ) -> ReducedStructure:
        """Return the same gene with another cell or other free parameters.

        Parameters
        ----------
        lattice
            Rows are the cell vectors in A; as before if not given.
        free_parameters
            In the order of :attr:`free_parameters`; as before if not given.

        Raises
        ------
        StructureError
            If the number of free parameters is wrong, or the cell is not symmetric.
        """
        parameters = self.parameters
        if free_parameters is not None:
            values, is_free = np.asarray(free_parameters), self.orbit_table.is_free
            if values.shape != (is_free.sum(),):
                raise StructureError(
                    f"{self.gene} has {is_free.sum()} free parameters, but an array of "
                    f"shape {values.shape} came."
                )
            parameters = np.zeros(is_free.shape)
            parameters[is_free] = values
        return ReducedStructure(
            gene=self.gene,
            lattice=self.lattice if lattice is None else lattice,
            parameters=parameters,
        )

    def expand(self) -> tuple[Floats, NDArray[np.int64]]:
        """Place all atoms of the conventional cell.

        Returns
        -------
        tuple
            Fractional coordinates in [0, 1), shape (atoms, 3), and atomic numbers;
            site by site in the order of the gene, the representative first.
        """
        coordinates = self.orbit_table.expand(self.parameters) % 1.0
        coordinates[coordinates >= 1.0] = 0.0
        return coordinates, self.atomic_numbers

    def to_structure(self) -> Structure:
        """Convert to a pymatgen structure of the conventional cell."""
        from pymatgen.core.lattice import Lattice
        from pymatgen.core.structure import Structure

        coordinates, numbers = self.expand()
        species = [SYMBOLS[number - 1] for number in numbers]
        return Structure(Lattice(self.lattice), species, coordinates)

    @staticmethod
    def from_structure(
        structure: Structure,
        gene: WyckoffGene | None = None,
        *,
        symprec: float = 0.1,
    ) -> ReducedStructure:
        """Take the cell and the free coordinates of a structure in any setting.

        The structure is brought to the standard setting by spglib, and one atom of
        every orbit is put on its Wyckoff position.

        Parameters
        ----------
        structure
            An ordered structure; primitive cells and other settings are welcome.
        gene
            Describe it by this gene, which must be an equivalent description of the
            same arrangement; axes and origin are changed to fit. Where only a mirror
            image has that gene, the mirror image is returned. If not given, the gene
            is that of spglib's standard description.
        symprec
            Distance tolerance of the symmetry search in A.

        Raises
        ------
        StructureError
            If the structure is disordered, has no symmetry that spglib can find,
            or has another gene than the one given.
        """
        from wyckflow.crystal._redescribe import redescribe, reduce_standard_cell
        from wyckflow.crystal.encode import EncodedStructure, encode_structure

        encoded = encode_structure(structure, symprec=symprec, with_standard_cell=True)
        if not isinstance(encoded, EncodedStructure) or encoded.standard_cell is None:
            reason = getattr(encoded, "message", "no standard cell was found")
            raise StructureError(
                f"{structure.formula} cannot be described by a gene: {reason}."
            )
        reduced = reduce_standard_cell(encoded.standard_cell)
        if gene is None:
            return reduced
        return redescribe(reduced, gene, symprec=symprec)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data that jobflow and monty can turn back."""
        return {
            "@module": type(self).__module__,
            "@class": type(self).__name__,
            "gene": self.gene.as_dict(),
            "lattice": self.lattice.tolist(),
            "parameters": self.parameters.tolist(),
        }

    @classmethod
    def from_dict(cls, dct: Mapping[str, Any]) -> Self:
        """Read the form of :meth:`as_dict`.

        Raises
        ------
        StructureError
            If a part is missing or does not fit the gene.
        """
        if missing := [k for k in ("gene", "lattice", "parameters") if k not in dct]:
            raise StructureError(
                f"A reduced structure came without {', '.join(missing)}; it has "
                f"{', '.join(map(str, dct)) or 'nothing'}. Give what as_dict() gave."
            )
        gene = dct["gene"]
        if not isinstance(gene, WyckoffGene):
            gene = WyckoffGene.from_dict(gene)
        return cls(gene, dct["lattice"], dct["parameters"])


def contact_radii(gene: WyckoffGene) -> Floats:
    """Return the radius of every site's element for judging contacts, in A.

    It is the covalent radius, but not below `SMALLEST_RADIUS`.

    Parameters
    ----------
    gene
        Any gene.

    Raises
    ------
    StructureError
        If an element has no radius in the table.
    """
    from wyckflow.crystal.build.volumes import load_atomic_volumes

    volumes = load_atomic_volumes()
    if missing := volumes.missing(gene.elements):
        raise StructureError(
            f"No covalent radius is known for {', '.join(missing)} of {gene}; the "
            "table ends at curium."
        )
    radii = [volumes.elements[site.element].covalent_radius for site in gene.sites]
    return np.maximum(radii, SMALLEST_RADIUS)


def _symmetric_cell(gene: WyckoffGene, lattice: Floats) -> Floats:
    """Return the cell in its exact symmetric form, or say what is wrong with it."""
    metric = lattice @ lattice.T
    lengths = np.sqrt(np.diag(metric))
    if np.linalg.det(lattice) <= 1e-6 * np.prod(lengths):
        raise StructureError(
            f"The cell of {gene} is flat or left-handed (lengths {lengths.round(4)} A, "
            f"determinant {np.linalg.det(lattice):.4g} A^3); give right-handed rows."
        )
    symmetric = symmetric_metric(gene.space_group_number, metric)
    deviation = float((abs(symmetric - metric) / np.outer(lengths, lengths)).max())
    if deviation > CELL_TOLERANCE:
        measured, angles = lengths_and_angles(lattice)
        raise StructureError(
            f"Space group {gene.space_group_number} is {gene.crystal_system} and needs "
            f"{_FORM_OF_CELL[gene.crystal_system]}, but the cell has lengths "
            f"{measured.round(3)} A and angles {angles.round(2)}. Give the "
            "conventional cell of the ITA standard setting, or use from_structure."
        )
    if deviation < ROUNDING and is_in_standard_orientation(lattice):
        return lattice  # so that storing and reading a cell changes no digit
    return cell_from_metric(symmetric)
