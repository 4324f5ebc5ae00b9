"""What a trained generator keeps of the crystals it learned from: never the crystals.

Latents, predicted properties, space groups and hashed keys are enough to sample around
known crystals, to know how often each space group comes, and to tell a gene that was
known from a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.elements import N_ATOMIC_NUMBERS
from wyckflow.crystal.keys import find_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.ml.codec.sites import SiteTensors
    from wyckflow.ml.generator import Predictions

_PREFIX: Final = "memory/"

# A space group that never came counts like this many crystals: as many as there are
# groups that came once, spread over those that never did (Good and Turing).
_UNSEEN: Final = 0.2


@dataclass(frozen=True, eq=False, slots=True)
class Memory:
    """The points of a latent space that belong to known crystals.

    Attributes
    ----------
    latents
        Means of the encoder (n, latent), in half precision.
    properties
        What the model itself predicts for them (n, properties), in the units of the
        dataset.
    spreads
        How sure it is (n, properties).
    space_groups
        Space-group numbers (n,).
    elements
        Which elements each has (n, 119).
    n_sites
        Number of occupied orbits of each (n,).
    keys
        Canonical keys of all genes it has seen, sorted.
    """

    latents: NDArray[np.float16]
    properties: NDArray[np.float32]
    spreads: NDArray[np.float32]
    space_groups: NDArray[np.int16]
    elements: NDArray[np.bool_]
    n_sites: NDArray[np.int16]
    keys: NDArray[np.uint64]

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.latents)

    def is_known(self, keys: ArrayLike) -> NDArray[np.bool_]:
        """Return which canonical keys belong to genes that the model has seen."""
        known: NDArray[np.bool_] = (
            find_keys(np.asarray(keys, np.uint64), self.keys) >= 0
        )
        return known

    @property
    def space_group_prior(self) -> NDArray[np.float64]:
        """How often each space group comes (231,)."""
        counts = np.bincount(self.space_groups, minlength=231)
        prior: NDArray[np.float64] = counts / max(counts.sum(), 1)
        return prior

    @property
    def space_group_scores(self) -> NDArray[np.float32]:
        """How likely each space group is when a latent says nothing, in nats (231,).

        What was counted is surer than what a network remembers of it.
        """
        counts = np.bincount(self.space_groups, minlength=231)
        scores: NDArray[np.float32] = np.log(counts + _UNSEEN).astype(np.float32)
        return scores

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a checkpoint."""
        arrays = {name: getattr(self, name) for name in self.__slots__}
        arrays["elements"] = np.packbits(self.elements, axis=1)
        return {f"{_PREFIX}{name}": array for name, array in arrays.items()}


def remember(
    sites: SiteTensors,
    keys: NDArray[np.uint64],
    latents: NDArray[np.float32],
    predictions: Predictions,
) -> Memory:
    """Write down where crystals are in a latent space.

    Parameters
    ----------
    sites
        The crystals.
    keys
        Their canonical keys.
    latents
        Their places.
    predictions
        What the model thinks of them.
    """
    elements = np.zeros((len(sites), N_ATOMIC_NUMBERS), np.bool_)
    elements[np.arange(len(sites))[:, None], sites.atomic_number] = True
    elements[:, 0] = False
    return Memory(
        latents=latents.astype(np.float16),
        properties=predictions.mean.astype(np.float32),
        spreads=predictions.spread.astype(np.float32),
        space_groups=sites.space_group.astype(np.int16),
        elements=elements,
        n_sites=sites.mask.sum(axis=1).astype(np.int16),
        keys=np.unique(keys),
    )


def memory_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Memory:
    """Read what `Memory.to_arrays` wrote.

    Parameters
    ----------
    arrays
        Of a checkpoint.
    """
    own = {name: arrays[f"{_PREFIX}{name}"] for name in Memory.__slots__}
    own["elements"] = np.unpackbits(
        own["elements"], axis=1, count=N_ATOMIC_NUMBERS
    ).astype(bool)
    return Memory(**own)
