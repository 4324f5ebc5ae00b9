"""What the model of a campaign tells a report: what it learned from, and its space."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.elements import SYMBOLS
from wyckflow.errors import ModelError
from wyckflow.ml.memory import memory_from_arrays
from wyckflow.schemas.report import GeneSet, LatentPoints
from wyckflow.store.models import fetch_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wyckflow.ml.checkpoint import CheckpointInfo
    from wyckflow.ml.kinds import AnyGenerator
    from wyckflow.ml.memory import Memory
    from wyckflow.schemas.generation import GenerationDoc
    from wyckflow.schemas.model import ModelDoc
    from wyckflow.store.connect import Database

_PLANE: Final = 2
"""A latent space of fewer dimensions has no map; a transformer has none at all."""
_MAX_TRIES: Final = 4
"""A model that repeats itself draws fewer genes rather than for ever."""


class CampaignModel:
    """The model of a campaign: its memory at once, its networks once they are needed.

    Parameters
    ----------
    document
        The model with its file.

    Raises
    ------
    ModelError
        If it keeps nothing of what it learned from.
    """

    def __init__(self, document: ModelDoc) -> None:
        from wyckflow.ml.model_file import open_model

        self.document = document
        self.name, checkpoint = open_model(document)
        info = checkpoint.info
        try:
            self.memory: Memory = memory_from_arrays(checkpoint.arrays)
            names = _property_names(info)
        except KeyError as error:
            raise ModelError(
                f"The model {self.name} ({info.kind}) keeps nothing of the crystals it "
                f"learned from ({error} is missing)."
            ) from error
        columns = zip(names, self.memory.properties.T, strict=False)
        self.properties: Mapping[str, Any] = dict(columns)

    @property
    def has_space(self) -> bool:
        """Whether there is a latent space that can be drawn."""
        return bool(self.memory.latents.shape[1] >= _PLANE)

    @cached_property
    def generator(self) -> AnyGenerator:
        """The networks.

        Raises
        ------
        ModelError
            If this installation cannot compute with them.
        """
        try:
            from wyckflow.makers.models import load_generator

            return load_generator(self.document)[1]
        except ImportError as error:
            raise ModelError(
                f"The model {self.name} cannot compute here ({error}): install "
                "'wyckflow[ml]'."
            ) from error

    def describe_learned(self) -> GeneSet:
        """Return the crystals that it learned from.

        Their properties are what it keeps of them, mostly what it predicts itself.
        """
        counts = self.memory.elements.sum(axis=0).tolist()
        return GeneSet(
            label="learned from",
            n_genes=len(self.memory),
            properties=self.properties,
            space_groups=self.memory.space_groups,
            elements={SYMBOLS[z - 1]: n for z, n in enumerate(counts) if z and n},
        )

    def describe_space(self) -> LatentPoints | None:
        """Return where these crystals lie in its latent space; None without one."""
        if not self.has_space:
            return None
        latents = np.asarray(self.memory.latents, np.float32)
        return LatentPoints(
            self.name, latents, self.properties, self.memory.space_groups
        )

    def draw_freely(self, n_genes: int, options: Mapping[str, Any]) -> GenerationDoc:
        """Draw genes without a target, else as for the campaign.

        Parameters
        ----------
        n_genes
            How many to ask for.
        options
            Of GenerateMaker, as the campaign has them; how to reach the target is left
            out.

        Raises
        ------
        ModelError
            If none were drawn.
        """
        from wyckflow.makers.generate import GenerateMaker

        kept = {name: value for name, value in options.items() if name != "method"}
        own = {"n_genes": n_genes, "target": {}, "max_tries": _MAX_TRIES}
        drawn = GenerateMaker(**(kept | own)).draw(self.name, self.generator)
        if not drawn.n_genes:
            raise ModelError(f"The model {self.name} drew no genes; ask for more.")
        return drawn


def open_campaign_model(database: Database, model_id: str) -> CampaignModel:
    """Return the model of a campaign.

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
    return CampaignModel(fetch_model(database, model_id))


def _property_names(info: CheckpointInfo) -> list[str]:
    """Return the properties of a generator, in the order of its columns."""
    if "conditions" in info.split:
        return list(info.split["conditions"])
    return [item["name"] for item in info.config["generator"]["properties"]]
