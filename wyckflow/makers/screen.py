"""The job that decides which genes are worth a structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobflow import Maker

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.makers._job import wyckflow_job
from wyckflow.schemas.screening import ScreeningDoc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.screening.neutrality import NeutralityRule


@dataclass
class ScreenMaker(Maker):
    """Screen genes by size and chemistry.

    Filters in order: repetitions, size, charge neutrality. A gene that cannot be
    judged is not accepted, and is counted apart.

    Attributes
    ----------
    name
        Name of the job.
    max_sites
        Largest number of atoms in the conventional cell.
    oxidation_states
        List of oxidation states: ``icsd24_consensus``, ``icsd24``, ``icsd16``,
        ``smact14`` or ``pymatgen_sp``.
    requires_electronegativity_order
        Whether every cation must be less electronegative than every anion.
    accepts_alloys
        Whether metals alone always pass.
    accepts_mixed_valence
        Whether atoms of one element may differ in charge.
    """

    name: str = "gene screen"
    max_sites: int = 100
    oxidation_states: str = "icsd24_consensus"
    requires_electronegativity_order: bool = True
    accepts_alloys: bool = True
    accepts_mixed_valence: bool = False

    def __post_init__(self) -> None:
        """Refuse options that no gene could meet."""
        if self.max_sites < 1:
            raise ValueError(f"{self.max_sites=} must be at least 1.")
        self._neutrality_rule()

    @wyckflow_job(ScreeningDoc)
    def make(self, genes: Sequence[str | WyckoffGene]) -> ScreeningDoc:
        """Judge every gene.

        Parameters
        ----------
        genes
            Genes, or their text such as ``221 Sr:a Ti:b O:c``.
        """
        from wyckflow.screening.filters import (
            ChargeNeutrality,
            GeneFilter,
            MaxSites,
            Uniqueness,
            screen_genes,
        )

        filters: list[GeneFilter] = [
            Uniqueness(),
            MaxSites(self.max_sites),
            ChargeNeutrality(self._neutrality_rule()),
        ]
        parsed = [WyckoffGene.from_text(str(gene)) for gene in genes]
        screening = screen_genes(parsed, filters)
        return ScreeningDoc(
            n_genes=len(genes),
            n_accepted=len(screening.accepted),
            verdicts=screening.verdicts,
            funnel=screening.funnel,
            accepted=[gene.to_text() for gene in screening.accepted],
        )

    def _neutrality_rule(self) -> NeutralityRule:
        """Return the options of the neutrality test."""
        from wyckflow.screening.neutrality import NeutralityRule, OxidationStates

        return NeutralityRule(
            oxidation_states=OxidationStates(self.oxidation_states),
            requires_electronegativity_order=self.requires_electronegativity_order,
            accepts_alloys=self.accepts_alloys,
            accepts_mixed_valence=self.accepts_mixed_valence,
        )
