"""The job that decides which genes are worth a structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jobflow import Maker

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.makers._job import wyckflow_job
from wyckflow.makers.evidence import gather_evidence, predictions_of
from wyckflow.schemas.screening import MOST_LISTED, ScreeningDoc, pack_verdicts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wyckflow.schemas.generation import GenerationDoc
    from wyckflow.screening.screen import Screen
    from wyckflow.screening.table import GeneTable

    Genes = Sequence[str | WyckoffGene] | GenerationDoc | ScreeningDoc


@dataclass
class ScreenMaker(Maker):
    """Screen genes: possible chemistry, size, scores, novelty.

    A gene that cannot be judged is not accepted, and is counted apart. Evidence that
    the screen needs and nobody gives is computed, for those genes alone that come so
    far: scores by the bundled classifiers, novelty against known crystals.

    Attributes
    ----------
    name
        Name of the job.
    screen
        What to ask: name of a preset (``default``, ``published``, ``sustainable``),
        path of a YAML file, dictionary, or screen. It is read when the maker is made,
        so that workers need no file.
    known
        Known crystals to which novelty is relative, where the screen asks for it: a
        dataset or a set of known genes, as files that the worker can read.
    """

    name: str = "gene screen"
    screen: str | Path | dict[str, Any] | Screen = "default"
    known: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Read the screen, and refuse one that cannot be asked."""
        from wyckflow.screening.presets import load_screen

        self.screen = load_screen(self.screen)
        self.known = tuple(str(path) for path in self.known)

    @wyckflow_job(ScreeningDoc)
    def make(
        self,
        genes: Genes,
        evidence: Mapping[str, Sequence[float]] | None = None,
        deviations: Mapping[str, Sequence[float]] | None = None,
    ) -> ScreeningDoc:
        """Judge every gene.

        Parameters
        ----------
        genes
            Genes, their text such as ``221 Sr:a Ti:b O:c``, or a document that holds
            genes, whose predictions are then evidence, too.
        evidence
            Numbers by name, such as scores, in the order of the genes.
        deviations
            Their standard deviations, where known.
        """
        from wyckflow.screening.presets import load_costs, load_screen

        screen = load_screen(self.screen)
        table = _read_table(genes)
        predicted = predictions_of(genes, screen.needs)
        gathered = gather_evidence(
            screen,
            {
                name: (_floats(v), "given to the job")
                for name, v in (evidence or {}).items()
            }
            | predicted.values,
            deviations=predicted.deviations
            | {name: _floats(v) for name, v in (deviations or {}).items()},
            known=self.known,
        )
        screening = screen.judge(table, gathered.evidence)
        passed = screening.passed
        accepted = None
        if len(passed) <= MOST_LISTED:
            accepted = [gene.to_text() for gene in screening.accepted]
        return ScreeningDoc(
            screen=screen.definition,
            evidence=gathered.origins,
            n_genes=len(table),
            n_accepted=len(passed),
            funnel=screening.funnel,
            costs=load_costs(screen),
            accepted=accepted,
            blob=pack_verdicts(screening.columns),
        )


def _read_table(genes: Any) -> GeneTable:
    """Return the genes of a list or of a document, without an object for each.

    A hundred thousand objects would take more memory than all the rest of the job.
    """
    from wyckflow.screening.table import GeneTable

    if hasattr(genes, "iter_chunks"):
        chunks = genes.iter_chunks()
        return GeneTable.from_parts((a["space_groups"], a["codes"]) for a in chunks)
    listed = genes.genes() if hasattr(genes, "genes") else genes
    return GeneTable.from_genes(
        gene if isinstance(gene, WyckoffGene) else WyckoffGene.from_text(gene)
        for gene in listed
    )


def _floats(numbers: Any) -> NDArray[np.float64]:
    """Return numbers as an array, none as not-a-number."""
    return np.array([np.nan if n is None else n for n in numbers], np.float64)
