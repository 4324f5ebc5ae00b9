"""What every relaxer takes and gives, whatever is inside."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.schemas.relaxation import RelaxedState


@dataclass(frozen=True, slots=True)
class RelaxOptions:
    """When to stop, and how to look at the result.

    Attributes
    ----------
    fmax
        Converged if no atom feels a larger force, in eV/A. At 0.05 energies are still
        up to 13 meV/atom too high.
    max_stress_gpa
        Converged if no component of the stress tensor is larger, in GPa. With
        15 A^3/atom, 0.1 GPa is a generalised force of 0.01 eV/A.
    max_steps
        Steps after which a relaxation is stopped.
    symprec
        Tolerance for the space group of the result, in A.

    Raises
    ------
    ValueError
        If an option is not a positive number.
    """

    fmax: float = 0.01
    max_stress_gpa: float = 0.1
    max_steps: int = 300
    symprec: float = 0.01

    def __post_init__(self) -> None:
        """Refuse limits that cannot be met."""
        for option in fields(self):
            value = getattr(self, option.name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(
                    f"{option.name}={value!r} must be a positive number; the default "
                    f"is {option.default}."
                )


@dataclass(frozen=True, slots=True)
class Relaxed:
    """The end of one relaxation.

    Attributes
    ----------
    state
        Outcome and numbers.
    structure
        The structure, if it converged or ran into the step limit.
    pause
        What the same relaxer can go on from after the step limit, with all that its
        search has learned; None if it must begin anew from the structure.
    """

    state: RelaxedState
    structure: ReducedStructure | None = None
    pause: object | None = field(default=None, repr=False, compare=False)


Progress = Callable[[int, Relaxed], None]
"""Told the place of a start and its end as soon as that is known."""
