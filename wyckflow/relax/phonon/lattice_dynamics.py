"""Displacements and force constants by phonopy, symmetric in every respect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.relax.phonon.forces import ForceTask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.relax.phonon.crystal_cell import CrystalCell
    from wyckflow.relax.phonon.forces import TaskForces
    from wyckflow.relax.phonon.supercell import Supercell

    Floats = NDArray[np.float64]

_SYMPREC: Final = 1e-4


@dataclass(frozen=True, eq=False, slots=True)
class ForceConstants:
    """What the forces of the displaced cells amount to.

    Attributes
    ----------
    phonons
        Phonopy's object, with the force constants in it.
    largest
        The largest of them, in eV/A^2.
    largest_change
        Largest change of a force constant by making all of them symmetric, in eV/A^2:
        a measure of noise.
    """

    phonons: Any
    largest: float
    largest_change: float


def set_up_phonons(cell: CrystalCell, supercell: Supercell, displacement: float) -> Any:
    """Return phonopy's object with the displacements that symmetry leaves over.

    A displacement and its opposite come together unless symmetry makes them equal.

    Parameters
    ----------
    cell, supercell
        The crystal.
    displacement
        Of one atom at a time, in A.
    """
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms
    from pymatgen.core.periodic_table import Element

    atoms = PhonopyAtoms(
        numbers=cell.numbers,
        cell=cell.lattice,
        scaled_positions=cell.coordinates,
        # Its own table has no mass for plutonium, which the network knows.
        masses=[float(Element.from_Z(int(z)).atomic_mass) for z in cell.numbers],
    )
    phonons = Phonopy(
        atoms,
        supercell_matrix=supercell.matrix.T,  # theirs acts on columns
        primitive_matrix="P",
        symprec=_SYMPREC,
    )
    phonons.generate_displacements(distance=displacement, is_plusminus="auto")
    return phonons


def list_displacements(phonons: Any) -> ForceTask:
    """Return the cells whose forces are wanted.

    Parameters
    ----------
    phonons
        Of `set_up_phonons`.
    """
    cell = phonons.supercell
    moves = phonons.dataset["first_atoms"]
    return ForceTask(
        lattice=np.array(cell.cell),
        coordinates=np.array(cell.scaled_positions),
        numbers=np.array(cell.numbers, dtype=np.int64),
        atoms=np.array([move["number"] for move in moves], dtype=np.int64),
        displacements=np.array([move["displacement"] for move in moves]),
    )


def fit_force_constants(phonons: Any, forces: TaskForces) -> ForceConstants:
    """Turn forces into force constants, and make these symmetric.

    What the atoms at rest feel is taken off. Then the constants are projected on those
    that obey the space group, do not mind in which order one differentiates, and let
    the crystal as a whole move freely, all at once.

    Parameters
    ----------
    phonons
        Of `set_up_phonons`; gets the force constants.
    forces
        In its displaced cells.
    """
    phonons.forces = forces.displaced - forces.at_rest
    phonons.produce_force_constants(
        calculate_full_force_constants=False, show_drift=False
    )
    before = np.array(phonons.force_constants)
    phonons.symmetrize_force_constants(use_symfc_projector=True, show_drift=False)
    after = np.array(phonons.force_constants)
    return ForceConstants(
        phonons=phonons,
        largest=float(abs(after).max()),
        largest_change=float(abs(after - before).max()),
    )


def compute_dynamical_matrices(phonons: Any, points: Floats) -> Any:
    """Return dynamical matrices, one per wave vector.

    Phases are those of the atoms' own positions.

    Parameters
    ----------
    phonons
        With force constants.
    points
        Fractional wave vectors, shape (points, 3).
    """
    found = phonons.run_qpoints(points, with_dynamical_matrices=True)
    return np.array(found.dynamical_matrices)
