"""The whole model: it learns, samples repeatably, predicts, and survives a file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wyckflow.crystal.equivalence import equivalent_genes
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import key_genes
from wyckflow.errors import CheckpointError, TrainingError
from wyckflow.ml.generator import join_batches
from wyckflow.ml.mpvae.generator import SAMPLE_BATCH, MultiPropertyVAE
from wyckflow.ml.mpvae.latents import optimise_latents

ENERGY, GAP = "formation_energy_per_atom", "band_gap"


def test_training_makes_known_genes_likelier_than_strange_ones(
    small_model, salt_dataset
):
    strange = [WyckoffGene.from_text("14 Zr:e4 N:a,b,c,d")] * 3
    known = small_model.log_probability(salt_dataset.genes)
    assert known.mean() > small_model.log_probability(strange).mean() + 5


def test_sampled_genes_look_like_the_data(small_model, salt_dataset):
    batch = small_model.sample(300, seed=0)
    groups = {gene.space_group_number for gene in salt_dataset.genes}
    share = np.isin(batch.space_group_numbers, list(groups)).mean()
    assert share > 0.5
    elements = {e for gene in batch.genes for e in gene.elements}
    assert elements <= {e for gene in salt_dataset.genes for e in gene.elements}
    assert (batch.seed_index == -1).all()
    assert batch.log_probability == pytest.approx(
        small_model.log_probability(batch.genes), abs=1e-3
    )


def test_a_seed_repeats_and_another_one_does_not(small_model):
    first, again = (small_model.sample(80, seed=3) for _ in range(2))
    other = small_model.sample(80, seed=4)
    assert first.genes == again.genes
    assert first.genes != other.genes


def test_batches_make_the_same_genes_as_the_whole(small_model):
    n = SAMPLE_BATCH + 50
    whole = small_model.sample(n, seed=5)
    parts = list(small_model.iter_samples(n, seed=5))
    assert [len(part) for part in parts] == [SAMPLE_BATCH, 50]
    assert join_batches(parts).genes == whole.genes


def test_less_noise_keeps_closer_to_the_seed(small_model, salt_dataset):
    genes = list(salt_dataset.genes[:60])
    latents = small_model.encode(genes)

    def kept(level):
        batch = small_model.sample_around(
            latents, n_per_latent=4, level=level, seed=0, temperature=1.0
        )
        assert len(batch.seed_index) == len(batch)
        return np.mean(
            [
                gene.space_group_number == genes[index].space_group_number
                for gene, index in zip(batch.genes, batch.seed_index, strict=True)
            ]
        )

    assert kept(0.0) > kept(1.0) + 0.1
    assert kept(0.0) > 0.7


def test_predictions_are_learned_and_agree_for_equivalent_genes(
    small_model, salt_dataset
):
    genes = salt_dataset.genes
    predictions = small_model.predict(genes)
    truth = salt_dataset.properties[ENERGY]
    known = ~np.isnan(truth)
    error = np.abs(predictions[ENERGY] - truth)[known].mean()
    assert error < 0.4 * truth[known].std()
    assert (predictions[GAP] >= 0).all()
    assert (predictions.expected_error > 0).all()
    gene = next(g for g in genes if len(equivalent_genes(g)) == 2)
    both = small_model.predict(equivalent_genes(gene), n_descriptions=2)
    assert both.mean[0] == pytest.approx(both.mean[1], abs=1e-5)


def test_predictions_do_not_depend_on_company(small_model, salt_dataset):
    genes = list(salt_dataset.genes[:40])
    together = small_model.predict(genes).mean
    alone = np.concatenate([small_model.predict([gene]).mean for gene in genes[:5]])
    assert together[:5] == pytest.approx(alone, abs=1e-4)


def test_the_memory_knows_what_was_seen_and_holds_no_gene(small_model, salt_dataset):
    memory = small_model.memory
    assert len(memory) == len(salt_dataset)
    assert memory.is_known(key_genes(salt_dataset.genes)).all()
    assert not memory.is_known(key_genes([WyckoffGene.from_text("1 O:a")])).any()
    assert memory.space_group_prior.sum() == pytest.approx(1)
    assert memory.latents == pytest.approx(
        small_model.encode(salt_dataset.genes), abs=0.02
    )


def test_latents_move_downhill_and_the_weights_stay(small_model):
    start = small_model.memory.latents[:20].astype(np.float32)
    before = [p.detach().clone() for p in small_model.network.parameters()]

    def energy(points, values, errors):
        assert values.shape == errors.shape == (len(points), 2)
        return values[:, 0]

    moved = optimise_latents(small_model, start, energy, n_steps=30)
    values = [
        small_model.predict_latents(torch.tensor(z))[0][:, 0].detach().numpy()
        for z in (start, moved)
    ]
    assert (values[1] <= values[0] + 1e-5).all()
    assert values[1].mean() < values[0].mean() - 0.01
    parameters = small_model.network.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, parameters, strict=True))


def test_gradients_of_latent_properties_are_those_of_finite_differences(small_model):
    point = torch.tensor(small_model.memory.latents[:1].astype(np.float64))
    network = small_model.network.double()
    try:
        point.requires_grad_(requires_grad=True)
        value = small_model.predict_latents(point)[0][0, 0]
        (gradient,) = torch.autograd.grad(value, point)
        step = torch.zeros_like(point)
        step[0, 3] = 1e-5
        up, down = (
            small_model.predict_latents((point + s).detach())[0][0, 0].item()
            for s in (step, -step)
        )
        assert gradient[0, 3].item() == pytest.approx((up - down) / 2e-5, rel=1e-4)
    finally:
        network.float()


def test_a_saved_model_is_the_same_model(small_model, tmp_path, salt_dataset):
    path = tmp_path / "model.npz"
    identity = small_model.save(path)
    loaded = MultiPropertyVAE.load(path)
    assert loaded.to_checkpoint().identity == identity
    genes = list(salt_dataset.genes[:30])
    assert (loaded.encode(genes) == small_model.encode(genes)).all()
    expected = small_model.predict(genes)
    assert loaded.predict(genes).names == expected.names == (ENERGY, GAP)
    assert (loaded.predict(genes).mean == expected.mean).all()
    assert loaded.sample(50, seed=0).genes == small_model.sample(50, seed=0).genes
    assert loaded.property_names == (ENERGY, GAP)
    again = MultiPropertyVAE.load(path)
    assert again.sample(50, seed=0).genes == loaded.sample(50, seed=0).genes
    assert loaded.info.dataset_ids == [salt_dataset.dataset_id]


def test_weights_of_another_network_are_refused(small_model):
    checkpoint = small_model.to_checkpoint()
    arrays = dict(checkpoint.arrays)
    del arrays["network/decoder.start"]
    with pytest.raises(CheckpointError, match="weights of 'network'"):
        MultiPropertyVAE.load(type(checkpoint)(checkpoint.info, arrays))


class KilledError(Exception):
    """The end of a process."""


def test_a_killed_training_gives_the_same_model(salt_dataset, make_config, tmp_path):
    config = make_config(n_epochs=5, n_members=1)
    undisturbed = MultiPropertyVAE(config).fit([salt_dataset])

    def kill(progress):
        if progress.task.startswith("predictor") and progress.step == 2:
            raise KilledError

    with pytest.raises(KilledError):
        MultiPropertyVAE(config).fit([salt_dataset], folder=tmp_path, report=kill)
    resumed = MultiPropertyVAE(config).fit([salt_dataset], folder=tmp_path)
    assert resumed.to_checkpoint().identity == undisturbed.to_checkpoint().identity


def test_an_untrained_model_is_not_saved(tmp_path):
    with pytest.raises(TrainingError, match="not trained"):
        MultiPropertyVAE().save(tmp_path / "model.npz")


def test_wrong_levels_and_points_are_refused(small_model):
    with pytest.raises(ValueError, match="level"):
        small_model.sample_around(small_model.memory.latents[:2], level=1.5, seed=0)
    with pytest.raises(ValueError, match="Latents of shape"):
        list(small_model.iter_samples(3, seed=0, latents=np.zeros((2, 24))))
