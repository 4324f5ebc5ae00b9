"""Known crystals from which genes for a target are looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wyckflow.errors import ModelError
from wyckflow.ml.sampling.matching import (
    GeneTraits,
    match_target,
    meet_all,
    refuse_empty,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from wyckflow.ml.memory import Memory
    from wyckflow.schemas.target import Target


def find_starts(
    target: Target,
    memory: Memory,
    names: tuple[str, ...],
    *,
    tolerance: float = 0.0,
) -> NDArray[np.int64]:
    """Return the points of a model's memory that lie within a target.

    Parameters
    ----------
    target
        The conditions.
    memory
        Of the model.
    names
        The properties in the columns of the memory.
    tolerance
        How many of its own expected errors a prediction may lie outside a range.

    Raises
    ------
    TargetError
        If there is none: which condition empties it, and the nearest value.
    ModelError
        If the model does not predict a property, or remembers nothing.
    """
    if not len(memory):
        raise ModelError(
            "This model remembers no crystals, so that there is nothing to start from; "
            "use the method 'prior'."
        )
    traits = GeneTraits(memory.space_groups, memory.elements, None)
    properties = dict(zip(names, memory.properties.T, strict=True))
    errors: Mapping[str, float] = dict(
        zip(names, np.median(memory.spreads, axis=0).tolist(), strict=True)
    )
    allowed = {name: tolerance * error for name, error in errors.items()}
    masks = match_target(target, traits, properties, tolerances=allowed)
    found = np.flatnonzero(meet_all(masks, len(traits)))
    if not found.size:
        refuse_empty(target, traits, properties)
    return found
