"""Whether the symmetry holds when nothing enforces it.

A relaxation under symmetry ends in a minimum or on a saddle, and cannot tell which:
the forces that would break the symmetry cancel. Here the crystal is written without
symmetry, shaken a little, and relaxed again with all its freedom.

What is found is true for the cell that is looked at. A distortion that needs a larger
one, such as the turned octahedra of perovskites, shows only in a supercell.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import SYMBOLS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.relax.contract import RelaxOptions
from wyckflow.relax.quarantine import relax_guardedly
from wyckflow.relax.symmetry import find_space_group
from wyckflow.schemas.relaxation import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wyckflow.relax.backends import Backend
    from wyckflow.relax.contract import Relaxed

    Floats = NDArray[np.float64]

_MEV: Final = 1e3


class Verdict(StrEnum):
    """Whether a symmetric minimum is one without symmetry, too."""

    KEPT = "kept"
    """It fell back to its space group, or gained nothing by leaving it."""
    BROKEN = "broken"
    """It left its space group and has a lower energy."""
    CANNOT_JUDGE = "cannot_judge"
    """There was no minimum to begin with, no end, or the landscape is flat."""


@dataclass(frozen=True, slots=True)
class FreeOptions:
    """How crystals are shaken, and what counts.

    Attributes
    ----------
    kick
        Root mean square displacement of the atoms, in A. An instability is seen if
        its curvature times the kick is above ``fmax``.
    strain
        Root mean square of the components of the strain.
    supercell
        How often the conventional cell is repeated along each of its axes.
    seed
        Another seed, other kicks.
    min_gain
        Energy in eV/atom below which nothing was gained.
    symprecs
        Tolerances in A, the tightest first, at which space groups are looked for.
    max_atoms
        Larger cells are not relaxed: without symmetry each atom counts.
    relax
        When the free relaxation stops. Its limits are tighter than usual, since what
        is left of the kick must be below the tolerances.

    Raises
    ------
    ValueError
        If a number is out of range, or the tolerances do not increase.
    """

    kick: float = 0.1
    strain: float = 0.01
    supercell: int = 1
    seed: int = 0
    min_gain: float = 1e-3
    symprecs: tuple[float, ...] = (0.01, 0.1)
    max_atoms: int = 400
    relax: RelaxOptions = field(
        default_factory=lambda: RelaxOptions(fmax=0.002, max_stress_gpa=0.02)
    )

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning."""
        for name in ("kick", "strain", "min_gain"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name}={value!r} must be a positive number.")
        for name, least in (("supercell", 1), ("max_atoms", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} must be at least {least}."
                )
        symprecs = self.symprecs
        if not symprecs or list(symprecs) != sorted({s for s in symprecs if s > 0}):
            raise ValueError(f"{symprecs=} must be positive, the tightest first.")


@dataclass(frozen=True, slots=True)
class FreeCheck:
    """What became of a symmetric minimum that was let go.

    Attributes
    ----------
    verdict
        Whether the symmetry held.
    reason
        What was found, in words.
    energy_gain_mev
        Energy of the symmetric minimum less that of the free one, in meV/atom.
    space_group_numbers
        Space group of the free minimum at each tolerance, None where none was found.
    largest_displacement
        Largest distance in A of an atom from its place in the symmetric minimum, in
        the cell of the free one.
    n_evaluations
        Of energy, forces and stress.
    structure
        The free minimum, in space group 1.
    """

    verdict: Verdict
    reason: str
    energy_gain_mev: float | None = None
    space_group_numbers: tuple[int | None, ...] = ()
    largest_displacement: float | None = None
    n_evaluations: int = 0
    structure: ReducedStructure | None = None


def check_symmetry(
    minima: Sequence[Relaxed], backend: Backend, options: FreeOptions | None = None
) -> list[FreeCheck]:
    """Let symmetric minima go and say whether their symmetry holds.

    Parameters
    ----------
    minima
        Ends of relaxations under symmetry, with energies of the same backend.
    backend
        What relaxes.
    options
        How they are shaken, and what counts.

    Returns
    -------
    list[FreeCheck]
        One per minimum, in order.
    """
    options = options or FreeOptions()
    checks: dict[int, FreeCheck] = {}
    cells: dict[int, ReducedStructure] = {}
    for place, minimum in enumerate(minima):
        reason = _find_obstacle(minimum, options)
        if reason or minimum.structure is None:
            checks[place] = FreeCheck(Verdict.CANNOT_JUDGE, reason)
        else:
            cells[place] = drop_symmetry(minimum.structure, options.supercell)
    kicked = [kick_structure(cell, options) for cell in cells.values()]
    ends = relax_guardedly(kicked, backend, options.relax)
    for (place, cell), end in zip(cells.items(), ends, strict=True):
        checks[place] = _judge(minima[place], cell, end, options)
    return [checks[place] for place in range(len(minima))]


def drop_symmetry(structure: ReducedStructure, supercell: int = 1) -> ReducedStructure:
    """Write a structure in space group 1, every atom an orbit of its own.

    Parameters
    ----------
    structure
        Any structure.
    supercell
        How often the conventional cell is repeated along each of its axes.
    """
    coordinates, numbers = structure.expand()
    shifts = np.array(list(product(range(supercell), repeat=3)))
    images = (coordinates[:, None] + shifts) / supercell
    # Orbits stand in the order of the formula, and so do the sites of any gene.
    elements = [SYMBOLS[number - 1] for number in numbers.repeat(len(shifts))]
    gene = WyckoffGene.from_pairs(1, [(element, "a") for element in elements])
    return ReducedStructure(gene, structure.lattice * supercell, images.reshape(-1, 3))


def kick_structure(
    structure: ReducedStructure, options: FreeOptions
) -> ReducedStructure:
    """Displace atoms and strain the cell at random, without moving the whole.

    Parameters
    ----------
    structure
        In space group 1.
    options
        How far, and the seed; the same structure gets the same kick.
    """
    key = zlib.crc32(structure.gene.to_text().encode())
    rng = np.random.default_rng([options.seed, key])
    steps = rng.normal(size=structure.parameters.shape)
    if len(steps) > 1:
        steps -= steps.mean(axis=0)
    steps *= options.kick / np.sqrt(np.square(steps).sum(axis=1).mean())
    random = rng.normal(size=(3, 3))
    strain = (random + random.T) / 2
    strain *= options.strain / np.sqrt(np.square(strain).mean())
    lattice = structure.lattice @ (np.eye(3) + strain)
    moved = structure.parameters + steps @ np.linalg.inv(structure.lattice)
    return ReducedStructure(structure.gene, lattice, moved)


def measure_displacement(before: ReducedStructure, after: ReducedStructure) -> float:
    """Return the largest distance in A that an atom moved, in the cell of the end.

    A shift of all atoms together does not count.

    Parameters
    ----------
    before, after
        The same atoms in space group 1.
    """
    moved = after.parameters - before.parameters
    moved -= np.rint(moved)
    moved -= moved.mean(axis=0)
    return float(np.linalg.norm(moved @ after.lattice, axis=1).max())


def _find_obstacle(minimum: Relaxed, options: FreeOptions) -> str:
    """Say why there is nothing to let go, if so."""
    if minimum.structure is None or minimum.state.outcome is not Outcome.CONVERGED:
        return f"no minimum under symmetry to begin with: {minimum.state.outcome}"
    n_atoms = minimum.structure.n_atoms * options.supercell**3
    if n_atoms > options.max_atoms:
        return (
            f"{n_atoms} atoms without symmetry, more than the limit of "
            f"{options.max_atoms}"
        )
    return ""


def _judge(
    minimum: Relaxed, cell: ReducedStructure, end: Relaxed, options: FreeOptions
) -> FreeCheck:
    """Compare a free minimum with the symmetric one."""
    before, after = minimum.state.energy_per_atom, end.state.energy_per_atom
    if end.structure is None or before is None or after is None:
        reason = f"the free relaxation ended {end.state.outcome}: {end.state.reason}"
        return FreeCheck(
            Verdict.CANNOT_JUDGE, reason, n_evaluations=end.state.n_evaluations
        )
    gain = before - after
    groups = tuple(find_space_group(end.structure, s) for s in options.symprecs)
    had = tuple(find_space_group(cell, s) for s in options.symprecs)
    distance = measure_displacement(cell, end.structure)
    is_held = [number == of_old for number, of_old in zip(groups, had, strict=True)]
    verdict, reason = _decide(gain, distance, is_held, options)
    if verdict is Verdict.KEPT and end.state.outcome is not Outcome.CONVERGED:
        verdict = Verdict.CANNOT_JUDGE
        reason = f"the free relaxation ended {end.state.outcome}: {end.state.reason}"
    return FreeCheck(
        verdict=verdict,
        reason=reason,
        energy_gain_mev=gain * _MEV,
        space_group_numbers=groups,
        largest_displacement=distance,
        n_evaluations=end.state.n_evaluations,
        structure=end.structure,
    )


def _decide(
    gain: float, distance: float, is_held: Sequence[bool], options: FreeOptions
) -> tuple[Verdict, str]:
    """Weigh energy and symmetry; the tightest tolerance comes first."""
    found = f"{gain * _MEV:.2f} meV/atom gained, atoms {distance:.2f} A away"
    if gain >= options.min_gain:
        if is_held[0]:
            return Verdict.KEPT, f"a lower minimum of the same space group: {found}"
        return Verdict.BROKEN, found
    if is_held[-1]:
        return Verdict.KEPT, found
    if gain > -options.min_gain:
        return Verdict.CANNOT_JUDGE, f"a flat landscape: {found}"
    return Verdict.CANNOT_JUDGE, f"the kick led to a higher minimum: {found}"
