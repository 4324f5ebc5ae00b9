"""A batch under way: structures enter, move together, and leave one by one."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from wyckflow.relax.guards import (
    MIN_AXIS,
    MIN_CONTACT_RATIO,
    MIN_VOLUME_RATIO,
    VOLUMES_PER_ATOM,
)
from wyckflow.relax.optimiser import Search
from wyckflow.relax.quotient.neighborhood import SKIN, Neighborhood
from wyckflow.relax.stiffness import guess_hessians
from wyckflow.relax.variables import Variables, find_max_forces, find_stresses
from wyckflow.schemas.relaxation import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.contract import RelaxOptions
    from wyckflow.relax.network import Evaluation, QuotientNetwork
    from wyckflow.relax.quotient.topology import Topology

_ENERGY_NOISE: Final = {"float32": 2e-5, "float64": 1e-9}
"""Rise of the energy that is rounding, in eV/atom."""

SETTLED: Final = 1.0
"""Largest force in eV/A at which the stiffness of a structure is guessed from its
pairs. Below 0.5 or 1 this saves 5 to 7 % of the evaluations; at once, at the start of
a random structure, it costs 15 %."""

_MAX_HALVINGS: Final = 12

# What may be wrong with a trial, and how a search ends that can do no better.
_HIGHER: Final = 0
_VERDICTS: Final = (
    Outcome.STUCK,
    Outcome.GUARDED,
    Outcome.ISOLATED,
    Outcome.NON_FINITE,
)
_OUTCOMES: Final = tuple(Outcome)
_UNDER_WAY: Final = -1


@dataclass(frozen=True, slots=True)
class Landing:
    """How one structure left the batch.

    Attributes
    ----------
    key
        Who it is.
    outcome
        How it ended.
    lattice, parameters
        The best geometry: cell vectors in A, and free coordinates of the orbits.
    last_lattice, last_parameters
        The last one that was tried.
    energy
        At the best geometry, of the conventional cell in eV; infinite if there is none.
    max_force
        There, in eV/A.
    max_stress_gpa
        There, largest component in GPa.
    n_evaluations
        Answers of the network that were used, and one for where a pause ended.
    pause
        What it can go on from, if it ran into the step limit.
    """

    key: int
    outcome: Outcome
    lattice: Any
    parameters: Any
    last_lattice: Any
    last_parameters: Any
    energy: float
    max_force: float
    max_stress_gpa: float
    n_evaluations: int
    pause: Pause | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Pause:
    """A structure that left before it was done, with all that its search had learned.

    Attributes
    ----------
    crew
        Those that left together.
    place
        Its place among them.
    """

    crew: _Crew
    place: int


class Flight:
    """The structures that are being relaxed together.

    Parameters
    ----------
    network
        The network.
    options
        When a structure is done.
    skin
        How much farther than its cut-off the network's neighbours are looked up, in A.

    Attributes
    ----------
    keys
        Who is in the batch.
    """

    def __init__(
        self, network: QuotientNetwork, options: RelaxOptions, *, skin: float = SKIN
    ) -> None:
        self.keys: list[int] = []
        self._network = network
        self._options = options
        self._neighborhood = Neighborhood(
            network.edge_cutoff, network.angle_cutoff, skin=skin
        )
        self._crew: _Crew | None = None

    def __len__(self) -> int:
        """Return the number of structures in the batch."""
        return len(self.keys)

    @property
    def n_searches(self) -> int:
        """How often neighbours were looked for, over all structures."""
        return self._neighborhood.n_searches

    def admit(self, starts: Sequence[tuple[int, ReducedStructure | Pause]]) -> None:
        """Let structures in.

        Parameters
        ----------
        starts
            A key, and a structure of supported elements in a sensible cell, or one
            that made a pause.
        """
        fresh = [(key, item) for key, item in starts if not isinstance(item, Pause)]
        if fresh:
            structures = [structure for _, structure in fresh]
            crew = _Crew.start(structures, self._network.device)
            self._let_in([key for key, _ in fresh], crew)
        groups: dict[int, list[tuple[int, int, _Crew]]] = defaultdict(list)
        for key, item in starts:
            if isinstance(item, Pause):
                groups[id(item.crew)].append((item.place, key, item.crew))
        for group in groups.values():
            group.sort(key=lambda member: member[0])
            crew = group[0][-1].select([place for place, _, _ in group])
            crew.wake_up()
            self._move(crew)
            self._let_in([key for _, key, _ in group], crew)

    def _let_in(self, keys: Sequence[int], crew: _Crew) -> None:
        """Put others behind those that are there."""
        self.keys += keys
        self._crew = crew if self._crew is None else self._crew.join(crew)

    def advance(self) -> list[Landing]:
        """Evaluate all structures once, let out those done, and move the others."""
        if self._crew is None:
            return []
        self._evaluate(self._crew)
        landings = self._let_out(self._crew)
        if self._crew is not None:
            self._move(self._crew)
            landings += self._let_out(self._crew)
        return landings

    def _evaluate(self, crew: _Crew) -> None:
        """Ask the network, and learn from its answer."""
        variables, search, status = crew.variables, crew.search, crew.status
        cells = variables.cells
        parameters, lattices = variables.place(search.trials)
        topology = self._neighborhood.look_around(cells, parameters, lattices)
        found = self._network.evaluate(cells, topology, parameters, lattices)
        verdicts = _judge(found)
        accepted = search.observe(
            found.energies.where(verdicts == _HIGHER, math.inf),
            variables.gradient(found, search.width),
            _ENERGY_NOISE[self._network.dtype] * cells.n_atoms,
        )
        forces = find_max_forces(cells, lattices, found)
        stresses = find_stresses(variables.strains, lattices, found).abs().amax((1, 2))
        status.max_forces = forces.where(accepted, status.max_forces)
        status.max_stresses = stresses.where(accepted, status.max_stresses)
        _guess_stiffness(crew, accepted, topology, parameters, lattices)
        self._decide(search, status, verdicts)

    def _decide(self, search: Search, status: _Status, verdicts: Tensor) -> None:
        """Find out which structures are done; what comes first prevails."""
        is_converged = (status.max_forces <= self._options.fmax) & (
            status.max_stresses <= self._options.max_stress_gpa
        )
        status.end(is_converged, Outcome.CONVERGED)
        is_stuck = search.is_stuck | search.energies.isinf()
        for verdict, outcome in enumerate(_VERDICTS):
            status.end(is_stuck & (verdicts == verdict), outcome)
        status.end(search.n_evaluations > self._options.max_steps, Outcome.STEP_LIMIT)

    def _move(self, crew: _Crew) -> None:
        """Go to the next trials, with smaller steps where a cell would be absurd."""
        variables, search = crew.variables, crew.search
        search.propose(variables.path_lengths)
        n_atoms = variables.cells.n_atoms
        for _ in range(_MAX_HALVINGS):
            _, lattices = variables.place(search.trials)
            is_absurd = find_absurd_cells(lattices, n_atoms)
            if not is_absurd.any():
                return
            search.shorten(is_absurd)
        crew.status.end(is_absurd, Outcome.GUARDED)

    def _let_out(self, crew: _Crew) -> list[Landing]:
        """Remove the structures that are done, and say how they ended."""
        is_done = (crew.status.outcomes != _UNDER_WAY).tolist()
        leaving = [place for place, done in enumerate(is_done) if done]
        if not leaving:
            return []
        keys = [self.keys[place] for place in leaving]
        landings = _describe(keys, crew.select(leaving))
        staying = [place for place, done in enumerate(is_done) if not done]
        self._neighborhood.select(crew.variables.cells, staying)
        self.keys = [self.keys[place] for place in staying]
        self._crew = crew.select(staying) if staying else None
        return landings


@dataclass(eq=False)
class _Status:
    """Forces in eV/A and stresses in GPa at the best points, and who is done.

    Also, whose stiffness was guessed already.
    """

    max_forces: Tensor
    max_stresses: Tensor
    outcomes: Tensor
    is_guessed: Tensor

    def end(self, rows: Tensor, outcome: Outcome) -> None:
        """Set how some structures end, unless they have ended."""
        rows = rows & (self.outcomes == _UNDER_WAY)
        self.outcomes = self.outcomes.masked_fill(rows, _OUTCOMES.index(outcome))


@dataclass(frozen=True, eq=False)
class _Crew:
    """Variables, searches and status of the structures of a batch."""

    variables: Variables
    search: Search
    status: _Status

    @classmethod
    def start(cls, starts: Sequence[ReducedStructure], device: str) -> _Crew:
        variables = Variables.from_structures(starts, device)
        search = Search.start(len(starts), variables.width, device)
        unknown = search.energies + math.inf
        outcomes = search.n_evaluations + _UNDER_WAY
        status = _Status(unknown, unknown, outcomes, unknown.isnan())
        return cls(variables, search, status)

    def select(self, keep: Sequence[int]) -> _Crew:
        variables = self.variables.select(keep)
        rows = variables.sizes.new_tensor(list(keep))
        status = {f.name: getattr(self.status, f.name)[rows] for f in fields(_Status)}
        search = self.search.select(keep, variables.width)
        return _Crew(variables, search, _Status(**status))

    def wake_up(self) -> None:
        """Go on after a pause; the best point so far counts as evaluated."""
        self.status.outcomes = self.status.outcomes.new_full((), _UNDER_WAY).expand(
            len(self.search)
        )
        self.search.n_evaluations = self.search.n_evaluations.new_ones(len(self.search))

    def join(self, other: _Crew) -> _Crew:
        import torch

        status = {
            field.name: torch.cat(
                [getattr(self.status, field.name), getattr(other.status, field.name)]
            )
            for field in fields(_Status)
        }
        return _Crew(
            self.variables.join(other.variables),
            self.search.join(other.search),
            _Status(**status),
        )


def find_absurd_cells(lattices: Tensor, n_atoms: Tensor) -> Tensor:
    """Return which cells the guards would refuse, whatever is in them.

    Parameters
    ----------
    lattices
        Rows are the cell vectors in A, shape (structures, 3, 3).
    n_atoms
        Atoms per cell.
    """
    import torch

    volumes, lengths = torch.linalg.det(lattices), lattices.norm(dim=2)
    smallest, largest = VOLUMES_PER_ATOM
    is_sensible = (
        (volumes >= smallest * n_atoms)
        & (volumes <= largest * n_atoms)
        & (lengths.amin(1) >= MIN_AXIS)
        & (volumes >= MIN_VOLUME_RATIO * lengths.prod(1))
    )
    return ~is_sensible


def _guess_stiffness(
    crew: _Crew,
    accepted: Tensor,
    topology: Topology,
    parameters: Tensor,
    lattices: Tensor,
) -> None:
    """Tell searches which of their variables are stiff, once they see the minimum.

    Far from it the guess would be one of bonds that are still to be made.
    """
    status = crew.status
    is_near = accepted & ~status.is_guessed & (status.max_forces < SETTLED)
    places = is_near.nonzero()[:, 0]
    if not len(places):
        return
    status.is_guessed = status.is_guessed | is_near
    hessians = guess_hessians(
        crew.variables.select(places.tolist()),
        topology.select(is_near, is_near.cumsum(0) - 1),
        parameters[is_near[crew.variables.cells.orbits.owner]],
        lattices[places],
    )
    crew.search.expect(places, hessians)


def _judge(found: Evaluation) -> Tensor:
    """Say what is wrong with each geometry, as a place in the verdicts."""
    import torch

    verdicts = torch.zeros_like(found.n_isolated)
    is_finite = found.energies.isfinite()
    for is_wrong, outcome in (
        (~is_finite, Outcome.NON_FINITE),
        (~(found.contact_ratios >= MIN_CONTACT_RATIO), Outcome.GUARDED),
        (found.n_isolated > 0, Outcome.ISOLATED),
    ):
        verdicts = verdicts.masked_fill(is_wrong, _VERDICTS.index(outcome))
    return verdicts


def _describe(keys: Sequence[int], crew: _Crew) -> list[Landing]:
    """Write down how structures ended."""
    variables, search, status = crew.variables, crew.search, crew.status
    sizes = variables.orbits.counts(len(keys)).tolist()
    geometries = []
    for points in (search.points, search.trials):
        parameters, lattices = variables.place(points)
        geometries.append(lattices.cpu().numpy())
        geometries.append([part.numpy() for part in parameters.cpu().split(sizes)])
    columns = (
        search.energies,
        status.max_forces,
        status.max_stresses,
        search.n_evaluations * search.energies.isfinite(),
    )
    outcomes = [_OUTCOMES[outcome] for outcome in status.outcomes.tolist()]
    pauses = [
        Pause(crew, place) if outcome is Outcome.STEP_LIMIT else None
        for place, outcome in enumerate(outcomes)
    ]
    return [
        Landing(*row)
        for row in zip(
            keys,
            outcomes,
            *geometries,
            *(column.tolist() for column in columns),
            pauses,
            strict=True,
        )
    ]
