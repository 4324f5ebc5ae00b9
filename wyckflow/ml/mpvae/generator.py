"""The multi-property variational autoencoder: learn, sample, predict, keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import torch

from wyckflow.errors import TrainingError
from wyckflow.ml.checkpoint import (
    Checkpoint,
    CheckpointInfo,
    load_checkpoint,
    save_checkpoint,
)
from wyckflow.ml.codec.arrangement import arrange_sites
from wyckflow.ml.codec.sites import SiteTensors, tensorise_codes, tensorise_genes
from wyckflow.ml.generator import GeneBatch, Predictions, join_batches
from wyckflow.ml.mpvae.decoder import FROM_DATA
from wyckflow.ml.mpvae.decoding import decode
from wyckflow.ml.mpvae.ensemble import DEFAULT_DESCRIPTIONS, Ensemble
from wyckflow.ml.mpvae.fitting import fit_autoencoder, fit_ensemble
from wyckflow.ml.mpvae.limits import DecodingLimits
from wyckflow.ml.mpvae.losses import score_genes
from wyckflow.ml.mpvae.memory import Memory, remember
from wyckflow.ml.mpvae.model import mix_with_noise
from wyckflow.ml.mpvae.storage import (
    KIND,
    KIND_VERSION,
    pack_model,
    tell_story,
    unpack_model,
)
from wyckflow.ml.training.config import TrainingConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.ml.mpvae.model import AutoencoderNetwork, PredictorNetwork
    from wyckflow.ml.training.loop import Progress
    from wyckflow.ml.training.rows import Scaler, TrainingRows

SAMPLE_BATCH: Final = 2048
_ENCODE_BATCH: Final = 1024


class MultiPropertyVAE:
    """A generator of genes with a latent space that knows properties.

    Make one with `fit` or `load`; what is asked of it before raises.

    Parameters
    ----------
    config
        Options of the training.
    device
        Where to compute.
    """

    def __init__(
        self, config: TrainingConfig | None = None, *, device: str = "cpu"
    ) -> None:
        self.config = config or TrainingConfig()
        self.device = device
        self.info: CheckpointInfo | None = None
        self.metrics: dict[str, float] = {}
        self.network: AutoencoderNetwork
        self.scaler: Scaler
        self.known_elements: NDArray[np.bool_]
        self.members: list[PredictorNetwork] = []
        self.predictor_scaler: Scaler
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
        fitted = fit_autoencoder(
            self.config.generator,
            datasets,
            device=self.device,
            folder=folder,
            report=report,
        )
        self.network, self.scaler = fitted.network, fitted.scaler
        self.known_elements = fitted.rows.known_elements
        self.metrics = fitted.metrics
        self.members, self.predictor_scaler = [], self.scaler
        if self.config.predictor is not None:
            self.fit_predictor(datasets, folder=folder, report=report)
        self.memory = self._remember(fitted.rows)
        self.info = tell_story(self, fitted.rows)
        return self

    def fit_predictor(
        self,
        datasets: Sequence[Dataset],
        *,
        folder: Path | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> Self:
        """Train the ensemble alone, which is all that predictions take.

        Parameters
        ----------
        datasets, folder, report
            As in `fit`.

        Raises
        ------
        TrainingError
            If the options ask for no ensemble, or the datasets do not do.
        """
        if self.config.predictor is None:
            raise TrainingError(
                "The options ask for no predictor; leave 'predictor' out of them for "
                "the default one."
            )
        fitted = fit_ensemble(
            self.config.predictor,
            datasets,
            device=self.device,
            folder=folder,
            report=report,
        )
        self.members, self.predictor_scaler = fitted.members, fitted.scaler
        self.metrics |= fitted.metrics
        return self

    def _remember(self, rows: TrainingRows) -> Memory:
        """Write down where the crystals are that it learned from."""
        sites = rows.sites
        return remember(
            sites, rows.keys, self._encode(sites), self.predict_sites(sites)
        )

    def to_checkpoint(self) -> Checkpoint:
        """Return all that is needed to make the model again.

        Raises
        ------
        TrainingError
            If nothing was learned yet.
        """
        if self.info is None:
            raise TrainingError("This generator was not trained; fit or load it first.")
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
        config = TrainingConfig.model_validate(checkpoint.info.config)
        model = cls(config, device=device)
        unpack_model(checkpoint, model)
        return model

    # --- sampling --------------------------------------------------------------------

    def sample(
        self,
        n: int,
        *,
        seed: int,
        limits: DecodingLimits | None = None,
        temperature: float = 1.0,
    ) -> GeneBatch:
        """Make up genes from noise alone.

        Parameters
        ----------
        n
            How many sequences to decode; those that are no genes are counted.
        seed
            Decides everything drawn.
        limits
            What the genes must be like.
        temperature
            1 draws as the model believes, less keeps to what it thinks likely.
        """
        batches = self.iter_samples(
            n, seed=seed, limits=limits, temperature=temperature
        )
        return join_batches(list(batches))

    def sample_around(
        self,
        latents: NDArray[Any],
        *,
        n_per_latent: int = 1,
        level: float = 0.85,
        seed: int,
        limits: DecodingLimits | None = None,
        temperature: float = 1.0,
    ) -> GeneBatch:
        """Make relatives of points in the latent space.

        Parameters
        ----------
        latents
            Where to look (m, latent), such as rows of ``memory.latents``.
        n_per_latent
            How many sequences to decode for each.
        level
            0 gives the gene of the point itself, values close to 1 remote relatives.
        seed, limits, temperature
            As in `sample`.
        """
        batches = self.iter_samples(
            len(latents) * n_per_latent,
            seed=seed,
            limits=limits,
            temperature=temperature,
            latents=np.repeat(np.asarray(latents), n_per_latent, axis=0),
            level=level,
        )
        joined = join_batches(list(batches))
        joined.seed_index[:] //= n_per_latent
        return joined

    def iter_samples(
        self,
        n: int,
        *,
        seed: int,
        limits: DecodingLimits | None = None,
        temperature: float = 1.0,
        latents: NDArray[Any] | None = None,
        level: float = 1.0,
    ) -> Iterator[GeneBatch]:
        """Yield samples in batches, so that a million take no more memory than a few.

        Parameters
        ----------
        n
            How many sequences to decode in all.
        seed, limits, temperature
            As in `sample`.
        latents
            A point per sequence (n, latent); none for noise alone.
        level
            How much noise to put on the points.

        Raises
        ------
        ValueError
            If the level is not from 0 to 1, or the points are not n.
        """
        if not 0 <= level <= 1:
            raise ValueError(f"{level=} is not from 0 to 1.")
        if latents is not None and np.shape(latents) != (n, self.n_latent):
            raise ValueError(
                f"Latents of shape {np.shape(latents)} came for {n} samples of "
                f"{self.n_latent} dimensions."
            )
        limits = limits or DecodingLimits()
        for start in range(0, n, SAMPLE_BATCH):
            count = min(SAMPLE_BATCH, n - start)
            generator = torch.Generator(self.device)
            generator.manual_seed(seed * 1_000_003 + start)
            noise = torch.randn(
                count, self.n_latent, generator=generator, device=self.device
            )
            levels = torch.full((count,), level, device=self.device)
            latent = noise
            if latents is not None:
                points = np.asarray(latents[start : start + count], np.float32)
                latent = mix_with_noise(
                    torch.as_tensor(points, device=self.device), levels, noise
                )
            else:
                levels = torch.ones_like(levels)
            decoded = decode(
                self.network.decoder,
                latent,
                levels,
                limits,
                self.known_elements,
                temperature=temperature,
                generator=generator,
                group_scores=self._group_scores if latents is None else None,
            )
            index = np.arange(start, start + count)
            yield decoded.to_batch(np.where(latents is None, -1, index))

    # --- the latent space ------------------------------------------------------------

    @property
    def n_latent(self) -> int:
        """Dimensions of the latent space."""
        return self.config.generator.network.latent

    def encode(self, genes: Sequence[WyckoffGene]) -> NDArray[np.float32]:
        """Return the latent mean of each gene (n, latent).

        Parameters
        ----------
        genes
            Any genes.
        """
        return self._encode(tensorise_genes(genes))

    def encode_codes(
        self, space_group_numbers: NDArray[Any], codes: NDArray[Any]
    ) -> NDArray[np.float32]:
        """Return the same for packed genes."""
        return self._encode(tensorise_codes(space_group_numbers, codes))

    def _encode(self, sites: SiteTensors) -> NDArray[np.float32]:
        parts = []
        with torch.no_grad():
            for start in range(0, len(sites), _ENCODE_BATCH):
                some = sites.take(np.arange(len(sites))[start : start + _ENCODE_BATCH])
                genes = arrange_sites(some.trimmed()).to(self.device)
                parts.append(self.network.encoder(genes)[0].cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros((0, self.n_latent), "f4")

    def predict_latents(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Return properties and their expected errors at points of the latent space.

        Gradients flow through, so that points can be moved towards a target.

        Parameters
        ----------
        latents
            (n, latent).

        Returns
        -------
        tuple
            In the units of the dataset, (n, properties) each, in the order of
            ``property_names``.
        """
        value, log_spread = self.network.head(latents)
        mean, spread = (
            torch.as_tensor(part, dtype=value.dtype, device=value.device)
            for part in (self.scaler.mean, self.scaler.spread)
        )
        return value * spread + mean, log_spread.exp() * spread

    @property
    def _group_scores(self) -> Tensor:
        return torch.as_tensor(self.memory.space_group_scores, device=self.device)

    @property
    def property_names(self) -> tuple[str, ...]:
        """The properties of the heads, and of the predictions."""
        return self.scaler.names

    # --- judging ---------------------------------------------------------------------

    def log_probability(
        self, genes: Sequence[WyckoffGene], *, latents: NDArray[Any] | None = None
    ) -> NDArray[np.float64]:
        """Return the logarithm of the probability of each gene as it is written.

        Parameters
        ----------
        genes
            Any genes.
        latents
            Points from which to decode without noise; none for noise alone.
        """
        sites = tensorise_genes(genes)
        result = np.zeros(len(sites))
        order = np.argsort(sites.mask.sum(axis=1), kind="stable")
        with torch.no_grad():
            for start in range(0, len(order), _ENCODE_BATCH):
                rows = order[start : start + _ENCODE_BATCH]
                some = arrange_sites(sites.take(rows).trimmed()).to(self.device)
                shape = len(rows), self.n_latent
                latent = torch.zeros(shape, device=self.device)
                level = torch.ones(len(rows), device=self.device)
                if latents is not None:
                    points = np.asarray(latents)[rows].astype(np.float32)
                    latent = torch.as_tensor(points, device=self.device)
                    level = torch.zeros_like(level)
                origin = torch.full((len(rows),), FROM_DATA, device=self.device)
                logits = self.network.decoder(latent, level, origin, some)
                if latents is None:
                    logits.group[:] = self._group_scores
                result[rows] = -score_genes(logits, some).total.double().cpu().numpy()
        return result

    def predict(
        self,
        genes: Sequence[WyckoffGene],
        *,
        n_descriptions: int = DEFAULT_DESCRIPTIONS,
    ) -> Predictions:
        """Return the properties expected of genes.

        Parameters
        ----------
        genes
            Any genes.
        n_descriptions
            How many equivalent descriptions to average over.
        """
        return self.predict_sites(tensorise_genes(genes), n_descriptions=n_descriptions)

    def predict_codes(
        self,
        space_group_numbers: NDArray[Any],
        codes: NDArray[Any],
        *,
        n_descriptions: int = DEFAULT_DESCRIPTIONS,
    ) -> Predictions:
        """Return the same for packed genes."""
        sites = tensorise_codes(space_group_numbers, codes)
        return self.predict_sites(sites, n_descriptions=n_descriptions)

    def predict_sites(
        self,
        sites: SiteTensors,
        *,
        n_descriptions: int = DEFAULT_DESCRIPTIONS,
        with_heads: bool = False,
    ) -> Predictions:
        """Return the same for genes as arrays.

        Parameters
        ----------
        sites
            The genes.
        n_descriptions
            How many equivalent descriptions to average over.
        with_heads
            Whether to ask the heads of the latent space instead of the ensemble.
        """
        use_heads = with_heads or not self.members
        scaler = self.scaler if use_heads else self.predictor_scaler
        members: Sequence[Any] = [self._head] if use_heads else self.members
        censored = self.config.censored_properties
        is_not_negative = np.array([name in censored for name in scaler.names])
        ensemble = Ensemble(members, scaler, is_not_negative, self.device)
        found = ensemble.predict(sites, n_descriptions=n_descriptions)
        options = self.config.predictor
        if use_heads or options is None:
            return found
        return found.first(len(options.properties))

    def _head(self, genes: Any) -> Any:
        return self.network.head(self.network.encoder(genes)[0])
