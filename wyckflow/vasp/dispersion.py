"""Phonons of the whole zone from displaced supercells, by phonopy.

The force constants of a finite supercell are exact at the wave vectors that fit it, and
interpolated between. Long-range dipoles (Born charges) are not taken off, so that
longitudinal optical branches of ionic crystals are too low near Gamma.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.schemas.phonon import LatticeStability, Spectrum
from wyckflow.vasp.gamma import sort_modes
from wyckflow.vasp.path import find_line_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray
    from pymatgen.core.structure import Structure

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_SYMPREC: Final = 1e-4
_POINTS_PER_SEGMENT: Final = 41
_MESH_LENGTH: Final = 40.0
"""Length in A whose wave vectors the mesh resolves."""

_ROUNDING: Final = 1e-4


@dataclass(frozen=True)
class Dispersion:
    """The phonons of a crystal.

    Attributes
    ----------
    min_fitting_thz
        Lowest frequency at the wave vectors that fit the supercell, the translations
        left out; negative if imaginary, None if there are only translations.
    min_fitting_q
        Wave vector of that mode.
    min_interpolated_thz
        Lowest on mesh and path.
    max_frequency_thz
        Highest there.
    spectrum
        Bands along SeeK-path's path, and density of states.
    """

    min_fitting_thz: float | None
    min_fitting_q: tuple[float, float, float] | None
    min_interpolated_thz: float
    max_frequency_thz: float
    spectrum: Spectrum

    def judge(self, tolerance_thz: float) -> tuple[LatticeStability, str]:
        """Return the verdict and its reason.

        Parameters
        ----------
        tolerance_thz
            Modes above minus this count as stable.
        """
        lowest, q = self.min_fitting_thz, self.min_fitting_q
        if lowest is not None and q is not None and lowest < -tolerance_thz:
            place = ", ".join(f"{value:.3g}" for value in q)
            reason = f"{lowest:.2f} THz at ({place}), which fits the supercell"
            return LatticeStability.UNSTABLE, reason
        if self.min_interpolated_thz < -tolerance_thz:
            reason = (
                f"{self.min_interpolated_thz:.2f} THz between the wave vectors that "
                "fit the supercell, which are stable: a larger one would tell"
            )
            return LatticeStability.BORDERLINE, reason
        return LatticeStability.STABLE, ""


def find_supercell(structure: Structure, *, min_length: float) -> Integers:
    """Return the supercell, the conventional cell repeated; columns are its vectors.

    Parameters
    ----------
    structure
        Primitive cell.
    min_length
        Shortest axis of the supercell, in A.

    Raises
    ------
    ValueError
        If no symmetry is found.
    """
    import spglib

    dataset = spglib.get_symmetry_dataset(_as_cell(structure), symprec=1e-3)
    if dataset is None:
        raise ValueError(f"{structure.reduced_formula}: no symmetry is found")
    conventional = np.rint(np.linalg.inv(dataset.transformation_matrix))
    lengths = np.linalg.norm(structure.lattice.matrix.T @ conventional, axis=0)
    repeats = [max(1, math.ceil(min_length / size - _ROUNDING)) for size in lengths]
    return np.asarray(conventional @ np.diag(repeats), np.int64)


def set_up(structure: Structure, matrix: ArrayLike, displacement: float) -> Any:
    """Return phonopy's object with the displacements that symmetry leaves over.

    Parameters
    ----------
    structure
        Primitive cell, its atoms sorted by element.
    matrix
        Of the supercell; columns are its vectors.
    displacement
        Of one atom at a time, in A.
    """
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    atoms = PhonopyAtoms(
        symbols=[site.specie.symbol for site in structure],
        cell=structure.lattice.matrix,
        scaled_positions=structure.frac_coords,
        masses=[float(site.specie.atomic_mass) for site in structure],
    )
    phonons = Phonopy(
        atoms,
        supercell_matrix=np.asarray(matrix),
        primitive_matrix="P",
        symprec=_SYMPREC,
    )
    phonons.generate_displacements(distance=displacement, is_plusminus="auto")
    return phonons


def list_cells(phonons: Any, structure: Structure) -> list[Structure]:
    """Return the displaced supercells, with the moments of the primitive cell.

    Parameters
    ----------
    phonons
        Of `set_up`.
    structure
        Primitive cell that it was set up for.
    """
    from pymatgen.core.structure import Structure as PymatgenStructure

    supercell = phonons.supercell
    moments = structure.site_properties.get("magmom")
    properties = {}
    if moments is not None:
        origin = [supercell.u2u_map[atom] for atom in supercell.s2u_map]
        properties["magmom"] = [moments[place] for place in origin]
    return [
        PymatgenStructure(
            cell.cell, cell.symbols, cell.scaled_positions, site_properties=properties
        )
        for cell in phonons.supercells_with_displacements
    ]


def analyse(
    phonons: Any, structure: Structure, forces: Sequence[ArrayLike]
) -> Dispersion:
    """Return the phonons from the forces in the displaced supercells.

    Parameters
    ----------
    phonons
        Of `set_up`.
    structure
        Primitive cell that it was set up for.
    forces
        Of each displaced supercell in their order, eV/A.

    Raises
    ------
    ValueError
        If the forces do not belong to these cells, or are not numbers.
    """
    phonons.forces = _check_forces(phonons, forces)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        phonons.produce_force_constants(show_drift=False)
        phonons.symmetrize_force_constants(show_drift=False)
        lowest, q = _find_lowest_fitting(phonons, structure)
        mesh = phonons.run_mesh(_MESH_LENGTH, is_gamma_center=True).frequencies
        spectrum = _make_spectrum(phonons, structure)
    between = np.concatenate([np.ravel(mesh), spectrum.bands.ravel()])
    return Dispersion(
        min_fitting_thz=lowest,
        min_fitting_q=q,
        min_interpolated_thz=float(between.min()),
        max_frequency_thz=float(between.max()),
        spectrum=spectrum,
    )


def _check_forces(phonons: Any, forces: Sequence[ArrayLike]) -> Floats:
    """Return the forces as one array."""
    wanted = (len(phonons.supercells_with_displacements), len(phonons.supercell), 3)
    shapes = [np.shape(item) for item in forces]
    if len(shapes) != wanted[0] or any(shape != wanted[1:] for shape in shapes):
        raise ValueError(
            f"forces of shapes {sorted(set(shapes))} in {len(shapes)} cells came for "
            f"{wanted[0]} cells of {wanted[1]} atoms"
        )
    values = np.asarray(forces, np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a force is not a number")
    return values


def _find_lowest_fitting(
    phonons: Any, structure: Structure
) -> tuple[float | None, tuple[float, float, float] | None]:
    """Return the lowest mode at the wave vectors that fit, translations left out."""
    from phonopy.harmonic.dynmat_to_fc import get_commensurate_points

    points = get_commensurate_points(phonons.supercell_matrix)
    found = phonons.run_qpoints(points, with_dynamical_matrices=True)
    masses = [float(site.specie.atomic_mass) for site in structure]
    lowest: float | None = None
    where: tuple[float, float, float] | None = None
    for q, matrix in zip(points, found.dynamical_matrices, strict=True):
        is_gamma = np.allclose(q, 0)
        # At Gamma it is real, and so are then its eigenvectors.
        squares, vectors = np.linalg.eigh(matrix.real if is_gamma else matrix)
        values = np.sign(squares) * np.sqrt(abs(squares))
        frequencies = (values * phonons.unit_conversion_factor).tolist()
        if is_gamma:
            moves = vectors.T.reshape(len(frequencies), -1, 3)
            frequencies = list(sort_modes(frequencies, moves, masses).optical_thz)
        if frequencies and (lowest is None or min(frequencies) < lowest):
            lowest = float(min(frequencies))
            where = (float(q[0]), float(q[1]), float(q[2]))
    return lowest, where


def _make_spectrum(phonons: Any, structure: Structure) -> Spectrum:
    """Return bands along the path, and the density of states of the mesh."""
    ends, labels = find_line_points(structure, symprec=_SYMPREC)
    pairs = np.array(ends).reshape(-1, 2, 3)
    steps = np.linspace(0, 1, _POINTS_PER_SEGMENT)[:, None]
    segments = [first + steps * (last - first) for first, last in pairs]
    points = np.concatenate(segments)
    reciprocal = structure.lattice.reciprocal_lattice_crystallographic.matrix
    walked, distances = 0.0, []
    for segment in segments:
        along = np.linalg.norm((segment - segment[0]) @ reciprocal, axis=1)
        distances.append(walked + along)
        walked += float(along[-1])
    bands = phonons.run_qpoints(points).frequencies
    dos = phonons.run_total_dos(freq_pitch=None)
    return Spectrum(
        distances=np.concatenate(distances),
        q_points=points,
        bands=np.asarray(bands, np.float64),
        segment_starts=np.arange(len(segments)) * _POINTS_PER_SEGMENT,
        labels=np.array(labels).reshape(-1, 2),
        dos_frequencies=np.asarray(dos.frequency_points, np.float64),
        dos=np.asarray(dos.dos, np.float64),
    )


def _as_cell(structure: Structure) -> tuple[Any, Any, Any]:
    return structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers
