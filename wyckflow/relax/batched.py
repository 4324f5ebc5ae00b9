"""The fast relaxer: many structures at once, each leaving when it is done."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.cell import Refusal
from wyckflow.crystal.encode import encode_structure
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.relax.contract import Relaxed
from wyckflow.relax.flight import Flight, Landing, Pause, find_absurd_cells
from wyckflow.relax.guards import (
    Problem,
    covalent_radii_per_atom,
    find_geometry_problem,
    find_unsupported_elements,
)
from wyckflow.relax.network import QuotientNetwork
from wyckflow.relax.potential import SUPPORTED_ATOMIC_NUMBERS
from wyckflow.relax.quotient.cells import load_table, stack_lattices
from wyckflow.relax.quotient.neighborhood import SKIN
from wyckflow.schemas.relaxation import Outcome, RelaxedState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from wyckflow.relax.contract import RelaxOptions
    from wyckflow.relax.potential import Potential

    Floats = NDArray[np.float64]

NAME: Final = "batched BFGS in symmetry-allowed variables on quotient graphs"


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What runs at once: limits of memory, and of the time between two answers.

    Attributes
    ----------
    max_structures
        Structures in a batch.
    max_edges
        Classes of neighbours in a batch, as estimated from its start structures. A
        structure above the limit runs alone.

    Raises
    ------
    ValueError
        If a limit is below 1.
    """

    max_structures: int = 64
    max_edges: int = 8000

    def __post_init__(self) -> None:
        """Refuse empty batches."""
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(
                    f"{field.name}={getattr(self, field.name)!r} must be at least 1."
                )


def relax_structures(
    starts: Sequence[ReducedStructure],
    potential: Potential,
    options: RelaxOptions,
    *,
    limits: BatchLimits | None = None,
    progress: Callable[[int, Relaxed], None] | None = None,
    pauses: Sequence[object | None] = (),
    dtype: str = "float32",
    skin: float = SKIN,
) -> list[Relaxed]:
    """Relax atoms and cells under the symmetry of the genes.

    Parameters
    ----------
    starts
        Start structures; not changed.
    potential
        The network, on the device to use.
    options
        When to stop.
    limits
        What runs at once.
    progress
        Called with the place of a start and its end as soon as that is known, in the
        order of the ends.
    pauses
        Those of an earlier call that ran into the step limit, one per start; such a
        start goes on as if it had never stopped, and what is reported of it, as what
        the step limit counts, is of this call alone.
    dtype
        ``float32`` or ``float64``, of the network's layers.
    skin
        How much farther than the cut-off neighbours are looked up, in A. It changes
        the cost and not the result.

    Returns
    -------
    list[Relaxed]
        One per start, in order. What did not converge has an outcome and a reason,
        and did not disturb the others.
    """
    ends: dict[int, Relaxed] = {}

    def finish(place: int, end: Relaxed) -> None:
        ends[place] = end
        if progress is not None:
            progress(place, end)

    waiting: list[int] = []
    paused = {
        place: pause for place, pause in enumerate(pauses) if isinstance(pause, Pause)
    }
    for place, start in enumerate(starts):
        problem = _find_problem_of_start(start, potential.cutoff)
        if problem and place not in paused:
            finish(place, _stopped(problem))
        else:
            waiting.append(place)
    if waiting:
        costs = {place: estimate_edges(starts[place]) for place in waiting}
        waiting.sort(key=lambda place: -costs[place])  # the longest tasks first
        network = QuotientNetwork(potential, dtype)
        flight = Flight(network, options, skin=skin)
        limits = limits or BatchLimits()
        while waiting or len(flight):
            entering = _choose_entering(waiting, flight, costs, limits)
            del waiting[: len(entering)]
            flight.admit([(p, paused.get(p, starts[p])) for p in entering])
            for landing in flight.advance():
                n_known = 1 if landing.key in paused else 0
                start = starts[landing.key]
                end = _finish(start, landing, potential, options, n_known=n_known)
                finish(landing.key, end)
    return [ends[place] for place in range(len(starts))]


def estimate_edges(structure: ReducedStructure, cutoff: float = 6.0) -> float:
    """Return about how many classes of neighbours the orbits of a structure have.

    Parameters
    ----------
    structure
        Any structure of supported elements.
    cutoff
        Distance in A within which atoms see each other.
    """
    density = structure.n_atoms / structure.volume
    neighbors = density * 4 / 3 * math.pi * cutoff**3
    sizes = load_table(structure.gene).stabilizer_sizes
    return float((1 + neighbors / sizes).sum())


def _choose_entering(
    waiting: Sequence[int], flight: Flight, costs: dict[int, float], limits: BatchLimits
) -> list[int]:
    """Return those at the head of the queue for which there is room."""
    load = sum(costs[key] for key in flight.keys)
    room = limits.max_structures - len(flight)
    entering: list[int] = []
    for place in waiting[: max(room, 0)]:
        load += costs[place]
        if load > limits.max_edges and (entering or len(flight)):
            break
        entering.append(place)
    return entering


def _find_problem_of_start(start: ReducedStructure, cutoff: float) -> Problem | None:
    """Apply the guards that need no neighbours, so that nothing absurd gets in."""
    problem = find_unsupported_elements(start.gene.elements, SUPPORTED_ATOMIC_NUMBERS)
    if problem:
        return problem
    lattices = stack_lattices([start], "cpu")
    if find_absurd_cells(lattices, lattices.new_tensor([start.n_atoms])).item():
        return _word_problem(start, start.lattice, start.parameters, cutoff)
    return None


def _finish(
    start: ReducedStructure,
    landing: Landing,
    potential: Potential,
    options: RelaxOptions,
    *,
    n_known: int,
) -> Relaxed:
    """Write down how one structure ended; some evaluations were known before."""
    steps = max(landing.n_evaluations - 1, 0)
    n_evaluations = max(landing.n_evaluations - n_known, 0)
    if landing.outcome in {Outcome.CONVERGED, Outcome.STEP_LIMIT, Outcome.STUCK}:
        structure = ReducedStructure(start.gene, landing.lattice, landing.parameters)
        state = RelaxedState(
            outcome=landing.outcome,
            reason=_explain(landing, steps),
            energy_per_atom=landing.energy / structure.n_atoms,
            max_force=landing.max_force,
            max_stress_gpa=landing.max_stress_gpa,
            n_steps=steps,
            n_evaluations=n_evaluations,
            volume_per_atom=structure.volume / structure.n_atoms,
            space_group_number_after=_find_space_group(structure, options.symprec),
        )
        return Relaxed(state, structure, landing.pause)
    problem = Problem(landing.outcome, "the network answered with no number")
    if landing.outcome is not Outcome.NON_FINITE:
        lattice, parameters = landing.last_lattice, landing.last_parameters
        found = _word_problem(start, lattice, parameters, potential.cutoff)
        problem = Problem(landing.outcome, found.reason)
    return _stopped(problem, n_steps=steps, n_evaluations=n_evaluations)


def _word_problem(
    start: ReducedStructure, lattice: Floats, parameters: Floats, cutoff: float
) -> Problem:
    """Say what is wrong with a geometry that was refused."""
    coordinates = start.orbit_table.expand(parameters)
    radii = covalent_radii_per_atom(start.gene)
    problem = find_geometry_problem(
        lattice, coordinates @ lattice, radii, cutoff=cutoff
    )
    # Within rounding of a limit, the guards may be of another opinion.
    return problem or Problem(Outcome.GUARDED, "the geometry is at a limit")


def _explain(landing: Landing, steps: int) -> str:
    """Say why a structure did not converge; empty if it did."""
    if landing.outcome is Outcome.CONVERGED:
        return ""
    return (
        f"after {steps} steps: force {landing.max_force:.3g} eV/A, stress "
        f"{landing.max_stress_gpa:.3g} GPa"
    )


def _stopped(problem: Problem, *, n_steps: int = 0, n_evaluations: int = 0) -> Relaxed:
    """Return a relaxation without a result."""
    return Relaxed(
        RelaxedState(
            outcome=problem.outcome,
            reason=problem.reason,
            n_steps=n_steps,
            n_evaluations=n_evaluations,
        )
    )


def _find_space_group(structure: ReducedStructure, symprec: float) -> int | None:
    """Return the number of the space group, or none if none is found."""
    coordinates, numbers = structure.expand()
    cell = (np.array(structure.lattice), coordinates, numbers)
    encoded = encode_structure(cell, symprec=symprec)
    if isinstance(encoded, Refusal):
        return None
    return encoded.gene.space_group_number
