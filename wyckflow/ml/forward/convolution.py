"""The convolutional network that the column-wise representations share.

Convolutions over the rows of an array, whose columns are channels; a dense layer; and
the space group, where there is one, beside it. Sizes and order are those of the
published encoder (WyCryst) up to the latent mean, from which a head predicts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from wyckflow.crystal.tables import N_SPACE_GROUPS
from wyckflow.ml.mpvae.heads import PropertyHead

if TYPE_CHECKING:
    from torch import Tensor

_KERNELS: Final = ((5, 2), (3, 2), (3, 1))
_LEAK: Final = 0.2

PRESET: Final = "published"

PUBLISHED: Final[dict[str, Any]] = {
    "channels": (32, 64, 128),
    "dense": 1024,
    "latent": 256,
    "group_width": 128,
}
"""The sizes of the published encoder, which ``preset: published`` stands for."""


class ConvolutionSizes(BaseModel):
    """Sizes of the network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _expand_preset(cls, content: Any) -> Any:
        """Let ``preset: published`` stand for the published sizes."""
        if not isinstance(content, dict) or "preset" not in content:
            return content
        rest = {name: value for name, value in content.items() if name != "preset"}
        if content["preset"] != PRESET:
            raise ValueError(
                f"There is no preset {content['preset']!r}; give {PRESET!r}, or none "
                "for the default sizes."
            )
        return PUBLISHED | rest

    channels: tuple[int, int, int] = Field(
        default=(32, 32, 32),
        description="Of the three convolutions; 32, 64 and 128 as published.",
    )
    dense: int = Field(
        default=256, ge=8, description="Layer behind them; 1024 as published."
    )
    latent: int = Field(
        default=128, ge=8, description="Vector of a crystal; 256 as published."
    )
    group_width: int = Field(
        default=64,
        ge=8,
        description="Layer behind the space group, and twice that before it; 128 as "
        "published.",
    )
    head_width: int = Field(default=128, ge=8, description="Hidden layer of the head.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Share left out.")


class ConvolutionNetwork(nn.Module):
    """From arrays and space groups to values and logarithms of their spreads.

    Parameters
    ----------
    sizes
        Of the layers.
    n_channels, n_rows
        Of the arrays.
    n_outputs
        How many properties.
    reads_group
        Whether the space group comes with the array.
    """

    def __init__(
        self,
        sizes: ConvolutionSizes,
        *,
        n_channels: int,
        n_rows: int,
        n_outputs: int,
        reads_group: bool,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for out, (kernel, stride) in zip(sizes.channels, _KERNELS, strict=True):
            layers += [
                nn.Conv1d(n_channels, out, kernel, stride, padding=kernel // 2),
                nn.BatchNorm1d(out),
                nn.LeakyReLU(_LEAK),
            ]
            n_channels, n_rows = out, -(-n_rows // stride)
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Linear(n_channels * n_rows, sizes.dense),
            nn.ReLU(),
            nn.Dropout(sizes.dropout),
        )
        width = sizes.group_width
        self.reads_group = reads_group
        if reads_group:
            self.group = nn.Sequential(
                nn.Embedding(N_SPACE_GROUPS + 1, 2 * width),
                nn.ReLU(),
                nn.Linear(2 * width, width),
                nn.ReLU(),
            )
        self.latent = nn.Linear(sizes.dense + width * reads_group, sizes.latent)
        self.head = PropertyHead(
            sizes.latent, n_outputs, sizes.head_width, sizes.dropout
        )

    def forward(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return scaled values and logarithms of their spreads, (b, outputs) each.

        Parameters
        ----------
        batch
            Arrays (b, rows, columns) and space-group numbers (b,).
        """
        array, group = batch
        features = self.dense(self.convolutions(array.transpose(1, 2)).flatten(1))
        if self.reads_group:
            features = torch.cat([features, self.group(group)], 1)
        found: tuple[Tensor, Tensor] = self.head(self.latent(features).relu())
        return found
