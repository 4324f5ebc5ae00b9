"""Where the evidence that screens ask for comes from: documents, models, known genes.

Screening itself computes none of it, since classifiers live beside it. What nobody has
stays missing, and the filter that needs it says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.errors import DatasetError
from wyckflow.screening.evidence import Evidence
from wyckflow.screening.filters.known import NOVELTY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from wyckflow.screening.evidence import EvidenceSource
    from wyckflow.screening.novelty.known import KnownGenes
    from wyckflow.screening.screen import Screen
    from wyckflow.screening.table import GeneTable

CLASSIFIERS: Final = ("synthesizability", "metal")
"""Scores that come from a bundled classifier unless they are given."""


@dataclass(frozen=True, eq=False, slots=True)
class Predictions:
    """Numbers that a document holds of its genes.

    Attributes
    ----------
    values
        Array and origin in words, by name.
    deviations
        Standard deviations by name.
    """

    values: dict[str, tuple[NDArray[np.float64], str]]
    deviations: dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False, slots=True)
class GatheredEvidence:
    """Evidence, and where it came from.

    Attributes
    ----------
    evidence
        For `wyckflow.screening.screen.Screen.judge`.
    origins
        In words, by name.
    """

    evidence: Evidence
    origins: dict[str, str]


def predictions_of(genes: object, names: Sequence[str]) -> Predictions:
    """Return the wanted predictions that a document of genes holds.

    Parameters
    ----------
    genes
        Such as a `wyckflow.schemas.generation.GenerationDoc`; anything else has none.
    names
        What is wanted.
    """
    document: Any = genes
    predicted = getattr(genes, "properties", ())
    found = Predictions({}, {})
    for name in names:
        if name not in predicted:
            continue
        origin = f"predicted by the model {document.model_name}"
        found.values[name] = np.asarray(document.column(name), np.float64), origin
        spread = document.column(f"{name}_deviation")
        found.deviations[name] = np.asarray(spread, np.float64)
    return found


def gather_evidence(
    screen: Screen,
    given: Mapping[str, tuple[NDArray[np.float64], str]],
    *,
    deviations: Mapping[str, NDArray[np.float64]],
    known: Sequence[str | Path] = (),
) -> GatheredEvidence:
    """Find what a screen needs to know.

    Parameters
    ----------
    screen
        Whose needs are met.
    given
        Numbers in the order of the genes with their origin in words; they win.
    deviations
        Standard deviations of given numbers.
    known
        Files with datasets or sets of known genes, for novelty.
    """
    values = {name: given[name][0] for name in screen.needs if name in given}
    origins = {name: given[name][1] for name in values}
    sources: dict[str, EvidenceSource] = {}
    for name in screen.needs:
        if name in values:
            continue
        if name in CLASSIFIERS:
            sources[name] = _classifier_source(name)
            origins[name] = "bundled classifier"
        elif name == NOVELTY and known:
            reference = load_known_files(known)
            sources[name] = _novelty_source(reference)
            origins[name] = f"relative to {reference.name} ({reference.known_id})"
    spreads = {name: deviations[name] for name in values if name in deviations}
    return GatheredEvidence(Evidence(values, spreads, sources), origins)


def load_known_files(files: Sequence[str | Path]) -> KnownGenes:
    """Read datasets and sets of known genes as one set.

    Parameters
    ----------
    files
        At least one.

    Raises
    ------
    DatasetError
        If a file is neither.
    """
    from wyckflow.crystal.dataset import load_dataset
    from wyckflow.screening.novelty.known import KnownGenes, load_known

    sets = []
    for name in files:
        path = Path(name)
        try:
            with np.load(path, allow_pickle=False) as archive:
                is_known = "gene_keys" in archive.files
        except (OSError, ValueError, EOFError) as error:
            raise DatasetError(
                f"{str(path)!r} cannot be read as known crystals: {error}. Give a "
                "dataset that 'wyckflow data import' made."
            ) from error
        sets.append(
            load_known(path)
            if is_known
            else KnownGenes.from_dataset(load_dataset(path))
        )
    return sets[0].join(*sets[1:]) if len(sets) > 1 else sets[0]


def _classifier_source(name: str) -> EvidenceSource:
    """Return what scores genes by a bundled classifier, loaded when first asked."""

    @cache
    def load() -> Any:
        from wyckflow.ml.classifiers.bundled import load_bundled_classifier

        return load_bundled_classifier(name)

    def score(table: GeneTable) -> NDArray[np.float64]:
        return np.asarray(load().score(table.genes()), np.float64)

    return score


def _novelty_source(known: KnownGenes) -> EvidenceSource:
    """Return what tells how new genes are."""

    def judge(table: GeneTable) -> NDArray[np.float64]:
        from wyckflow.screening.novelty.judge import judge_novelty

        codes = table.space_group_numbers, table.codes
        return judge_novelty(codes, known).level.astype(np.float64)

    return judge
