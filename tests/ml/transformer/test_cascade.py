"""Writing token by token: what is written exists, and is as likely as it was said."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest
import torch

from wyckflow.crystal.elements import N_ATOMIC_NUMBERS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import unpack_genes
from wyckflow.crystal.tables import load_space_group
from wyckflow.errors import GeneError
from wyckflow.ml.codec.sites import tensorise_codes, tensorise_genes
from wyckflow.ml.mpvae.limits import DecodingLimits
from wyckflow.ml.transformer.cascade import Draw, Walk, draw_groups
from wyckflow.ml.transformer.choices import (
    PositionTensors,
    Room,
    Rules,
    _least_atoms,
    _least_atoms_without_each,
)
from wyckflow.ml.transformer.config import TransformerConfig, TransformerNetworkConfig
from wyckflow.ml.transformer.likelihood import (
    fixed_order,
    random_orders,
    score_in_order,
)
from wyckflow.ml.transformer.network import Parts, TransformerNetwork
from wyckflow.ml.transformer.task import NextTokenLoss, TransformerTask
from wyckflow.ml.transformer.tokens import GeneTokens

KNOWN = np.zeros(N_ATOMIC_NUMBERS, bool)
KNOWN[[3, 8, 11, 14, 17, 22, 26, 38, 56, 82]] = True


@pytest.fixture(scope="module")
def network():
    """A network that knows nothing, so that it tries everything."""
    torch.manual_seed(0)
    config = TransformerNetworkConfig(
        width=32, n_layers=2, n_heads=2, part_width=8, head_width=16, dropout=0.0
    )
    return TransformerNetwork(config, n_conditions=2).eval()


def write(network, n, limits, *, seed=0, temperature=1.0, group=None, guidance=0.0):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.zeros(231)
    if group is None:
        group = draw_groups(scores, n, limits, KNOWN, generator)
    asked = torch.full((n, 2), torch.nan)
    if guidance:
        asked[:] = 1.0
    walk = Walk(network, PositionTensors.load("cpu"), group, asked, guidance=guidance)
    rules = Rules(limits, KNOWN, "cpu")
    with torch.no_grad():
        return group, walk.run(Draw(rules, temperature, generator))


def codes_of(group, written):
    element, letter = written.element.numpy(), written.letter.numpy()
    return group.numpy(), np.where(element > 0, element << 5 | letter, 0)


@pytest.mark.parametrize(
    "limits",
    [
        DecodingLimits(),
        DecodingLimits(max_atoms=12, max_sites=3, min_elements=3),
        DecodingLimits(max_atoms=30, required_elements={"O", "Ti"}, max_elements=3),
        DecodingLimits(max_atoms=8, min_elements=2, max_elements=2, max_sites=2),
        DecodingLimits(space_groups={47, 2, 225}, max_atoms=16, min_elements=4),
        DecodingLimits(elements={"Li", "O", "Fe"}, required_elements={"Fe"}),
    ],
    ids=["default", "tight", "required", "binary", "fixed points", "elements"],
)
def test_every_gene_exists_and_is_within_its_limits(network, limits):
    group, written = write(network, 150, limits)
    genes = unpack_genes(*codes_of(group, written))
    assert len(genes) == 150
    allowed = {"Li", "O", "Na", "Si", "Cl", "Ti", "Fe", "Sr", "Ba", "Pb"}
    for gene in genes:  # making them has checked letters and fixed points
        assert gene.n_sites <= limits.max_atoms
        assert gene.n_orbits <= limits.max_sites
        assert limits.min_elements <= len(gene.elements) <= limits.max_elements
        assert limits.required_elements <= set(gene.elements)
        assert set(gene.elements) <= (limits.elements or allowed)
        if limits.space_groups:
            assert gene.space_group_number in limits.space_groups


def test_genes_can_be_rebuilt_by_pyxtal_and_have_their_symmetry(network):
    """Coordinates from PyXtal's positions, symmetry found by spglib."""
    import spglib
    from pyxtal.lattice import Lattice
    from pyxtal.symmetry import Group

    rng = np.random.default_rng(0)
    limits = DecodingLimits(max_atoms=40, max_sites=4)
    group, written = write(network, 25, limits, seed=5)
    for gene in unpack_genes(*codes_of(group, written)):
        space = Group(gene.space_group_number)
        places, kinds = [], []
        for index, site in enumerate(gene.sites):
            position = space.get_wyckoff_position(site.letter)
            points = position.apply_ops(rng.random(3))
            assert len(points) == gene.multiplicities[index]
            places.append(np.asarray(points))
            kinds += [index] * len(points)
        lattice = Lattice(space.lattice_type, 900.0, random_state=1).matrix
        cell = lattice, np.concatenate(places) % 1, kinds
        found = spglib.get_symmetry(cell, symprec=1e-4)
        assert len(found["rotations"]) >= len(load_space_group(space.number).rotations)
        assert len(kinds) == gene.n_sites


def test_the_least_room_for_more_sites_is_that_of_all_ways_to_place_them():
    tables = PositionTensors.load("cpu")
    for number in (2, 47, 62, 191, 221, 225):
        space = load_space_group(number)
        room = Room(tables, torch.tensor([number]))
        rows = torch.tensor([0])
        taken = [i for i, p in enumerate(space.positions) if not p.degrees_of_freedom]
        for letter in taken[::3]:
            room.take(rows, torch.tensor([8]), torch.tensor([letter]))
        left = [i for i in range(len(space.positions)) if i not in taken[::3]]

        def cheapest(n, without=None, space=space, left=left, taken=taken):
            ways = combinations_with_replacement(left, n)
            return min(
                sum(space.positions[i].multiplicity for i in way)
                for way in ways
                if all(way.count(i) == 1 and i != without for i in way if i in taken)
            )

        costs = _least_atoms(room, rows)[0]
        for n in (1, 2, 3):
            assert costs[n] == cheapest(n)
            needed = torch.tensor([[n]])
            without = _least_atoms_without_each(room, rows, needed)[0]
            for letter in left[:6]:
                is_fixed = letter in taken
                assert without[letter] == cheapest(n, letter if is_fixed else None)


def test_what_is_said_of_a_written_gene_is_what_reading_it_gives(network):
    group, written = write(network, 100, DecodingLimits(max_sites=6), seed=2)
    sites = tensorise_codes(*codes_of(group, written))
    order = np.tile(np.arange(sites.mask.shape[1]), (100, 1))
    again = score_in_order(network, sites, order)
    assert again == pytest.approx(written.log_probability.double().numpy(), abs=2e-4)


def test_the_loss_is_the_mean_surprise_over_all_orders(network, random_genes):
    genes = [gene for gene in random_genes if gene.n_orbits <= 3][:30]
    sites = tensorise_genes(genes)
    rng = np.random.default_rng(0)
    orders = [random_orders(sites.mask, rng) for _ in range(30)]
    walked = -np.mean([score_in_order(network, sites, order) for order in orders], 0)

    task = object.__new__(TransformerTask)
    task.device, task.options = "cpu", TransformerConfig(augment=False)
    loss = NextTokenLoss(network)
    nothing = np.full((len(genes), 2), np.nan, np.float32)
    is_similar = np.zeros(len(genes), bool)
    with torch.no_grad():
        cuts = [task.cut(sites, is_similar, nothing, 12, rng) for _ in range(2)]
        surprises = [loss(cut).numpy() for cut in cuts]
    assert np.mean(surprises) == pytest.approx(walked.mean(), rel=0.01)


def test_the_loss_without_shuffling_is_the_surprise_in_the_fixed_order(
    network, random_genes
):
    genes = [gene for gene in random_genes if gene.n_orbits == 3][:20]
    sites = tensorise_genes(genes)
    walked = -score_in_order(network, sites, fixed_order(sites))
    task = object.__new__(TransformerTask)
    task.device = "cpu"
    task.options = TransformerConfig(augment=False, shuffle=False)
    nothing = np.full((len(genes), 2), np.nan, np.float32)
    generator = np.random.default_rng(0)
    with torch.no_grad():
        # Four cuts of three sites: each place once.
        cut = task.cut(sites, nothing[:, 0] > 0, nothing, 4, generator)
        surprises = NextTokenLoss(network)(cut).numpy().reshape(4, -1)
    assert surprises.mean(axis=0) == pytest.approx(walked, rel=1e-4)


def test_known_tokens_may_come_in_any_order(network):
    """What is asked next does not depend on the order of what is there."""
    gene = WyckoffGene.from_text("62 Ca:c Ti:a O:c,d")
    tokens = GeneTokens.from_sites(tensorise_genes([gene]))
    parts = [torch.as_tensor(x) for x in (tokens.element, tokens.symmetry)]
    parts += [torch.as_tensor(tokens.enumeration), torch.tensor([[2, 0, 2, 3]])]
    group = torch.tensor([[62] * 4])
    with torch.no_grad():
        known = network.embed(group, Parts(*parts))
        states = [
            network.ask(torch.ones(1, 32), network.remember(known[:, order]))
            for order in ([0, 1, 2, 3], [3, 1, 0, 2])
        ]
        fewer = network.ask(torch.ones(1, 32), network.remember(known[:, :3]))
    torch.testing.assert_close(*states)
    assert (states[0] - fewer).abs().max() > 1e-3


def test_no_temperature_takes_the_likeliest_and_repeats(network):
    group = torch.full((50,), 225)
    _, written = write(network, 50, DecodingLimits(), temperature=0.0, group=group)
    assert len({tuple(row) for row in codes_of(group, written)[1].tolist()}) == 1


def test_guidance_changes_what_is_drawn_but_not_what_it_is_said_to_be(network):
    group = torch.full((60,), 221)
    _, plain = write(network, 60, DecodingLimits(), group=group)
    _, guided = write(network, 60, DecodingLimits(), group=group, guidance=3.0)
    assert codes_of(group, plain)[1].tolist() != codes_of(group, guided)[1].tolist()
    sites = tensorise_codes(*codes_of(group, guided))
    order = np.tile(np.arange(sites.mask.shape[1]), (60, 1))
    conditions = np.ones((60, 2), np.float32)
    again = score_in_order(network, sites, order, conditions)
    assert again == pytest.approx(guided.log_probability.double().numpy(), abs=2e-4)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_atoms": 2, "min_elements": 2, "space_groups": {62}}, "No cell of at"),
        ({"elements": {"Li"}, "required_elements": {"Li"}}, None),
    ],
)
def test_limits_that_no_group_can_meet_are_refused(limits, words):
    generator = torch.Generator().manual_seed(0)
    limits = DecodingLimits(**limits)
    if words is None:
        assert len(draw_groups(torch.zeros(231), 3, limits, KNOWN, generator)) == 3
        return
    with pytest.raises(GeneError, match=words):
        draw_groups(torch.zeros(231), 3, limits, KNOWN, generator)


def test_more_elements_than_are_known_are_refused():
    few = np.zeros(N_ATOMIC_NUMBERS, bool)
    few[[3, 8]] = True
    with pytest.raises(GeneError, match=r"at least 3 elements.*only 2"):
        Rules(DecodingLimits(min_elements=3), few, "cpu")
