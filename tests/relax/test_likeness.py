"""Fingerprints: blind to how a crystal is described, not to what it is."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.build.trials import BuildEngine, build_trials
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.relax.halving import ALIKE
from wyckflow.relax.likeness import N_NEIGHBORS, take_fingerprint

RUTILE = WyckoffGene.from_text("136 Ti:a O:f")


def make_rutile(u, a=4.6, c=2.95):
    parameters = [[0] * 3, [u, 0, 0]]
    return ReducedStructure(RUTILE, np.diag([a, a, c]), np.array(parameters))


def test_distances_are_those_of_pymatgen():
    structure = make_rutile(0.305)
    found = take_fingerprint(structure)
    crystal = structure.to_structure()
    seen = set()
    for site in (crystal[0], crystal[2]):
        for element in ("O", "Ti"):
            near = crystal.get_neighbors(site, 12.0)
            lengths = sorted(x.nn_distance for x in near if x.specie.symbol == element)
            seen.add(tuple(np.round(lengths[:N_NEIGHBORS], 6)))
    rows = (found.distances * found.length).reshape(-1, N_NEIGHBORS)
    assert {tuple(row) for row in rows.round(6)} == seen
    assert found.length == pytest.approx((crystal.volume / 6) ** (1 / 3))


def test_another_description_is_alike():
    """The oxygen atoms at u and at 1 - u are those of one crystal."""
    first, second = (
        take_fingerprint(make_rutile(0.3)),
        take_fingerprint(make_rutile(0.7)),
    )
    assert first.difference(second) < 1e-9


def test_the_order_of_equal_sites_does_not_matter():
    gene = WyckoffGene.from_text("123 Cu:g2 Au:d")
    taken = []
    for heights in ((0.1, 0.3), (0.3, 0.1)):
        left = iter(heights)
        rows = [
            [0, 0, next(left) if site.element == "Cu" else 0] for site in gene.sites
        ]
        start = ReducedStructure(gene, np.diag([4.0, 4.0, 12.0]), np.array(rows))
        taken.append(take_fingerprint(start))
    assert taken[0].difference(taken[1]) < 1e-9


@pytest.mark.parametrize(
    ("other", "change"),
    [
        (make_rutile(0.305, 4.6 * 1.2, 2.95 * 1.2), 0.2),
        (make_rutile(0.2), 0.1),
        (make_rutile(0.305, 4.6, 3.9), 0.1),
    ],
    ids=["larger", "moved", "longer"],
)
def test_another_crystal_is_not_alike(other, change):
    first, second = take_fingerprint(make_rutile(0.305)), take_fingerprint(other)
    assert first.difference(second) == second.difference(first)
    assert first.difference(second) >= change - 1e-9 >= ALIKE - 1e-9


def test_it_changes_little_where_the_crystal_does():
    first = take_fingerprint(make_rutile(0.305))
    assert 0 < first.difference(take_fingerprint(make_rutile(0.306))) < 0.02


def test_a_layer_is_measured_too():
    gene = WyckoffGene.from_text("191 C:c")
    flat = ReducedStructure(
        gene,
        [[2.46, 0, 0], [-1.23, 2.46 * 3**0.5 / 2, 0], [0, 0, 25.0]],
        np.zeros((1, 3)),
    )
    row = take_fingerprint(flat).distances * take_fingerprint(flat).length
    # Three neighbours at the bond length of graphene, then six at the lattice constant.
    assert row[0, 0, :3] == pytest.approx([2.46 / 3**0.5] * 3)
    assert row[0, 0, 3:] == pytest.approx([2.46] * 5)


def test_random_structures_differ():
    trials = build_trials(
        WyckoffGene.from_text("62 Fe:c2 C:c"), 6, seed=0, engine=BuildEngine.SAMPLER
    )
    taken = [take_fingerprint(trial.structure) for trial in trials]
    pairs = [(a, b) for i, a in enumerate(taken) for b in taken[:i]]
    assert all(a.difference(b) > ALIKE for a, b in pairs)
