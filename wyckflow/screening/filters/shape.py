"""Filters by what can be counted: repetitions, atoms, elements, free parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from wyckflow.errors import ScreenError
from wyckflow.screening.filters._base import (
    FAIL,
    PASS,
    GeneFilter,
    Judgements,
    check_range,
    judge_range,
    word_range,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from wyckflow.screening.evidence import Evidence
    from wyckflow.screening.table import GeneTable


@dataclass(frozen=True, kw_only=True)
class Uniqueness(GeneFilter):
    """Stop repetitions of a gene that stands earlier in the list."""

    kind: ClassVar[str] = "uniqueness"
    compares_genes: ClassVar[bool] = True

    @property
    def rule(self) -> str:
        """What is asked."""
        return "no equivalent gene stands earlier in the list"

    def judge(self, table: GeneTable, _: Evidence, /) -> Judgements:
        """Judge one list by itself."""
        return self.begin()(table, _)

    def begin(self) -> Callable[[GeneTable, Evidence], Judgements]:
        """Remember the genes of earlier pieces."""
        first_rows: dict[int, int] = {}

        def judge(table: GeneTable, _: Evidence) -> Judgements:
            rows = np.array(
                [
                    first_rows.setdefault(key, row)
                    for key, row in zip(
                        table.keys.tolist(), table.rows.tolist(), strict=True
                    )
                ],
                np.int64,
            )
            is_first = rows == table.rows
            return Judgements(
                np.where(is_first, PASS, FAIL).astype(np.uint8),
                np.where(is_first, np.nan, rows),
                np.full(len(rows), np.nan),
                np.where(is_first, 0, 1).astype(np.int32),
                (
                    "",
                    "the same arrangement as an earlier gene (value: its row, from 0)",
                ),
            )

        return judge


@dataclass(frozen=True, kw_only=True)
class MaxSites(GeneFilter):
    """Stop genes with many atoms.

    Attributes
    ----------
    max_sites
        Largest number of atoms in the conventional cell.
    """

    kind: ClassVar[str] = "max_sites"

    max_sites: int

    def __post_init__(self) -> None:
        """Refuse a limit below one atom."""
        super().__post_init__()
        given: Any = self.max_sites
        if not isinstance(given, int) or given < 1:
            raise ScreenError(
                f"The filter {self.kind!r} came with max_sites={given!r}; "
                "give a whole number of at least 1."
            )

    @property
    def rule(self) -> str:
        """What is asked."""
        return f"at most {self.max_sites} atoms in the conventional cell"

    def judge(self, table: GeneTable, _: Evidence, /) -> Judgements:
        """Count atoms."""
        n_sites = table.n_sites
        reason = "too many atoms in the conventional cell"
        return Judgements.compare(
            n_sites <= self.max_sites, n_sites, self.max_sites, reason
        )


@dataclass(frozen=True, kw_only=True)
class NumberOfElements(GeneFilter):
    """Keep genes of so many different elements.

    Attributes
    ----------
    min, max
        Ends of the range, which belong to it; one may be left out.
    """

    kind: ClassVar[str] = "number_of_elements"

    min: int | None = None
    max: int | None = None

    def __post_init__(self) -> None:
        """Refuse a range that holds nothing."""
        super().__post_init__()
        check_range(self.kind, self.min, self.max, floor=1)

    @property
    def rule(self) -> str:
        """What is asked."""
        return f"{word_range(self.min, self.max)} different elements"

    def judge(self, table: GeneTable, _: Evidence, /) -> Judgements:
        """Count elements."""
        reasons = ("too few elements", "too many elements")
        n_elements = table.compositions.n_elements
        return judge_range(n_elements, self.min, self.max, reasons)


@dataclass(frozen=True, kw_only=True)
class DegreesOfFreedom(GeneFilter):
    """Keep genes with so many free coordinates and lattice parameters.

    Attributes
    ----------
    min, max
        Ends of the range, which belong to it; one may be left out.
    """

    kind: ClassVar[str] = "degrees_of_freedom"

    min: int | None = None
    max: int | None = None

    def __post_init__(self) -> None:
        """Refuse a range that holds nothing."""
        super().__post_init__()
        check_range(self.kind, self.min, self.max, floor=0)

    @property
    def rule(self) -> str:
        """What is asked."""
        words = word_range(self.min, self.max)
        return f"{words} free coordinates and lattice parameters"

    def judge(self, table: GeneTable, _: Evidence, /) -> Judgements:
        """Count what is free."""
        reasons = ("too little is free", "too much is free")
        return judge_range(table.degrees_of_freedom, self.min, self.max, reasons)
