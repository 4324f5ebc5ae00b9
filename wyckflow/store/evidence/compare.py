"""Candidates beside what is known: sets of genes, distances, the map, analogues."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.errors import ModelError, WyckflowError
from wyckflow.schemas.report import Evidence, PlacedGenes, ReportData
from wyckflow.schemas.screening import Verdict
from wyckflow.store.evidence.distances import predict_distances, read_distances
from wyckflow.store.evidence.known import KnownFile, find_known
from wyckflow.store.evidence.models import open_campaign_model
from wyckflow.store.evidence.outputs import describe_genes, read_generated
from wyckflow.store.evidence.phases import list_phase_distances
from wyckflow.store.evidence.remembered import find_remembered
from wyckflow.store.evidence.sample import read_accepted, sample_genes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.report import GeneSet, HullDistanceSet, LatentPoints
    from wyckflow.store.connect import Database
    from wyckflow.store.evidence.gather import ReportRequest
    from wyckflow.store.evidence.models import CampaignModel
    from wyckflow.store.evidence.sample import GeneSample

MOST_BEST: Final = 20
"""Candidates that stand out on the map."""


def add_model(
    database: Database,
    data: ReportData,
    request: ReportRequest,
    *,
    report: Callable[[str], None] = lambda _: None,
) -> ReportData:
    """Add what takes the genes, the model or a file of known crystals.

    What cannot be read becomes a note.

    Parameters
    ----------
    database
        Where.
    data
        What is known so far.
    request
        How far to go.
    report
        Told in words what is being done.
    """
    notes = list(data.notes)
    known = None if request.known is None else KnownFile.load(request.known)
    model = _open_model(database, data, notes)
    generated = read_generated(database, data.campaign)
    found = [] if generated is None else [generated]
    if model is not None and request.n_free:
        report("drawing genes without a target")
        found += _draw_freely(data, model, request.n_free, notes)
    sets = [genes for genes, _ in found]
    report("measuring distances to the hull")
    samples = {genes.label: sample for genes, sample in found}
    distances = [_known_distances(known, model), *predict_distances(samples)]
    latent = None
    if model is not None:
        report("placing genes in the latent space")
        sets.insert(0, model.describe_learned())
        proposed = None if generated is None else generated[1]
        accepted = read_accepted(database, data.campaign)
        latent = place_genes(model, data.candidates, proposed, accepted, notes)
    report("looking for known crystals")
    return replace(
        _add_known(data, known, model, notes),
        gene_sets=tuple(sets),
        hull_distances=tuple(distances),
        latent=latent,
        notes=tuple(notes),
    )


def place_genes(
    model: CampaignModel,
    candidates: tuple[CandidateDoc, ...],
    proposed: GeneSample | None,
    accepted: GeneSample,
    notes: list[str],
) -> LatentPoints | None:
    """Return the latent space of a model with the genes of its campaign in it.

    Parameters
    ----------
    model
        Of the campaign.
    candidates
        The best first.
    proposed
        Of all its genes.
    accepted
        Of those that passed the screen.
    notes
        A sentence is added if there is no map, or no gene on it.
    """
    space = model.describe_space()
    if space is None:
        notes.append(
            f"No map: the model {model.name} has no latent space (a transformer has "
            "none)."
        )
        return None
    genes = [item.gene for item in candidates if _is_good(item)]
    best = sample_genes(genes[:MOST_BEST], n_genes=len(genes))
    groups = {"proposed": proposed, "accepted": accepted, "best": best}
    try:
        placed = tuple(
            PlacedGenes(label, _encode(model, sample), sample.n_genes)
            for label, sample in groups.items()
            if sample is not None and len(sample)
        )
    except ModelError as error:
        notes.append(f"The genes of the campaign are not on the map: {error}")
        return space
    return replace(space, placed=placed)


def _is_good(item: CandidateDoc) -> bool:
    """Tell whether a candidate was held against the hull and nothing stopped it."""
    return item.energy_above_hull is not None and all(
        one.verdict is Verdict.PASS for one in item.verdicts
    )


def _encode(model: CampaignModel, sample: GeneSample) -> Any:
    """Return latent points; genes of like length go together, which is faster."""
    encoder: Any = model.generator  # has a latent space, so it encodes
    order = np.argsort((sample.codes > 0).sum(axis=1), kind="stable")
    found = encoder.encode_codes(sample.space_groups[order], sample.codes[order])
    latents = np.empty_like(found)
    latents[order] = found
    return latents


def _open_model(
    database: Database, data: ReportData, notes: list[str]
) -> CampaignModel | None:
    """Return the model of the last round; a note says why not."""
    if data.request is None or not data.request.rounds:
        notes.append("No model is known of this campaign: no training set, no map.")
        return None
    try:
        return open_campaign_model(database, data.request.rounds[-1].model_id)
    except WyckflowError as error:
        notes.append(f"The model could not be read: {error}")
        return None


def _draw_freely(
    data: ReportData, model: CampaignModel, n_genes: int, notes: list[str]
) -> list[tuple[GeneSet, GeneSample]]:
    """Return genes without a target, with a sample of them; a note says why not."""
    options: Mapping[str, Any] = data.request.spec.generate if data.request else {}
    try:
        drawn = model.draw_freely(n_genes, options)
    except WyckflowError as error:
        notes.append(f"The model drew no genes without a target: {error}")
        return []
    found = describe_genes([drawn], label="without a target")
    return [] if found is None else [found]


def _known_distances(
    known: KnownFile | None, model: CampaignModel | None
) -> HullDistanceSet:
    """Return how far known crystals lie above the hull, of a file that says so first.

    Else those of the phases that come with wyckflow.
    """
    stated = None if known is None else read_distances(known)
    return stated or list_phase_distances(None if model is None else model.memory)


def _add_known(
    data: ReportData,
    known: KnownFile | None,
    model: CampaignModel | None,
    notes: list[str],
) -> ReportData:
    """Add novelty and analogues to what is known of each candidate."""
    genes = [item.gene for item in data.candidates]
    found: list[dict[str, Any]]
    if known is None or known.dataset is None:
        words, near = find_remembered(model, genes, notes)
        found = [{"analogues": one} for one in near]
    if known is not None:
        pairs = find_known(known, genes)
        levels = [{"novelty": level} for level, _ in pairs]
        if known.dataset is None:
            found = [one | level for one, level in zip(found, levels, strict=True)]
        else:
            words = f"From {known.name}, {len(known.dataset):,} crystals."
            found = [{"novelty": level, "analogues": near} for level, near in pairs]
    evidence = dict(data.evidence)
    for item, parts in zip(data.candidates, found, strict=True):
        before = evidence.get(item.gene_id, Evidence())
        evidence[item.gene_id] = replace(before, **parts)
    return replace(
        data,
        evidence=evidence,
        known_name="" if known is None else known.name,
        analogues_from=words,
    )
