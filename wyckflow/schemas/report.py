"""What a report is made of: gathered from the database once, then only read.

No documents of the database: plain records that hold them, so that what draws and
writes a report needs neither a server nor a network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from wyckflow.electronic.bands import Bands
    from wyckflow.schemas.campaign import CampaignDoc
    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.electronic import ElectronicDoc
    from wyckflow.schemas.phonon import PhononDoc, PhononSettings, Spectrum
    from wyckflow.schemas.relaxation import RelaxationDoc
    from wyckflow.schemas.screening import FunnelStep


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One kind of cost.

    Attributes
    ----------
    name
        Such as ``cpu hours``.
    used
        By finished jobs.
    allowed
        None without a limit.
    """

    name: str
    used: float
    allowed: float | None


@dataclass(frozen=True, slots=True)
class Analogue:
    """A known crystal of the same elements.

    Attributes
    ----------
    name, source
        What its data set calls it, and the data set.
    formula_pretty
        Reduced formula.
    gene
        In that of its equivalent descriptions that shares most sites with the
        candidate, where both have the same space group. Empty where the source holds
        none.
    is_same_group
        Whether they have.
    n_shared
        Sites with the letter and the element of the candidate's; zero in another group.
    energy_above_hull
        By DFT, eV/atom, as the source states it; None if it does not.
    """

    name: str
    source: str
    formula_pretty: str
    gene: str
    is_same_group: bool
    n_shared: int
    energy_above_hull: float | None = None


@dataclass(frozen=True, eq=False, slots=True)
class PhononEvidence:
    """The phonons of one crystal.

    Attributes
    ----------
    document
        In numbers.
    settings
        With the limits.
    spectrum
        Bands and density of states; None if they were not kept.
    """

    document: PhononDoc
    settings: PhononSettings
    spectrum: Spectrum | None = None


@dataclass(frozen=True, eq=False, slots=True)
class ElectronicEvidence:
    """The electrons of one crystal.

    Attributes
    ----------
    document
        Edges, pockets, masses.
    bands
        What they were read from; None if it was not kept.
    """

    document: ElectronicDoc
    bands: Bands | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Evidence:
    """What is known of one candidate beside its document.

    Attributes
    ----------
    deviations
        Standard deviations of what its model predicted, by property.
    relaxation
        How it was relaxed.
    n_trials
        Start structures that it was relaxed from.
    relaxation_cpu_s
        Its part of the processor seconds of the shard, by evaluations.
    phonons, electrons
        Where they were asked for.
    novelty
        Level of `wyckflow.screening.novelty.judge.NoveltyLevel`; None if not judged.
    analogues
        Known crystals of the same elements, the nearest first; None if nobody looked.
    """

    deviations: Mapping[str, float] = field(default_factory=dict)
    relaxation: RelaxationDoc | None = None
    n_trials: int | None = None
    relaxation_cpu_s: float | None = None
    phonons: PhononEvidence | None = None
    electrons: ElectronicEvidence | None = None
    novelty: int | None = None
    analogues: tuple[Analogue, ...] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class GeneSet:
    """Many genes as columns, for distributions.

    Attributes
    ----------
    label
        What a legend calls them.
    n_genes
        How many.
    properties
        Predicted values, by property.
    space_groups
        Numbers.
    elements
        Genes with each element, by symbol.
    """

    label: str
    n_genes: int
    properties: Mapping[str, NDArray[np.floating]]
    space_groups: NDArray[np.integer]
    elements: Mapping[str, int]


@dataclass(frozen=True, eq=False, slots=True)
class HullDistanceSet:
    """Distances to a hull of crystals or genes of one origin, by one method.

    Attributes
    ----------
    label
        What a legend calls them, such as ``for the target``.
    method
        What gave the energies, in words, such as ``DFT`` or ``predicted``.
    scale
        Energy scale of both the energies and the hull.
    values
        Energies above the hull, eV/atom.
    n_genes
        How many there are, of which these may be a sample.
    """

    label: str
    method: str
    scale: str
    values: NDArray[np.floating]
    n_genes: int


@dataclass(frozen=True, eq=False, slots=True)
class PlacedGenes:
    """Genes of the campaign in the latent space of its model.

    Attributes
    ----------
    label
        ``proposed``, ``accepted`` or ``best``.
    latents
        One point per row, by the encoder of the model.
    n_genes
        How many there are, of which these may be a sample.
    """

    label: str
    latents: NDArray[np.floating]
    n_genes: int


@dataclass(frozen=True, eq=False, slots=True)
class LatentPoints:
    """Where the crystals that a model learned from lie in its latent space.

    Attributes
    ----------
    model_name
        Of the model.
    latents
        One point per row.
    properties
        What the model predicts of them, by property.
    space_groups
        Numbers.
    placed
        Genes of the campaign in the same space, the most numerous first; empty if they
        could not be placed.
    """

    model_name: str
    latents: NDArray[np.floating]
    properties: Mapping[str, NDArray[np.floating]]
    space_groups: NDArray[np.integer]
    placed: tuple[PlacedGenes, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class ReportData:
    """Everything that a report of one campaign shows.

    Attributes
    ----------
    campaign
        Its name.
    made_at
        When this was gathered (UTC).
    wyckflow_version
        What gathered it.
    request
        What was asked for; None if jobs were sent without a campaign's file.
    budget
        What it has cost.
    funnel
        What each stage has seen and passed.
    candidates
        The best first; at most as many as were asked for.
    n_candidates
        How many there are in the database.
    evidence
        More of them, by gene id.
    gene_sets
        The crystals that the model learned from first, then generated genes.
    hull_distances
        Of known phases and of genes as predicted; those of relaxed candidates are in
        their documents.
    latent
        Of the model; None if it could not be read or has none.
    known_name
        What novelty was measured against; empty if nobody asked.
    analogues_from
        Where analogues were looked for, and what that does not hold, in sentences.
    notes
        What could not be gathered, in sentences.
    """

    campaign: str
    made_at: datetime
    wyckflow_version: str
    request: CampaignDoc | None = None
    budget: tuple[BudgetLine, ...] = ()
    funnel: tuple[FunnelStep, ...] = ()
    candidates: tuple[CandidateDoc, ...] = ()
    n_candidates: int = 0
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    gene_sets: tuple[GeneSet, ...] = ()
    hull_distances: tuple[HullDistanceSet, ...] = ()
    latent: LatentPoints | None = None
    known_name: str = ""
    analogues_from: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_simulated(self) -> bool:
        """Whether any number comes from a simulator."""
        return any(item.is_simulated for item in self.candidates)

    def evidence_of(self, candidate: CandidateDoc) -> Evidence:
        """Return what more is known of a candidate.

        Parameters
        ----------
        candidate
            Which.
        """
        return self.evidence.get(candidate.gene_id, Evidence())
