"""A screen: filters in a row, and what they make of a list of genes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from wyckflow.errors import ScreenError, nearest_name
from wyckflow.schemas.screening import (
    NO_FILTER,
    VERDICTS,
    FunnelStep,
    GeneVerdict,
    ReasonCount,
    Verdict,
)
from wyckflow.screening.evidence import NO_EVIDENCE, Evidence
from wyckflow.screening.filters import GeneFilter, read_filter
from wyckflow.screening.filters._base import PASS
from wyckflow.screening.table import GeneTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.screening.filters import Judgements

GENES_AT_ONCE: Final = 10_000
_MOST_REASONS: Final = 20
_PARTS: Final = ("name", "description", "filters")


@dataclass(frozen=True)
class Screen:
    """An ordered list of filters with a name.

    A gene meets one filter after the other until one does not pass it, so cheap and
    strict filters stand first.

    Attributes
    ----------
    filters
        In their order.
    name
        For people and for documents.
    description
        What it is for.
    """

    filters: tuple[GeneFilter, ...]
    name: str = "unnamed"
    description: str = ""

    def __post_init__(self) -> None:
        """Refuse filters that could not be told apart."""
        object.__setattr__(self, "filters", tuple(self.filters))
        counts = Counter(item.name for item in self.filters)
        if double := [name for name, count in counts.items() if count > 1]:
            raise ScreenError(
                f"Two filters of the screen {self.name!r} are called {double[0]!r}; "
                "give one of them another 'name'."
            )
        if not self.filters or len(self.filters) >= NO_FILTER:
            raise ScreenError(
                f"The screen {self.name!r} has {len(self.filters)} filters; give 1 to "
                f"{NO_FILTER - 1}."
            )

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the evidence that its filters ask for, in their order."""
        return tuple(
            dict.fromkeys(name for item in self.filters for name in item.needs)
        )

    # --- other forms ----------------------------------------------------------------

    @property
    def definition(self) -> dict[str, Any]:
        """Name and filters as plain data, which documents and files hold."""
        return {
            "name": self.name,
            "description": self.description,
            "filters": [item.as_dict() for item in self.filters],
        }

    def as_dict(self) -> dict[str, Any]:
        """Return plain data that jobflow and monty can turn back into a screen."""
        return {
            "@module": type(self).__module__,
            "@class": type(self).__name__,
            **self.definition,
        }

    @classmethod
    def from_dict(cls, dct: Mapping[str, Any]) -> Self:
        """Read the form of :meth:`as_dict`, or that of a file.

        Parameters
        ----------
        dct
            ``filters``, and a ``name`` and ``description`` if wanted.

        Raises
        ------
        ScreenError
            If a part, filter or option is unknown, missing or wrong.
        """
        parts = {name: value for name, value in dct.items() if name[:1] != "@"}
        for name in parts:
            if name not in _PARTS:
                raise ScreenError(
                    f"A screen has no part {name!r}; it has {', '.join(_PARTS)}."
                    f"{nearest_name(str(name), _PARTS)}"
                )
        filters = parts.get("filters")
        if not isinstance(filters, list | tuple):
            raise ScreenError(
                f"The 'filters' of a screen are {filters!r}; give a list, each line "
                "with a dash and the name of a filter."
            )
        return cls(
            filters=tuple(read_filter(item) for item in filters),
            name=str(parts.get("name", "unnamed")),
            description=str(parts.get("description", "")),
        )

    # --- asking -----------------------------------------------------------------------

    def judge(
        self,
        genes: GeneTable | Sequence[WyckoffGene],
        evidence: Evidence = NO_EVIDENCE,
        *,
        genes_at_once: int = GENES_AT_ONCE,
        report: Callable[[int], None] | None = None,
    ) -> Screening:
        """Put genes through the filters.

        Parameters
        ----------
        genes
            Genes in any order, best as a table.
        evidence
            What else is known of them.
        genes_at_once
            Genes that are held as wide tables at a time.
        report
            Called with the number of genes done.

        Raises
        ------
        ScreenError
            If the evidence does not belong to these genes.
        """
        found = genes if isinstance(genes, GeneTable) else GeneTable.from_genes(genes)
        # Evidence is in the order of these genes, wherever they were cut from.
        table = GeneTable.from_arrays(found.space_group_numbers, found.codes)
        evidence.check(len(table))
        run = _Run(self, len(table))
        for chunk in table.iter_chunks(genes_at_once):
            run.judge(chunk, evidence)
            if report is not None:
                report(int(chunk.rows[-1]) + 1)
        return run.finish(table)

    def judge_apart(
        self, gene: WyckoffGene, evidence: Evidence = NO_EVIDENCE
    ) -> list[GeneVerdict]:
        """Ask every filter about one gene, also those behind one that stops it.

        Parameters
        ----------
        gene
            The gene.
        evidence
            Arrays with one number each.
        """
        table = GeneTable.from_genes([gene])
        evidence.check(1)
        verdicts = []
        for item in self.filters:
            found = item.judge(table, evidence)
            verdict = VERDICTS[int(found.verdicts[0])]
            verdicts.append(
                GeneVerdict(
                    gene=gene.to_text(),
                    gene_id=f"{int(table.keys[0]):016x}",
                    filter=item.name,
                    verdict=verdict,
                    value=_finite(found.values[0]),
                    threshold=_finite(found.thresholds[0]),
                    reason=found.texts[int(found.reasons[0])],
                )
            )
        return verdicts


@dataclass(frozen=True, eq=False, slots=True)
class Screening:
    """What a screen made of a list of genes.

    Attributes
    ----------
    screen
        What was asked.
    table
        The genes, in the order of the input.
    columns
        One row per gene, as `wyckflow.schemas.screening.pack_verdicts` takes them.
    funnel
        Counts per filter, in order.
    """

    screen: Screen
    table: GeneTable
    columns: dict[str, NDArray[Any]]
    funnel: list[FunnelStep]

    @property
    def passed(self) -> NDArray[np.int64]:
        """Rows of the genes that passed every filter."""
        return np.flatnonzero(self.columns["verdicts"] == PASS)

    @property
    def accepted(self) -> list[WyckoffGene]:
        """Genes that passed every filter, in the order of the input."""
        return self.table.take(self.passed).genes()


class _Run:
    """The screening of one list, piece by piece."""

    def __init__(self, screen: Screen, n_genes: int) -> None:
        self._screen = screen
        self._judges = [item.begin() for item in screen.filters]
        self._texts: dict[str, int] = {"": 0}
        self._counts = np.zeros((len(screen.filters), len(VERDICTS)), np.int64)
        self._reasons: list[Counter[int]] = [Counter() for _ in screen.filters]
        self._columns: dict[str, NDArray[Any]] = {
            "keys": np.zeros(n_genes, np.uint64),
            "verdicts": np.full(n_genes, PASS, np.uint8),
            "filters": np.full(n_genes, NO_FILTER, np.uint8),
            "values": np.full(n_genes, np.nan),
            "thresholds": np.full(n_genes, np.nan),
            "reasons": np.zeros(n_genes, np.int32),
        }

    def judge(self, chunk: GeneTable, evidence: Evidence) -> None:
        """Put one piece through all filters."""
        self._columns["keys"][chunk.rows] = chunk.keys
        left = chunk
        for place, judge in enumerate(self._judges):
            if not len(left):
                return
            found = judge(left, evidence)
            self._record(place, left.rows, found)
            passes = found.verdicts == PASS
            if not passes.all():
                left = left.take(np.flatnonzero(passes))

    def _record(self, place: int, rows: NDArray[np.int64], found: Judgements) -> None:
        """Write down what stopped which genes, and count."""
        self._counts[place] += np.bincount(found.verdicts, minlength=len(VERDICTS))
        is_stopped = found.verdicts != PASS
        stopped = rows[is_stopped]
        used = np.unique(found.reasons[is_stopped])
        numbers = np.zeros(len(found.texts), np.int32)
        for reason in used.tolist():
            text = found.texts[reason]
            numbers[reason] = self._texts.setdefault(text, len(self._texts))
        reasons = numbers[found.reasons[is_stopped]]
        self._reasons[place].update(reasons.tolist())
        columns = self._columns
        columns["verdicts"][stopped] = found.verdicts[is_stopped]
        columns["filters"][stopped] = place
        columns["values"][stopped] = found.values[is_stopped]
        columns["thresholds"][stopped] = found.thresholds[is_stopped]
        columns["reasons"][stopped] = reasons

    def finish(self, table: GeneTable) -> Screening:
        """Return what was found."""
        texts = list(self._texts)
        columns = {
            "space_groups": table.space_group_numbers,
            "codes": table.codes,
            **self._columns,
            "texts": np.array(texts),
        }
        funnel = [
            self._step(item, counts.tolist(), reasons, texts)
            for item, counts, reasons in zip(
                self._screen.filters, self._counts, self._reasons, strict=True
            )
        ]
        return Screening(self._screen, table, columns, funnel)

    @staticmethod
    def _step(
        item: GeneFilter, counts: list[int], reasons: Counter[int], texts: list[str]
    ) -> FunnelStep:
        """Write the counts of one filter."""
        by_verdict = dict(zip(VERDICTS, counts, strict=True))
        return FunnelStep(
            filter=item.name,
            rule=item.rule,
            n_in=sum(counts),
            n_pass=by_verdict[Verdict.PASS],
            n_fail=by_verdict[Verdict.FAIL],
            n_cannot_judge=by_verdict[Verdict.CANNOT_JUDGE],
            reasons=[
                ReasonCount(reason=texts[number], n_genes=n)
                for number, n in reasons.most_common(_MOST_REASONS)
            ],
        )


def _finite(value: np.float64) -> float | None:
    """Return a number, or nothing where it is none."""
    return float(value) if np.isfinite(value) else None
