"""Decoding: only genes that exist, within the limits, with the right probability."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wyckflow.crystal.keys import pack_genes
from wyckflow.errors import GeneError
from wyckflow.ml.codec.arrangement import arrange_sites
from wyckflow.ml.codec.sites import tensorise_genes
from wyckflow.ml.generator import Rejection
from wyckflow.ml.mpvae.config import NetworkConfig
from wyckflow.ml.mpvae.decoder import FROM_DATA, GeneDecoder
from wyckflow.ml.mpvae.decoding import decode
from wyckflow.ml.mpvae.limits import DecodingLimits
from wyckflow.ml.mpvae.losses import score_genes

ALL_ELEMENTS = np.arange(119) > 0


@pytest.fixture(scope="module")
def untrained():
    """A decoder that knows nothing, so that it tries everything."""
    torch.manual_seed(0)
    config = NetworkConfig(latent=8, width=16, n_heads=2, n_decoder_layers=2)
    return GeneDecoder(config).eval()


def write(decoder, n, limits, seed=0, level=1.0, **options):
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(n, 8, generator=generator)
    return decode(
        decoder,
        latent,
        torch.full((n,), level),
        limits,
        ALL_ELEMENTS,
        generator=generator,
        **options,
    ), latent


def genes_of(decoded):
    from wyckflow.crystal.keys import unpack_genes

    numbers, codes = decoded.genes.codes
    complete = decoded.is_complete.numpy()
    return unpack_genes(numbers[complete], codes[complete])


def test_whatever_an_untrained_decoder_writes_is_a_gene(untrained):
    """`unpack_genes` builds genes, which refuse everything that cannot exist."""
    decoded, _ = write(untrained, 3000, DecodingLimits(max_atoms=200))
    genes = genes_of(decoded)
    assert len(genes) == 3000
    assert max(gene.n_sites for gene in genes) <= 200
    assert len({gene.space_group_number for gene in genes}) > 200


@pytest.mark.parametrize("max_atoms", [1, 4, 12])
def test_small_cells_are_met_exactly(untrained, max_atoms):
    decoded, _ = write(untrained, 1000, DecodingLimits(max_atoms=max_atoms))
    genes = genes_of(decoded)
    assert all(gene.n_sites <= max_atoms for gene in genes)
    # Groups whose smallest position is larger have no gene at all: counted, not made.
    assert len(genes) + int((~decoded.is_complete).sum()) == 1000
    assert genes


def test_all_limits_hold_at_once(untrained):
    limits = DecodingLimits(
        max_atoms=60,
        max_sites=6,
        min_elements=3,
        max_elements=4,
        space_groups={2, 14, 62, 166},
        elements={"O", "Ti", "Ca", "Fe", "Li", "S"},
        required_elements={"O", "Ca"},
    )
    genes = genes_of(write(untrained, 1500, limits)[0])
    assert len(genes) > 500
    for gene in genes:
        assert gene.n_sites <= 60
        assert gene.n_orbits <= 6
        assert 3 <= len(gene.elements) <= 4
        assert gene.space_group_number in {2, 14, 62, 166}
        assert {"O", "Ca"} <= set(gene.elements) <= limits.elements


def test_a_chemical_system_is_met_exactly(untrained):
    system = {"Ca", "Ti", "O"}
    limits = DecodingLimits(elements=system, required_elements=system)
    genes = genes_of(write(untrained, 500, limits)[0])
    assert genes
    assert {gene.chemsys for gene in genes} == {"Ca-O-Ti"}


def test_the_probability_is_that_of_teacher_forcing(untrained):
    """Two ways through the network: token by token with a memory, and all at once."""
    for level in (0.0, 0.4, 1.0):
        decoded, latent = write(untrained, 400, DecodingLimits(), level=level)
        arrangement = arrange_sites(tensorise_genes(genes_of(decoded)))
        levels = torch.full((400,), level)
        origin = torch.full((400,), FROM_DATA)
        with torch.no_grad():
            logits = untrained(latent, levels, origin, arrangement)
        scores = score_genes(logits, arrangement)
        assert decoded.is_complete.all()
        assert torch.allclose(-scores.total, decoded.log_probability, atol=1e-3)


def test_probabilities_of_all_genes_of_a_small_world_add_up_to_one(untrained):
    """One fixed point, so each gene of group 230 has one element per letter."""
    limits = DecodingLimits(space_groups={230}, max_sites=1, max_elements=1)
    decoded, _ = write(untrained, 4000, limits)
    drawn = {
        g: float(p)
        for g, p in zip(genes_of(decoded), decoded.log_probability, strict=True)
    }
    share = sum(np.exp(p) for p in drawn.values())
    frequency = len(genes_of(decoded)) / 4000
    assert frequency == 1
    # What is left out by the limits keeps its probability: the sum is below one.
    assert 0 < share < 1


def test_drawn_genes_come_as_often_as_their_probability_says(untrained):
    """Without a limit that cuts, frequencies are probabilities."""
    decoded, _ = write(untrained, 20000, DecodingLimits(max_atoms=10**4, max_sites=60))
    groups = decoded.genes.space_group.numpy()
    counts = np.bincount(groups, minlength=231) / 20000
    with torch.no_grad():
        conditions = untrained.condition(
            torch.zeros(1, 8), torch.ones(1), torch.zeros(1, dtype=torch.long)
        )
        x = torch.cat(
            [conditions.prefix, untrained.group_input(conditions)[:, None]], 1
        )
        mask = torch.ones(3, 3, dtype=torch.bool).tril()
        mask[:2, :2] = True
        for block in untrained.blocks:
            x = block(x, mask)
        scores = untrained.score_groups(untrained.norm(x)[0, -1])
        scores[0] = -1e9
        expected = scores.softmax(-1).numpy()
    spread = np.sqrt(expected / 20000)
    assert (np.abs(counts - expected) < 6 * spread + 1e-9).all()


def test_the_latent_says_nothing_at_level_one_and_something_below(untrained):
    genes = genes_of(write(untrained, 20, DecodingLimits())[0])
    arrangement = arrange_sites(tensorise_genes(genes))
    origin = torch.zeros(len(genes), dtype=torch.long)

    def total(level, seed):
        latent = torch.randn(
            len(genes), 8, generator=torch.Generator().manual_seed(seed)
        )
        levels = torch.full((len(genes),), level)
        with torch.no_grad():
            return score_genes(
                untrained(latent, levels, origin, arrangement), arrangement
            ).total

    assert torch.equal(total(1.0, 0), total(1.0, 1))
    assert not torch.allclose(total(0.5, 0), total(0.5, 1))


def test_no_temperature_brings_back_what_is_forbidden(untrained):
    limits = DecodingLimits(space_groups=frozenset({221}))
    genes = genes_of(write(untrained, 50, limits, temperature=1e9)[0])
    assert {gene.space_group_number for gene in genes} == {221}


def test_temperature_zero_takes_the_likeliest_and_needs_no_draw(untrained):
    first = genes_of(write(untrained, 50, DecodingLimits(), seed=0, temperature=0)[0])
    second = genes_of(write(untrained, 50, DecodingLimits(), seed=1, temperature=0)[0])
    assert first == second
    assert len(set(first)) == 1


def test_a_dead_end_is_counted(small_model):
    """Four elements on the two single points of group 227's 8-fold positions."""
    limits = DecodingLimits(
        space_groups={227}, max_atoms=16, min_elements=3, max_elements=3
    )
    batch = small_model.sample(50, seed=0, limits=limits)
    assert len(batch) == 0
    assert batch.rejections == {Rejection.NO_POSITION_LEFT: 50}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"required_elements": {"Xx"}}, "'Xx' is no chemical symbol"),
        ({"elements": {"O"}, "required_elements": {"Ti"}}, "Ti is required"),
        ({"elements": {"O"}, "min_elements": 2}, "No gene has at least 2"),
        ({"min_elements": 4, "max_elements": 2}, "No gene has"),
        ({"max_atoms": 0}, "No gene has"),
        ({"space_groups": {0, 5}}, "1 to 230"),
        ({"space_groups": set()}, "An empty set"),
    ],
)
def test_limits_that_nothing_meets_are_refused(options, message):
    with pytest.raises(GeneError, match=message):
        DecodingLimits(**options)


def test_packed_genes_of_a_batch_are_those_of_its_genes(small_model):
    batch = small_model.sample(64, seed=1)
    numbers, codes = pack_genes(batch.genes)
    assert (numbers == batch.space_group_numbers).all()
    assert len(codes) == len(batch) == 64
