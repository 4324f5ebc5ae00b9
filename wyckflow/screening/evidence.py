"""What filters need to know beyond the gene: scores, predictions, novelty levels.

Screening computes none of it. Whoever has it hands it in: as arrays in the order of
the genes, or as functions, which are then called for those genes alone that come so
far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.errors import ScreenError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.screening.table import GeneTable

EvidenceSource = Callable[["GeneTable"], "NDArray[np.float64]"]
"""Takes genes and returns one number each."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Numbers about genes, by name.

    Attributes
    ----------
    values
        Arrays in the order of the genes that are screened, not-a-number where a gene
        has no value.
    deviations
        Their standard deviations, where known, in the same units and order.
    sources
        Functions that compute values when a filter asks.
    """

    values: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    deviations: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    sources: Mapping[str, EvidenceSource] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """What there is."""
        return frozenset(self.values) | frozenset(self.sources)

    def check(self, n_genes: int) -> None:
        """Refuse arrays that do not belong to so many genes.

        Parameters
        ----------
        n_genes
            How many are screened.

        Raises
        ------
        ScreenError
            If one has another length, or a deviation comes without its value.
        """
        for name, array in (*self.values.items(), *self.deviations.items()):
            if np.shape(array) != (n_genes,):
                raise ScreenError(
                    f"The evidence {name!r} has the shape {np.shape(array)}, but there "
                    f"are {n_genes} genes; give one number per gene, in their order."
                )
        if alone := sorted(set(self.deviations) - set(self.values)):
            raise ScreenError(
                f"There are standard deviations of {', '.join(alone)} without values; "
                "give both."
            )

    def values_of(self, name: str, table: GeneTable) -> NDArray[np.float64] | None:
        """Return the numbers of some genes, or None if there are none.

        Parameters
        ----------
        name
            Of the evidence.
        table
            The genes; their rows say where they stand in the arrays.
        """
        if name in self.values:
            return np.asarray(self.values[name], np.float64)[table.rows]
        if name in self.sources:
            found = np.asarray(self.sources[name](table), np.float64)
            if found.shape != (len(table),):
                raise ScreenError(
                    f"The source of {name!r} returned the shape {found.shape} for "
                    f"{len(table)} genes; it must return one number per gene."
                )
            return found
        return None

    def deviations_of(self, name: str, table: GeneTable) -> NDArray[np.float64] | None:
        """Return the standard deviations of some genes, or None if there are none.

        Parameters
        ----------
        name
            Of the evidence.
        table
            The genes.
        """
        if name not in self.deviations:
            return None
        return np.asarray(self.deviations[name], np.float64)[table.rows]


NO_EVIDENCE: Final = Evidence()
