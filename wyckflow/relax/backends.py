"""What relaxes: CHGNet in batches, or one structure at a time with any ASE calculator.

A race does not care which. Each backend says by its energy scale with which numbers its
own may be compared, and by its identity what computed them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

from wyckflow.errors import ConfigurationError, nearest_name
from wyckflow.relax.potential import DEFAULT_WEIGHTS, SUPPORTED_ATOMIC_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.batched import BatchLimits
    from wyckflow.relax.contract import Progress, Relaxed, RelaxOptions
    from wyckflow.relax.potential import Potential

_ASE_CUTOFF: Final = 6.0
_SCALE_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9.+_-]*")

_ACCELERATOR_LIMITS: Final = {"max_structures": 1024, "max_edges": 150_000}
"""Some 4 GB of an accelerator, which is not busy with fewer."""

MOST_EDGES_OF_ONE: Final = 200_000
"""Classes of neighbours in one structure, some 5 GB: 3000 atoms without symmetry."""


class BackendName(StrEnum):
    """The backends that come with the package."""

    CHGNET_QUOTIENT = "chgnet-quotient"
    """CHGNet on one atom per orbit, many structures at once."""
    ASE_CHGNET = "ase-chgnet"
    """CHGNet as its authors ship it, one structure at a time with ASE; slow."""


class Backend(Protocol):
    """What a race needs of a relaxer."""

    @property
    def name(self) -> str:
        """Algorithm and library, in words."""

    @property
    def energy_scale(self) -> str:
        """Tag of its energies; those of another tag must not be compared with them."""

    @property
    def identity(self) -> str:
        """What computed the energies, in full: package, version, weights."""

    @property
    def device(self) -> str:
        """Where it computes, such as ``cpu`` or ``cuda:0``."""

    @property
    def n_at_once(self) -> int:
        """How many structures it works on together."""

    @property
    def supported_atomic_numbers(self) -> frozenset[int]:
        """Elements that it knows."""

    def relax(
        self,
        starts: Sequence[ReducedStructure],
        options: RelaxOptions,
        progress: Progress | None = None,
        *,
        pauses: Sequence[object | None] = (),
    ) -> list[Relaxed]:
        """Relax structures under the symmetry of their genes.

        Parameters
        ----------
        starts
            Start structures; not changed.
        options
            When to stop.
        progress
            Called with the place of a start and its end as soon as that is known.
        pauses
            What came as `Relaxed.pause` with each start, if any did. Steps and
            evaluations are those of this call alone.

        Returns
        -------
        list[Relaxed]
            One per start, in order. It never raises for what a structure does.
        """

    def magnetic_moments(
        self, structures: Sequence[ReducedStructure]
    ) -> list[list[float] | None]:
        """Return how large the magnetic moments of structures are, in mu_B.

        Parameters
        ----------
        structures
            As relaxed; not changed.

        Returns
        -------
        list
            For each structure the size of the moment of an atom of each orbit, in the
            order of its gene; None if the backend predicts none.
        """


@dataclass(frozen=True)
class QuotientBackend:
    """CHGNet on quotient graphs, in batches.

    Attributes
    ----------
    potential
        The network, on the device to use.
    limits
        What runs at once; if not given, what suits the device.
    """

    potential: Potential
    limits: BatchLimits | None = None

    @property
    def name(self) -> str:
        """Algorithm and library, in words."""
        from wyckflow.relax import batched

        return batched.NAME

    @property
    def energy_scale(self) -> str:
        """Tag of its energies: that of the weights."""
        return self.potential.energy_scale

    @property
    def identity(self) -> str:
        """Package, version and hash of the weights."""
        return self.potential.identity

    @property
    def device(self) -> str:
        """Where the network is."""
        return self.potential.device

    @property
    def n_at_once(self) -> int:
        """Structures in a batch."""
        return self._limits.max_structures

    @property
    def supported_atomic_numbers(self) -> frozenset[int]:
        """The elements of the training set."""
        return SUPPORTED_ATOMIC_NUMBERS

    def relax(
        self,
        starts: Sequence[ReducedStructure],
        options: RelaxOptions,
        progress: Progress | None = None,
        *,
        pauses: Sequence[object | None] = (),
    ) -> list[Relaxed]:
        """Relax structures in batches; see `Backend.relax`."""
        from wyckflow.relax.batched import relax_structures

        ends: dict[int, Relaxed] = {}
        able: list[int] = []

        def note(place: int, end: Relaxed) -> None:
            ends[place] = end
            if progress is not None:
                progress(place, end)

        for place, start in enumerate(starts):
            if refusal := _refuse_if_too_large(start):
                note(place, refusal)
            else:
                able.append(place)
        relax_structures(
            [starts[place] for place in able],
            self.potential,
            options,
            limits=self._limits,
            progress=lambda index, end: note(able[index], end),
            pauses=[pauses[place] for place in able] if pauses else (),
        )
        return [ends[place] for place in range(len(starts))]

    def magnetic_moments(
        self, structures: Sequence[ReducedStructure]
    ) -> list[list[float] | None]:
        """Ask the network; see `Backend.magnetic_moments`."""
        from wyckflow.relax.evaluate import predict_magnetic_moments

        found = predict_magnetic_moments(
            structures, self.potential, max_edges=self._limits.max_edges
        )
        return [moments.tolist() for moments in found]

    @property
    def _limits(self) -> BatchLimits:
        from wyckflow.relax.batched import BatchLimits

        if self.limits is not None:
            return self.limits
        if self.device == "cpu":
            return BatchLimits()
        return BatchLimits(**_ACCELERATOR_LIMITS)


@dataclass(frozen=True)
class AseBackend:
    """Any calculator of ASE, one structure at a time.

    For other potentials, for tests, and as the reference for the fast backend::

        AseBackend(ase.calculators.emt.EMT, energy_scale="emt", identity="EMT of ase")

    Attributes
    ----------
    make_calculator
        Returns a calculator with energy, forces and stress. It is called once, when
        the first structure is relaxed.
    energy_scale
        Tag of its energies: another for every potential and every set of weights.
    identity
        What the calculator is: package, version, weights.
    device
        Where it computes.
    cutoff
        Distance in A within which every atom must see another.
    supported_atomic_numbers
        Elements that it knows. If not given, those that the guards know: H to Pu but
        for Po, At, Rn, Fr and Ra.

    Raises
    ------
    ConfigurationError
        If a tag is not in lower case without spaces, or there is no identity.
    """

    make_calculator: Callable[[], Any]
    energy_scale: str
    identity: str
    device: str = "cpu"
    cutoff: float = _ASE_CUTOFF
    supported_atomic_numbers: frozenset[int] = field(
        default=SUPPORTED_ATOMIC_NUMBERS, repr=False
    )

    def __post_init__(self) -> None:
        """Refuse energies that could be taken for those of something else."""
        if not _SCALE_PATTERN.fullmatch(self.energy_scale):
            raise ConfigurationError(
                f"{self.energy_scale=} is no tag of an energy scale; use lower case "
                "letters, digits and hyphens, such as 'mace-mp-0b3'."
            )
        if not self.identity.strip():
            raise ConfigurationError(
                "A calculator came without an identity; say package, version and "
                "weights, such as 'mace-torch 0.3.13, weights mp-0b3'."
            )

    @property
    def name(self) -> str:
        """Algorithm and library, in words."""
        from wyckflow.relax import reference

        return reference.NAME

    @property
    def n_at_once(self) -> int:
        """One."""
        return 1

    def calculator(self) -> Any:
        """Return the calculator; loading one may take long, so there is one."""
        return self._calculator

    def relax(
        self,
        starts: Sequence[ReducedStructure],
        options: RelaxOptions,
        progress: Progress | None = None,
        *,
        pauses: Sequence[object | None] = (),  # noqa: ARG002 (ASE makes none)
    ) -> list[Relaxed]:
        """Relax structures one by one; see `Backend.relax`."""
        from wyckflow.relax.reference import relax_structure

        ends = []
        for place, start in enumerate(starts):
            end = relax_structure(
                start,
                self,
                options,
                supported_atomic_numbers=self.supported_atomic_numbers,
            )
            ends.append(end)
            if progress is not None:
                progress(place, end)
        return ends

    def magnetic_moments(
        self, structures: Sequence[ReducedStructure]
    ) -> list[list[float] | None]:
        """Ask the calculator, if it knows; see `Backend.magnetic_moments`."""
        from wyckflow.relax.reference import find_magnetic_moments

        calculator = self.calculator()
        return [find_magnetic_moments(item, calculator) for item in structures]

    @cached_property
    def _calculator(self) -> Any:
        return self.make_calculator()


def _refuse_if_too_large(start: ReducedStructure) -> Relaxed | None:
    """Return the end of a structure that would fill the memory alone."""
    from wyckflow.relax.batched import estimate_edges
    from wyckflow.relax.contract import Relaxed
    from wyckflow.schemas.relaxation import Outcome, RelaxedState

    n_edges = estimate_edges(start)
    if n_edges <= MOST_EDGES_OF_ONE:
        return None
    reason = (
        f"about {n_edges:.3g} classes of neighbours, above {MOST_EDGES_OF_ONE}: too "
        "large for the memory"
    )
    return Relaxed(RelaxedState(outcome=Outcome.GUARDED, reason=reason))


def parse_backend_name(name: str) -> BackendName:
    """Return the backend of that name.

    Parameters
    ----------
    name
        One of `BackendName`.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    try:
        return BackendName(name)
    except ValueError:
        known = [item.value for item in BackendName]
        raise ConfigurationError(
            f"backend={name!r} relaxes nothing; choose one of {', '.join(known)}."
            f"{nearest_name(str(name), known)}"
        ) from None


def load_backend(
    name: str = BackendName.CHGNET_QUOTIENT,
    *,
    weights: str = DEFAULT_WEIGHTS,
    device: str = "auto",
    threads: int = 1,
) -> Backend:
    """Load one of the backends that come with the package.

    Parameters
    ----------
    name
        One of `BackendName`.
    weights
        Of CHGNet; they set the energy scale.
    device
        ``cpu``, ``cuda``, ``cuda:N``, or ``auto`` for an accelerator if there is one.
    threads
        Threads of the processor that torch may use, in the whole process.

    Raises
    ------
    ConfigurationError
        If name or weights are unknown, or the device is not there.
    """
    from wyckflow.relax.potential import load_potential

    chosen = parse_backend_name(name)
    potential = load_potential(weights, device=device, threads=threads)
    if chosen is BackendName.CHGNET_QUOTIENT:
        return QuotientBackend(potential)
    return AseBackend(
        potential.calculator,
        energy_scale=f"{potential.energy_scale}-ase",
        identity=f"{potential.identity}, by its calculator for ASE",
        device=potential.device,
        cutoff=potential.cutoff,
    )
