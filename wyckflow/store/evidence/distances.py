"""How far genes are predicted to lie above the hull, and known crystals are said to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wyckflow.crystal.keys import unpack_genes
from wyckflow.makers._ranking import (
    PREDICTED_SCALE,
    load_predicted_hull,
    measure_distances,
)
from wyckflow.schemas.report import HullDistanceSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wyckflow.store.evidence.known import KnownFile
    from wyckflow.store.evidence.sample import GeneSample

_FIELD = "energy_above_hull"


def predict_distances(samples: Mapping[str, GeneSample]) -> list[HullDistanceSet]:
    """Return predicted distances to the hull of the bundled DFT reference.

    Genes without a predicted formation energy, and those with an element that the
    reference lacks, have none.

    Parameters
    ----------
    samples
        By what a legend calls them.
    """
    hull = load_predicted_hull()
    found = []
    for label, sample in samples.items():
        known = np.isfinite(sample.energies)
        genes = unpack_genes(sample.space_groups[known], sample.codes[known])
        values = measure_distances(genes, sample.energies[known], hull)
        values = values[np.isfinite(values)]
        if len(values):
            found.append(
                HullDistanceSet(
                    label, "predicted", PREDICTED_SCALE, values, sample.n_genes
                )
            )
    return found


def read_distances(file: KnownFile) -> HullDistanceSet | None:
    """Return the distances that a file of known crystals states; None if it has none.

    Parameters
    ----------
    file
        With crystals, or with keys alone.
    """
    if file.dataset is None:
        return None
    values = file.dataset.properties.get(_FIELD, np.empty(0))
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    scale = file.dataset.metadata.energy_scale or "scale not stated"
    return HullDistanceSet(file.name, "as stated", scale, values, len(values))
