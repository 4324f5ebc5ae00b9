"""A forward model: learn, predict, keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import torch

from wyckflow.crystal.elements import SYMBOLS
from wyckflow.crystal.keys import unpack_genes
from wyckflow.errors import ModelError, TrainingError
from wyckflow.ml.forward.config import ForwardConfig
from wyckflow.ml.forward.crystals import count_cosets, join_crystals, move
from wyckflow.ml.forward.representation import Limited, open_representation
from wyckflow.ml.forward.storage import (
    Member,
    pack_model,
    read_config,
    tell_story,
    unpack_model,
)
from wyckflow.ml.forward.targets import gather_crystals
from wyckflow.ml.forward.task import LOOK_BATCH, ForwardTask
from wyckflow.ml.generator import Predictions
from wyckflow.ml.training.loop import run_training

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.checkpoint import Checkpoint, CheckpointInfo
    from wyckflow.ml.forward.crystals import Crystals
    from wyckflow.ml.forward.representation import Representation
    from wyckflow.ml.forward.targets import ForwardRows
    from wyckflow.ml.training.loop import Progress

_SEED_STRIDE: Final = 7919


class ForwardModel:
    """Networks that predict properties of crystals.

    Make one with `fit` or `load`.

    Parameters
    ----------
    config
        Options of the training.
    device
        Where to compute.

    Raises
    ------
    TrainingError
        If the options do not fit together.
    """

    def __init__(
        self, config: ForwardConfig | None = None, *, device: str = "cpu"
    ) -> None:
        self.config = config or ForwardConfig()
        self.device = device
        self.representation: Representation = open_representation(
            self.config.representation, self.config.network
        )
        if self.config.augment and not self.representation.can_augment:
            raise TrainingError(
                f"The representation {self.representation.name!r} is the same for all "
                "descriptions of a crystal; set augment to false."
            )
        self.members: list[Member] = []
        self.known_elements: NDArray[np.bool_]
        self.metrics: dict[str, float] = {}
        self.info: CheckpointInfo | None = None

    @property
    def property_names(self) -> tuple[str, ...]:
        """What it predicts."""
        return tuple(item.name for item in self.config.properties)

    # --- learning and keeping ---------------------------------------------------------

    def fit(
        self,
        datasets: Sequence[Dataset],
        *,
        folder: Path | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> Self:
        """Learn from datasets; rows of the first one judge.

        Parameters
        ----------
        datasets
            At least one.
        folder
            Where to keep logs and states, so that an interrupted training goes on.
        report
            Is told of every step.

        Raises
        ------
        TrainingError
            If the datasets cannot be learned from as the options ask.
        """
        rows = self._look_ahead(datasets)
        self.members, self.metrics = [], {}
        self.known_elements = np.zeros_like(rows.known_elements)
        story = rows
        for member in range(self.config.n_members):
            rows = self._gather(datasets, member) if member else rows
            self._fit_member(member, rows, folder, report)
            self.known_elements |= rows.known_elements
        self.info = tell_story(self, story)
        return self

    def _look_ahead(self, datasets: Sequence[Dataset]) -> ForwardRows:
        """Check the rows of all networks before the first learns; return its rows.

        A later one may have too few, or crystals that the first left out because they
        have the formula of one of its validation rows, and for which there is no room.
        """
        blank, first = self.representation, self._gather(datasets, 0)
        crystals = first.crystals
        for member in range(self.config.n_members):
            rows = self._gather(datasets, member) if member else first
            rows.fit_scaler()
            if isinstance(blank, Limited):
                is_new = ~blank.fitted(crystals).holds(rows.crystals)
                crystals = join_crystals([crystals, rows.crystals.take(is_new)])
                self.representation = blank.fitted(crystals)
            if (unfit := self.find_unfit(rows.crystals)).any():
                raise TrainingError(self._tell_unfit(rows.crystals, unfit))
        return first

    def _gather(self, datasets: Sequence[Dataset], member: int) -> ForwardRows:
        return gather_crystals(
            datasets,
            self.config.properties,
            validation_share=self.config.validation_share,
            seed=self.config.seed + member,
        )

    def _fit_member(
        self,
        member: int,
        rows: ForwardRows,
        folder: Path | None,
        report: Callable[[Progress], None] | None,
    ) -> None:
        scaler = rows.fit_scaler()
        network = self.new_network(member)
        task = ForwardTask(
            network,
            self.representation,
            rows,
            scaler,
            self.config,
            member=member,
            prepared=self.representation.prepare(rows.crystals),
        )
        place = None if folder is None else folder / f"forward-{member + 1}"
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)
        history = run_training(task, self.config.loop, folder=place, report=report)
        self.members.append(Member(network, scaler))
        self.metrics |= {
            f"forward_{member + 1}_{key}": value for key, value in history.best.items()
        }

    def new_network(self, member: int) -> nn.Module:
        """Return a network with fresh weights that depend on seed and member.

        Parameters
        ----------
        member
            Which of the ensemble it is.
        """
        with torch.random.fork_rng():
            torch.manual_seed(self.config.seed + _SEED_STRIDE * (member + 1))
            network = self.representation.network(len(self.config.properties))
        return network.to(self.device)

    def to_checkpoint(self) -> Checkpoint:
        """Return all that is needed to make the model again.

        Raises
        ------
        ModelError
            If it has not learned anything yet.
        """
        return pack_model(self)

    @classmethod
    def load(cls, checkpoint: Checkpoint, *, device: str = "cpu") -> Self:
        """Make a model from its checkpoint.

        Parameters
        ----------
        checkpoint
            Of this kind.
        device
            Where to compute.

        Raises
        ------
        CheckpointError
            If it is of another kind, or its weights are those of another network.
        """
        model = cls(read_config(checkpoint), device=device)
        unpack_model(checkpoint, model)
        return model

    # --- predicting -------------------------------------------------------------------

    def find_unknown(self, crystals: Crystals) -> NDArray[np.bool_]:
        """Return which crystals have an element that none of the training rows had."""
        unknown = ~self.known_elements[crystals.atomic_numbers]
        found = np.zeros(len(crystals), np.bool_)
        found[crystals.crystal_indices[unknown]] = True
        return found

    def find_unfit(self, crystals: Crystals) -> NDArray[np.bool_]:
        """Return which crystals do not fit into the representation."""
        if isinstance(self.representation, Limited):
            return ~self.representation.holds(crystals)
        return np.zeros(len(crystals), np.bool_)

    def predict(
        self, crystals: Crystals, *, n_descriptions: int | None = None
    ) -> Predictions:
        """Predict for crystals.

        Parameters
        ----------
        crystals
            With cells, if the representation needs them.
        n_descriptions
            Equivalent descriptions of each to average over, taken in turn; as in the
            options by default. `ALL_DESCRIPTIONS` takes all of them equally often.

        Raises
        ------
        ModelError
            If nothing was learned yet, cells are lacking, or a crystal has an element
            that no training row had, or does not fit.
        ValueError
            If there is no description to average over.
        """
        if n_descriptions is not None and n_descriptions < 1:
            raise ValueError(
                f"{n_descriptions=} must be at least 1; leave it out for that of the "
                "options."
            )
        self._check_asked(crystals)
        names, shape = self.property_names, (len(crystals), len(self.property_names))
        if n_descriptions is None:
            n_descriptions = self.config.n_descriptions if self.config.augment else 1
        if not self.representation.can_augment:
            n_descriptions = 1
        linear, values, noise = [], [], []
        for index in range(n_descriptions if len(crystals) else 0):
            coset = index % count_cosets(crystals)
            prepared = self.representation.prepare(
                move(crystals, coset) if index else crystals
            )
            for member in self.members:
                answer, spread = self._ask(member, prepared, crystals)
                linear.append(answer)
                values.append(member.scaler.from_linear(answer))
                slope = np.where(member.scaler.is_logarithmic, values[-1], 1.0)
                noise.append(spread * slope)
        if not linear:
            return Predictions(names, *(np.zeros(shape) for _ in range(3)))
        mean = self.members[0].scaler.from_linear(np.mean(linear, axis=0))
        is_censored = [item.is_censored_at_zero for item in self.config.properties]
        mean = np.where(is_censored, np.maximum(mean, 0), mean)
        return Predictions(names, mean, np.std(values, axis=0), np.mean(noise, axis=0))

    def _ask(
        self, member: Member, prepared: Any, crystals: Crystals
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return properties, or logarithms, and expected errors of either."""
        order = np.argsort(crystals.n_sites, kind="stable")
        scaler = member.scaler
        shape = (len(crystals), len(scaler.names))
        found, spreads = np.zeros(shape), np.zeros(shape)
        with torch.no_grad():
            for start in range(0, len(order), LOOK_BATCH):
                rows = order[start : start + LOOK_BATCH]
                batch = self.representation.batch(prepared, rows, None)
                value, log_spread = member.network(
                    self.representation.to(batch, self.device)
                )
                found[rows] = scaler.unscale(value.double().cpu().numpy())
                spreads[rows] = log_spread.exp().double().cpu().numpy()
        return found, spreads * scaler.scaler.spread

    def _check_asked(self, crystals: Crystals) -> None:
        if not self.members:
            raise ModelError(
                "This forward model has learned nothing yet; call fit, or load one."
            )
        if self.representation.needs_cells and not crystals.has_cells:
            raise ModelError(
                f"{len(crystals)} genes without cells came, but this model reads cell "
                f"and coordinates ({self.representation.name}); give structures, or a "
                "model trained on 'gene' or 'composition'."
            )
        if (unknown := self.find_unknown(crystals)).any():
            row = int(np.flatnonzero(unknown)[0])
            lost = sorted(
                SYMBOLS[number - 1]
                for number in set(crystals.take([row]).atomic_numbers.tolist())
                if not self.known_elements[number]
            )
            raise ModelError(
                f"{int(unknown.sum())} crystals have elements that this model never "
                f"saw, the first in row {row} with {', '.join(lost)}; leave them out "
                "(find_unknown says which)."
            )
        if (unfit := self.find_unfit(crystals)).any():
            raise ModelError(self._tell_unfit(crystals, unfit))

    def _tell_unfit(self, crystals: Crystals, unfit: NDArray[np.bool_]) -> str:
        row = int(np.flatnonzero(unfit)[0])
        (gene,) = unpack_genes(*crystals.take([row]).sites.codes)
        limits = getattr(self.representation, "limits", {})
        room = ", ".join(f"{name}={value}" for name, value in limits.items())
        return (
            f"{int(unfit.sum())} crystals do not fit into the representation "
            f"{self.representation.name!r} with {room}, the first in row {row}, "
            f"{gene.formula}; leave them out (find_unfit says which), or train with "
            "more room."
        )
