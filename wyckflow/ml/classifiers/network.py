"""A few small networks that vote, in NumPy: scoring needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from wyckflow.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

FARTHEST: Final = 6.0
"""Features are cut off at so many standard deviations from their mean."""

_LAYER: Final = "layer"


@dataclass(frozen=True, eq=False, slots=True)
class Ensemble:
    """Networks of one shape with weights of their own, on standardised features.

    Attributes
    ----------
    columns
        Which columns of `wyckflow.ml.classifiers.features` they see.
    mean, spread
        Of these columns over the training rows.
    weights, biases
        Per layer (members, inputs, outputs) and (members, outputs).
    """

    columns: NDArray[np.int64]
    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]

    @property
    def n_members(self) -> int:
        """Number of networks."""
        return len(self.weights[0])

    def standardise(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring features to mean zero and spread one, without far outliers."""
        scaled = (features[:, self.columns] - self.mean) / self.spread
        cut: NDArray[np.float32] = np.clip(scaled, -FARTHEST, FARTHEST)
        return cut

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what each network says, (n, members), as the logarithm of odds.

        Parameters
        ----------
        features
            Rows of `wyckflow.ml.classifiers.features.describe_sites`.
        """
        hidden = self.standardise(features)[None]
        last = len(self.weights) - 1
        for place, (weight, bias) in enumerate(
            zip(self.weights, self.biases, strict=True)
        ):
            hidden = hidden @ weight + bias[:, None]
            if place < last:
                hidden = hidden / (1 + np.exp(-np.clip(hidden, -30, 30)))
        return hidden[..., 0].T.astype(float)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name, weights in half precision."""
        arrays: dict[str, NDArray[Any]] = {
            "columns": self.columns.astype(np.int16),
            "mean": self.mean,
            "spread": self.spread,
        }
        for place, pair in enumerate(zip(self.weights, self.biases, strict=True)):
            arrays[f"{_LAYER}{place}/weight"] = pair[0].astype(np.float16)
            arrays[f"{_LAYER}{place}/bias"] = pair[1].astype(np.float32)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read the form of :meth:`to_arrays`.

        Raises
        ------
        CheckpointError
            If an array is missing.
        """
        n_layers = sum(name.endswith("/weight") for name in arrays)
        try:
            layers = [
                (arrays[f"{_LAYER}{i}/weight"], arrays[f"{_LAYER}{i}/bias"])
                for i in range(n_layers)
            ]
            return cls(
                columns=arrays["columns"].astype(np.int64),
                mean=arrays["mean"],
                spread=arrays["spread"],
                weights=tuple(weight.astype(np.float32) for weight, _ in layers),
                biases=tuple(bias.astype(np.float32) for _, bias in layers),
            )
        except KeyError as error:
            raise CheckpointError(
                f"The classifier lacks the array {error}; train it again."
            ) from error

    @classmethod
    def stack(
        cls,
        scaling: Self,
        members: Sequence[Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]],
    ) -> Self:
        """Put trained networks together, rounded as they will be stored.

        Parameters
        ----------
        scaling
            An ensemble without members, for its features, means and spreads.
        members
            Weight (inputs, outputs) and bias of each layer of each network.
        """
        layers = [list(layer) for layer in zip(*members, strict=True)]
        whole = replace(
            scaling,
            weights=tuple(
                np.stack([weight for weight, _ in layer]) for layer in layers
            ),
            biases=tuple(np.stack([pair[1] for pair in layer]) for layer in layers),
        )
        return cls.from_arrays(whole.to_arrays())
