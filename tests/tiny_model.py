"""A generator that knows eighty made-up salts, trained for a moment."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

from wyckflow.crystal.elements import ATOMIC_NUMBERS
from wyckflow.crystal.gene import WyckoffGene

sys.path.insert(0, str(Path(__file__).parent / "ml"))
from made_crystals import dataset_of_genes

FORMS = ("225 {}:a {}:b", "225 {}:a {}:c", "221 {}:a Ti:b {}:c")


def make_salts():
    """Rock salts, fluorites and perovskites, with properties that follow from them."""
    pairs = product(["Li", "Na", "K", "Mg", "Ca", "Sr"], ["O", "S", "F", "Cl", "N"])
    genes = [WyckoffGene.from_text(form.format(*p)) for p in pairs for form in FORMS]
    energies = [-0.03 * ATOMIC_NUMBERS[gene.elements[0]] for gene in genes]
    gaps = [0.2 * gene.n_sites for gene in genes]
    properties = {"formation_energy_per_atom": energies, "band_gap": gaps}
    return dataset_of_genes(genes, properties)


def train_tiny_model():
    """Train for a moment."""
    from wyckflow.ml.mpvae.config import NetworkConfig
    from wyckflow.ml.mpvae.generator import MultiPropertyVAE
    from wyckflow.ml.training.config import (
        GeneratorConfig,
        LoopConfig,
        PredictorConfig,
        TrainingConfig,
    )

    network = NetworkConfig(
        latent=24, width=32, n_encoder_layers=1, n_decoder_layers=1, head_width=16
    )
    loop = LoopConfig(
        n_epochs=15,
        batch_size=32,
        learning_rate=5e-3,
        n_warmup_steps=5,
        averaging=0.9,
    )
    predictor = PredictorConfig(
        n_members=1,
        width=16,
        n_layers=1,
        n_heads=2,
        dropout=0.0,
        loop=loop,
        validation_share=0.15,
    )
    config = TrainingConfig(
        generator=GeneratorConfig(network=network, loop=loop, validation_share=0.15),
        predictor=predictor,
    )
    return MultiPropertyVAE(config).fit([make_salts()])
