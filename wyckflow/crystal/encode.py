"""Structures to genes, in the ITA standard setting.

The symmetry search is spglib's, or that of moyopy, which is some ten times faster and
finds the same genes up to a change of description. Which of the equivalent letters come
out depends on how a crystal was entered; compare genes by their canonical key.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from wyckflow.crystal._symmetry import Engine, Symmetry, find_symmetry
from wyckflow.crystal.cell import (
    Cell,
    Refusal,
    RefusalReason,
    cell_from_structure,
    check_cell,
    make_cell,
)
from wyckflow.crystal.elements import ATOMIC_NUMBERS, FORMULA_RANKS, SYMBOLS
from wyckflow.crystal.gene import WyckoffGene, WyckoffSite
from wyckflow.crystal.tables import TRANSLATION_DENOMINATOR, WYCKOFF_LETTERS
from wyckflow.errors import GeneError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from pymatgen.core.structure import IStructure, Structure

    StructureLike: TypeAlias = Cell | Structure | IStructure | tuple[Any, Any, Any]

__all__ = [
    "DEFAULT_SYMPREC",
    "EncodedStructure",
    "Engine",
    "StandardCell",
    "encode_structure",
    "encode_structures",
]

DEFAULT_SYMPREC: Final = 0.1
"""Tolerance in A that gives the space groups of the Materials Project."""

_LARGEST_DISPLACEMENT: Final = 3.0  # in units of symprec


@dataclass(frozen=True, eq=False, slots=True)
class StandardCell:
    """A crystal in the standard setting, one point per orbit.

    Attributes
    ----------
    gene
        Space group and sites.
    lattice
        Conventional cell vectors in rows, in A.
    coordinates
        For every site of the gene, in its order, the point of the orbit that lies on
        the first point of the Wyckoff position. The free coordinates are those that
        the position leaves free; the others follow from them.
    """

    gene: WyckoffGene
    lattice: NDArray[np.float64]
    coordinates: NDArray[np.float64]

    def to_cell(self) -> Cell:
        """Write out all atoms of the conventional cell, site by site."""
        points, atomic_numbers = [], []
        for site, position, point in zip(
            self.gene.sites, self.gene.positions, self.coordinates, strict=True
        ):
            shifts = position.translations / TRANSLATION_DENOMINATOR
            points.append(position.rotations @ point + shifts)
            atomic_numbers += [ATOMIC_NUMBERS[site.element]] * position.multiplicity
        return make_cell(self.lattice, np.concatenate(points) % 1, atomic_numbers)


@dataclass(frozen=True, eq=False, slots=True)
class EncodedStructure:
    """The gene of a structure, and how it was found.

    Attributes
    ----------
    gene
        Letters of the ITA standard setting as the engine chose them: equivalent to,
        not identical with, those of another description of the same crystal.
    engine
        Package that found the symmetry.
    symprec
        Distance tolerance in A.
    angle_tolerance
        Angle tolerance in degrees, or None for the engine's own.
    n_atoms
        Atoms in the cell that came.
    standard_cell
        The crystal in the standard setting, where asked for.
    max_displacement
        How far (in A) the atoms taken for it had to be moved at most to satisfy their
        site symmetry exactly, where asked for.
    """

    gene: WyckoffGene
    engine: Engine
    symprec: float
    angle_tolerance: float | None
    n_atoms: int
    standard_cell: StandardCell | None = None
    max_displacement: float | None = None


def encode_structure(
    structure: StructureLike,
    *,
    symprec: float = DEFAULT_SYMPREC,
    angle_tolerance: float | None = None,
    engine: Engine = Engine.SPGLIB,
    with_standard_cell: bool = False,
) -> EncodedStructure | Refusal:
    """Find the gene of a structure, or the reason why it has none.

    Parameters
    ----------
    structure
        A pymatgen structure, a `Cell`, or a tuple of lattice (vectors in rows, in A),
        fractional coordinates and atomic numbers.
    symprec
        Distance tolerance in A.
    angle_tolerance
        Angle tolerance in degrees; None lets the engine derive it from ``symprec``.
    engine
        Package that finds the symmetry.
    with_standard_cell
        Whether to return the crystal in the standard setting, too.

    Returns
    -------
    EncodedStructure | Refusal
        A refusal for what cannot be a gene: disorder, partial occupancy, an element
        that is not supported, overlapping atoms, no symmetry found.

    Raises
    ------
    ConfigurationError
        If the engine is not installed.
    ValueError
        If ``symprec`` is not positive, or arrays do not fit together.
    """
    engine = Engine(engine)
    if symprec <= 0:
        raise ValueError(f"{symprec=} A must be positive.")
    cell = _as_cell(structure)
    if isinstance(cell, Refusal):
        return cell
    refusal = check_cell(cell)
    if refusal is not None:
        return refusal
    symmetry = find_symmetry(
        cell, engine, symprec=symprec, angle_tolerance=angle_tolerance
    )
    if isinstance(symmetry, Refusal):
        return symmetry
    orbits = _sorted_orbits(cell, symmetry)
    gene = _gene_of_orbits(cell, symmetry, orbits)
    if isinstance(gene, Refusal):
        return gene
    standard_cell, max_displacement = None, None
    if with_standard_cell:
        standard_cell, max_displacement = _standardise(cell, symmetry, gene, orbits)
        if max_displacement > _LARGEST_DISPLACEMENT * symprec:
            return Refusal(
                RefusalReason.INCONSISTENT_ORBITS,
                f"an atom is {max_displacement:.2f} A off its position in {gene}",
            )
    return EncodedStructure(
        gene=gene,
        engine=engine,
        symprec=symprec,
        angle_tolerance=angle_tolerance,
        n_atoms=len(cell),
        standard_cell=standard_cell,
        max_displacement=max_displacement,
    )


def encode_structures(
    structures: Iterable[StructureLike],
    *,
    symprec: float = DEFAULT_SYMPREC,
    angle_tolerance: float | None = None,
    engine: Engine = Engine.SPGLIB,
    with_standard_cell: bool = False,
) -> Iterator[EncodedStructure | Refusal]:
    """Find the genes of many structures, one after another.

    Parameters
    ----------
    structures
        As in `encode_structure`.
    symprec
        Distance tolerance in A.
    angle_tolerance
        Angle tolerance in degrees; None lets the engine derive it from ``symprec``.
    engine
        Package that finds the symmetry.
    with_standard_cell
        Whether to return the crystals in the standard setting, too.
    """
    for structure in structures:
        yield encode_structure(
            structure,
            symprec=symprec,
            angle_tolerance=angle_tolerance,
            engine=engine,
            with_standard_cell=with_standard_cell,
        )


def _as_cell(structure: StructureLike) -> Cell | Refusal:
    if isinstance(structure, Cell):
        return structure
    if isinstance(structure, tuple):
        return make_cell(*structure)
    return cell_from_structure(structure)


def _sorted_orbits(cell: Cell, symmetry: Symmetry) -> list[int]:
    """Return one atom of every orbit, in the order in which a gene has its sites."""
    symbols = [SYMBOLS[number - 1] for number in cell.atomic_numbers.tolist()]
    letters = symmetry.letters
    return sorted(
        {atom for index, atom in enumerate(symmetry.orbits) if atom == index},
        key=lambda atom: (
            FORMULA_RANKS[symbols[atom]],
            WYCKOFF_LETTERS.index(letters[atom]),
            atom,
        ),
    )


def _gene_of_orbits(
    cell: Cell, symmetry: Symmetry, orbits: Sequence[int]
) -> WyckoffGene | Refusal:
    """Write the orbits as a gene, and see that it holds the atoms of the cell."""
    sites = tuple(
        WyckoffSite(SYMBOLS[int(cell.atomic_numbers[atom]) - 1], symmetry.letters[atom])
        for atom in orbits
    )
    try:
        gene = WyckoffGene(symmetry.group.number, sites)
    except GeneError as error:
        return Refusal(RefusalReason.INCONSISTENT_ORBITS, str(error))
    counts = Counter(SYMBOLS[number - 1] for number in cell.atomic_numbers.tolist())
    composition, n_sites = gene.composition, gene.n_sites
    if any(composition[e] * len(cell) != n * n_sites for e, n in counts.items()):
        return Refusal(
            RefusalReason.INCONSISTENT_ORBITS,
            f"the orbits of {gene} hold {composition}, the cell holds {dict(counts)}",
        )
    return gene


def _standardise(
    cell: Cell, symmetry: Symmetry, gene: WyckoffGene, orbits: Sequence[int]
) -> tuple[StandardCell, float]:
    """Find the point of every orbit that the Wyckoff position lists first.

    The operator of that first point is a projection onto the points that it allows, so
    the image of an atom that it moves least is the one to take.
    """
    group, frame = symmetry.group, symmetry.locate()
    first = np.array([position.rotations[0] for position in gene.positions])
    first_shifts = np.array([position.translations[0] for position in gene.positions])
    points = cell.coordinates[list(orbits)] @ frame.linear.T + frame.shift
    images = np.einsum("nij,kj->nki", group.rotations, points)
    images += group.translations[:, None] / TRANSLATION_DENOMINATOR
    projected = np.einsum("kij,nkj->nki", first, images)
    projected += first_shifts / TRANSLATION_DENOMINATOR
    moves = projected - images
    moves -= np.rint(moves)
    distances = np.sqrt(np.square(moves @ frame.lattice).sum(axis=-1))
    # Rounding lets the first of equally good images win, whatever the last digits.
    best = np.round(distances, 6).argmin(axis=0)
    sites = np.arange(len(orbits))
    standard_cell = StandardCell(
        gene=gene,
        lattice=np.array(frame.lattice),
        coordinates=np.round(projected[best, sites], 12) % 1,
    )
    return standard_cell, float(distances[best, sites].max())
