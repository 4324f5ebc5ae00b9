"""Filters by the elements: which there are, and whether their charges balance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from wyckflow.crystal.elements import ATOMIC_NUMBERS, N_ATOMIC_NUMBERS, SYMBOLS
from wyckflow.errors import ScreenError, nearest_name
from wyckflow.screening.element_sets import ELEMENT_SETS
from wyckflow.screening.filters._base import (
    CANNOT_JUDGE,
    FAIL,
    PASS,
    GeneFilter,
    Judgements,
)
from wyckflow.screening.neutrality.judge import (
    REASONS,
    Finding,
    describe_lacking,
    find_neutrality,
)
from wyckflow.screening.neutrality.rule import (
    NeutralityRule,
    PublishedRule,
    parse_oxidation_states,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.screening.evidence import Evidence
    from wyckflow.screening.table import GeneTable

_CHALCOGENS_AND_HALOGENS: Final = ("O", "S", "Se", "Te", "F", "Cl", "Br", "I")


@dataclass(frozen=True, kw_only=True)
class ChargeNeutrality(GeneFilter):
    """Stop genes whose elements cannot balance their charges, by SMACT's rule.

    The value is the total charge nearest to zero, per formula unit.

    Attributes
    ----------
    oxidation_states, requires_electronegativity_order, accepts_alloys,
    accepts_mixed_valence, includes_zero, min_reports, commonality
        As in `wyckflow.screening.neutrality.NeutralityRule`.
    """

    kind: ClassVar[str] = "charge_neutrality"

    oxidation_states: str = "icsd24_consensus"
    requires_electronegativity_order: bool = True
    accepts_alloys: bool = True
    accepts_mixed_valence: bool = False
    includes_zero: bool = False
    min_reports: int = 3
    commonality: str | float = "low"

    def __post_init__(self) -> None:
        """Refuse options that the rule refuses."""
        super().__post_init__()
        states = self.neutrality.oxidation_states.value
        object.__setattr__(self, "oxidation_states", states)

    @property
    def neutrality(self) -> NeutralityRule:
        """What counts as neutral."""
        return NeutralityRule(
            oxidation_states=parse_oxidation_states(self.oxidation_states),
            requires_electronegativity_order=self.requires_electronegativity_order,
            accepts_alloys=self.accepts_alloys,
            accepts_mixed_valence=self.accepts_mixed_valence,
            includes_zero=self.includes_zero,
            min_reports=self.min_reports,
            commonality=self.commonality,
        )

    @property
    def rule(self) -> str:
        """What is asked."""
        return str(self.neutrality)

    def judge(self, table: GeneTable, _: Evidence, /) -> Judgements:
        """Judge the compositions."""
        return _judge_neutrality(table, self.neutrality)


@dataclass(frozen=True, kw_only=True)
class PublishedNeutrality(GeneFilter):
    """Stop genes whose elements cannot balance their charges, by the WyCryst codes.

    Attributes
    ----------
    oxidation_states
        As in `wyckflow.screening.neutrality.PublishedRule`.
    """

    kind: ClassVar[str] = "published_neutrality"

    oxidation_states: str = "smact14"

    def __post_init__(self) -> None:
        """Refuse a list that the rule refuses."""
        super().__post_init__()
        states = self.neutrality.oxidation_states.value
        object.__setattr__(self, "oxidation_states", states)

    @property
    def neutrality(self) -> PublishedRule:
        """What counts as neutral."""
        return PublishedRule(parse_oxidation_states(self.oxidation_states))

    @property
    def rule(self) -> str:
        """What is asked."""
        return str(self.neutrality)

    def judge(self, table: GeneTable, _: Evidence, /) -> Judgements:
        """Judge the compositions."""
        return _judge_neutrality(table, self.neutrality)


@dataclass(frozen=True, kw_only=True)
class ElectronegativityOrder(GeneFilter):
    """Stop genes that are neutral only with the wrong elements as cations (Pauling).

    Where no charges balance at all there is no order to judge; metals alone pass.

    Attributes
    ----------
    oxidation_states
        The list of oxidation states.
    accepts_mixed_valence
        Whether atoms of one element may differ in charge.
    """

    kind: ClassVar[str] = "electronegativity_order"

    oxidation_states: str = "icsd24_consensus"
    accepts_mixed_valence: bool = False

    def __post_init__(self) -> None:
        """Refuse a list that does not exist."""
        super().__post_init__()
        states = self._strict.oxidation_states.value
        object.__setattr__(self, "oxidation_states", states)

    @property
    def _strict(self) -> NeutralityRule:
        return NeutralityRule(
            oxidation_states=parse_oxidation_states(self.oxidation_states),
            accepts_mixed_valence=self.accepts_mixed_valence,
        )

    @property
    def rule(self) -> str:
        """What is asked."""
        return (
            "where charges balance, they do with every cation less electronegative "
            f"than every anion ({self.oxidation_states})"
        )

    def judge(self, table: GeneTable, _: Evidence, /) -> Judgements:
        """Compare the answers with and without the order."""
        found = _judge_neutrality(table, self._strict)
        verdicts = found.verdicts.copy()
        is_disorder = found.reasons == Finding.UNORDERED + 1
        verdicts[(verdicts == FAIL) & ~is_disorder] = CANNOT_JUDGE
        nothing = np.full(len(table), np.nan)
        return replace(found, verdicts=verdicts, values=nothing, thresholds=nothing)


@dataclass(frozen=True, kw_only=True)
class _ElementChoice(GeneFilter):
    """Symbols and named sets of elements.

    Attributes
    ----------
    elements
        Chemical symbols.
    sets
        Named sets, see `wyckflow.screening.element_sets`.
    """

    elements: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no element, no set, or nothing."""
        super().__post_init__()
        for name in ("elements", "sets"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, tuple(value.replace(",", " ").split()))
        for symbol in self.elements:
            if symbol not in ATOMIC_NUMBERS:
                raise ScreenError(
                    f"The filter {self.kind!r} names {symbol!r}, which is no chemical "
                    f"symbol.{nearest_name(str(symbol), SYMBOLS)}"
                )
        for name in self.sets:
            if name not in ELEMENT_SETS:
                raise ScreenError(
                    f"The filter {self.kind!r} names the set {name!r}; there are "
                    f"{', '.join(ELEMENT_SETS)}.{nearest_name(str(name), ELEMENT_SETS)}"
                )
        if not self.elements and not self.sets:
            raise ScreenError(
                f"The filter {self.kind!r} came without elements; give 'elements' "
                f"([Cd, Hg]) or 'sets' ([{', '.join(list(ELEMENT_SETS)[:2])}])."
            )

    @property
    def _words(self) -> str:
        """The sets and elements in words."""
        sets = [name.replace("_", " ") for name in self.sets]
        return ", ".join([*sets, *self.elements])

    @cached_property
    def _chosen(self) -> NDArray[np.bool_]:
        """Whether an element is among them, by atomic number."""
        chosen = np.zeros(N_ATOMIC_NUMBERS, bool)
        for symbol in self.elements:
            chosen[ATOMIC_NUMBERS[symbol]] = True
        for name in self.sets:
            chosen[[ATOMIC_NUMBERS[symbol] for symbol in ELEMENT_SETS[name]]] = True
        return chosen

    def _judge_unwanted(
        self, table: GeneTable, unwanted: NDArray[np.bool_], words: str
    ) -> Judgements:
        """Stop genes with an unwanted element, naming the first of them."""
        found = table.has_element & unwanted
        counts = found.sum(axis=1)
        numbers = np.where(counts > 0, found.argmax(axis=1), 0)
        present = np.unique(numbers[numbers > 0])
        reasons = np.where(numbers > 0, np.searchsorted(present, numbers) + 1, 0)
        texts = [words.format(SYMBOLS[number - 1]) for number in present.tolist()]
        return Judgements(
            np.where(counts > 0, FAIL, PASS).astype(np.uint8),
            counts.astype(np.float64),
            np.zeros(len(table)),
            reasons.astype(np.int32),
            ("", *texts),
        )


@dataclass(frozen=True, kw_only=True)
class ExcludeElements(_ElementChoice):
    """Stop genes that hold an unwanted element; the value counts them."""

    kind: ClassVar[str] = "exclude_elements"

    @property
    def rule(self) -> str:
        """What is asked."""
        return f"no element of: {self._words}"

    def judge(self, table: GeneTable, _: Evidence, /) -> Judgements:
        """Look for the elements."""
        words = f"holds {{}}, which is excluded ({self._words})"
        return self._judge_unwanted(table, self._chosen, words)


@dataclass(frozen=True, kw_only=True)
class OnlyElements(_ElementChoice):
    """Stop genes that hold any other element; the value counts them."""

    kind: ClassVar[str] = "only_elements"

    @property
    def rule(self) -> str:
        """What is asked."""
        return f"only elements of: {self._words}"

    def judge(self, table: GeneTable, _: Evidence, /) -> Judgements:
        """Look for others."""
        words = f"holds {{}}, which is not among: {self._words}"
        return self._judge_unwanted(table, ~self._chosen, words)


@dataclass(frozen=True, kw_only=True)
class ExclusiveElements(GeneFilter):
    """Stop genes that hold more than one of some elements; the value counts them.

    Attributes
    ----------
    elements
        Of which at most one may be there; chalcogens and halogens unless given.
    """

    kind: ClassVar[str] = "exclusive_elements"

    elements: tuple[str, ...] = _CHALCOGENS_AND_HALOGENS

    def __post_init__(self) -> None:
        """Refuse what is no element, or less than two."""
        super().__post_init__()
        for symbol in self.elements:
            if symbol not in ATOMIC_NUMBERS:
                raise ScreenError(
                    f"The filter {self.kind!r} names {symbol!r}, which is no chemical "
                    f"symbol.{nearest_name(str(symbol), SYMBOLS)}"
                )
        if len(set(self.elements)) < 2:  # noqa: PLR2004 - a pair
            raise ScreenError(
                f"The filter {self.kind!r} came with {list(self.elements)}; give two "
                "elements or more that exclude each other."
            )

    @property
    def rule(self) -> str:
        """What is asked."""
        return f"no two of {', '.join(self.elements)}"

    def judge(self, table: GeneTable, _: Evidence, /) -> Judgements:
        """Count them."""
        numbers = [ATOMIC_NUMBERS[symbol] for symbol in self.elements]
        held = table.has_element[:, numbers]
        counts = held.sum(axis=1)
        marks = np.where(counts > 1, held @ (1 << np.arange(len(numbers))), 0)
        present = np.unique(marks[marks > 0])
        reasons = np.where(marks > 0, np.searchsorted(present, marks) + 1, 0)
        texts = [
            "holds "
            + " and ".join(s for i, s in enumerate(self.elements) if mark >> i & 1)
            for mark in present.tolist()
        ]
        return Judgements(
            np.where(counts > 1, FAIL, PASS).astype(np.uint8),
            counts.astype(np.float64),
            np.ones(len(table)),
            reasons.astype(np.int32),
            ("", *texts),
        )


def _judge_neutrality(
    table: GeneTable, rule: NeutralityRule | PublishedRule
) -> Judgements:
    """Judge the compositions of genes."""
    compositions = table.compositions
    found = find_neutrality(compositions, rule)
    is_unknown = found.findings == Finding.UNKNOWN
    lacking = describe_lacking(compositions, rule, is_unknown)
    verdicts = np.where(found.passes, PASS, FAIL).astype(np.uint8)
    verdicts[is_unknown] = CANNOT_JUDGE
    fixed = ("", *(REASONS.get(finding, "") for finding in Finding))
    extra = {
        text: len(fixed) + i for i, text in enumerate(dict.fromkeys(lacking.values()))
    }
    reasons = np.where(found.passes, 0, found.findings.astype(np.int32) + 1)
    for row, text in lacking.items():
        reasons[row] = extra[text]
    limits = np.where(np.isnan(found.charges), np.nan, 0.0)
    return Judgements(
        verdicts, found.charges, limits, reasons.astype(np.int32), (*fixed, *extra)
    )
