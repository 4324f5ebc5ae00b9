"""A generator that knows eighty made-up salts, trained for a moment."""

from __future__ import annotations

from itertools import product

import numpy as np

from wyckflow.crystal._elements import ATOMIC_NUMBERS
from wyckflow.crystal.dataset._arrays import RowArrays
from wyckflow.crystal.dataset.metadata import DatasetMetadata
from wyckflow.crystal.dataset.table import Dataset
from wyckflow.crystal.encode import Engine
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.tables import WYCKOFF_LETTERS

FORMS = ("225 {}:a {}:b", "225 {}:a {}:c", "221 {}:a Ti:b {}:c")


def make_salts():
    """Rock salts, fluorites and perovskites, with properties that follow from them."""
    pairs = product(["Li", "Na", "K", "Mg", "Ca", "Sr"], ["O", "S", "F", "Cl", "N"])
    genes = [WyckoffGene.from_text(form.format(*p)) for p in pairs for form in FORMS]
    sites = [site for gene in genes for site in gene.sites]
    arrays = RowArrays(
        space_group_numbers=np.array([g.space_group_number for g in genes], np.uint8),
        n_sites=np.array([gene.n_orbits for gene in genes], np.int32),
        atomic_numbers=np.array([ATOMIC_NUMBERS[s.element] for s in sites], np.uint8),
        letter_indices=np.array(
            [WYCKOFF_LETTERS.index(s.letter) for s in sites], np.uint8
        ),
        coordinates=np.zeros((len(sites), 3)),
        lattices=np.tile(np.eye(3), (len(genes), 1, 1)),
        sources=np.zeros(len(genes), np.int32),
        records=np.arange(len(genes)),
        properties={
            "formation_energy_per_atom": np.array(
                [-0.03 * ATOMIC_NUMBERS[gene.elements[0]] for gene in genes]
            ),
            "band_gap": np.array([0.2 * gene.n_sites for gene in genes]),
        },
        texts={},
    )
    return Dataset(arrays, DatasetMetadata(engine=Engine.SPGLIB, symprec=0.1))


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
