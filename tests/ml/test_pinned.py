"""Files of generators stay what they are: their identity, and the genes of a seed.

The hashes were taken before the code that both kinds share was put together. They are
snapshots: they say that nothing changed, not that it was right.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import key_genes
from wyckflow.ml.checkpoint import Checkpoint, CheckpointInfo
from wyckflow.ml.kinds import open_generator
from wyckflow.ml.model_file import bundled_model_path
from wyckflow.ml.mpvae.generator import MultiPropertyVAE
from wyckflow.ml.mpvae.limits import DecodingLimits
from wyckflow.ml.transformer.config import TransformerNetworkConfig
from wyckflow.ml.transformer.generator import WyckoffTransformer
from wyckflow.ml.transformer.network import TransformerNetwork

ENERGY, GAP = "formation_energy_per_atom", "band_gap"
SIZES = {"width": 32, "n_layers": 1, "n_heads": 2, "part_width": 16, "head_width": 32}


def hash_of(*arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def test_the_bundled_model_is_the_same_and_makes_the_same_genes():
    torch.set_num_threads(1)
    model = MultiPropertyVAE.load(bundled_model_path())
    assert model.to_checkpoint().identity == (
        "63a16701bc2fc051d3784c5b134546246d51171303dfdaedd772b32df5ef80c2"
    )
    free = model.sample(300, seed=11)
    points = model.memory.latents[:100]
    near = model.sample_around(points, n_per_latent=2, level=0.7, seed=3)
    # A flipped last digit of a logarithm decides about one gene in millions.
    assert hash_of(free.space_group_numbers, free.codes) == "2d848ba923ff601c"
    arrays = near.space_group_numbers, near.codes, near.seed_index
    assert hash_of(*arrays) == "b87d8b962202eb42"


@pytest.fixture(scope="module")
def checkpoint():
    """A transformer that has learned nothing, as a file holds it, made by hand."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = TransformerNetwork(TransformerNetworkConfig(**SIZES), 2)
    weights = {k: v.numpy().astype(np.float16) for k, v in network.state_dict().items()}
    known = np.zeros(119, np.bool_)
    known[[3, 8, 11, 17, 22, 38]] = True
    genes = [
        WyckoffGene.from_text(text)
        for text in ("225 Na:a Cl:b", "221 Sr:a Ti:b O:c", "62 Li:c O:c2")
    ]
    elements = np.zeros((3, 119), np.bool_)
    for row, own in enumerate(((11, 17), (38, 22, 8), (3, 8))):
        elements[row, list(own)] = True
    memory = {
        "latents": np.zeros((3, 0), np.float16),
        "properties": np.array([[-2, 5], [-3, 2], [-1, 0]], np.float32),
        "spreads": np.zeros((3, 2), np.float32),
        "space_groups": np.array([225, 221, 62], np.int16),
        "elements": np.packbits(elements, axis=1),
        "n_sites": np.array([2, 3, 3], np.int16),
        "keys": np.unique(key_genes(genes)),
    }
    info = CheckpointInfo(
        kind="transformer",
        config={
            "model": "transformer",
            "generator": {"network": SIZES},
            "predictor": None,
        },
        scalers={n: {"mean": 0.0, "spread": 1.0} for n in (ENERGY, GAP)},
        seed=0,
        split={"conditions": [ENERGY, GAP]},
        code_version="0",
    )
    arrays = {f"network/{name}": array for name, array in weights.items()}
    arrays |= {f"memory/{name}": array for name, array in memory.items()}
    return Checkpoint(info, arrays | {"known_elements": known})


def test_a_file_of_a_transformer_is_the_same_and_makes_the_same_genes(checkpoint):
    torch.set_num_threads(1)
    model = open_generator(checkpoint)
    assert isinstance(model, WyckoffTransformer)
    assert model.to_checkpoint().identity == checkpoint.identity
    free = model.sample(200, seed=2)
    asked = model.sample(60, {GAP: 1.0}, seed=2, guidance=1.0)
    assert hash_of(free.space_group_numbers, free.codes) == "fdee00a8e947871c"
    assert hash_of(asked.space_group_numbers, asked.codes) == "b0a12385ae8a09b1"


def test_no_more_elements_come_than_were_learned_from_unless_asked_for(checkpoint):
    model = open_generator(checkpoint)
    for gene in model.sample(100, seed=3).genes:
        assert len(set(gene.elements)) <= 3
    asked = model.sample(50, seed=3, limits=DecodingLimits(min_elements=4))
    assert {len(set(gene.elements)) for gene in asked.genes} == {4}
