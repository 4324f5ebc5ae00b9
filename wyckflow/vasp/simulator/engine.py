"""Where the simulator's energies come from, and how it moves atoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pymatgen.core import Element
from pymatgen.core.structure import Structure

from wyckflow.errors import nearest_name

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from wyckflow.vasp.simulator.inputs import RunInputs

ENGINES: Final = ("toy", "chgnet")
THZ_PER_ROOT: Final = 15.633302
"""Frequency in THz of a force constant of 1 eV/A^2 on a mass of 1 u."""

_MAGNETIC: Final = frozenset({"V", "Cr", "Mn", "Fe", "Co", "Ni", "Eu", "Gd"})
_TOY_MOMENT: Final = 3.0
_EV_A3_IN_KBAR: Final = 1602.1766208
_MOVES_PER_STEP: Final = 10
"""Moves of the optimiser that are printed as one ionic step."""
_DISPLACEMENT: Final = 0.01


@dataclass(frozen=True)
class Snapshot:
    """One ionic step.

    Attributes
    ----------
    structure
        Cell and atoms.
    energy
        eV.
    forces
        eV/A.
    stress_kbar
        With VASP's sign.
    """

    structure: Structure
    energy: float
    forces: NDArray[np.float64]
    stress_kbar: NDArray[np.float64]


@dataclass(frozen=True)
class Motion:
    """What a run did to its atoms.

    Attributes
    ----------
    steps
        Ionic steps, at least one.
    moments
        Of the atoms at the end, muB.
    is_finished
        Whether the forces became small enough; True without a relaxation.
    dynamical_matrix
        In THz^2 with VASP's sign (stable modes are negative); None if not asked for.
    """

    steps: tuple[Snapshot, ...]
    moments: NDArray[np.float64]
    is_finished: bool
    dynamical_matrix: NDArray[np.float64] | None


def move_atoms(inputs: RunInputs, engine: str) -> Motion:
    """Relax, or only evaluate, and find force constants if asked for.

    Parameters
    ----------
    inputs
        Of the run.
    engine
        One of `ENGINES`.
    """
    from pymatgen.io.ase import AseAtomsAdaptor

    atoms = AseAtomsAdaptor.get_atoms(inputs.structure, msonable=False)
    atoms.set_initial_magnetic_moments(None)
    atoms.calc = make_calculator(engine)
    steps, is_finished = _relax(atoms, inputs)
    moments = np.zeros(len(atoms))
    if inputs.n_spins > 1:
        found = atoms.calc.results.get("magmoms", moments)
        moments = np.asarray(found, float).ravel()
    matrix = _dynamical_matrix(atoms) if inputs.is_response else None
    return Motion(tuple(steps), moments, is_finished, matrix)


def make_calculator(engine: str) -> Any:
    """Return a calculator of ASE.

    Parameters
    ----------
    engine
        One of `ENGINES`.

    Raises
    ------
    ValueError
        If there is no such engine.
    """
    if engine == "chgnet":
        from chgnet.model.dynamics import CHGNetCalculator

        return CHGNetCalculator(use_device="cpu", verbose=False)
    if engine == "toy":
        return _make_toy()
    raise ValueError(
        f"{engine!r} is no engine of the simulator.{nearest_name(engine, ENGINES)} "
        f"Engines: {', '.join(ENGINES)}."
    )


def _make_toy() -> Any:
    """Return a potential of Morse pairs with a smooth end, its lengths from radii."""
    from ase.calculators.calculator import Calculator, all_changes
    from ase.neighborlist import neighbor_list
    from ase.stress import full_3x3_to_voigt_6_stress

    reach, decay = 6.0, 1.3

    class Toy(Calculator):
        implemented_properties: Final = (
            "energy",
            "forces",
            "stress",
            "free_energy",
            "magmoms",
        )

        def calculate(
            self,
            atoms: Atoms | None = None,
            properties: Any = ("energy",),
            system_changes: Any = all_changes,
        ) -> None:
            super().calculate(atoms, properties, system_changes)
            i, j, d, vector = neighbor_list("ijdD", self.atoms, reach)
            symbols = self.atoms.get_chemical_symbols()
            radius = np.array([float(Element(s).atomic_radius or 1.5) for s in symbols])
            affinity = np.array([_affinity(s) for s in symbols])
            gap = np.abs(affinity[i] - affinity[j])
            depth = 0.35 + 0.5 * gap
            length = 1.02 * (radius[i] + radius[j]) + 0.4 * (gap < 0.3)  # noqa: PLR2004
            bond = np.exp(-decay * (d - length))
            fade = 0.5 * (1 + np.cos(np.pi * d / reach))
            slope = -0.5 * np.pi / reach * np.sin(np.pi * d / reach)
            pair = depth * (bond * bond - 2 * bond)
            push = depth * (-2 * decay * bond * bond + 2 * decay * bond)
            pull = (push * fade + pair * slope)[:, None] * vector / d[:, None]
            forces = np.zeros((len(symbols), 3))
            np.add.at(forces, i, pull)
            energy = float(0.5 * (pair * fade).sum() - 2.5 * len(symbols))
            volume = self.atoms.get_volume()
            stress = 0.5 * np.einsum("na,nb->ab", pull, vector) / volume
            moments = [_TOY_MOMENT * (symbol in _MAGNETIC) for symbol in symbols]
            self.results = {
                "energy": energy,
                "free_energy": energy,
                "forces": forces,
                "stress": full_3x3_to_voigt_6_stress(stress),
                "magmoms": np.array(moments),
            }

    return Toy()


def _affinity(symbol: str) -> float:
    """Return the electronegativity, or a middling one."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = float(Element(symbol).X)
    return value if np.isfinite(value) else 1.5


def _relax(atoms: Atoms, inputs: RunInputs) -> tuple[list[Snapshot], bool]:
    """Move atoms as INCAR says; return the ionic steps, and if they were enough."""
    steps = [_look(atoms, inputs)]
    if not inputs.is_relaxation:
        return steps, True
    from ase.constraints import FixSymmetry
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE

    given = inputs.parameters
    if given["ISYM"] > 0:
        atoms.set_constraint(FixSymmetry(atoms, symprec=max(given["SYMPREC"], 1e-5)))
    moves_cell = given["ISIF"] >= 3  # noqa: PLR2004 - VASP's number
    optimizer = FIRE(FrechetCellFilter(atoms) if moves_cell else atoms, logfile=None)
    limit, before = float(given["EDIFFG"]), steps[0].energy
    fmax = -limit if limit < 0 else 1e-9
    n_moves = _MOVES_PER_STEP * int(given["NSW"])
    for is_converged in optimizer.irun(fmax=fmax, steps=n_moves):
        is_printed = optimizer.nsteps and optimizer.nsteps % _MOVES_PER_STEP == 0
        energy = float(atoms.get_potential_energy())
        is_flat = limit > 0 and optimizer.nsteps and abs(energy - before) < limit
        before = energy
        if is_converged or is_flat:
            return [*steps, _look(atoms, inputs)][: max(2, int(given["NSW"]))], True
        if is_printed:
            steps.append(_look(atoms, inputs))
        if len(steps) >= given["NSW"]:
            break
    return steps, False


def _look(atoms: Atoms, inputs: RunInputs) -> Snapshot:
    """Return the present ionic step."""
    stress = np.asarray(atoms.get_stress(voigt=False, apply_constraint=True), float)
    return Snapshot(
        structure=Structure(
            atoms.cell.array,
            inputs.structure.species,
            atoms.get_scaled_positions(wrap=False),
        ),
        energy=float(atoms.get_potential_energy()),
        forces=np.asarray(atoms.get_forces(apply_constraint=True), float),
        stress_kbar=-stress * _EV_A3_IN_KBAR,
    )


def _dynamical_matrix(atoms: Atoms) -> NDArray[np.float64]:
    """Return minus the mass-weighted force constants in THz^2, sums of forces zero."""
    n, start = len(atoms), atoms.get_positions()
    constants = np.zeros((n, 3, n, 3))
    for atom in range(n):
        for axis in range(3):
            for sign in (1, -1):
                moved = start.copy()
                moved[atom, axis] += sign * _DISPLACEMENT
                atoms.set_positions(moved, apply_constraint=False)
                forces = np.asarray(atoms.get_forces(apply_constraint=False))
                constants[atom, axis] -= sign * forces / (2 * _DISPLACEMENT)
    atoms.set_positions(start, apply_constraint=False)
    matrix = constants.reshape(3 * n, 3 * n)
    # Projecting the translations out keeps the matrix symmetric and exact.
    shift = np.tile(np.eye(3), (n, 1)) / np.sqrt(n)
    keep = np.eye(3 * n) - shift @ shift.T
    matrix = keep @ (matrix + matrix.T) @ keep / 2
    masses = np.repeat(atoms.get_masses(), 3)
    weighted = matrix / np.sqrt(np.outer(masses, masses))
    return np.asarray(-weighted * THZ_PER_ROOT**2, np.float64)
