"""Known genes before the autoencoder: where they are, and how likely they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from wyckflow.ml.codec.arrangement import arrange_sites
from wyckflow.ml.mpvae.decoder import FROM_DATA
from wyckflow.ml.mpvae.losses import score_genes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.codec.sites import SiteTensors
    from wyckflow.ml.mpvae.model import AutoencoderNetwork

_BATCH: Final = 1024


def encode_sites(
    network: AutoencoderNetwork, sites: SiteTensors, device: str
) -> NDArray[np.float32]:
    """Return the latent mean of each gene (n, latent).

    Parameters
    ----------
    network
        A trained network.
    sites
        The genes.
    device
        Where the network is.
    """
    parts = []
    with torch.no_grad():
        for start in range(0, len(sites), _BATCH):
            some = sites.take(np.arange(len(sites))[start : start + _BATCH])
            genes = arrange_sites(some.trimmed()).to(device)
            parts.append(network.encoder(genes)[0].cpu().numpy())
    if not parts:
        return np.zeros((0, network.n_latent), np.float32)
    return np.concatenate(parts)


def score_sites(
    network: AutoencoderNetwork,
    sites: SiteTensors,
    group_scores: Tensor,
    latents: NDArray[Any] | None,
) -> NDArray[np.float64]:
    """Return the logarithm of the probability of each gene as it is written (n,).

    Parameters
    ----------
    network
        A trained network.
    sites
        The genes.
    group_scores
        How likely each space group is where a latent says nothing, on the device of
        the network.
    latents
        Points from which to decode without noise; none for noise alone.
    """
    device = group_scores.device
    result = np.zeros(len(sites))
    order = np.argsort(sites.mask.sum(axis=1), kind="stable")
    with torch.no_grad():
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            some = arrange_sites(sites.take(rows).trimmed()).to(str(device))
            latent = torch.zeros((len(rows), network.n_latent), device=device)
            level = torch.ones(len(rows), device=device)
            if latents is not None:
                points = latents[rows].astype(np.float32)
                latent = torch.as_tensor(points, device=device)
                level = torch.zeros_like(level)
            origin = torch.full((len(rows),), FROM_DATA, device=device)
            logits = network.decoder(latent, level, origin, some)
            if latents is None:
                logits.group[:] = group_scores
            result[rows] = -score_genes(logits, some).total.double().cpu().numpy()
    return result
