"""A small transformer that was trained for a moment, made once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from wyckflow.ml.training.config import LoopConfig, PredictorConfig
from wyckflow.ml.transformer.config import (
    TransformerConfig,
    TransformerNetworkConfig,
    TransformerTrainingConfig,
)
from wyckflow.ml.transformer.generator import WyckoffTransformer

sys.path.insert(0, str(Path(__file__).parents[2]))  # tiny_model


def small_options(**changes):
    """Options of a network that learns eighty salts in seconds."""
    network = TransformerNetworkConfig(
        width=48, n_layers=2, n_heads=2, part_width=16, head_width=48, dropout=0.0
    )
    loop = LoopConfig(
        n_epochs=24,
        batch_size=16,
        learning_rate=3e-3,
        n_warmup_steps=5,
        averaging=0.9,
        epochs_per_validation=4,
    )
    options = {"network": network, "loop": loop, "similar_share": 0.0}
    options |= {"free_share": 0.3, "hidden_share": 0.1}
    return TransformerConfig(**options | changes)


@pytest.fixture(scope="session")
def tiny_autoencoder():
    """A model of the other kind."""
    from tiny_model import train_tiny_model

    return train_tiny_model()


@pytest.fixture(scope="session")
def make_options():
    """Make options of a small network."""
    return small_options


@pytest.fixture(scope="session")
def small_transformer(salt_dataset):
    """A transformer, and an ensemble of two, that have learned the salts a little."""
    generator = small_options()
    loop = generator.loop.model_copy(update={"n_epochs": 3})
    predictor = PredictorConfig(
        n_members=2, width=16, n_layers=1, n_heads=2, dropout=0.0, loop=loop
    )
    config = TransformerTrainingConfig(generator=generator, predictor=predictor)
    return WyckoffTransformer(config).fit([salt_dataset])
