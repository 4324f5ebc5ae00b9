"""The transformer of genes: it writes them token by token, for properties if asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
import torch

from wyckflow.errors import ModelError, TrainingError
from wyckflow.ml.codec.sites import tensorise_genes
from wyckflow.ml.generator import GeneBatch, Predictions, join_batches
from wyckflow.ml.memory import Memory, remember
from wyckflow.ml.mpvae.limits import DecodingLimits
from wyckflow.ml.predictor import Predictor
from wyckflow.ml.trained import TrainedGenerator
from wyckflow.ml.transformer.batches import check_groups, score_groups, to_batch
from wyckflow.ml.transformer.calibration import calibrate_stop
from wyckflow.ml.transformer.cascade import Draw, Walk, draw_groups
from wyckflow.ml.transformer.choices import PositionTensors, Rules
from wyckflow.ml.transformer.config import DEFAULT_CONDITIONS, TransformerTrainingConfig
from wyckflow.ml.transformer.likelihood import score_genes
from wyckflow.ml.transformer.network import TransformerNetwork
from wyckflow.ml.transformer.task import TransformerTask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.ml.checkpoint import CheckpointInfo
    from wyckflow.ml.training.rows import Scaler, TrainingRows

KIND: Final = "transformer"
SAMPLE_BATCH: Final = 1024
DEFAULT_ORDERS: Final = 6
"""Genes of up to three sites are then scored exactly."""


class WyckoffTransformer(TrainedGenerator):
    """A generator that writes genes token by token, for properties if asked.

    Make one with `fit` or `load`; what is asked of it before raises.

    Parameters
    ----------
    config
        Options of the training.
    device
        Where to compute.
    """

    kind: ClassVar[str] = KIND
    part: ClassVar[str] = "transformer"
    description: ClassVar[str] = (
        "Genes from a transformer that writes them token by token."
    )
    config_class: ClassVar[type[TransformerTrainingConfig]] = TransformerTrainingConfig
    config: TransformerTrainingConfig
    network: TransformerNetwork

    # --- learning --------------------------------------------------------------------

    def _properties_to_learn(self, datasets: Sequence[Dataset]) -> list[str]:
        known = {name for dataset in datasets for name in dataset.properties}
        return [
            name
            for name in self.config.generator.conditions
            if name in known or name not in DEFAULT_CONDITIONS
        ]

    def _stored_properties(self, info: CheckpointInfo) -> list[str]:
        names: list[str] = info.split["conditions"]
        return names

    def _new_network(self, n_properties: int) -> TransformerNetwork:
        return TransformerNetwork(self.config.generator.network, n_properties)

    def _new_task(self, rows: TrainingRows, scaler: Scaler) -> TransformerTask:
        return TransformerTask(self.network, rows, scaler, self.config.generator)

    def _calibrate(self, task: TransformerTask) -> dict[str, float]:
        return calibrate_stop(task)

    def _remember(self, rows: TrainingRows) -> Memory:
        """Write down the properties that genes can be asked for, and what is known."""
        nothing = np.zeros((len(rows), 0), np.float32)
        values = Predictions(
            rows.names,
            rows.values,
            np.zeros_like(rows.values),
            np.zeros_like(rows.values),
        )
        return remember(rows.sites, rows.keys, nothing, values)

    def _tell_more(self) -> dict[str, Any]:
        more: dict[str, Any] = {"conditions": list(self.condition_names)}
        if self.predictor is not None:
            more |= self.predictor.to_story()
        return more

    def adopt_predictor(self, model: TrainedGenerator) -> Self:
        """Take over the ensemble of another model, instead of training one.

        Parameters
        ----------
        model
            With an ensemble. Its identity is kept beside the networks.

        Raises
        ------
        ModelError
            If it has none.
        TrainingError
            If this model was not trained yet.
        """
        given = model.predictor
        if given is None:
            raise ModelError(
                "The model to take an ensemble from has none; give another one, or "
                "train an ensemble with the section 'predictor' of the options."
            )
        if self.info is None:
            raise TrainingError("This generator was not trained; fit or load it first.")
        origin = model.to_checkpoint().identity
        members = [member.to(self.device) for member in given.members]
        self.predictor = Predictor(members, given.scaler, given.options, origin)
        self.config = self.config.model_copy(update={"predictor": given.options})
        split = self.info.split | self.predictor.to_story()
        config = self.config.model_dump(mode="json")
        self.info = self.info.model_copy(update={"split": split, "config": config})
        return self

    # --- sampling --------------------------------------------------------------------

    def sample(
        self,
        n: int,
        target: Mapping[str, float] | None = None,
        *,
        seed: int,
        limits: DecodingLimits | None = None,
        temperature: float = 1.0,
        guidance: float = 0.0,
    ) -> GeneBatch:
        """Make up genes, for certain values of properties if asked.

        Parameters
        ----------
        n
            How many.
        target
            Properties to ask for, in the units of the dataset; the space groups are
            then drawn as they come in the data, see `iter_samples` for others.
        seed
            Decides everything drawn.
        limits
            What the genes must be like.
        temperature
            1 draws as the model believes, less keeps to what it thinks likely, 0 takes
            the likeliest choice every time.
        guidance
            How far to go beyond what the conditions say; 0 takes them as they are.

        Raises
        ------
        ModelError
            If it cannot be asked for such a property, or a number is out of its range.
        """
        if n < 1:
            raise ModelError(f"{n} genes were asked for; ask for at least 1.")
        conditions = None
        if target:
            self._check_conditions(target)
            row = [target.get(name, np.nan) for name in self.condition_names]
            conditions = np.tile(row, (n, 1))
        batches = self.iter_samples(
            n,
            seed=seed,
            limits=limits,
            temperature=temperature,
            conditions=conditions,
            guidance=guidance,
        )
        return join_batches(list(batches))

    def iter_samples(
        self,
        n: int,
        *,
        seed: int,
        limits: DecodingLimits | None = None,
        temperature: float = 1.0,
        conditions: ArrayLike | None = None,
        space_groups: ArrayLike | None = None,
        guidance: float = 0.0,
    ) -> Iterator[GeneBatch]:
        """Yield samples in batches, so that a million take no more memory than a few.

        The logarithm of the probability that comes with each gene is that of the order
        in which it was written, plus that of the number of orders: what
        `log_probability` gives if the order does not matter to the network.

        Parameters
        ----------
        n
            How many in all.
        seed, limits, temperature, guidance
            As in `sample`. Genes have no more elements than the crystals that it
            learned from, unless the limits ask for at least so many.
        conditions
            Properties asked of each gene in the units of the dataset, not-a-number for
            none (n, conditions); none by default.
        space_groups
            Space group of each gene (n,), which must be within the limits; drawn as
            they come in the data by default.

        Raises
        ------
        GeneError
            If no gene within the limits exists, at all or in a group that was given.
        ModelError
            If a number is out of its range.
        """
        _check_numbers(temperature, guidance)
        limits = self._within_learned(limits or DecodingLimits())
        wanted = np.full((n, len(self.condition_names)), np.nan)
        if conditions is not None:
            wanted[:] = np.asarray(conditions, float)
        with np.errstate(over="ignore"):
            scaled = self.scaler.scale(wanted)
        if np.isinf(scaled).any():
            raise ModelError(
                "An infinite value of a property was asked for; give one that crystals "
                "have, or not-a-number for none."
            )
        numbers = None if space_groups is None else np.asarray(space_groups, np.int64)
        if numbers is not None:
            check_groups(numbers, self.possible_groups(limits))
        rules = Rules(limits, self.known_elements, self.device)
        tables = PositionTensors.load(self.device)
        scores = torch.as_tensor(self.memory.space_group_scores, device=self.device)
        for start in range(0, n, SAMPLE_BATCH):
            some = slice(start, min(start + SAMPLE_BATCH, n))
            generator = torch.Generator(self.device)
            generator.manual_seed(seed * 1_000_003 + start)
            if numbers is None:
                group = draw_groups(
                    scores, some.stop - start, limits, self.known_elements, generator
                )
            else:
                group = torch.as_tensor(numbers[some], device=self.device)
            asked = torch.as_tensor(scaled[some], device=self.device)
            with torch.no_grad():
                has_asked = not bool(asked.isnan().all())
                walk = Walk(
                    self.network,
                    tables,
                    group,
                    asked,
                    guidance=guidance if has_asked else 0.0,
                )
                written = walk.run(Draw(rules, temperature, generator))
            index = np.arange(some.start, some.stop)
            if not has_asked and numbers is None:
                index[:] = -1
            yield to_batch(
                group,
                written,
                index,
                self.memory.space_group_scores,
                is_any_order=self.config.generator.shuffle,
            )

    def possible_groups(self, limits: DecodingLimits) -> NDArray[np.bool_]:
        """Return in which space groups there are genes within limits (231,).

        Parameters
        ----------
        limits
            What the genes must be like.
        """
        limits = self._within_learned(limits)
        rules = Rules(limits, self.known_elements, self.device)
        allowed: NDArray[np.bool_] = (
            rules.groups(PositionTensors.load(self.device)).cpu().numpy()
        )
        return allowed

    def _within_learned(self, limits: DecodingLimits) -> DecodingLimits:
        """Keep to numbers of elements that were learned from, unless more must come.

        A site that may be any of 80 elements is now and then a further one by mistake:
        that made a tenth of the genes quaternary, after learning from none.
        """
        seen = int(self.memory.elements.sum(axis=1).max(initial=1))
        most = min(limits.max_elements, max(seen, limits.least_species))
        return replace(limits, max_elements=most)

    def _check_conditions(self, target: Mapping[str, float]) -> None:
        for name in target:
            if name not in self.condition_names:
                known = ", ".join(self.condition_names) or "no property"
                raise ModelError(
                    f"This transformer cannot be asked for {name!r}; it knows {known}. "
                    "Train one on a dataset with this column."
                )

    # --- judging ---------------------------------------------------------------------

    @property
    def condition_names(self) -> tuple[str, ...]:
        """The properties that genes can be asked for."""
        return self.scaler.names

    @property
    def property_names(self) -> tuple[str, ...]:
        """The properties of the predictions."""
        return () if self.predictor is None else self.predictor.names

    def log_probability(
        self,
        genes: Sequence[WyckoffGene],
        *,
        n_orders: int = DEFAULT_ORDERS,
        any_description: bool = False,
        seed: int = 0,
    ) -> NDArray[np.float64]:
        """Return the logarithm of the probability of each gene, in any order of sites.

        Parameters
        ----------
        genes
            Any genes.
        n_orders
            Orders to average over: all if there are no more, else random ones, of which
            few underestimate a little.
        any_description
            Whether to add up the equivalent descriptions of a gene instead of taking it
            as it is written; ``n_orders`` then draws order and description.
        seed
            Decides which orders, for these genes in this order: what is an average over
            random ones changes a little with the other genes in the list.
        """
        sites = tensorise_genes(genes)
        scores = score_genes(
            self.network,
            sites,
            n_orders=n_orders,
            is_any_order=self.config.generator.shuffle,
            is_any_description=any_description,
            seed=seed,
        )
        total: NDArray[np.float64] = scores + score_groups(
            self.memory.space_group_scores, sites.space_group
        )
        return total


def _check_numbers(temperature: float, guidance: float) -> None:
    """Refuse what would make all probabilities not-a-number, or turn them around."""
    if not temperature >= 0:
        raise ModelError(f"{temperature=} must be 0 or above.")
    if not np.isfinite(guidance):
        raise ModelError(f"{guidance=} must be a finite number.")
