"""The reference relaxer: one structure, ASE, and any calculator of ASE.

Slow and plain on purpose. It shares no code with the batched relaxer beyond the guards,
so that the two can be held against each other.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from wyckflow.crystal.cell import Refusal
from wyckflow.crystal.encode import encode_structure
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import StructureError
from wyckflow.relax.contract import Relaxed
from wyckflow.relax.guards import (
    Problem,
    covalent_radii_per_atom,
    find_geometry_problem,
    find_unsupported_elements,
)
from wyckflow.relax.potential import SUPPORTED_ATOMIC_NUMBERS
from wyckflow.schemas.relaxation import Outcome, RelaxedState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.relax.contract import RelaxOptions

    Floats = NDArray[np.float64]

NAME: Final = "ASE BFGS, FixSymmetry, FrechetCellFilter"

_CONSTRAINT_SYMPREC: Final = 1e-4
"""Starts are exactly symmetric, so a tight tolerance finds their group and no more."""

_MAX_STEP: Final = 0.2
_MAX_STRAIN: Final = 0.1
_KNOWN_WARNINGS: Final = ("Only FixAtoms", "Converting a tensor with requires_grad")
_LARGEST_DRIFT: Final = 0.05
"""Largest distance in A between a relaxed atom and its Wyckoff position."""


class CalculatorSource(Protocol):
    """What gives calculators of ASE: a loaded network, or anything like it."""

    @property
    def cutoff(self) -> float:
        """Distance within which atoms see each other, in A."""

    def calculator(self) -> Any:
        """Return a calculator with energy, forces and stress."""


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """The network's answer for one geometry, made symmetric."""

    energy_per_atom: float
    max_force: float
    max_stress_gpa: float

    def is_finite(self) -> bool:
        numbers = (self.energy_per_atom, self.max_force, self.max_stress_gpa)
        return bool(np.isfinite(numbers).all())

    def is_converged(self, options: RelaxOptions) -> bool:
        return (
            self.max_force <= options.fmax
            and self.max_stress_gpa <= options.max_stress_gpa
        )


def relax_structure(
    start: ReducedStructure,
    potential: CalculatorSource,
    options: RelaxOptions,
    *,
    supported_atomic_numbers: frozenset[int] = SUPPORTED_ATOMIC_NUMBERS,
) -> Relaxed:
    """Relax atoms and cell under the symmetry of the gene.

    Parameters
    ----------
    start
        Start structure; not changed.
    potential
        The network, or what else gives calculators.
    options
        When to stop.
    supported_atomic_numbers
        Elements that the calculators know; those of CHGNet if not given.

    Returns
    -------
    Relaxed
        With a structure if it converged or ran into the step limit.
    """
    problem = find_unsupported_elements(start.gene.elements, supported_atomic_numbers)
    if problem:
        return _stopped(problem, n_steps=0, n_evaluations=0)
    atoms = _to_atoms(start)
    radii = covalent_radii_per_atom(start.gene)
    problem = _find_problem(atoms, radii, potential)
    if problem:
        return _stopped(problem, n_steps=0, n_evaluations=0)
    atoms.calc = potential.calculator()
    optimiser = _make_optimiser(atoms)
    for n_steps in range(options.max_steps + 1):
        if n_steps:
            optimiser.step()
            problem = _find_problem(atoms, radii, potential)
            if problem:
                return _stopped(problem, n_steps=n_steps, n_evaluations=n_steps)
        found = _evaluate(atoms)
        if not found.is_finite():
            problem = Problem(Outcome.NON_FINITE, "the network answered with no number")
            return _stopped(problem, n_steps=n_steps, n_evaluations=n_steps + 1)
        if found.is_converged(options):
            break
    return _finished(start, atoms, found, n_steps, options)


def find_magnetic_moments(
    structure: ReducedStructure, calculator: Any
) -> list[float] | None:
    """Return how large the magnetic moments of a structure are, in mu_B.

    Parameters
    ----------
    structure
        Any structure.
    calculator
        Of ASE.

    Returns
    -------
    list[float] or None
        The mean size of the moments of each orbit's atoms, in the order of the gene;
        None if the calculator predicts none.
    """
    from ase.calculators.calculator import PropertyNotImplementedError

    try:
        moments = calculator.get_property("magmoms", _to_atoms(structure))
    except PropertyNotImplementedError:  # also of some that list the property: EMT
        return None
    sizes = np.abs(moments)
    owners = structure.orbit_table.site_indices
    return [float(sizes[owners == site].mean()) for site in range(len(set(owners)))]


def _to_atoms(start: ReducedStructure) -> Any:
    """Convert to ASE, atom by atom in the order of the orbits."""
    from ase import Atoms

    coordinates, numbers = start.expand()
    return Atoms(
        numbers=numbers, cell=start.lattice, scaled_positions=coordinates, pbc=True
    )


def _make_optimiser(atoms: Any) -> Any:
    """Return a BFGS of atoms and cell that keeps the space group."""
    from ase.constraints import FixSymmetry
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    atoms.set_constraint(FixSymmetry(atoms, symprec=_CONSTRAINT_SYMPREC))
    # A step of the filter is a strain times the number of atoms, and FixSymmetry
    # refuses strains above 0.25.
    max_step = min(_MAX_STEP, _MAX_STRAIN * len(atoms))
    return BFGS(FrechetCellFilter(atoms), logfile=None, maxstep=max_step)


def _find_problem(
    atoms: Any, radii: Floats, potential: CalculatorSource
) -> Problem | None:
    """Apply the guards to the present geometry."""
    return find_geometry_problem(
        np.array(atoms.cell), atoms.positions, radii, cutoff=potential.cutoff
    )


def _evaluate(atoms: Any) -> _Evaluation:
    """Ask the network; the constraint averages forces and stress over the group."""
    from ase.units import GPa

    with warnings.catch_warnings():
        # What the network's converter says of our constraint, and torch of the network.
        for message in _KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        energy = float(atoms.get_potential_energy())
        forces, stress = atoms.get_forces(), atoms.get_stress()
    return _Evaluation(
        energy_per_atom=energy / len(atoms),
        max_force=float(np.linalg.norm(forces, axis=1).max()),
        max_stress_gpa=float(np.abs(stress).max() / GPa),
    )


def _stopped(problem: Problem, *, n_steps: int, n_evaluations: int) -> Relaxed:
    """Return a relaxation without a result."""
    return Relaxed(
        RelaxedState(
            outcome=problem.outcome,
            reason=problem.reason,
            n_steps=n_steps,
            n_evaluations=n_evaluations,
        )
    )


def _finished(
    start: ReducedStructure,
    atoms: Any,
    found: _Evaluation,
    n_steps: int,
    options: RelaxOptions,
) -> Relaxed:
    """Return a relaxation with its numbers and structure."""
    is_converged = found.is_converged(options)
    reason = (
        ""
        if is_converged
        else f"after {n_steps} steps: force {found.max_force:.3g} eV/A, stress "
        f"{found.max_stress_gpa:.3g} GPa"
    )
    state = RelaxedState(
        outcome=Outcome.CONVERGED if is_converged else Outcome.STEP_LIMIT,
        reason=reason,
        energy_per_atom=found.energy_per_atom,
        max_force=found.max_force,
        max_stress_gpa=found.max_stress_gpa,
        n_steps=n_steps,
        n_evaluations=n_steps + 1,
        volume_per_atom=atoms.get_volume() / len(atoms),
        space_group_number_after=_find_space_group(atoms, options.symprec),
    )
    return Relaxed(state, _to_reduced(start, atoms))


def _find_space_group(atoms: Any, symprec: float) -> int | None:
    """Return the number of the space group, or none if none is found."""
    cell = (np.array(atoms.cell), atoms.get_scaled_positions(), atoms.numbers)
    encoded = encode_structure(cell, symprec=symprec)
    if isinstance(encoded, Refusal):
        return None
    return encoded.gene.space_group_number


def _to_reduced(start: ReducedStructure, atoms: Any) -> ReducedStructure:
    """Read cell and free coordinates from how far the atoms moved."""
    table, cell = start.orbit_table, np.array(atoms.cell)
    coordinates = atoms.positions @ np.linalg.inv(cell)  # not wrapped: they moved
    moved = coordinates - start.expand()[0]
    parameters = np.array(start.parameters)
    for site, is_free in enumerate(table.is_free):
        members = table.site_indices == site
        directions = table.rotations[members][:, :, is_free]
        steps = moved[members]
        if is_free.any():
            design = directions.reshape(-1, int(is_free.sum()))
            solution = np.linalg.lstsq(design, steps.ravel(), rcond=None)[0]
            parameters[site, is_free] += solution
            steps = steps - directions @ solution
        drift = float(np.linalg.norm(steps @ cell, axis=1).max())
        if drift > _LARGEST_DRIFT:
            raise StructureError(
                f"Relaxing {start.gene} moved atoms {drift:.3f} A off their Wyckoff "
                "positions although the symmetry was held; this is a bug of the "
                "relaxer, please report it with this gene."
            )
    return ReducedStructure(start.gene, cell, parameters)
