"""Forces of displaced cells as frequencies, soft modes and a verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.relax.phonon.lattice_dynamics import (
    compute_dynamical_matrices,
    fit_force_constants,
)
from wyckflow.relax.phonon.modes import (
    list_fitting_points,
    shorten_point,
    split_gamma,
    to_frequencies,
)
from wyckflow.relax.phonon.soft_modes import find_fitting_matrix
from wyckflow.relax.phonon.spectrum import compute_mesh, compute_spectrum
from wyckflow.relax.phonon.verdict import Softest, is_acoustic_dip, judge
from wyckflow.schemas.phonon import LatticeStability, PhononCell, PhononDoc, SoftMode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.relax.phonon.crystal_cell import CrystalCell
    from wyckflow.relax.phonon.forces import TaskForces
    from wyckflow.relax.phonon.modes import GammaModes
    from wyckflow.relax.phonon.options import PhononOptions
    from wyckflow.relax.phonon.spectrum import Mesh
    from wyckflow.relax.phonon.stability import Crystal, Plan
    from wyckflow.schemas.phonon import Spectrum

    Floats = NDArray[np.float64]

_MOST_SOFT_MODES: Final = 24


@dataclass(frozen=True, eq=False, slots=True)
class CrystalPhonons:
    """Everything found for one crystal.

    Attributes
    ----------
    document
        Verdict and numbers.
    cell
        The primitive cell; None without a verdict.
    soft_modes
        That fit the supercell and are below minus the tolerance, the softest first.
    spectrum
        Bands and density of states.
    """

    document: PhononDoc
    cell: PhononCell | None = None
    soft_modes: tuple[SoftMode, ...] = ()
    spectrum: Spectrum | None = None

    def with_cpu(self, cpu_s: float) -> CrystalPhonons:
        """Return the same with its processor time, in seconds."""
        document = self.document.model_copy(update={"cpu_s": max(cpu_s, 0.0)})
        return replace(self, document=document)


@dataclass(frozen=True, eq=False, slots=True)
class _Fitting:
    """The modes at all wave vectors that fit the supercell, one per star."""

    points: Floats
    gamma: GammaModes
    frequencies: list[Floats]
    eigenvectors: list[Any]


def refuse(crystal: Crystal, reason: str) -> CrystalPhonons:
    """Return what is said of a crystal that cannot be judged.

    Parameters
    ----------
    crystal
        What came.
    reason
        Why, in words.
    """
    return CrystalPhonons(
        _start(crystal, verdict=LatticeStability.CANNOT_JUDGE, reason=reason)
    )


def analyse_crystal(
    plan: Plan, forces: TaskForces, options: PhononOptions
) -> CrystalPhonons:
    """Turn the forces of a crystal's displaced cells into a verdict.

    Parameters
    ----------
    plan
        The crystal and its displacements.
    forces
        In the displaced cells, finite.
    options
        With the tolerances.
    """
    phonons = plan.phonons
    constants = fit_force_constants(phonons, forces)
    masses = np.array(phonons.primitive.masses)
    fitting = _look_at_fitting_points(plan, phonons, masses)
    mesh = compute_mesh(phonons, options.mesh_length)
    spectrum = compute_spectrum(phonons, plan.cell, mesh)
    exact = _find_softest(fitting.points, fitting.frequencies)
    between = _find_softest_between(mesh, spectrum)
    is_dip = _is_dip(between, phonons, masses, plan.cell, fitting.points)
    verdict, reason = judge(exact, between, options, is_dip_near_gamma=is_dip)
    cell = PhononCell(
        plan.cell.lattice, plan.cell.coordinates, plan.cell.numbers, masses
    )
    document = _start(
        plan.crystal,
        verdict=verdict,
        reason=reason,
        min_frequency_thz=None if exact is None else exact.frequency,
        min_frequency_q=None if exact is None else exact.q.tolist(),
        min_interpolated_thz=between.frequency,
        min_interpolated_q=between.q.tolist(),
        is_dip_near_gamma=is_dip,
        max_frequency_thz=float(mesh.frequencies.max()),
        gamma_frequencies_thz=fitting.gamma.optical.tolist(),
        max_acoustic_at_gamma_thz=float(abs(fitting.gamma.acoustic).max()),
        n_imaginary=sum(
            int((found < -options.tolerance_thz).sum()) for found in fitting.frequencies
        ),
        nsites_primitive=plan.cell.n_atoms,
        supercell_matrix=plan.supercell.matrix.tolist(),
        n_atoms_supercell=len(plan.task.numbers),
        min_image_distance=plan.supercell.shortest_distance,
        n_displacements=len(plan.task.atoms),
        max_force=plan.max_force,
        max_stress_gpa=plan.max_stress_gpa,
        max_force_constant=constants.largest,
        symmetrization_change=constants.largest_change,
    )
    soft = _collect_soft_modes(fitting, cell, options.tolerance_thz)
    return CrystalPhonons(document, cell, soft, spectrum)


def _start(crystal: Crystal, **fields: Any) -> PhononDoc:
    """Return a document of a crystal."""
    gene = crystal.gene
    return PhononDoc(
        name=crystal.name,
        gene=gene.to_text() if gene else None,
        gene_id=gene.gene_id if gene else None,
        formula_pretty=crystal.formula,
        **fields,
    )


def _look_at_fitting_points(plan: Plan, phonons: Any, masses: Floats) -> _Fitting:
    """Diagonalise at the wave vectors that fit, the centre without translations."""
    factor = float(phonons.unit_conversion_factor)
    stars = list_fitting_points(plan.supercell.matrix, plan.cell.rotations)
    points = np.array([shorten_point(q, plan.cell.lattice) for q in stars])
    matrices = compute_dynamical_matrices(phonons, points)
    gamma = split_gamma(matrices[0], masses, factor)
    frequencies, eigenvectors = [gamma.optical], [gamma.eigenvectors]
    for matrix in matrices[1:]:
        values, vectors = np.linalg.eigh(matrix)
        frequencies.append(to_frequencies(values, factor))
        eigenvectors.append(vectors)
    return _Fitting(points, gamma, frequencies, eigenvectors)


def _find_softest(points: Floats, frequencies: list[Floats]) -> Softest | None:
    """Return the lowest of some frequencies; one atom alone has none at the centre."""
    lowest = [float(f.min()) if len(f) else np.inf for f in frequencies]
    place = int(np.argmin(lowest))
    if not np.isfinite(lowest[place]):
        return None
    return Softest(lowest[place], points[place])


def _find_softest_between(mesh: Mesh, spectrum: Spectrum) -> Softest:
    """Return the lowest frequency on mesh and path."""
    points = np.concatenate([mesh.q_points, spectrum.q_points])
    lowest = np.concatenate([mesh.frequencies.min(axis=1), spectrum.bands.min(axis=1)])
    place = int(np.argmin(lowest))
    return Softest(float(lowest[place]), points[place])


def _is_dip(
    softest: Softest,
    phonons: Any,
    masses: Floats,
    cell: CrystalCell,
    fitting: Floats,
) -> bool:
    """Return whether the softest interpolated mode is a dip near the zone centre."""
    (matrix,) = compute_dynamical_matrices(phonons, softest.q[None])
    vectors = np.linalg.eigh(matrix)[1]
    return is_acoustic_dip(softest, vectors[:, 0], masses, cell.lattice, fitting)


def _collect_soft_modes(
    fitting: _Fitting, cell: PhononCell, tolerance: float
) -> tuple[SoftMode, ...]:
    """Return the imaginary modes at wave vectors that fit, the softest first."""
    modes: list[SoftMode] = []
    for q, frequencies, eigenvectors in zip(
        fitting.points, fitting.frequencies, fitting.eigenvectors, strict=True
    ):
        soft = np.flatnonzero(frequencies < -tolerance)
        if not len(soft):
            continue
        matrix = find_fitting_matrix(q, cell.lattice)
        for mode in soft:
            eigenvector = np.asarray(eigenvectors[:, mode], dtype=np.complex128)
            modes.append(
                SoftMode(
                    cell=cell,
                    q=q,
                    frequency_thz=float(frequencies[mode]),
                    eigenvector=eigenvector.reshape(-1, 3),
                    supercell_matrix=matrix,
                )
            )
    modes.sort(key=lambda mode: mode.frequency_thz)
    return tuple(modes[:_MOST_SOFT_MODES])
