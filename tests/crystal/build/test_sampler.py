"""The vectorised sampler: cells, clearances, diversity, and what it cannot do."""

from itertools import islice, product

import numpy as np
import pytest
import spglib

from wyckflow.crystal.build._placement import Draws, Placement, nearest_squares
from wyckflow.crystal.build._ranking import fingerprint_draws, spread_out
from wyckflow.crystal.build._shapes import draw_lattices
from wyckflow.crystal.build.sampler import VOLUME_SPREAD, sample_structures
from wyckflow.crystal.build.volumes import load_atomic_volumes
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import contact_radii
from wyckflow.crystal.tables import load_space_group
from wyckflow.errors import StructureError

# Triclinic to cubic, with one orbit to a dozen, small cells and large ones.
GENES = [
    "1 K:a Cl:a2 O:a4",
    "2 Ti:a O:i2",
    "12 Na:a,d,h Bi:g,i O:i,j",
    "14 Zr:e O:e2",
    "62 Ca:c Ti:b O:c,d",
    "62 Pr:c O:c3",
    "141 Ti:a O:e",
    "148 Fe:c Ti:c O:f",
    "166 Bi:c Te:a,c",
    "194 Nb:b S:f",
    "206 Mn:b,d O:e",
    "225 K:c Na:b Ce:a Cl:e",
    "227 Mg:a Al:d O:e",
    "230 Mg:c Al:a Si:d O:h",
]
# Seven orbits that leave little room: no cell of the expected size holds them.
CROWDED = "65 Na:b,i H:i Pd:a,g,i"


def sample(text, n=8, seed=0, **options):
    rng = np.random.default_rng(seed)
    return sample_structures(WyckoffGene.from_text(text), n, rng=rng, **options)


@pytest.mark.parametrize("number", range(1, 231))
def test_drawn_cells_have_the_volume_and_the_symmetry_asked_for(number):
    rng = np.random.default_rng(number)
    volumes = rng.uniform(50, 500, 5)
    lattices = draw_lattices(number, volumes, rng)
    assert np.allclose(np.linalg.det(lattices), volumes)
    hall_number = load_space_group(number).hall_number
    rotations = spglib.get_symmetry_from_database(hall_number)["rotations"]
    for metric in lattices @ lattices.transpose(0, 2, 1):
        moved = rotations.transpose(0, 2, 1) @ metric @ rotations
        assert np.allclose(moved, metric, atol=1e-9 * np.trace(metric))


@pytest.mark.parametrize("text", GENES)
@pytest.mark.parametrize("ratio", [0.65, 0.8])
def test_no_contact_of_any_structure_is_below_the_limit(text, ratio):
    """Contacts are those of pymatgen's neighbour search."""
    radii = contact_radii(WyckoffGene.from_text(text))
    found = list(sample(text, min_contact_ratio=ratio))
    assert len(found) >= 8
    for reduced in found:
        of_atoms = radii[reduced.orbit_table.site_indices]
        reach = float(2 * of_atoms.max())
        centres, others, _, lengths = reduced.to_structure().get_neighbor_list(reach)
        ratios = lengths / (of_atoms[centres] + of_atoms[others])
        assert ratios.min(initial=np.inf) >= ratio - 1e-9


def test_volumes_scatter_about_the_prior_as_stated():
    gene = WyckoffGene.from_text("14 Zr:e O:e2")
    expected = load_atomic_volumes().estimate(gene.composition)
    volumes = [reduced.volume for reduced in sample(str(gene), n=100)]
    logs = np.log(np.array(volumes) / expected)
    assert abs(logs.mean()) < 0.05
    assert logs.std() == pytest.approx(VOLUME_SPREAD, rel=0.2)


@pytest.mark.parametrize("text", ["225 Na:a Cl:b", *GENES[:4]])
def test_same_seed_gives_the_same_structures_and_another_seed_others(text):
    first, again, other = (list(sample(text, seed=s)) for s in (1, 1, 2))
    assert first == again
    assert set(first).isdisjoint(other)


def test_crowded_gene_is_built_by_growing_the_cell():
    gene = WyckoffGene.from_text(CROWDED)
    found = sample(CROWDED)
    assert len(found) >= 8
    assert next(iter(found)).contact_ratio() >= 0.65
    expected = load_atomic_volumes().estimate(gene.composition)
    assert next(iter(found)).volume > 1.2 * expected


def test_what_cannot_be_placed_gives_no_structure():
    found = sample("225 Na:a Cl:b", min_contact_ratio=5.0)
    assert len(found) == 0
    assert not found.was_interrupted
    assert found.n_draws > 100


def test_interrupted_search_gives_no_structure():
    answers = iter([False, False, True])
    found = sample("62 Ca:c Ti:b O:c,d", should_stop=lambda: next(answers))
    assert found.was_interrupted
    assert list(found) == []


def test_element_without_a_size_is_refused_by_name():
    with pytest.raises(StructureError, match="known for Og"):
        sample("225 Na:a Og:b")


@pytest.mark.parametrize(
    ("text", "is_exact"),
    [
        ("62 Ca:c Ti:b O:c,d", True),
        ("225 Na:a Cl:b", True),
        ("194 Nb:b S:f", True),
        ("14 Zr:e O:e2", False),
        ("1 K:a Cl:a2", False),
    ],
)
def test_nearest_images_are_those_of_a_search_over_all_near_cells(text, is_exact):
    """Skewed cells may need images farther off; then distances come out too large."""
    gene = WyckoffGene.from_text(text)
    placement = Placement(gene, contact_radii(gene), 0.65)
    rng = np.random.default_rng(3)
    lattices = draw_lattices(gene.space_group_number, rng.uniform(60, 300, 40), rng)
    differences = rng.uniform(-1.5, 1.5, (40, 5, 6, 3))
    found = np.sqrt(nearest_squares(differences, lattices, placement.shifts))
    cells = np.array(list(product(range(-5, 6), repeat=3)))
    images = differences[..., None, :] + cells
    vectors = np.einsum("kabsi,kij->kabsj", images, lattices)
    expected = np.linalg.norm(vectors, axis=-1).min(axis=-1)
    assert (found >= expected - 1e-9).all()
    assert np.isclose(found, expected).mean() > (0.9999 if is_exact else 0.95)


def test_fingerprint_is_that_of_the_arrangement_not_of_its_origin():
    gene = WyckoffGene.from_text("1 K:a Cl:a2 O:a4")
    rng = np.random.default_rng(5)
    lattices = np.repeat(draw_lattices(1, np.array([150.0]), rng), 3, axis=0)
    points = rng.random((1, gene.n_orbits, 3))
    draws = Draws(
        lattices, np.concatenate([points, points + rng.random(3), 1 - points])
    )
    placement = Placement(gene, contact_radii(gene), 0.65)
    fingerprints, clearances = fingerprint_draws(placement, draws)
    assert np.allclose(fingerprints[0], fingerprints[1:])
    assert np.allclose(clearances[0], clearances[1:])


def test_each_candidate_is_the_farthest_from_those_before_it():
    rows = np.random.default_rng(2).random((20, 4))
    candidates = np.random.default_rng(3).permutation(20)[:12]
    order = spread_out(rows, candidates)
    assert sorted(order) == sorted(candidates)
    assert order[0] == candidates[0]
    for k in range(1, len(order)):
        gaps = np.abs(rows[order[k:], None] - rows[None, order[:k]]).sum(-1).min(1)
        assert gaps[0] == pytest.approx(gaps.max())


def test_first_structures_differ_more_than_neighbours_in_a_random_order():
    gene = WyckoffGene.from_text("62 Pr:c O:c3")
    found = sample(str(gene), n=40)
    placement = Placement(gene, contact_radii(gene), 0.65)
    draws = Draws(found.lattices, found.parameters)
    rows, _ = fingerprint_draws(placement, draws)

    def nearest_pair(indices):
        gaps = np.abs(rows[indices][:, None] - rows[indices][None]).sum(-1)
        return gaps[np.triu_indices(len(indices), 1)].min()

    rng = np.random.default_rng(0)
    at_random = [nearest_pair(rng.permutation(len(found))[:6]) for _ in range(50)]
    assert nearest_pair(np.arange(6)) > np.percentile(at_random, 90)


def test_more_structures_can_be_taken_than_were_asked_for():
    found = sample("62 Ca:c Ti:b O:c,d", n=4)
    assert len(list(islice(found, 6))) == 6
