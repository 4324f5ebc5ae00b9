"""How genes are drawn for a target."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wyckflow.errors import nearest_name
from wyckflow.ml.mpvae.limits import DEFAULT_MAX_ATOMS

DEFAULT_GUIDANCE: Final = 1.0

DEFAULT_LEVEL: Final = 0.8
"""For the paper's target, 64 % of the decoded genes are known with it, and 61 % of the
new ones are predicted within the target; with 0.6 it is 89 % and 70 %, with 1 it is 9 %
and 10 %."""

_MOST: Final = 1000.0
"""Temperature, guidance and tolerance that are as good as without end: beyond it the
scores of a network leave the range of its numbers."""


class Method(StrEnum):
    """Where the latent points of new genes come from."""

    AUTO = "auto"
    """``prior``, but if the target has ranges of properties ``local``, or
    ``conditional`` for a transformer."""

    PRIOR = "prior"
    """From noise alone: like the crystals the model learned from."""

    POSTERIOR = "posterior"
    """Around known crystals, whatever the target says of their properties."""

    LOCAL = "local"
    """Around known crystals that are within the target."""

    GUIDED = "guided"
    """Around points moved towards the target along the gradient of the properties."""

    CONDITIONAL = "conditional"
    """By a transformer that is told what is asked for."""


@dataclass(frozen=True, slots=True)
class DrawOptions:
    """Which genes are drawn, and which of them are kept.

    Attributes
    ----------
    method
        Where the latent points come from.
    level
        Noise on the point of a start: 0 repeats the start, 1 forgets it. Without
        meaning for ``prior``, which is all noise.
    guidance
        How far ``conditional`` goes beyond what the conditions say: 0 takes them as
        they are, 1 as far again as they lead away from no condition.
    temperature
        Of the decoder's choices: 1 as it believes, less is bolder.
    tolerance
        How many of the model's expected errors the properties of a start may lie
        outside the target's ranges.
    max_atoms
        Most atoms in the conventional cell.
    keep_known
        Whether to keep genes that the model has learned from.
    keep_repeats
        Whether to keep genes that come again.
    keep_outside
        Whether to keep genes whose predicted properties are outside the target; its
        conditions on symmetry, elements and size always hold.
    max_tries
        Genes decoded at most per gene asked for.
    n_descriptions
        Equivalent descriptions of a gene that predictions are averaged over.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    method: Method = Method.AUTO
    level: float = DEFAULT_LEVEL
    guidance: float = DEFAULT_GUIDANCE
    temperature: float = 1.0
    tolerance: float = 1.0
    max_atoms: int = DEFAULT_MAX_ATOMS
    keep_known: bool = False
    keep_repeats: bool = False
    keep_outside: bool = False
    max_tries: int = 50
    n_descriptions: int = 2

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        names = [method.value for method in Method]
        if self.method not in names:
            raise ValueError(
                f"{self.method=} is unknown; choose one of {', '.join(names)}."
                f"{nearest_name(str(self.method), names)}"
            )
        object.__setattr__(self, "method", Method(self.method))
        if not 0 <= self.level <= 1:
            raise ValueError(f"{self.level=} must be between 0 and 1.")
        if not 0 < self.temperature <= _MOST:
            raise ValueError(
                f"{self.temperature=} must be above 0 and at most {_MOST:g}."
            )
        for name in ("tolerance", "guidance"):
            if not 0 <= getattr(self, name) <= _MOST:
                raise ValueError(
                    f"{name}={getattr(self, name)} must be a number from 0 to "
                    f"{_MOST:g}: not negative, and not without end."
                )
        for name in ("max_atoms", "max_tries", "n_descriptions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1.")
