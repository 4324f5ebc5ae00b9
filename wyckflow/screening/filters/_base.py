"""What every filter is: named options, and arrays of judgements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from wyckflow.errors import ScreenError, nearest_name
from wyckflow.schemas.screening import VERDICTS, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.screening.evidence import Evidence
    from wyckflow.screening.table import GeneTable

PASS = VERDICTS.index(Verdict.PASS)
FAIL = VERDICTS.index(Verdict.FAIL)
CANNOT_JUDGE = VERDICTS.index(Verdict.CANNOT_JUDGE)


@dataclass(frozen=True, eq=False, slots=True)
class Judgements:
    """What a filter says of many genes.

    Attributes
    ----------
    verdicts
        (n,), index into `VERDICTS`.
    values
        (n,), what was compared; not-a-number where nothing was.
    thresholds
        (n,), with what; not-a-number where there is no limit.
    reasons
        (n,), index into ``texts``.
    texts
        Reasons in words, each once; the first is empty.
    """

    verdicts: NDArray[np.uint8]
    values: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    reasons: NDArray[np.int32]
    texts: tuple[str, ...]

    @classmethod
    def compare(
        cls,
        passes: NDArray[np.bool_],
        values: ArrayLike,
        thresholds: ArrayLike,
        reason: str,
    ) -> Self:
        """Judge by a comparison that was made.

        Parameters
        ----------
        passes
            (n,), its outcome.
        values, thresholds
            What was compared, each (n,) or one number; values that are not a number
            cannot be judged.
        reason
            Why the others fail.
        """
        shape = passes.shape
        known = np.broadcast_to(np.asarray(values, np.float64), shape)
        limits = np.broadcast_to(np.asarray(thresholds, np.float64), shape)
        verdicts = np.where(passes, PASS, FAIL).astype(np.uint8)
        reasons = np.where(passes, 0, 1).astype(np.int32)
        is_unknown = np.isnan(known)
        verdicts[is_unknown], reasons[is_unknown] = CANNOT_JUDGE, 2
        return cls(
            verdicts, known, limits, reasons, ("", reason, "no value for this gene")
        )

    @classmethod
    def cannot(cls, n_genes: int, reason: str) -> Self:
        """Judge nothing.

        Parameters
        ----------
        n_genes
            How many come without a judgement.
        reason
            Why, and what to do.
        """
        return cls(
            np.full(n_genes, CANNOT_JUDGE, np.uint8),
            np.full(n_genes, np.nan),
            np.full(n_genes, np.nan),
            np.ones(n_genes, np.int32),
            ("", reason),
        )


@dataclass(frozen=True, kw_only=True)
class GeneFilter(ABC):
    """A question that a gene answers with pass, fail or cannot judge.

    Attributes
    ----------
    name
        Name in verdicts and funnels; that of the kind unless given.
    """

    kind: ClassVar[str]
    """Name of the kind of filter, as files of screens write it."""

    compares_genes: ClassVar[bool] = False
    """Whether its answer depends on the other genes, so that it costs no crystal."""

    name: str = ""

    def __post_init__(self) -> None:
        """Name what came without a name."""
        if not self.name:
            object.__setattr__(self, "name", self.kind)

    @property
    @abstractmethod
    def rule(self) -> str:
        """What is asked, in words, with options and units."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the evidence without which it cannot judge."""
        return ()

    @abstractmethod
    def judge(self, table: GeneTable, evidence: Evidence, /) -> Judgements:
        """Judge genes that passed all filters before.

        Parameters
        ----------
        table
            The genes.
        evidence
            What else is known of them.
        """

    def begin(self) -> Callable[[GeneTable, Evidence], Judgements]:
        """Return what judges the pieces of one list, one after the other.

        A filter that has to remember earlier pieces returns something of its own.
        """
        return self.judge

    def as_dict(self) -> dict[str, Any]:
        """Return kind and options, without those that are as if left out."""
        options: dict[str, Any] = {"filter": self.kind}
        for item in fields(self):
            value = getattr(self, item.name)
            default = self.kind if item.name == "name" else item.default
            if default is MISSING or value != default:
                options[item.name] = list(value) if isinstance(value, tuple) else value
        return options

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Make the filter of options as they stand in a file.

        Parameters
        ----------
        options
            By name, without the kind.

        Raises
        ------
        ScreenError
            If an option is unknown, missing or of a wrong kind.
        """
        known = {item.name: item for item in fields(cls)}
        for name in options:
            if name not in known:
                raise ScreenError(
                    f"The filter {cls.kind!r} has no option {name!r}; it has "
                    f"{', '.join(known)}.{nearest_name(str(name), known)}"
                )
        missing = [
            name
            for name, item in known.items()
            if item.default is MISSING and name not in options
        ]
        if missing:
            raise ScreenError(
                f"The filter {cls.kind!r} needs the option {missing[0]!r}, such as "
                f"'{{filter: {cls.kind}, {missing[0]}: ...}}'."
            )
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in options.items()
        }
        try:
            return cls(**given)
        except TypeError as error:
            raise ScreenError(
                f"The filter {cls.kind!r} cannot be made of {dict(options)}: {error}."
            ) from error


def check_range(
    kind: str,
    lowest: float | None,
    highest: float | None,
    *,
    floor: float | None = None,
) -> None:
    """Refuse a range that is no range.

    Parameters
    ----------
    kind
        Of the filter.
    lowest, highest
        Its ends; None is open.
    floor
        Below which no limit makes sense.

    Raises
    ------
    ScreenError
        If it is open on both sides, empty, or no numbers.
    """
    ends: list[Any] = [end for end in (lowest, highest) if end is not None]
    numbers = [
        e for e in ends if isinstance(e, int | float) and not isinstance(e, bool)
    ]
    if not ends or len(numbers) < len(ends) or any(np.isnan(e) for e in numbers):
        raise ScreenError(
            f"The filter {kind!r} came with the range {lowest!r} to {highest!r}; give "
            "a number for 'min', 'max' or both."
        )
    if len(numbers) == 2 and numbers[0] > numbers[1]:  # noqa: PLR2004 - both ends
        raise ScreenError(
            f"The filter {kind!r} wants {lowest} to {highest}, which holds nothing; "
            "'min' must not be above 'max'."
        )
    if floor is not None and any(number < floor for number in numbers):
        raise ScreenError(
            f"The filter {kind!r} came with {min(numbers)}; a limit is at least "
            f"{floor:g}."
        )


def word_range(lowest: float | None, highest: float | None) -> str:
    """Return a range in words.

    Parameters
    ----------
    lowest, highest
        Its ends; None is open.
    """
    if lowest is None:
        return f"at most {highest:g}"
    if highest is None:
        return f"at least {lowest:g}"
    return f"{lowest:g} to {highest:g}" if lowest != highest else f"{lowest:g}"


def judge_range(
    values: NDArray[np.floating | np.integer],
    lowest: float | None,
    highest: float | None,
    reasons: tuple[str, str],
) -> Judgements:
    """Judge numbers by a range whose ends belong to it.

    Parameters
    ----------
    values
        (n,).
    lowest, highest
        Its ends; None is open.
    reasons
        Why those below and those above fail.
    """
    known = values.astype(np.float64)
    low = -np.inf if lowest is None else lowest
    high = np.inf if highest is None else highest
    is_low = known < low
    is_near_low = np.abs(known - low) <= np.abs(known - high)
    limits = np.where(is_near_low, low, high)
    found = Judgements.compare((known >= low) & (known <= high), known, limits, "")
    numbers = np.where(found.reasons == 1, np.where(is_low, 1, 3), found.reasons)
    texts = ("", reasons[0], found.texts[2], reasons[1])
    return Judgements(found.verdicts, known, limits, numbers.astype(np.int32), texts)
