"""Boosted regression trees as plain arrays: stored without code, read by numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from wyckflow.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_SAME = 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class Forest:
    """Trees whose answers add up.

    Attributes
    ----------
    feature
        Column that each node asks (nodes,).
    threshold
        Up to this, the answer is on the left.
    left, right
        Nodes that follow; a leaf follows itself.
    value
        What a leaf adds.
    root
        First node of each tree (trees,).
    baseline
        What is added to.
    """

    feature: NDArray[np.int16]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float32]
    root: NDArray[np.int32]
    baseline: float

    def predict(self, table: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return one number per row.

        Parameters
        ----------
        table
            (n, columns), without unknown values.
        """
        total = np.full(len(table), self.baseline)
        rows = np.arange(len(table))
        for root in self.root.tolist():
            node = np.full(len(table), root, np.int32)
            while True:
                goes_left = table[rows, self.feature[node]] <= self.threshold[node]
                following = np.where(goes_left, self.left[node], self.right[node])
                if (following == node).all():
                    break
                node = following
            total += self.value[node]
        return total

    def to_arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of a checkpoint.

        Parameters
        ----------
        prefix
            What their names begin with.
        """
        names = ("feature", "threshold", "left", "right", "value", "root")
        arrays = {f"{prefix}/{name}": getattr(self, name) for name in names}
        return arrays | {f"{prefix}/baseline": np.array([self.baseline])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Read what `to_arrays` wrote.

        Parameters
        ----------
        arrays
            Of a checkpoint.
        prefix
            As they were named.
        """
        names = ("feature", "threshold", "left", "right", "value", "root")
        own = {name: arrays[f"{prefix}/{name}"] for name in names}
        return cls(**own, baseline=float(arrays[f"{prefix}/baseline"][0]))

    @classmethod
    def from_sklearn(cls, model: Any, table: NDArray[np.floating]) -> Self:
        """Take a fitted ``HistGradientBoostingRegressor`` apart.

        Its trees are no public part of it, so the answers are compared.

        Parameters
        ----------
        model
            Fitted on columns of numbers.
        table
            Rows to compare on.

        Raises
        ------
        TrainingError
            If this version of scikit-learn keeps its trees in another way.
        """
        parts: dict[str, list[NDArray[Any]]] = {}
        roots, first = [], 0
        for (tree,) in model._predictors:  # noqa: SLF001 (see above)
            nodes = tree.nodes
            own = np.arange(len(nodes)) + first
            is_leaf = nodes["is_leaf"].astype(bool)
            columns = {
                "feature": np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.int16),
                "threshold": np.where(is_leaf, 0.0, nodes["num_threshold"]),
                "left": np.where(is_leaf, own, nodes["left"] + first).astype(np.int32),
                "right": np.where(is_leaf, own, nodes["right"] + first).astype(
                    np.int32
                ),
                "value": np.where(is_leaf, nodes["value"], 0.0).astype(np.float32),
            }
            for name, column in columns.items():
                parts.setdefault(name, []).append(column)
            roots.append(first)
            first += len(nodes)
        joined = {name: np.concatenate(columns) for name, columns in parts.items()}
        baseline = float(np.ravel(model._baseline_prediction)[0])  # noqa: SLF001
        forest = cls(**joined, root=np.array(roots, np.int32), baseline=baseline)
        expected = model.predict(table)
        worst = float(np.abs(forest.predict(table) - expected).max())
        if worst > _SAME * (1 + float(np.abs(expected).max())) * len(roots):
            raise TrainingError(
                f"Trees read from this scikit-learn differ by {worst:.2g} from what it "
                "answers itself; use the version of the constraints file."
            )
        return forest
