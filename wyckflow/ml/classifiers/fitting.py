"""Training of one network of an ensemble (PyTorch).

They are small, and train within a minute on one core: always on the processor, so that
the same rows and seed give the same network with or without an accelerator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckflow.ml.classifiers.options import Objective

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from wyckflow.ml.classifiers.options import ClassifierOptions

Layers = list[tuple["NDArray[np.float32]", "NDArray[np.float32]"]]


@dataclass(frozen=True, eq=False, slots=True)
class TrainingRows:
    """What a network learns from.

    Attributes
    ----------
    features
        Standardised, one row per crystal.
    is_positive
        The label.
    weights
        Per row.
    """

    features: NDArray[np.float32]
    is_positive: NDArray[np.bool_]
    weights: NDArray[np.float64]


def fit_member(
    rows: TrainingRows,
    options: ClassifierOptions,
    objective: Objective,
    seed: int,
    *,
    on_epoch: Callable[[int, float, Any], None] | None = None,
) -> Layers:
    """Train one network.

    Parameters
    ----------
    rows
        What it learns from.
    options
        Of the training.
    objective
        What is minimised.
    seed
        Of the weights at the start and of the order of the rows.
    on_epoch
        Told number and mean loss of each epoch, and a function from standardised
        features to the logarithm of odds.

    Returns
    -------
    list
        Weight (inputs, outputs) and bias of each layer.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _make_network(rows.features.shape[1], options)
        drawing = np.random.default_rng(seed)
        steps = _Steps(rows, options, objective, drawing)
        optimiser = torch.optim.AdamW(
            network.parameters(),
            options.learning_rate,
            weight_decay=options.weight_decay,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            options.learning_rate,
            total_steps=steps.n_steps * options.n_epochs,
        )
        for epoch in range(options.n_epochs):
            network.train()
            total = 0.0
            for loss, value in steps.losses(network):
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                total += float(value.detach())
            if on_epoch is not None:
                network.eval()
                on_epoch(epoch, total / steps.n_steps, _asker(network))
    return [
        (
            layer.weight.detach().numpy().T.copy(),
            layer.bias.detach().numpy(),
        )
        for layer in network
        if isinstance(layer, torch.nn.Linear)
    ]


class _Steps:
    """The batches of an epoch, each with its loss."""

    def __init__(
        self,
        rows: TrainingRows,
        options: ClassifierOptions,
        objective: Objective,
        drawing: np.random.Generator,
    ) -> None:
        import torch

        weights = _scale_classes(rows, objective)
        self._features = torch.as_tensor(rows.features)
        self._weights = torch.as_tensor(weights, dtype=torch.float32)
        self._positive = np.flatnonzero(rows.is_positive)
        self._others = np.flatnonzero(~rows.is_positive)
        if objective is Objective.BAGGING:
            self._others = drawing.choice(self._others, len(self._others))
        self._size = options.batch_size
        self._drawing = drawing
        self._risk = _risk(objective, options.unlabelled_share)
        self.n_steps = max(len(self._positive), len(self._others)) // self._size or 1

    def losses(self, network: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the loss of each batch: what to descend, and its value."""
        for positive, others in zip(
            self._batches(self._positive), self._batches(self._others), strict=True
        ):
            yield self._risk(
                network(self._features[positive])[:, 0],
                self._weights[positive],
                network(self._features[others])[:, 0],
                self._weights[others],
            )

    def _batches(self, rows: NDArray[np.int64]) -> Iterator[Any]:
        """Yield rows in random order, beginning again where they run out."""
        import torch

        n_rows = self.n_steps * self._size
        rounds = range(-(-n_rows // len(rows)))
        order = np.concatenate([self._drawing.permutation(rows) for _ in rounds])
        for start in range(0, n_rows, self._size):
            yield torch.as_tensor(order[start : start + self._size])


def _scale_classes(rows: TrainingRows, objective: Objective) -> NDArray[np.float64]:
    """Return weights whose mean over a class is the share of that class.

    Where the others are unlabelled their number says nothing, and both shares are one.
    """
    scaled = np.empty(len(rows.weights))
    for part in (rows.is_positive, ~rows.is_positive):
        of_class = rows.weights[part]
        share = of_class.sum() / rows.weights.sum()
        is_known = objective is Objective.SUPERVISED
        scaled[part] = of_class / of_class.mean() * (share if is_known else 1)
    return scaled


def _make_network(n_inputs: int, options: ClassifierOptions) -> Any:
    """Return a network with one output."""
    import torch

    layers: list[Any] = []
    for width in options.hidden:
        layers += [torch.nn.Linear(n_inputs, width), torch.nn.SiLU()]
        layers += [torch.nn.Dropout(options.dropout)]
        n_inputs = width
    return torch.nn.Sequential(*layers, torch.nn.Linear(n_inputs, 1))


def _risk(objective: Objective, share: float) -> Any:
    """Return the function to minimise: its gradient's loss, and its value."""
    from torch.nn.functional import softplus

    def contrast(positive: Any, wp: Any, others: Any, wo: Any) -> tuple[Any, Any]:
        loss = (wp * softplus(-positive)).mean() + (wo * softplus(others)).mean()
        return loss, loss

    def non_negative(positive: Any, wp: Any, others: Any, wo: Any) -> tuple[Any, Any]:
        """Kiryo et al. 2017: climb back where the negative risk falls below zero."""
        gain = share * (wp * softplus(-positive)).mean()
        rest = (wo * softplus(others)).mean() - share * (wp * softplus(positive)).mean()
        return (gain + rest if rest >= 0 else -rest), gain + rest.clamp(min=0)

    return non_negative if objective is Objective.NON_NEGATIVE else contrast


def _asker(network: Any) -> Callable[[Any], NDArray[np.float64]]:
    """Return a function that asks the network as it is now."""
    import torch

    def ask(features: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.no_grad():
            answer = network(torch.as_tensor(features))[:, 0]
        return np.asarray(answer.numpy(), float)

    return ask
