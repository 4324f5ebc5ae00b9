"""Graphs of neighbours against pymatgen's lists, and what must not change them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure
from scipy.spatial.transform import Rotation

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import ModelError, TrainingError
from wyckflow.ml.forward.config import ForwardConfig
from wyckflow.ml.forward.crystals import (
    count_cosets,
    crystals_from_genes,
    crystals_from_structures,
    move,
)
from wyckflow.ml.forward.graph import GraphRepresentation, GraphSizes
from wyckflow.ml.forward.model import ForwardModel
from wyckflow.ml.forward.neighbors import SHELL_WIDTH, find_graphs
from wyckflow.ml.forward.representation import open_representation

ROCKSALT = Structure.from_spacegroup(
    225, Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
PEROVSKITE = Structure.from_spacegroup(
    221,
    Lattice.cubic(3.91),
    ["Sr", "Ti", "O"],
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]],
)
RUTILE = Structure.from_spacegroup(
    136, Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
)
WURTZITE = Structure.from_spacegroup(
    186,
    Lattice.hexagonal(3.25, 5.21),
    ["Zn", "O"],
    [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]],
)
MONOCLINIC = Structure.from_spacegroup(
    14,
    Lattice.monoclinic(5.15, 5.21, 5.32, 99.2),
    ["Zr", "O", "O"],
    [[0.276, 0.041, 0.208], [0.070, 0.342, 0.341], [0.442, 0.755, 0.479]],
)
CRYSTALS = {
    "rock salt": ROCKSALT,
    "perovskite": PEROVSKITE,
    "rutile": RUTILE,
    "wurtzite": WURTZITE,
    "baddeleyite": MONOCLINIC,
}
each_crystal = pytest.mark.parametrize("structure", CRYSTALS.values(), ids=CRYSTALS)


def crystals_of(*structures):
    reduced = [ReducedStructure.from_structure(s, symprec=1e-3) for s in structures]
    return crystals_from_structures(reduced)


def predict(crystals, seed=0):
    """What a network with random weights says."""
    representation = GraphRepresentation()
    torch.manual_seed(seed)
    network = representation.network(2).double()
    batch = representation.batch(
        representation.prepare(crystals), np.arange(len(crystals)), None
    )
    parts = {name: getattr(batch, name) for name in batch.__slots__}
    for name in ("share", "distance", "weight"):
        parts[name] = parts[name].double()
    with torch.no_grad():
        return torch.cat(network(type(batch)(**parts)), -1).numpy()


def ask_pymatgen(structure, n_neighbors):
    """Neighbours per atom of the crystal: by both elements and the distance."""
    found = Counter()
    for site, neighbors in zip(
        structure, structure.get_all_neighbors(8.0), strict=True
    ):
        away = sorted((n.nn_distance, n.specie.Z) for n in neighbors)
        limit = away[n_neighbors - 1][0]
        nearer = [one for one in away if one[0] < limit - SHELL_WIDTH]
        last = [one for one in away if abs(one[0] - limit) <= SHELL_WIDTH]
        share = (n_neighbors - len(nearer)) / len(last)
        for weight, some in ((1.0, nearer), (share, last)):
            for distance, number in some:
                key = site.specie.Z, number, round(distance, 2)
                found[key] += weight / len(structure)
    return found


@each_crystal
@pytest.mark.parametrize("n_neighbors", [4, 12, 15])
def test_neighbours_are_those_of_pymatgen(structure, n_neighbors):
    graph = find_graphs(crystals_of(structure), n_neighbors=n_neighbors, cutoff=8.0)
    found = Counter()
    for center, other, distance, weight in zip(
        graph.centers, graph.others, graph.distances, graph.weights, strict=True
    ):
        key = (
            int(graph.atomic_numbers[center]),
            int(graph.atomic_numbers[other]),
            round(float(distance), 2),
        )
        found[key] += float(weight * graph.shares[center])
    wanted = ask_pymatgen(structure, n_neighbors)
    assert sum(found.values()) == pytest.approx(n_neighbors, abs=1e-4)
    # A distance may be rounded up here and down there.
    for (first, second, distance), weight in wanted.items():
        near = [
            value
            for key, value in found.items()
            if key[:2] == (first, second) and abs(key[2] - distance) < 0.015
        ]
        others = [
            value
            for key, value in wanted.items()
            if key[:2] == (first, second) and abs(key[2] - distance) < 0.015
        ]
        assert sum(near) == pytest.approx(sum(others), abs=1e-3), weight


@each_crystal
def test_the_choice_of_cell_changes_nothing(structure):
    rng = np.random.default_rng(3)
    supercell = structure * (2, 1, 2)
    moved = structure.copy()
    moved.translate_sites(range(len(moved)), [0.13, 0.27, 0.41])
    shuffled = Structure.from_sites(
        [structure[i] for i in rng.permutation(len(structure))]
    )
    turn = Rotation.from_euler("xyz", [20, 35, 50], degrees=True).as_matrix()
    turned = Structure(
        structure.lattice.matrix @ turn, structure.species, structure.frac_coords
    )
    variants = [structure.get_primitive_structure(), supercell, moved, shuffled, turned]
    found = predict(crystals_of(structure, *variants))
    np.testing.assert_allclose(found[1:], np.tile(found[:1], (5, 1)), atol=2e-3)


def test_equivalent_descriptions_have_the_same_graph(random_crystals):
    rng = np.random.default_rng(0)
    crystals = random_crystals.take(np.arange(0, len(random_crystals), 3))
    coset = (1 + rng.integers(0, 50, len(crystals))) % count_cosets(crystals)
    before, after = predict(crystals), predict(move(crystals, coset))
    assert (coset > 0).sum() > 50
    np.testing.assert_allclose(after, before, atol=1e-4)


def test_another_distance_is_another_graph():
    wider = ROCKSALT.copy()
    wider.scale_lattice(1.05 * ROCKSALT.volume)
    found = predict(crystals_of(ROCKSALT, wider))
    assert np.abs(found[0] - found[1]).max() > 1e-2


def test_equal_neighbours_are_one_edge_and_a_broken_shell_is_shared():
    copper = Structure.from_spacegroup(225, Lattice.cubic(3.61), ["Cu"], [[0, 0, 0]])
    iron = Structure.from_spacegroup(229, Lattice.cubic(2.87), ["Fe"], [[0, 0, 0]])
    graph = find_graphs(crystals_of(copper, iron), n_neighbors=12, cutoff=8.0)
    assert graph.edge_offsets.tolist() == [0, 1, 3]
    assert graph.weights.tolist() == [12, 8, 4]  # of the six second neighbours
    np.testing.assert_allclose(
        graph.distances, [3.61 / np.sqrt(2), 2.87 * np.sqrt(3) / 2, 2.87], rtol=1e-5
    )


def test_batches_change_nothing():
    crystals = crystals_of(*CRYSTALS.values())
    together = predict(crystals)
    for row in range(len(crystals)):
        alone = predict(crystals.take([row]))
        np.testing.assert_allclose(alone[0], together[row], atol=1e-10)


def test_an_atom_without_neighbours_has_finite_predictions():
    alone = Structure(Lattice.cubic(20.0), ["Ar"], [[0, 0, 0]])
    graph = find_graphs(crystals_of(alone), n_neighbors=12, cutoff=8.0)
    assert len(graph.centers) == 0
    assert np.isfinite(predict(crystals_of(alone, ROCKSALT))).all()


def test_a_large_cutoff_finds_what_a_small_one_misses():
    sparse = Structure.from_spacegroup(221, Lattice.cubic(6.0), ["Xe"], [[0, 0, 0]])
    near = find_graphs(crystals_of(sparse), n_neighbors=12, cutoff=7.0)
    far = find_graphs(crystals_of(sparse), n_neighbors=12, cutoff=9.0)
    assert near.weights.tolist() == [6]
    assert far.weights.tolist() == [6, 6]  # of the twelve second neighbours


def test_genes_alone_are_refused():
    crystals = crystals_from_genes([WyckoffGene.from_text("221 Sr:a Ti:b O:c")])
    with pytest.raises(ModelError, match="without cells"):
        GraphRepresentation().prepare(crystals)


@pytest.mark.parametrize(
    "options", [{"n_neighbors": 0}, {"cutoff": -1}, {"neighbors": 12}]
)
def test_a_wrong_option_is_refused(options):
    with pytest.raises(TrainingError, match=next(iter(options))):
        open_representation("graph", options)


def test_no_crystals_are_no_graphs():
    crystals = crystals_of(ROCKSALT).take(np.array([], np.int64))
    assert len(find_graphs(crystals, n_neighbors=12, cutoff=8.0)) == 0


@pytest.fixture(scope="module")
def salts_by_edge(make_dataset):
    """Rock salts of a few elements whose property is the length of their bond."""
    from dataclasses import replace

    from wyckflow.crystal.dataset.table import Dataset

    rng = np.random.default_rng(0)
    cations, anions = ("Li", "Na", "K", "Mg", "Ca"), ("O", "S", "F", "Cl")
    genes = [
        WyckoffGene.from_text(f"225 {cation}:a {anion}:b")
        for cation in cations
        for anion in anions
        for _ in range(8)
    ]
    edges = 4.5 + 2 * rng.random(len(genes))
    dataset = make_dataset(genes, {"bond": edges / 2})
    lattices = edges[:, None, None] * np.eye(3)
    arrays = replace(dataset.arrays, lattices=lattices)
    return Dataset(arrays, dataset.metadata)


def test_it_learns_what_distances_decide(salts_by_edge):
    sizes = GraphSizes(width=32, n_layers=2, head_width=32)
    config = ForwardConfig(
        representation="graph",
        properties=[{"name": "bond"}],
        network=sizes.model_dump(),
        loop={"n_epochs": 50, "batch_size": 16, "learning_rate": 5e-3},
        validation_share=0.2,
    )
    model = ForwardModel(config).fit([salts_by_edge])
    spread = salts_by_edge.properties["bond"].std()
    assert model.metrics["forward_1_mae_bond"] < 0.2 * spread
