"""What counts as charge neutral: SMACT's test with its options, the published rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wyckflow.errors import ScreenError, nearest_name


class OxidationStates(StrEnum):
    """Which list of oxidation states is believed; all are SMACT's."""

    ICSD24_CONSENSUS = "icsd24_consensus"
    """States in at least three entries of the ICSD of 2024: SMACT's own default."""
    ICSD24 = "icsd24"
    ICSD16 = "icsd16"
    SMACT14 = "smact14"
    PYMATGEN = "pymatgen_sp"
    WIKI = "wiki"
    """Of Wikipedia: holds 0 for most elements, so nearly everything passes."""


COMMONALITIES: Final = ("low", "medium", "high", "main")
"""Which share of an element's reports a state needs: any, 10 %, 50 %, the largest."""

DEFAULT_REPORTS: Final = 3


@dataclass(frozen=True, slots=True)
class NeutralityRule:
    """SMACT's test: charges that add up to zero, cations before anions.

    The defaults are those of SMACT; 91 % of known binary and ternary crystals pass
    them, half of these only because they are all metal.

    Attributes
    ----------
    oxidation_states
        The list of oxidation states.
    requires_electronegativity_order
        Whether every cation must be less electronegative than every anion (Pauling).
    accepts_alloys
        Whether metals alone always pass.
    accepts_mixed_valence
        Whether atoms of one element may differ in charge, as in Fe3O4, for the 24
        elements that SMACT lists. Where SMACT gives up on too many combinations the
        answer here is exact.
    includes_zero
        Whether a reported charge of zero is allowed (``icsd24_consensus`` only).
    min_reports
        Entries that a state needs (``icsd24_consensus`` only).
    commonality
        Share of its element's reports that a state needs: ``low``, ``medium``,
        ``high``, ``main`` or percent (``icsd24_consensus`` only).

    Raises
    ------
    ScreenError
        If an option is unknown, or does not belong to the list of states.
    """

    oxidation_states: OxidationStates = OxidationStates.ICSD24_CONSENSUS
    requires_electronegativity_order: bool = True
    accepts_alloys: bool = True
    accepts_mixed_valence: bool = False
    includes_zero: bool = False
    min_reports: int = DEFAULT_REPORTS
    commonality: str | float = "low"

    def __post_init__(self) -> None:
        """Accept the name of a list, too, and refuse options without a meaning."""
        states = parse_oxidation_states(self.oxidation_states)
        object.__setattr__(self, "oxidation_states", states)
        self._check_commonality()
        if self.min_reports < 0:
            raise ScreenError(
                f"min_reports is {self.min_reports}; a state needs 0 entries or more."
            )
        has_reports = states is OxidationStates.ICSD24_CONSENSUS
        chosen = (self.includes_zero, self.min_reports, self.commonality)
        if not has_reports and chosen != (False, DEFAULT_REPORTS, "low"):
            raise ScreenError(
                "includes_zero, min_reports and commonality choose among the states of "
                f"'icsd24_consensus'; the list {states.value!r} has no such numbers. "
                "Leave them out, or take that list."
            )

    def _check_commonality(self) -> None:
        """Refuse words that SMACT does not know."""
        if isinstance(self.commonality, str) and self.commonality not in COMMONALITIES:
            raise ScreenError(
                f"commonality is {self.commonality!r}; expected a number in percent or "
                f"one of {', '.join(COMMONALITIES)}."
                f"{nearest_name(self.commonality, COMMONALITIES)}"
            )

    def __str__(self) -> str:
        """Say the rule in words."""
        parts = [
            f"charges of {self.oxidation_states} add up to zero",
            "cations less electronegative than anions"
            if self.requires_electronegativity_order
            else "any electronegativity",
            "alloys pass" if self.accepts_alloys else "alloys are no exception",
            "mixed valence allowed"
            if self.accepts_mixed_valence
            else "one charge per element",
        ]
        if self.includes_zero:
            parts.append("charge zero allowed")
        if self.min_reports != DEFAULT_REPORTS:
            parts.append(f"states reported {self.min_reports} times")
        if self.commonality != "low":
            parts.append(f"commonality {self.commonality}")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class PublishedRule:
    """The test of the WyCryst codes: signs by place in the order of electronegativity.

    The least electronegative element is positive, the most electronegative one is
    negative, metals and metalloids in between are positive (tellurium is free), other
    elements are free; atoms of one element may differ in charge. Where that leaves an
    element no state of its list, all states that pymatgen knows of it are allowed, as
    the codes do without saying so. A single element is neutral.

    Attributes
    ----------
    oxidation_states
        The list of states; the codes were run with what SMACT now calls ``smact14``.
        Not ``icsd24_consensus``.
    """

    oxidation_states: OxidationStates = OxidationStates.SMACT14

    def __post_init__(self) -> None:
        """Accept the name of a list, too."""
        states = parse_oxidation_states(self.oxidation_states)
        object.__setattr__(self, "oxidation_states", states)

    def __str__(self) -> str:
        """Say the rule in words."""
        return (
            f"charges of {self.oxidation_states} add up to zero, signs by order of "
            "electronegativity, atoms of one element may differ (the published rule)"
        )


def parse_oxidation_states(name: str) -> OxidationStates:
    """Return the list of a name.

    Raises
    ------
    ScreenError
        If there is no such list.
    """
    try:
        return OxidationStates(name)
    except ValueError:
        known = [item.value for item in OxidationStates]
        raise ScreenError(
            f"There is no list of oxidation states {name!r}; there are "
            f"{', '.join(known)}.{nearest_name(str(name), known)}"
        ) from None
