"""The published network, layer for layer, with losses that do what they say.

Changes are those that `docs/dev/fidelity.md` lists: losses are means over genes, the
formula loss has a gradient and takes the multiplicities of the right space group, and
the scores of the space groups may be negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import nn
from torch.nn import functional

from wyckflow.crystal.tables import N_SPACE_GROUPS
from wyckflow.ml.codec.tables import load_position_tables
from wyckflow.ml.codec.wycryst import N_COLUMNS, N_COUNTED_LETTERS, N_ROWS, ROWS

if TYPE_CHECKING:
    from torch import Tensor

_SHORT: Final = N_ROWS // 4
_CHANNELS: Final = 128
_FLAT: Final = _SHORT * _CHANNELS


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the losses, per gene, in the published proportions.

    Attributes
    ----------
    crystal
        Of a squared error in the array.
    group
        Of the cross entropy of the space group.
    divergence
        Of a nat of divergence from the prior.
    target
        Of a squared error of a scaled property.
    formula
        Of an error in the atoms of an element.
    """

    crystal: float = 1 / 64
    group: float = 1 / 6
    divergence: float = 4 / (256 * 512)
    target: float = 32.0
    formula: float = 1 / 256


class WycrystNetwork(nn.Module):
    """Convolutions over the rows of the array, and a latent space of 256 dimensions.

    Parameters
    ----------
    n_properties
        Outputs of the property head.
    latent
        Dimensions of the latent space.
    """

    def __init__(self, n_properties: int, latent: int = 256) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv1d(N_COLUMNS, 32, 5, stride=2, padding=2),
            nn.BatchNorm1d(32),
            nn.LeakyReLU(0.2),
            nn.Conv1d(32, 64, 3, stride=2, padding=1),
            nn.BatchNorm1d(64),
            nn.LeakyReLU(0.2),
            nn.Conv1d(64, _CHANNELS, 3, padding=1),
            nn.BatchNorm1d(_CHANNELS),
            nn.LeakyReLU(0.2),
        )
        self.dense = nn.Sequential(nn.Linear(_FLAT, 1024), nn.ReLU())
        self.group = nn.Sequential(
            nn.Linear(N_SPACE_GROUPS, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()
        )
        self.mean = nn.Linear(1024 + 128, latent)
        self.log_variance = nn.Linear(1024 + 128, latent)
        self.head = nn.Sequential(
            nn.ReLU(),
            nn.Linear(latent, 128),
            nn.ReLU(),
            nn.Linear(128, 32),
            nn.ReLU(),
            nn.Linear(32, n_properties),
            nn.Sigmoid(),
        )
        self.to_group = nn.Linear(latent, N_SPACE_GROUPS)
        self.to_crystal = nn.Sequential(nn.Linear(latent, _FLAT), nn.ReLU())
        self.deconvolutions = nn.Sequential(
            nn.BatchNorm1d(_CHANNELS),
            nn.ConvTranspose1d(_CHANNELS, 64, 3, padding=1),
            nn.BatchNorm1d(64),
            nn.ReLU(),
            nn.ConvTranspose1d(64, 32, 3, stride=2, padding=1, output_padding=1),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.ConvTranspose1d(32, N_COLUMNS, 5, stride=2, padding=2, output_padding=1),
        )
        multiplicity = load_position_tables().multiplicity[1:, :N_COUNTED_LETTERS]
        self.register_buffer(
            "multiplicity", torch.tensor(multiplicity).float(), persistent=False
        )
        self.is_frozen = False

    def encode(self, crystal: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and logarithms of variances.

        Parameters
        ----------
        crystal
            (n, 224, 3).
        group
            One-hot (n, 230).
        """
        features = self.convolutions(crystal.transpose(1, 2)).flatten(1)
        joined = torch.cat([self.dense(features), self.group(group)], 1)
        return self.mean(joined), self.log_variance(joined)

    def decode(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return arrays (n, 224, 3) and scores of the space groups (n, 230)."""
        flat = self.to_crystal(latent).view(-1, _CHANNELS, _SHORT)
        return self.deconvolutions(flat).transpose(1, 2), self.to_group(latent)

    def freeze_encoder(self) -> None:
        """Hold the convolutions of the encoder and all batch norms, for transfer."""
        self.is_frozen = True
        for parameter in self.convolutions.parameters():
            parameter.requires_grad_(requires_grad=False)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                for parameter in module.parameters():
                    parameter.requires_grad_(requires_grad=False)
        self.train(self.training)

    def train(self, mode: bool = True) -> WycrystNetwork:
        """Change between training and use; frozen batch norms stay in use."""
        super().train(mode)
        if self.is_frozen:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm1d):
                    module.eval()
        return self

    def expected_atoms(self, crystal: Tensor, group_scores: Tensor) -> Tensor:
        """Return the atoms of each column that letters and group imply (n, 3)."""
        multiplicity = group_scores.softmax(-1) @ self.multiplicity
        counts = crystal[:, ROWS["letters"]]
        atoms: Tensor = torch.einsum("nl,nlc->nc", multiplicity, counts)
        return atoms


def wycryst_loss(
    network: WycrystNetwork,
    crystal: Tensor,
    group: Tensor,
    target: Tensor,
    weights: LossWeights,
) -> Tensor:
    """Return the loss of a batch, each term a mean over genes.

    Parameters
    ----------
    network
        What is trained.
    crystal, group
        Genes (n, 224, 3) and one-hot groups (n, 230).
    target
        Properties scaled to 0 to 1, not-a-number where unknown (n, properties).
    weights
        Of the terms.
    """
    mean, log_variance = network.encode(crystal, group)
    latent = mean + torch.randn_like(mean) * (log_variance / 2).exp()
    array, scores = network.decode(latent)
    divergence = (mean**2 + log_variance.exp() - 1 - log_variance).sum(1) / 2
    known = ~target.isnan()
    error = torch.where(known, target.nan_to_num() - network.head(mean), 0.0)
    atoms = crystal[:, ROWS["n_atoms"]][:, 0]
    # A letter of multiplicity 192 would make squares that drown everything else.
    formula = functional.smooth_l1_loss(
        network.expected_atoms(array, scores), atoms, reduction="none"
    )
    terms = (
        weights.crystal * ((crystal - array) ** 2).sum((1, 2))
        + weights.group * functional.cross_entropy(scores, group, reduction="none")
        + weights.divergence * divergence
        + weights.target * (error**2).sum(1)
        + weights.formula * formula.sum(1)
    )
    loss: Tensor = terms.mean()
    return loss
