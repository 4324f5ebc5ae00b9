"""The published network: its size, its losses, and what the table's rows train."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wyckflow.ml.codec.sites import tensorise_genes
from wyckflow.ml.codec.wycryst import ROWS, encode_wycryst, fits_wycryst
from wyckflow.ml.mpvae.wycryst import LossWeights, WycrystNetwork, wycryst_loss
from wyckflow.ml.training.rows import gather_rows
from wyckflow.ml.training.wycryst import WycrystModel, WycrystOptions, WycrystVariant

PUBLISHED_PARAMETERS = 10.03e6


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return WycrystNetwork(n_properties=2)


@pytest.fixture(scope="module")
def batch(random_genes):
    sites = tensorise_genes(random_genes)
    arrays = encode_wycryst(sites.take(fits_wycryst(sites)))
    return torch.tensor(arrays.crystal[:32]), torch.tensor(arrays.one_hot[:32])


def test_it_has_as_many_parameters_as_the_published_one(network):
    n = sum(parameter.numel() for parameter in network.parameters())
    assert n == pytest.approx(PUBLISHED_PARAMETERS, rel=1e-3)


def test_shapes_come_back(network, batch):
    mean, log_variance = network.encode(*batch)
    array, scores = network.decode(mean)
    assert mean.shape == log_variance.shape == (32, 256)
    assert array.shape == (32, 224, 3)
    assert scores.shape == (32, 230)


def test_a_perfect_array_has_the_atoms_of_its_letters(network, batch):
    """The published code looked the multiplicities of the group before up."""
    crystal, group = batch
    expected = network.expected_atoms(crystal, 1000 * group)
    assert torch.allclose(expected, crystal[:, ROWS["n_atoms"]][:, 0])


def test_the_formula_loss_reaches_letters_and_space_group(network):
    """The published one had no gradient at all."""
    array = torch.rand(32, 224, 3, requires_grad=True)
    scores = torch.randn(32, 230, requires_grad=True)
    network.expected_atoms(array, scores).sum().backward()
    assert array.grad[:, ROWS["letters"]].abs().sum() > 0
    assert array.grad[:, ROWS["element"]].abs().sum() == 0
    assert scores.grad.abs().sum() > 0


def test_losses_are_means_over_genes(network, batch):
    """Twice the same genes: the same loss, but for the draw of the latents."""
    crystal, group = batch
    target = torch.full((32, 2), 0.5)
    network.eval()
    weights = LossWeights()
    with torch.no_grad():
        torch.manual_seed(0)
        once = wycryst_loss(network, crystal, group, target, weights)
        twice = wycryst_loss(
            network,
            crystal.repeat(8, 1, 1),
            group.repeat(8, 1),
            target.repeat(8, 1),
            weights,
        )
    assert twice == pytest.approx(float(once), rel=0.1)


def test_unknown_properties_cost_nothing(network, batch):
    crystal, group = batch
    network.eval()
    unknown = torch.full((32, 2), torch.nan)
    weights = LossWeights(crystal=0, group=0, divergence=0, formula=0)
    loss = wycryst_loss(network, crystal, group, unknown, weights)
    assert loss.item() == 0


def test_frozen_parts_stay_as_they_are(batch):
    network = WycrystNetwork(n_properties=2)
    network.freeze_encoder()
    network.train()
    before = {name: v.clone() for name, v in network.state_dict().items()}
    free = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(free, 0.01)
    loss = wycryst_loss(network, *batch, torch.full((32, 2), 0.5), LossWeights())
    loss.backward()
    optimiser.step()
    after = network.state_dict()
    for name, value in before.items():
        is_convolution = name.startswith("convolutions")
        is_norm = "running" in name or "num_batches" in name
        if is_convolution or is_norm:
            assert torch.equal(value, after[name]), name
    assert not torch.equal(before["mean.weight"], after["mean.weight"])


@pytest.mark.parametrize("variant", list(WycrystVariant))
def test_every_row_of_the_table_can_be_trained(salt_dataset, variant):
    rows = gather_rows([salt_dataset], ["formation_energy_per_atom", "band_gap"])
    seen = []
    options = WycrystOptions(n_epochs=1, batch_size=64)
    model = WycrystModel(variant, options)
    model.fit(rows, report=lambda part, _: seen.append(part))
    assert ("all" in seen) == (variant.value not in {"WyCryst (multi)", "WyCryst+"})
    assert ("gapped" in seen) == (variant is not WycrystVariant.SINGLE)
    scores = model.evaluate(rows, rows.validation)
    assert 0 <= scores.together <= min(scores.element, scores.letters, scores.group)
    assert np.isfinite(scores.energy)
    assert np.isnan(scores.gap) == (variant is WycrystVariant.SINGLE)
