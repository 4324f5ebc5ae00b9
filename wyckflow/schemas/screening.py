"""What screening says of each gene, and how many pass each filter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import unpack_genes
from wyckflow.errors import DocumentError
from wyckflow.schemas.base import WyckflowDoc
from wyckflow.schemas.blob import pack_arrays, unpack_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_LISTED: Final = 10_000
"""Accepted genes up to which a document lists them as text: less than 1 MB."""

NO_FILTER: Final = 255
"""Stands for no filter, in arrays of verdicts."""


class Verdict(StrEnum):
    """What a filter can say."""

    PASS = "pass"  # noqa: S105  (a verdict, not a password)
    FAIL = "fail"
    CANNOT_JUDGE = "cannot_judge"


VERDICTS: Final = tuple(Verdict)
"""Arrays of verdicts hold places in this tuple."""


class Judgement(BaseModel):
    """One verdict with the numbers and the words behind it."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict = Field(description="Pass, fail, or cannot judge.")
    value: FiniteFloat | None = Field(
        default=None,
        description="Quantity that was compared, in the unit that the filter states.",
    )
    threshold: FiniteFloat | None = Field(
        default=None, description="Limit it was compared with, in the same unit."
    )
    reason: str = Field(
        default="", description="Why, in words; empty where a gene simply passes."
    )


class GeneVerdict(Judgement):
    """The verdict on one gene: that of the filter which decided it."""

    gene: str = Field(description="Gene in text form, such as '221 Sr:a Ti:b O:c'.")
    gene_id: str = Field(description="Hash of the canonical gene.")
    filter: str | None = Field(
        default=None,
        description="Filter that did not pass the gene; none if it passed them all.",
    )


class ReasonCount(BaseModel):
    """How many genes one filter stopped for one reason."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(description="The reason in words.")
    n_genes: int = Field(ge=1, description="Genes stopped for it.")


class FunnelStep(BaseModel):
    """How many genes one filter saw, passed and stopped."""

    model_config = ConfigDict(extra="forbid")

    filter: str = Field(description="Name of the filter.")
    rule: str = Field(description="What it asks, with its options and their units.")
    n_in: int = Field(ge=0, description="Genes that reached it.")
    n_pass: int = Field(ge=0, description="Genes that passed it.")
    n_fail: int = Field(ge=0, description="Genes that failed it.")
    n_cannot_judge: int = Field(ge=0, description="Genes that it could not judge.")
    reasons: list[ReasonCount] = Field(
        default_factory=list,
        description="The most frequent reasons of those it stopped, at most 20.",
    )


class FilterCost(BaseModel):
    """What one filter does to known crystals."""

    model_config = ConfigDict(extra="forbid")

    filter: str = Field(description="Name of the filter.")
    share_alone: FiniteFloat | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of the known crystals that it alone does not pass, 0 to 1; "
        "null where it was not measured.",
    )
    share_in_order: FiniteFloat | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share that passes all filters before it but not it, 0 to 1; null "
        "where it was not measured.",
    )
    share_unjudged: FiniteFloat | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Part of share_alone that it could not judge, 0 to 1.",
    )
    remark: str = Field(
        default="",
        description="Why it was not measured, or why it cannot cost anything.",
    )


class ScreenCost(BaseModel):
    """What a screen does to known crystals, which it should let through."""

    model_config = ConfigDict(extra="forbid")

    reference: str = Field(
        description="Which crystals, such as 'stable semiconductors of MP-20 train'."
    )
    n_crystals: int = Field(ge=1, description="How many.")
    share_dropped: FiniteFloat = Field(
        ge=0,
        le=1,
        description="Share that the measured filters together do not pass, 0 to 1.",
    )
    filters: list[FilterCost] = Field(description="Each filter, in its order.")

    def __str__(self) -> str:
        """Say it in one sentence."""
        unmeasured = [item.filter for item in self.filters if item.share_alone is None]
        without = f" (without {', '.join(unmeasured)})" if unmeasured else ""
        return (
            f"this screen{without} drops {self.share_dropped:.1%} of "
            f"{self.n_crystals:,} {self.reference}"
        )


class ScreeningDoc(WyckflowDoc):
    """The screening of one list of genes.

    Verdicts are many, so they travel as arrays in ``blob``; `iter_verdicts` reads
    them, `genes` returns those that passed.
    """

    SCHEMA_VERSION: ClassVar[int] = 2

    screen: dict[str, Any] = Field(
        default_factory=dict,
        description="Name and filters with options, as Screen.from_dict reads them.",
    )
    evidence: dict[str, str] = Field(
        default_factory=dict,
        description="Where scores, predictions and novelty levels came from, by name.",
    )
    n_genes: int = Field(ge=0, description="Genes that came in.")
    n_accepted: int = Field(ge=0, description="Genes that passed every filter.")
    funnel: list[FunnelStep] = Field(
        description="Counts per filter, in the order in which they were asked."
    )
    costs: list[ScreenCost] = Field(
        default_factory=list,
        description="What the same screen does to known crystals, where measured.",
    )
    accepted: list[str] | None = Field(
        default=None,
        description="Genes in text form that passed every filter, in input order; null "
        "if they are more than 10,000, which are read from the blob instead.",
    )
    blob: bytes | None = Field(
        default=None,
        description="Arrays of all genes in input order: packed genes, keys, verdicts, "
        "deciding filters, values, thresholds and reasons; null if no gene came.",
    )

    def genes(self) -> list[WyckoffGene]:
        """Return the genes that passed every filter, in the order of the input."""
        if self.blob is None:
            return []
        arrays = unpack_verdicts(self.blob)
        passed = _passed(arrays)
        return unpack_genes(arrays["space_groups"][passed], arrays["codes"][passed])

    def accepted_rows(self) -> NDArray[np.int64]:
        """Return the places of these genes in the input, counted from 0."""
        if self.blob is None:
            return np.empty(0, np.int64)
        return _passed(unpack_verdicts(self.blob))

    def iter_verdicts(self) -> Iterator[GeneVerdict]:
        """Yield the verdict on each gene, in the order of the input."""
        if self.blob is None:
            return
        arrays = unpack_verdicts(self.blob)
        for start in range(0, self.n_genes, MOST_LISTED):
            part = slice(start, start + MOST_LISTED)
            genes = unpack_genes(arrays["space_groups"][part], arrays["codes"][part])
            for row, gene in enumerate(genes, start=start):
                yield self._verdict(gene, row, arrays)

    def _verdict(
        self, gene: WyckoffGene, row: int, arrays: Mapping[str, NDArray[Any]]
    ) -> GeneVerdict:
        """Write one row of the arrays as a document."""
        place = int(arrays["filters"][row])
        return GeneVerdict(
            gene=gene.to_text(),
            gene_id=f"{int(arrays['keys'][row]):016x}",
            filter=None if place == NO_FILTER else self.funnel[place].filter,
            verdict=VERDICTS[int(arrays["verdicts"][row])],
            value=_number(arrays["values"][row]),
            threshold=_number(arrays["thresholds"][row]),
            reason=str(arrays["texts"][int(arrays["reasons"][row])]),
        )


_COLUMNS: Final = (
    *("space_groups", "codes", "keys", "verdicts", "filters"),
    *("values", "thresholds", "reasons"),
)


def pack_verdicts(arrays: Mapping[str, NDArray[Any]]) -> bytes | None:
    """Return verdicts as the bytes of a ``blob`` field.

    Parameters
    ----------
    arrays
        One row per gene: ``space_groups`` and ``codes`` as
        `wyckflow.crystal.keys.pack_genes` writes them, ``keys``, ``verdicts`` (places
        in `VERDICTS`), ``filters`` (places in the funnel, `NO_FILTER` where all
        passed), ``values``, ``thresholds`` (not-a-number for none), and ``reasons``
        (places in ``texts``).

    Returns
    -------
    bytes | None
        None if there is no gene.

    Raises
    ------
    DocumentError
        If columns are missing or of different lengths.
    """
    _check_columns(arrays)
    return pack_arrays(arrays) if len(arrays["verdicts"]) else None


def unpack_verdicts(packed: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of `pack_verdicts`.

    Parameters
    ----------
    packed
        The bytes of a ``blob`` field.

    Raises
    ------
    DocumentError
        If they are no such blob, or it is damaged.
    """
    arrays = unpack_arrays(packed)
    _check_columns(arrays)
    return arrays


def _passed(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Return the rows of genes that passed every filter."""
    return np.flatnonzero(arrays["verdicts"] == VERDICTS.index(Verdict.PASS))


def _check_columns(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Refuse what is no table of verdicts."""
    if missing := sorted({*_COLUMNS, "texts"} - arrays.keys()):
        raise DocumentError(
            f"A blob of verdicts lacks {', '.join(missing)}; it has "
            f"{', '.join(sorted(arrays))}. Take the field 'blob' of a ScreeningDoc."
        )
    lengths = {name: len(arrays[name]) for name in _COLUMNS}
    if len(set(lengths.values())) > 1:
        raise DocumentError(
            f"A blob of verdicts is damaged: its columns have the lengths {lengths}; "
            "run the screening again."
        )


def _number(value: np.floating[Any]) -> float | None:
    """Return a number, or nothing where it is none."""
    return float(value) if np.isfinite(value) else None
