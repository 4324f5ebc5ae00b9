"""A small trained model, made once."""

from __future__ import annotations

import pytest

from wyckflow.ml.mpvae.config import NetworkConfig
from wyckflow.ml.mpvae.generator import MultiPropertyVAE
from wyckflow.ml.training.config import (
    GeneratorConfig,
    LoopConfig,
    PredictorConfig,
    TrainingConfig,
)


@pytest.fixture(scope="session")
def small_model(salt_dataset):
    """A model that has learned the salts a little."""
    network = NetworkConfig(
        latent=16, width=32, n_heads=2, n_encoder_layers=1, n_decoder_layers=1
    )
    loop = LoopConfig(
        n_epochs=25,
        batch_size=32,
        learning_rate=5e-3,
        n_warmup_steps=5,
        averaging=0.9,
    )
    config = TrainingConfig(
        generator=GeneratorConfig(network=network, loop=loop),
        predictor=PredictorConfig(
            n_members=2, width=16, n_layers=1, n_heads=2, loop=loop
        ),
    )
    return MultiPropertyVAE(config).fit([salt_dataset])
