"""How a trial structure came about, or why it did not: what both engines speak of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BuildOutcome(StrEnum):
    """How a trial ended."""

    BUILT = "built"
    TOO_CLOSE = "too_close"
    """No draw kept the atoms apart."""
    TIME_LIMIT = "time_limit"
    """The CPU time of the trial was used up."""
    GENE_MISMATCH = "gene_mismatch"
    """All that was drawn has another gene: this one implies a higher symmetry."""
    UNSUPPORTED = "unsupported"
    """An element has no known size, or is beyond the supported ones."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no structure.

    Attributes
    ----------
    outcome
        Any but built.
    reason
        In words.
    """

    outcome: BuildOutcome
    reason: str
