"""The transformer of genes: learn, sample, predict, keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import torch

from wyckflow.crystal.keys import LETTER_BITS
from wyckflow.errors import GeneError, ModelError, TrainingError
from wyckflow.ml.checkpoint import (
    Checkpoint,
    CheckpointInfo,
    load_checkpoint,
    save_checkpoint,
)
from wyckflow.ml.codec.sites import SiteTensors, tensorise_codes, tensorise_genes
from wyckflow.ml.generator import GeneBatch, Predictions, Rejection, join_batches
from wyckflow.ml.mpvae.ensemble import DEFAULT_DESCRIPTIONS
from wyckflow.ml.mpvae.fitting import fit_ensemble
from wyckflow.ml.mpvae.limits import DecodingLimits
from wyckflow.ml.mpvae.memory import Memory, remember
from wyckflow.ml.predictor import Predictor
from wyckflow.ml.transformer.cascade import Draw, Walk, draw_groups
from wyckflow.ml.transformer.choices import PositionTensors, Rules
from wyckflow.ml.transformer.config import TransformerTrainingConfig
from wyckflow.ml.transformer.fitting import fit_transformer
from wyckflow.ml.transformer.likelihood import count_orders, score_genes
from wyckflow.ml.transformer.storage import (
    KIND,
    KIND_VERSION,
    pack_model,
    tell_story,
    unpack_model,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.ml.mpvae.generator import MultiPropertyVAE
    from wyckflow.ml.training.loop import Progress
    from wyckflow.ml.training.rows import Scaler, TrainingRows
    from wyckflow.ml.transformer.cascade import Written
    from wyckflow.ml.transformer.network import TransformerNetwork

SAMPLE_BATCH: Final = 1024
DEFAULT_ORDERS: Final = 6
"""Genes of up to three sites are then scored exactly."""


class WyckoffTransformer:
    """A generator that writes genes token by token, for properties if asked.

    Make one with `fit` or `load`; what is asked of it before raises.

    Parameters
    ----------
    config
        Options of the training.
    device
        Where to compute.
    """

    def __init__(
        self, config: TransformerTrainingConfig | None = None, *, device: str = "cpu"
    ) -> None:
        self.config = config or TransformerTrainingConfig()
        self.device = device
        self.info: CheckpointInfo | None = None
        self.metrics: dict[str, float] = {}
        self.network: TransformerNetwork
        self.scaler: Scaler
        self.known_elements: NDArray[np.bool_]
        self.predictor: Predictor | None = None
        self.memory: Memory

    # --- learning and keeping --------------------------------------------------------

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
            At least one; more of them may lack properties that the first one has.
        folder
            Where to keep logs and states, so that an interrupted training goes on.
        report
            Is told of every step.

        Raises
        ------
        TrainingError
            If the datasets cannot be learned from as the options ask.
        """
        fitted = fit_transformer(
            self.config.generator,
            datasets,
            device=self.device,
            folder=folder,
            report=report,
        )
        self.network, self.scaler = fitted.network, fitted.scaler
        self.known_elements = fitted.rows.known_elements
        self.metrics, self.predictor = fitted.metrics, None
        self.memory = _remember(fitted.rows)
        if self.config.predictor is not None:
            self._fit_predictor(datasets, folder, report)
        self.info = tell_story(self, fitted.rows)
        return self

    def _fit_predictor(
        self,
        datasets: Sequence[Dataset],
        folder: Path | None,
        report: Callable[[Progress], None] | None,
    ) -> None:
        """Train the ensemble."""
        options = self.config.predictor
        if options is None:
            return
        fitted = fit_ensemble(
            options, datasets, device=self.device, folder=folder, report=report
        )
        self.predictor = Predictor(fitted.members, fitted.scaler, options)
        self.metrics |= fitted.metrics

    def adopt_predictor(self, model: MultiPropertyVAE) -> Self:
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
            If this transformer was not trained yet.
        """
        options = model.config.predictor
        if options is None or not model.members:
            raise ModelError(
                "The model to take an ensemble from has none; give another one, or "
                "train an ensemble with the section 'predictor' of the options."
            )
        if self.info is None:
            raise TrainingError(
                "This transformer was not trained; fit or load it first."
            )
        origin = model.to_checkpoint().identity
        members = [member.to(self.device) for member in model.members]
        self.predictor = Predictor(members, model.predictor_scaler, options, origin)
        self.config = self.config.model_copy(update={"predictor": options})
        split = self.info.split | {
            "predictor_properties": list(model.predictor_scaler.names),
            "predictor_scalers": model.predictor_scaler.to_info(),
            "predictor_origin": origin,
        }
        config = self.config.model_dump(mode="json")
        self.info = self.info.model_copy(update={"split": split, "config": config})
        return self

    def to_checkpoint(self) -> Checkpoint:
        """Return all that is needed to make the model again.

        Raises
        ------
        TrainingError
            If nothing was learned yet.
        """
        if self.info is None:
            raise TrainingError(
                "This transformer was not trained; fit or load it first."
            )
        return pack_model(self, self.info)

    def save(self, path: Path) -> str:
        """Write the model to a file; return its identity.

        Parameters
        ----------
        path
            Usually with the ending ``.npz``.
        """
        return save_checkpoint(path, self.to_checkpoint())

    @classmethod
    def load(cls, source: Path | bytes | Checkpoint, *, device: str = "cpu") -> Self:
        """Make a model of its checkpoint.

        Parameters
        ----------
        source
            A file, its bytes, or what was read of it.
        device
            Where to compute.

        Raises
        ------
        CheckpointError
            If it is of another kind or version, or damaged.
        """
        checkpoint = source
        if not isinstance(checkpoint, Checkpoint):
            checkpoint = load_checkpoint(
                checkpoint, kind=KIND, kind_version=KIND_VERSION
            )
        config = TransformerTrainingConfig.model_validate(checkpoint.info.config)
        model = cls(config, device=device)
        unpack_model(checkpoint, model)
        return model

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
            1 draws as the model believes, less keeps to what it thinks likely.
        guidance
            How far to go beyond what the conditions say; 0 takes them as they are.

        Raises
        ------
        ModelError
            If it cannot be asked for such a property.
        """
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
            As in `sample`.
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
        """
        limits = limits or DecodingLimits()
        wanted = np.full((n, len(self.condition_names)), np.nan)
        if conditions is not None:
            wanted[:] = np.asarray(conditions, float)
        scaled = self.scaler.scale(wanted)
        numbers = None if space_groups is None else np.asarray(space_groups, np.int64)
        if numbers is not None:
            _check_groups(numbers, self.possible_groups(limits))
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
            yield self._to_batch(group, written, index if has_asked else index * 0 - 1)

    def possible_groups(self, limits: DecodingLimits) -> NDArray[np.bool_]:
        """Return in which space groups there are genes within limits (231,).

        Parameters
        ----------
        limits
            What the genes must be like.
        """
        rules = Rules(limits, self.known_elements, self.device)
        allowed: NDArray[np.bool_] = (
            rules.groups(PositionTensors.load(self.device)).cpu().numpy()
        )
        return allowed

    def _to_batch(
        self, group: Tensor, written: Written, index: NDArray[np.int64]
    ) -> GeneBatch:
        """Turn what was written into genes."""
        numbers = group.cpu().numpy().astype(np.int16)
        element, letter = written.element.cpu().numpy(), written.letter.cpu().numpy()
        sites = element << LETTER_BITS | letter
        codes = np.where(element > 0, sites, 0).astype(np.int16)
        own = written.log_probability.double().cpu().numpy()
        own += np.log(count_orders(tensorise_codes(numbers, codes)))
        return GeneBatch(
            space_group_numbers=numbers,
            codes=codes,
            log_probability=own + self._score_groups(numbers),
            seed_index=index,
            rejections=dict.fromkeys(Rejection, 0),
        )

    def _score_groups(self, numbers: NDArray[Any]) -> NDArray[np.float64]:
        """Return the logarithm of the probability of space groups."""
        scores = self.memory.space_group_scores.astype(float)
        shares = scores - np.log(np.exp(scores[1:]).sum())
        found: NDArray[np.float64] = shares[numbers]
        return found

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
            Decides which orders.
        """
        sites = tensorise_genes(genes)
        scores = score_genes(
            self.network,
            sites,
            n_orders=n_orders,
            is_any_description=any_description,
            seed=seed,
        )
        total: NDArray[np.float64] = scores + self._score_groups(sites.space_group)
        return total

    def predict(
        self,
        genes: Sequence[WyckoffGene],
        *,
        n_descriptions: int = DEFAULT_DESCRIPTIONS,
    ) -> Predictions:
        """Return the properties expected of genes, by the ensemble.

        Parameters
        ----------
        genes
            Any genes.
        n_descriptions
            How many equivalent descriptions to average over.
        """
        return self.predict_sites(tensorise_genes(genes), n_descriptions=n_descriptions)

    def predict_sites(
        self, sites: SiteTensors, *, n_descriptions: int = DEFAULT_DESCRIPTIONS
    ) -> Predictions:
        """Return the same for genes as arrays; nothing without an ensemble.

        Parameters
        ----------
        sites
            The genes.
        n_descriptions
            How many equivalent descriptions to average over.
        """
        if self.predictor is None:
            nothing = np.zeros((len(sites), 0))
            return Predictions((), nothing, nothing, nothing)
        return self.predictor.predict(
            sites, n_descriptions=n_descriptions, device=self.device
        )


def _check_groups(numbers: NDArray[np.int64], possible: NDArray[np.bool_]) -> None:
    """Refuse space groups in which nothing can be written."""
    if lost := sorted(set(numbers[~possible[numbers]].tolist())):
        raise GeneError(
            f"No gene within the limits exists in the space groups {lost} that were "
            "given; give others, or allow more atoms."
        )


def _remember(rows: TrainingRows) -> Memory:
    """Write down the properties that genes can be asked for, and what is known."""
    nothing = np.zeros((len(rows), 0), np.float32)
    values = Predictions(
        rows.names, rows.values, np.zeros_like(rows.values), np.zeros_like(rows.values)
    )
    return remember(rows.sites, rows.keys, nothing, values)
