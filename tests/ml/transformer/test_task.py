"""What the transformer is trained on: orders, descriptions, and what comes next."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import unpack_genes
from wyckflow.ml.codec.sites import tensorise_genes
from wyckflow.ml.training.config import LoopConfig, PredictorConfig
from wyckflow.ml.training.config import parse_training_config as parse
from wyckflow.ml.transformer.config import TransformerConfig, TransformerTrainingConfig
from wyckflow.ml.transformer.generator import WyckoffTransformer
from wyckflow.ml.transformer.likelihood import fixed_order, score_in_order
from wyckflow.ml.transformer.task import TransformerTask

TEXTS = ("62 Ca:c Ti:b O:c,d", "225 Na:a Cl:b", "221 Sr:a Ti:b O:c")


def cut(sites, n_prefixes=4, seed=0, **options):
    """Cut genes by a task that has options and nothing else."""
    task = SimpleNamespace(options=TransformerConfig(**options), device="cpu")
    n = len(sites)
    is_similar, conditions = np.zeros(n, bool), np.zeros((n, 0), np.float32)
    generator = np.random.default_rng(seed)
    return TransformerTask.cut(
        task, sites, is_similar, conditions, n_prefixes, generator
    )


def test_the_fixed_order_is_that_of_a_gene_however_its_sites_came(random_genes):
    sites = tensorise_genes(random_genes)
    shuffled = sites.mask.cumsum(1)[:, ::-1].argsort(axis=1)
    numbers = np.take_along_axis(sites.atomic_number, shuffled, 1)
    letters = np.take_along_axis(sites.letter, shuffled, 1)
    mask = np.take_along_axis(sites.mask, shuffled, 1)
    other = SimpleNamespace(atomic_number=numbers, letter=letters, mask=mask)
    order = fixed_order(other)
    codes = np.where(mask, numbers << 5 | letters, 0)
    codes = np.take_along_axis(codes, order, 1)
    # Genes keep their sites in this order, and pack_genes takes it over.
    assert (codes == sites.codes[1]).all()
    assert unpack_genes(sites.codes[0], codes.astype(np.int16)) == list(random_genes)


def test_with_shuffling_every_site_that_is_left_may_come_next():
    sites = tensorise_genes([WyckoffGene.from_text(TEXTS[0])] * 40)
    genes = cut(sites)
    assert torch.equal(genes.is_next, genes.is_site & ~genes.is_known)
    # Two sites may be known in six ways, and all of them come.
    two = genes.is_known[genes.is_known.sum(1) == 2]
    assert len(torch.unique(two, dim=0)) == 6


def test_without_shuffling_only_the_next_site_in_order_may_come():
    sites = tensorise_genes([WyckoffGene.from_text(text) for text in TEXTS] * 20)
    genes = cut(sites, shuffle=False, augment=False)
    n_known, n_sites = genes.is_known.sum(1), genes.is_site.sum(1)
    places = torch.arange(genes.is_site.shape[1])
    # Genes come with their sites in that order.
    assert torch.equal(genes.is_known, places < n_known[:, None])
    is_next = (places == n_known[:, None]) & (n_known < n_sites)[:, None]
    assert torch.equal(genes.is_next, is_next)


@pytest.mark.parametrize(("augment", "n_letters"), [(True, 2), (False, 1)])
def test_augmentation_draws_descriptions(augment, n_letters):
    sites = tensorise_genes([WyckoffGene.from_text("225 Na:a Cl:b")] * 60)
    genes = cut(sites, augment=augment)
    assert len(torch.unique(genes.letter[:, 0])) == n_letters


def test_without_shuffling_it_writes_in_order_and_is_scored_in_it(
    make_options, make_dataset
):
    pairs = [(m, x) for m in ("Na", "K", "Rb", "Cs") for x in ("F", "Cl", "Br", "I")]
    genes = [WyckoffGene.from_text(f"225 {m}:a {x}:b") for m, x in pairs] * 3
    loop = LoopConfig(
        n_epochs=30, batch_size=16, learning_rate=1e-2, n_warmup_steps=5, patience=99
    )
    options = make_options(
        loop=loop, conditions=(), validation_share=0.2, shuffle=False
    )
    config = TransformerTrainingConfig(generator=options, predictor=None)
    model = WyckoffTransformer(config).fit([make_dataset(genes, {})])
    batch = model.sample(200, seed=0)
    sites = tensorise_genes(genes[:16])
    forth, back = (
        score_in_order(model.network, sites, np.tile(order, (16, 1))).mean()
        for order in ([0, 1], [1, 0])
    )
    assert forth > back + 3
    rows = [row for row, gene in enumerate(batch.genes) if gene.n_orbits == 2]
    found = model.log_probability([batch.genes[row] for row in rows])
    written = batch.log_probability[rows]
    is_in_order = np.isclose(found, written, atol=1e-3)
    assert is_in_order.mean() > 0.9


def test_a_file_that_names_one_option_of_the_pace_keeps_the_others():
    options = parse(
        {
            "model": "transformer",
            "generator": {"loop": {"n_epochs": 7}},
            "predictor": {"loop": {"patience": 3}},
        },
        "These options",
    )
    own, default = options.generator.loop, TransformerConfig().loop
    assert own == default.model_copy(update={"n_epochs": 7})
    assert own.batch_size != LoopConfig().batch_size
    loop = PredictorConfig().loop.model_copy(update={"patience": 3})
    assert options.predictor.loop == loop
