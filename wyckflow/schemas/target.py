"""What a user wants: ranges of properties, symmetry, elements, size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    field_validator,
    model_validator,
)

from wyckflow.crystal.elements import SYMBOLS
from wyckflow.crystal.tables import CrystalSystem, crystal_system_of
from wyckflow.errors import TargetError, nearest_name

LAST_SPACE_GROUP = 230
_SYMBOLS = SYMBOLS[:94]


class Window(BaseModel):
    """A range; a side that is left out is open."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: FiniteFloat | None = Field(
        default=None, description="Smallest value wanted, in the property's unit."
    )
    max: FiniteFloat | None = Field(
        default=None, description="Largest value wanted, in the property's unit."
    )

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.lower > self.upper:
            raise TargetError(
                f"A range from {self.min:g} to {self.max:g} holds nothing; its 'min' "
                "must not be above its 'max'."
            )
        return self

    @property
    def lower(self) -> float:
        """The lower end, minus infinity where open."""
        return -math.inf if self.min is None else self.min

    @property
    def upper(self) -> float:
        """The upper end, infinity where open."""
        return math.inf if self.max is None else self.max

    def __str__(self) -> str:
        """Words for people."""
        if self.min is None:
            return "any value" if self.max is None else f"at most {self.max:g}"
        if self.max is None:
            return f"at least {self.min:g}"
        return f"{self.min:g} to {self.max:g}"


def parse_space_groups(value: Any) -> tuple[int, ...]:
    """Return space-group numbers from a list, a number, or text such as '62, 143-230'.

    Parameters
    ----------
    value
        As it stands in a file or on a command line.

    Raises
    ------
    TargetError
        If it is no such text, or a number is outside 1 to 230.
    """
    parts = value.split(",") if isinstance(value, str) else _listed(value)
    numbers: set[int] = set()
    for part in parts:
        first, dash, last = str(part).strip().partition("-")
        try:
            low, high = int(first), int(last) if dash else int(first)
        except ValueError:
            raise TargetError(
                f"{str(part)!r} is no space group; give numbers and ranges, such as "
                "'62, 143-230'."
            ) from None
        if not 1 <= low <= high <= LAST_SPACE_GROUP:
            raise TargetError(
                f"{str(part)!r} is no range of space groups; they are numbered from 1 "
                f"to {LAST_SPACE_GROUP}, the smaller number first."
            )
        numbers.update(range(low, high + 1))
    return tuple(sorted(numbers))


def _listed(value: Any) -> Iterable[Any]:
    """Return a list of what came; what is no list is one entry, nothing is none."""
    if value is None:
        return ()
    return value if isinstance(value, Iterable) else [value]


def _parse_elements(value: Any) -> tuple[str, ...]:
    """Return chemical symbols from a list or from text with commas or dashes."""
    if isinstance(value, str):
        value = value.replace("-", ",").split(",")
    symbols = [str(symbol).strip() for symbol in _listed(value) if str(symbol).strip()]
    for symbol in symbols:
        if symbol not in _SYMBOLS:
            raise TargetError(
                f"{symbol!r} is no chemical symbol of hydrogen to plutonium."
                f"{nearest_name(symbol, _SYMBOLS)}"
            )
    return tuple(dict.fromkeys(symbols))


SpaceGroups = Annotated[tuple[int, ...], BeforeValidator(parse_space_groups)]
Elements = Annotated[tuple[str, ...], BeforeValidator(_parse_elements)]


class Target(BaseModel):
    """The conditions that a crystal has to meet; what is left out does not matter.

    Examples
    --------
    The target of the WyCryst+ paper::

        Target(
            properties={
                "band_gap": {"min": 0.5, "max": 2.0},
                "formation_energy_per_atom": {"max": -0.5},
            },
            space_groups="143-230",
        )
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    properties: dict[str, Window] = Field(
        default_factory=dict,
        description="Ranges by property, such as band_gap (eV) and "
        "formation_energy_per_atom (eV/atom), as the model names them.",
    )
    space_groups: SpaceGroups = Field(
        default=(), description="Space groups allowed, such as '62, 143-230'."
    )
    crystal_systems: tuple[CrystalSystem, ...] = Field(
        default=(), description="Crystal systems allowed."
    )
    elements_all: Elements = Field(
        default=(), description="Elements that must all be there."
    )
    elements_any: Elements = Field(
        default=(), description="Elements of which at least one must be there."
    )
    elements_none: Elements = Field(
        default=(), description="Elements that must not be there."
    )
    elements_only: Elements = Field(
        default=(), description="Elements beside which no others may be there."
    )
    n_elements: Window = Field(
        default=Window(), description="Range of the number of different elements."
    )
    nsites: Window = Field(
        default=Window(),
        description="Range of the number of atoms in the conventional cell.",
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, content: Any) -> Any:
        if isinstance(content, dict):
            for name in content:
                if name not in cls.model_fields:
                    raise TargetError(
                        f"A target has no condition {name!r}; it knows "
                        f"{', '.join(cls.model_fields)}."
                        f"{nearest_name(str(name), cls.model_fields)}"
                    )
        return content

    @field_validator("properties", mode="before")
    @classmethod
    def _refuse_bare_numbers(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, Mapping):
            raise TargetError(
                f"The ranges of properties are {value!r}; write them as NAME: "
                "{min: ..., max: ...}."
            )
        for name, window in (value or {}).items():
            if not isinstance(window, dict | Window):
                raise TargetError(
                    f"The range of {name!r} is {window!r}; write it as "
                    "{min: ..., max: ...}, either of which may be left out."
                )
        return value or {}

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        wanted, unwanted = set(self.elements_all), set(self.elements_none)
        if both := sorted(wanted & unwanted):
            raise TargetError(
                f"{', '.join(both)} must be there (elements_all) and must not "
                "(elements_none); take it out of one of them."
            )
        if self.elements_any and unwanted.issuperset(self.elements_any):
            raise TargetError(
                "Every element of elements_any is excluded by elements_none; take one "
                "out of either."
            )
        if self.elements_only and (other := sorted(wanted - set(self.elements_only))):
            raise TargetError(
                f"{', '.join(other)} must be there (elements_all) but is not among "
                "elements_only; add it there."
            )
        if not self.allowed_space_groups:
            raise TargetError(
                "No space group of the target lies in its crystal systems "
                f"({', '.join(self.crystal_systems)}); change one of the two."
            )
        return self

    @property
    def allowed_space_groups(self) -> tuple[int, ...]:
        """Space groups that both conditions on symmetry allow."""
        numbers = self.space_groups or range(1, LAST_SPACE_GROUP + 1)
        systems = self.crystal_systems
        return tuple(
            number
            for number in numbers
            if not systems or crystal_system_of(number) in systems
        )

    @property
    def is_open(self) -> bool:
        """Whether anything at all meets it."""
        return self == Target()

    def conditions(self) -> dict[str, str]:
        """Return the conditions that are set, each in words."""
        words = {name: str(window) for name, window in self.properties.items()}
        if self.space_groups:
            words["space_groups"] = _word_ranges(self.space_groups)
        if self.crystal_systems:
            words["crystal_systems"] = ", ".join(self.crystal_systems)
        for name in ("elements_all", "elements_any", "elements_none", "elements_only"):
            if symbols := getattr(self, name):
                words[name] = ", ".join(symbols)
        for name in ("n_elements", "nsites"):
            if (window := getattr(self, name)) != Window():
                words[name] = str(window)
        return words


def _word_ranges(numbers: tuple[int, ...]) -> str:
    """Return sorted numbers as text with ranges, such as ``62, 143-230``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, dict.fromkeys(run))) for run in runs)


PAPER_TARGET = Target(
    properties={
        "band_gap": Window(min=0.5, max=2.0),
        "formation_energy_per_atom": Window(max=-0.5),
    },
    space_groups=tuple(range(143, LAST_SPACE_GROUP + 1)),
)
"""The target of the WyCryst+ paper: thermoelectric candidates of high symmetry."""
