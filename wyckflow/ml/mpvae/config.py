"""Sizes of the networks, as they stand in a YAML file and in a checkpoint."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wyckflow.ml.sizes import check_heads


class NetworkConfig(BaseModel):
    """Sizes of encoder, decoder and property heads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latent: int = Field(
        default=256, ge=2, description="Dimensions of the latent space."
    )
    width: int = Field(default=128, ge=8, description="Length of a token.")
    n_heads: int = Field(default=4, ge=1, description="Attention heads.")
    n_encoder_layers: int = Field(default=2, ge=1, description="Encoder layers.")
    n_decoder_layers: int = Field(default=3, ge=1, description="Decoder layers.")
    n_prefix: int = Field(
        default=2, ge=1, description="Tokens through which a decoder sees its latent."
    )
    encoder_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Share left out in the encoder."
    )
    decoder_dropout: float = Field(
        default=0.15, ge=0, lt=1, description="Share left out in the decoder."
    )
    head_width: int = Field(
        default=128, ge=4, description="Hidden layer of the property heads."
    )
    head_dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Share left out in the property heads."
    )

    _divides = model_validator(mode="after")(check_heads)
