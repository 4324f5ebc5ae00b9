"""Training of the autoencoder: one decoder at all levels of noise, heads beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from wyckflow.ml.codec.arrangement import Arrangement, arrange_sites
from wyckflow.ml.mpvae.decoder import FROM_DATA, FROM_RANDOM, FROM_SIMILAR
from wyckflow.ml.mpvae.losses import (
    GeneScores,
    divergence_from_prior,
    property_loss,
    score_genes,
)
from wyckflow.ml.mpvae.model import mix_with_noise
from wyckflow.ml.training.substitution import (
    random_elements,
    scramble_letters,
    similar_elements,
    substitute,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.codec.sites import SiteTensors
    from wyckflow.ml.mpvae.model import AutoencoderNetwork
    from wyckflow.ml.training.config import GeneratorConfig
    from wyckflow.ml.training.rows import Scaler, TrainingRows

_LOOK_BATCH: Final = 512
_SIMILAR_CHANCE: Final = 0.6
_MIDDLE: Final = 0.5


class AutoencoderTask:
    """What the loop needs to train an autoencoder.

    Parameters
    ----------
    network
        Fresh weights, on the device to train on.
    rows
        Genes and properties.
    scaler
        Of the properties.
    config
        Options.
    """

    name = "generator"

    def __init__(
        self,
        network: AutoencoderNetwork,
        rows: TrainingRows,
        scaler: Scaler,
        config: GeneratorConfig,
    ) -> None:
        self.module, self.rows, self.options = network, rows, config
        self.training = rows.training
        self.n_sites = rows.sites.mask.sum(axis=1)
        self.seed = config.seed
        self.config: dict[str, Any] = {
            "generator": config.model_dump(mode="json"),
            "datasets": list(rows.dataset_ids),
        }
        self.device = str(next(network.parameters()).device)
        self.targets = torch.as_tensor(scaler.scale(rows.values), device=self.device)
        self.floor = floor_of(config.properties, scaler)
        self.weights = torch.tensor(
            [item.weight for item in config.properties], device=self.device
        )
        known = rows.known_elements
        self.similar, self.random = similar_elements(known), random_elements(known)

    def loss(self, rows: NDArray[np.int64], generator: np.random.Generator) -> Tensor:
        """Return the sum of the four losses of a batch, in nats per gene."""
        genes, level, origin = self._prepare(rows, generator)
        level = level.to(self.device)
        encoder, decoder = self.module.encoder, self.module.decoder
        mean, log_variance = encoder(genes)
        drawn = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        latent = mix_with_noise(drawn, level, torch.randn_like(mean))
        scores = score_genes(decoder(latent, level, origin, genes), genes)
        total = scores.total.mean()
        weight = self.options.divergence_weight
        total = total + weight * divergence_from_prior(mean, log_variance).mean()
        if len(self.weights):
            target = self.targets[torch.as_tensor(rows, device=self.device)]
            # The properties of a gene with other elements are not known.
            target = torch.where((origin == FROM_DATA)[:, None], target, torch.nan)
            losses = self._property_losses(mean, target)
            total = total + self.options.property_weight * losses.sum()
        return total

    def validate(self) -> dict[str, float]:
        """Score the validation rows at three levels of noise, and their properties."""
        figures: dict[str, float] = {"score": 0.0}
        for level, name in ((0.0, "exact"), (_MIDDLE, "near"), (1.0, "free")):
            scores = [
                self._look(rows, level)
                for rows in np.array_split(
                    self.rows.validation, 1 + len(self.rows.validation) // _LOOK_BATCH
                )
            ]
            surprise = float(torch.cat([s.total for s in scores]).mean())
            figures[f"nats_{name}"] = surprise
            figures["score"] += surprise
            if level == 0:
                exact = torch.cat([s.is_exact for s in scores])
                figures["reconstructed"] = float(exact.float().mean())
        if len(self.weights):
            rows = self.rows.validation
            genes = self._arrange(self.rows.sites.take(rows))
            target = self.targets[torch.as_tensor(rows, device=self.device)]
            losses = self._property_losses(self.module.encoder(genes)[0], target)
            figures["property_loss"] = float(losses.sum())
            figures["score"] += self.options.property_weight * float(losses.sum())
        return figures

    def _look(self, rows: NDArray[np.int64], level: float) -> GeneScores:
        genes = self._arrange(self.rows.sites.take(rows))
        mean, _ = self.module.encoder(genes)
        levels = torch.full((len(rows),), level, device=self.device)
        latent = mix_with_noise(mean, levels, torch.randn_like(mean))
        origin = torch.full((len(rows),), FROM_DATA, device=self.device)
        return score_genes(self.module.decoder(latent, levels, origin, genes), genes)

    def _property_losses(self, mean: Tensor, target: Tensor) -> Tensor:
        value, log_spread = self.module.head(mean)
        return self.weights * property_loss(value, log_spread, target, self.floor)

    def _prepare(
        self, rows: NDArray[np.int64], generator: np.random.Generator
    ) -> tuple[Arrangement, Tensor, Tensor]:
        """Draw description, noise level and elements of every gene of a batch."""
        options, n = self.options, len(rows)
        sites = self.rows.sites.take(rows).permuted(generator)
        kind = generator.random(n)
        is_exact = kind < options.exact_share
        is_free = ~is_exact & (kind < options.exact_share + options.free_share)
        level = np.where(is_exact, 0.0, np.where(is_free, 1.0, generator.random(n)))
        draw = generator.random(n)
        to_random = is_exact & (draw < options.random_share)
        to_similar = ~is_exact & (draw < options.similar_share)
        sites, is_random = substitute(
            sites, self.random, to_random.astype(float), generator
        )
        to_scramble = is_exact & (generator.random(n) < options.scrambled_share)
        sites, is_scrambled = scramble_letters(sites, to_scramble, generator)
        sites, is_similar = substitute(
            sites, self.similar, _SIMILAR_CHANCE * to_similar.astype(float), generator
        )
        origin = np.where(is_similar, FROM_SIMILAR, FROM_DATA)
        origin[is_random | is_scrambled] = FROM_RANDOM
        return (
            self._arrange(sites),
            torch.as_tensor(level, dtype=torch.float32),
            torch.as_tensor(origin, device=self.device),
        )

    def _arrange(self, sites: SiteTensors) -> Arrangement:
        return arrange_sites(sites.trimmed()).to(self.device)


def floor_of(properties: Any, scaler: Scaler) -> NDArray[np.float32]:
    """Return what zero is, scaled, for censored properties; minus infinity else.

    Parameters
    ----------
    properties
        The `TargetProperty` of each column.
    scaler
        Of the columns.
    """
    zero = scaler.scale(np.zeros(len(scaler.names)))
    is_censored = np.array([item.is_censored_at_zero for item in properties], bool)
    return np.where(is_censored, zero, -np.inf).astype(np.float32)
