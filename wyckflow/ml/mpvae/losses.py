"""What training makes small: each term per gene, so that batch sizes do not matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch.nn import functional

from wyckflow.ml.codec.arrangement import N_FLAGS, allowed_elements, allowed_letters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.codec.arrangement import Arrangement
    from wyckflow.ml.mpvae.decoder import Logits

_CENSORED_WEIGHT: Final = 0.6

FORBIDDEN: Final = -1e9
"""Score of a choice that no gene can make."""


@dataclass(frozen=True, eq=False, slots=True)
class GeneScores:
    """How well a decoder foresaw genes.

    Attributes
    ----------
    group, letters, elements
        Negative logarithms of the probabilities of the parts in nats, (n,) each.
    is_exact
        Whether every part was the likeliest choice (n,).
    """

    group: Tensor
    letters: Tensor
    elements: Tensor
    is_exact: Tensor

    @property
    def total(self) -> Tensor:
        """Negative logarithm of the probability of each gene in nats."""
        return self.group + self.letters + self.elements


def score_genes(logits: Logits, genes: Arrangement) -> GeneScores:
    """Compare what a decoder expected with what is there.

    Impossible choices are left out before probabilities are taken, as in decoding.

    Parameters
    ----------
    logits
        Of the decoder.
    genes
        What is there.
    """
    group = logits.group.clone()
    group[:, 0] = FORBIDDEN
    letters = allowed_letters(genes)[..., None]
    letters = letters.expand(*letters.shape[:-1], N_FLAGS).flatten(2)
    site = logits.site.masked_fill(~letters, FORBIDDEN)
    n_species = logits.element.shape[1]
    elements = allowed_elements(genes, n_species)
    element = logits.element.masked_fill(~elements, FORBIDDEN)
    present = genes.element[:, :n_species]
    everywhere = torch.ones_like(genes.space_group, dtype=torch.bool)
    surprise, first = _surprise(group, genes.space_group, everywhere)
    of_sites, second = _surprise(site, genes.letter * N_FLAGS + genes.flag, genes.mask)
    of_elements, third = _surprise(element, present, present > 0)
    return GeneScores(
        group=surprise,
        letters=of_sites.sum(1),
        elements=of_elements.sum(1),
        is_exact=first & second.all(1) & third.all(1),
    )


def divergence_from_prior(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence from a standard normal, in nats (n,)."""
    terms = mean**2 + log_variance.exp() - 1 - log_variance
    divergence: Tensor = terms.sum(1) / 2
    return divergence


def property_loss(
    mean: Tensor, log_spread: Tensor, target: Tensor, floor: NDArray[np.float32]
) -> Tensor:
    """Return the loss of property predictions, averaged over the known values.

    Half of it is the plain absolute error, half the negative logarithm of a Laplace
    distribution, whose spread is thereby learned.

    Parameters
    ----------
    mean, log_spread
        Predictions (n, properties).
    target
        Scaled values, not-a-number where unknown.
    floor
        A value that is not above it says no more than that (properties,): only a
        prediction above it costs something.

    Returns
    -------
    torch.Tensor
        One number per property.
    """
    limit = torch.as_tensor(floor, device=target.device)
    known = ~target.isnan()
    is_censored = known & (target <= limit)
    error = (target.nan_to_num() - mean).abs()
    laplace = error * (-log_spread).exp() + log_spread
    terms = torch.where(known & ~is_censored, (error + laplace) / 2, 0.0)
    above = torch.where(is_censored, (mean - limit.clamp(min=-1e3)).clamp(min=0), 0.0)
    average: Tensor = _mean(terms, known & ~is_censored)
    return average + _CENSORED_WEIGHT * _mean(above, is_censored)


def _mean(terms: Tensor, mask: Tensor) -> Tensor:
    mean: Tensor = terms.sum(0) / mask.sum(0).clamp(min=1)
    return mean


def _surprise(scores: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return negative log-probabilities, and whether the target was the likeliest."""
    logarithms = functional.log_softmax(scores, -1)
    own = logarithms.gather(-1, target[..., None])[..., 0]
    return torch.where(mask, -own, 0.0), (scores.argmax(-1) == target) | ~mask
