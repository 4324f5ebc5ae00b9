"""Whether a drawn structure has the gene that it was drawn for, and no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wyckflow.crystal.build._outcome import BuildOutcome, Fault
from wyckflow.crystal.encode import EncodedStructure, Engine, encode_structure
from wyckflow.crystal.equivalence import canonical_gene

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.crystal.reduced import ReducedStructure

MAX_MISMATCHES: Final = 4
"""Structures of another gene after which no more are drawn."""


@dataclass(frozen=True, slots=True)
class GeneCheck:
    """A search for the symmetry of drawn structures.

    Attributes
    ----------
    gene
        What must be found, up to equivalence.
    symprec
        Distance tolerance in A.
    engine
        Who searches.
    """

    gene: WyckoffGene
    symprec: float
    engine: Engine

    def fault_of(self, structure: ReducedStructure) -> Fault | None:
        """Return what is wrong with a structure, if anything is.

        Parameters
        ----------
        structure
            Drawn for the gene. It has at least its symmetry by construction, and more
            where coordinates came out special or the gene leaves no choice.
        """
        coordinates, numbers = structure.expand()
        encoded = encode_structure(
            (structure.lattice, coordinates, numbers),
            symprec=self.symprec,
            engine=self.engine,
        )
        if not isinstance(encoded, EncodedStructure):
            return Fault(BuildOutcome.GENE_MISMATCH, f"No gene: {encoded.message}")
        if canonical_gene(encoded.gene) == canonical_gene(self.gene):
            return None
        return Fault(
            BuildOutcome.GENE_MISMATCH,
            f"The structure has the gene '{encoded.gene}' at {self.symprec:g} A",
        )


def first_with_gene(
    draws: Iterable[ReducedStructure | Fault], check: GeneCheck
) -> ReducedStructure | Fault | None:
    """Return the first structure with the gene, or the last fault.

    Parameters
    ----------
    draws
        Structures, or reasons why there is none; no more are taken than needed.
    check
        What to hold against the structures.

    Returns
    -------
    ReducedStructure | Fault | None
        None if there were no draws.
    """
    fault: Fault | None = None
    n_mismatches = 0
    for drawn in draws:
        fault = drawn if isinstance(drawn, Fault) else check.fault_of(drawn)
        if fault is None and not isinstance(drawn, Fault):
            return drawn
        if fault is not None and fault.outcome is BuildOutcome.GENE_MISMATCH:
            n_mismatches += 1
        if n_mismatches == MAX_MISMATCHES:
            break
    return fault
