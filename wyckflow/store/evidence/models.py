"""What the model of a campaign tells a report: what it learned from, and its space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal._elements import SYMBOLS
from wyckflow.errors import ModelError
from wyckflow.ml.mpvae.memory import memory_from_arrays
from wyckflow.schemas.report import GeneSet, LatentPoints
from wyckflow.store.evidence.outputs import describe_genes
from wyckflow.store.models import fetch_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wyckflow.ml.checkpoint import CheckpointInfo
    from wyckflow.store.connect import Database

_PLANE: Final = 2
"""A latent space of fewer dimensions has no map; a transformer has none at all."""


def read_learned(
    database: Database, model_id: str
) -> tuple[GeneSet, LatentPoints | None]:
    """Return the crystals that a model learned from, and where they lie in its space.

    Their properties are what the model keeps of them, mostly what it predicts itself.

    Parameters
    ----------
    database
        Where the model is.
    model_id
        Hash of the model.

    Raises
    ------
    ModelError
        If it is gone, or keeps nothing of what it learned from.
    """
    from wyckflow.ml.model_file import open_model

    document = fetch_model(database, model_id)
    name, checkpoint = open_model(document)
    try:
        memory = memory_from_arrays(checkpoint.arrays)
        names = _property_names(checkpoint.info)
    except KeyError as error:
        raise ModelError(
            f"The model {name} ({checkpoint.info.kind}) keeps nothing of the crystals "
            f"it learned from ({error} is missing)."
        ) from error
    properties = dict(zip(names, memory.properties.T, strict=False))
    counts = memory.elements.sum(axis=0).tolist()
    learned = GeneSet(
        label="learned from",
        n_genes=len(memory),
        properties=properties,
        space_groups=memory.space_groups,
        elements={SYMBOLS[z - 1]: n for z, n in enumerate(counts) if z and n},
    )
    latents = np.asarray(memory.latents, np.float32)
    if latents.shape[1] < _PLANE:
        return learned, None
    return learned, LatentPoints(name, latents, properties, memory.space_groups)


def draw_freely(
    database: Database, model_id: str, n_genes: int, options: Mapping[str, Any]
) -> GeneSet:
    """Let a model draw genes without a target, else as for the campaign.

    Parameters
    ----------
    database
        Where the model is.
    model_id
        Hash of the model.
    n_genes
        How many to ask for.
    options
        Of GenerateMaker, as the campaign has them; how to reach the target is left out.

    Raises
    ------
    ModelError
        If it is gone or generates nothing.
    """
    from wyckflow.makers.generate import GenerateMaker, load_generator

    document = fetch_model(database, model_id)
    kept = {name: value for name, value in options.items() if name != "method"}
    maker = GenerateMaker(**(kept | {"n_genes": n_genes, "target": {}}))
    drawn = maker.draw(*load_generator(document))
    found = describe_genes([drawn], label="without a target")
    if found is None:
        raise ModelError(f"The model {document.name} drew no genes; ask for more.")
    return found


def _property_names(info: CheckpointInfo) -> list[str]:
    """Return the properties of a generator, in the order of its columns."""
    if "conditions" in info.split:
        return list(info.split["conditions"])
    return [item["name"] for item in info.config["generator"]["properties"]]
