"""The multi-property variational autoencoder: a latent space to sample and look in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import torch

from wyckflow.ml.codec.sites import SiteTensors, tensorise_codes, tensorise_genes
from wyckflow.ml.ensemble import DEFAULT_DESCRIPTIONS, Ensemble
from wyckflow.ml.generator import GeneBatch, Predictions, join_batches
from wyckflow.ml.memory import Memory, remember
from wyckflow.ml.mpvae.decoding import decode
from wyckflow.ml.mpvae.likelihood import encode_sites, score_sites
from wyckflow.ml.mpvae.limits import DecodingLimits
from wyckflow.ml.mpvae.model import AutoencoderNetwork, mix_with_noise
from wyckflow.ml.trained import TrainedGenerator
from wyckflow.ml.training.autoencoder import AutoencoderTask
from wyckflow.ml.training.config import TrainingConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.ml.checkpoint import CheckpointInfo
    from wyckflow.ml.mpvae.model import PredictorNetwork
    from wyckflow.ml.training.rows import Scaler, TrainingRows

KIND: Final = "mpvae"
SAMPLE_BATCH: Final = 2048


class MultiPropertyVAE(TrainedGenerator):
    """A generator of genes with a latent space that knows properties.

    Make one with `fit` or `load`; what is asked of it before raises.

    Parameters
    ----------
    config
        Options of the training.
    device
        Where to compute.
    """

    kind: ClassVar[str] = KIND
    part: ClassVar[str] = "generator"
    description: ClassVar[str] = "Genes from a multi-property variational autoencoder."
    config_class: ClassVar[type[TrainingConfig]] = TrainingConfig
    config: TrainingConfig
    network: AutoencoderNetwork

    # --- learning --------------------------------------------------------------------

    def _properties_to_learn(self, datasets: Sequence[Dataset]) -> list[str]:  # noqa: ARG002 (all of them must be there)
        return [item.name for item in self.config.generator.properties]

    def _stored_properties(self, info: CheckpointInfo) -> list[str]:  # noqa: ARG002 (the options say it)
        return [item.name for item in self.config.generator.properties]

    def _new_network(self, n_properties: int) -> AutoencoderNetwork:
        return AutoencoderNetwork(self.config.generator.network, n_properties)

    def _new_task(self, rows: TrainingRows, scaler: Scaler) -> AutoencoderTask:
        return AutoencoderTask(self.network, rows, scaler, self.config.generator)

    def _remember(self, rows: TrainingRows) -> Memory:
        """Write down where the crystals are that it learned from."""
        sites = rows.sites
        return remember(
            sites, rows.keys, self._encode(sites), self.predict_sites(sites)
        )

    def _tell_more(self) -> dict[str, Any]:
        scaler = self.scaler if self.predictor is None else self.predictor.scaler
        return {
            "predictor_properties": list(scaler.names),
            "predictor_scalers": scaler.to_info(),
        }

    @property
    def members(self) -> list[PredictorNetwork]:
        """The networks of the ensemble; none if the heads predict."""
        return [] if self.predictor is None else self.predictor.members

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
        return encode_sites(self.network, sites, self.device)

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
        return score_sites(
            self.network,
            tensorise_genes(genes),
            self._group_scores,
            None if latents is None else np.asarray(latents),
        )

    def predict_sites(
        self,
        sites: SiteTensors,
        *,
        n_descriptions: int = DEFAULT_DESCRIPTIONS,
        with_heads: bool = False,
    ) -> Predictions:
        """Return the properties expected of genes as arrays.

        Parameters
        ----------
        sites
            The genes.
        n_descriptions
            How many equivalent descriptions to average over.
        with_heads
            Whether to ask the heads of the latent space instead of the ensemble.
        """
        if self.predictor is not None and not with_heads:
            return super().predict_sites(sites, n_descriptions=n_descriptions)
        censored = self.config.censored_properties
        is_not_negative = np.array([name in censored for name in self.scaler.names])
        heads = Ensemble([self._head], self.scaler, is_not_negative, self.device)
        return heads.predict(sites, n_descriptions=n_descriptions)

    def _head(self, genes: Any) -> Any:
        return self.network.head(self.network.encoder(genes)[0])
