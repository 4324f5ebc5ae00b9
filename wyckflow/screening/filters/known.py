"""Filters by evidence: scores, predicted properties, novelty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from wyckflow.errors import ScreenError, nearest_name
from wyckflow.screening.filters._base import (
    CANNOT_JUDGE,
    GeneFilter,
    Judgements,
    check_range,
    judge_range,
    word_range,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.screening.evidence import Evidence
    from wyckflow.screening.table import GeneTable

NOVELTY: Final = "novelty"
"""Name of the evidence that holds novelty levels."""

NOVELTY_LEVELS: Final = ("known", "prototype", "ordering", "new")
"""What a novelty level of 0, 1, ... means: the same gene as a known one; an element
substitution of a known prototype; an ordering of a known parent; none of these."""

_REMEDIES: Final = {
    "synthesizability": "ScreenMaker and 'wyckflow screen' compute it with the bundled "
    "classifier",
    "metal": "ScreenMaker and 'wyckflow screen' compute it with the bundled classifier",
    NOVELTY: "name known genes: ScreenMaker(known=...) or 'wyckflow screen --known'",
}


def _explain_missing(name: str) -> str:
    """Say that evidence is missing and where it comes from."""
    remedy = _REMEDIES.get(name, "give one number per gene as evidence, or a column")
    return f"no evidence {name!r}: {remedy}"


@dataclass(frozen=True, kw_only=True)
class _ScoreFilter(GeneFilter):
    """A limit on a score.

    Attributes
    ----------
    score
        Name of the evidence, such as ``synthesizability``.
    """

    score: str

    @property
    def needs(self) -> tuple[str, ...]:
        """The score."""
        return (self.score,)


@dataclass(frozen=True, kw_only=True)
class MinimumScore(_ScoreFilter):
    """Keep genes with a high score.

    Attributes
    ----------
    score
        Name of the evidence, such as ``synthesizability``.
    above
        Limit that does not pass itself.
    """

    kind: ClassVar[str] = "minimum_score"

    above: float

    def __post_init__(self) -> None:
        """Refuse what is no limit."""
        super().__post_init__()
        check_range(self.kind, self.above, None)

    @property
    def rule(self) -> str:
        """What is asked."""
        return f"{self.score} score above {self.above:g}"

    def judge(self, table: GeneTable, evidence: Evidence, /) -> Judgements:
        """Compare the scores."""
        values = evidence.values_of(self.score, table)
        if values is None:
            return Judgements.cannot(len(table), _explain_missing(self.score))
        reason = f"{self.score} score too low"
        return Judgements.compare(values > self.above, values, self.above, reason)


@dataclass(frozen=True, kw_only=True)
class MaximumScore(_ScoreFilter):
    """Keep genes with a low score.

    Attributes
    ----------
    score
        Name of the evidence, such as ``metal``.
    below
        Limit that does not pass itself.
    """

    kind: ClassVar[str] = "maximum_score"

    below: float

    def __post_init__(self) -> None:
        """Refuse what is no limit."""
        super().__post_init__()
        check_range(self.kind, None, self.below)

    @property
    def rule(self) -> str:
        """What is asked."""
        return f"{self.score} score below {self.below:g}"

    def judge(self, table: GeneTable, evidence: Evidence, /) -> Judgements:
        """Compare the scores."""
        values = evidence.values_of(self.score, table)
        if values is None:
            return Judgements.cannot(len(table), _explain_missing(self.score))
        reason = f"{self.score} score too high"
        return Judgements.compare(values < self.below, values, self.below, reason)


@dataclass(frozen=True, kw_only=True)
class TargetWindow(GeneFilter):
    """Keep genes whose predicted property is in a window, or may well be.

    Attributes
    ----------
    prediction
        Name of the property, such as ``band_gap``, in its own unit.
    min, max
        Ends of the window, which belong to it; one may be left out.
    max_sigma
        Standard deviations of the prediction that it may lie outside. With 0 the
        deviation is not asked for; otherwise a gene without one cannot be judged.
    """

    kind: ClassVar[str] = "target_window"

    prediction: str
    min: float | None = None
    max: float | None = None
    max_sigma: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a window that holds nothing."""
        super().__post_init__()
        check_range(self.kind, self.min, self.max)
        if not self.max_sigma >= 0:
            raise ScreenError(
                f"The filter {self.kind!r} came with max_sigma={self.max_sigma!r}; "
                "give 0 or more standard deviations."
            )

    @property
    def needs(self) -> tuple[str, ...]:
        """The prediction."""
        return (self.prediction,)

    @property
    def rule(self) -> str:
        """What is asked."""
        slack = ""
        if self.max_sigma:
            slack = f", or at most {self.max_sigma:g} standard deviations outside"
        window = word_range(self.min, self.max)
        return f"predicted {self.prediction} {window}{slack}"

    def judge(self, table: GeneTable, evidence: Evidence, /) -> Judgements:
        """Compare the predictions."""
        name = self.prediction
        values = evidence.values_of(name, table)
        if values is None:
            return Judgements.cannot(len(table), _explain_missing(name))
        reasons = (f"predicted {name} too low", f"predicted {name} too high")
        found = judge_range(values, self.min, self.max, reasons)
        if not self.max_sigma:
            return found
        deviations = evidence.deviations_of(name, table)
        if deviations is None:
            return Judgements.cannot(
                len(table),
                f"no standard deviation of {name!r}: give it beside the predictions, "
                "or set max_sigma to 0",
            )
        return self._forgive(found, deviations)

    def _forgive(
        self, found: Judgements, deviations: NDArray[np.float64]
    ) -> Judgements:
        """Pass what lies within its uncertainty of the window."""
        distances = np.abs(found.values - found.thresholds)
        is_outside = found.reasons > 0
        is_near = distances <= self.max_sigma * deviations
        verdicts = np.where(is_outside & is_near, 0, found.verdicts).astype(np.uint8)
        reasons = np.where(is_outside & is_near, 0, found.reasons).astype(np.int32)
        is_unknown = np.isnan(deviations)
        verdicts[is_unknown], reasons[is_unknown] = CANNOT_JUDGE, len(found.texts)
        return Judgements(
            verdicts,
            found.values,
            found.thresholds,
            reasons,
            (*found.texts, "no standard deviation for this gene"),
        )


@dataclass(frozen=True, kw_only=True)
class Novelty(GeneFilter):
    """Keep genes that are new enough.

    Attributes
    ----------
    min_level
        ``prototype``: not the same gene as a known one, though its prototype may be
        known; ``ordering``: not of a known prototype either; ``new``: nor an ordering
        of a known parent.
    """

    kind: ClassVar[str] = "novelty"

    min_level: str = "prototype"

    def __post_init__(self) -> None:
        """Refuse a level that does not exist."""
        super().__post_init__()
        if self.min_level not in NOVELTY_LEVELS[1:]:
            raise ScreenError(
                f"The filter {self.kind!r} came with min_level={self.min_level!r}; "
                f"there are {', '.join(NOVELTY_LEVELS[1:])}."
                f"{nearest_name(str(self.min_level), NOVELTY_LEVELS[1:])}"
            )

    @property
    def needs(self) -> tuple[str, ...]:
        """The levels."""
        return (NOVELTY,)

    @property
    def rule(self) -> str:
        """What is asked."""
        place = NOVELTY_LEVELS.index(self.min_level)
        words = (
            "not a known gene",
            "no known prototype",
            "no ordering of a known parent",
        )
        return ", ".join(words[:place])

    def judge(self, table: GeneTable, evidence: Evidence, /) -> Judgements:
        """Compare the levels."""
        levels = evidence.values_of(NOVELTY, table)
        if levels is None:
            return Judgements.cannot(len(table), _explain_missing(NOVELTY))
        reasons = (
            "the gene is known",
            "the prototype is known",
            "an ordering of a parent",
        )
        limit = NOVELTY_LEVELS.index(self.min_level)
        found = Judgements.compare(levels >= limit, levels, limit, "")
        level = np.where(found.reasons == 1, np.clip(np.nan_to_num(levels), 0, 2), 0)
        numbers = np.select(
            [found.reasons == 1, found.verdicts == CANNOT_JUDGE], [level + 1, 4], 0
        )
        return Judgements(
            found.verdicts,
            found.values,
            found.thresholds,
            numbers.astype(np.int32),
            ("", *reasons, found.texts[2]),
        )
