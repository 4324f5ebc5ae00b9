"""A small model that was trained for a moment."""

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

SMALL_NETWORK = NetworkConfig(
    latent=24, width=32, n_encoder_layers=1, n_decoder_layers=1, head_width=16
)


def small_config(n_epochs=25, n_members=2):
    return TrainingConfig(
        generator=GeneratorConfig(
            network=SMALL_NETWORK,
            loop=LoopConfig(
                n_epochs=n_epochs,
                batch_size=32,
                learning_rate=5e-3,
                n_warmup_steps=5,
                averaging=0.9,
            ),
            validation_share=0.15,
        ),
        predictor=PredictorConfig(
            n_members=n_members,
            width=16,
            n_layers=1,
            n_heads=2,
            dropout=0.0,
            loop=LoopConfig(
                n_epochs=n_epochs,
                batch_size=32,
                learning_rate=5e-3,
                n_warmup_steps=5,
                averaging=0.9,
            ),
            validation_share=0.15,
        ),
    )


@pytest.fixture(scope="session")
def make_config():
    """Options of a training of moments."""
    return small_config


@pytest.fixture(scope="session")
def small_model(salt_dataset):
    return MultiPropertyVAE(small_config()).fit([salt_dataset])
