"""Orbits, classes of edges and angles, against brute force and CHGNet's own graphs."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.build import BuildEngine, build_trials
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.crystal.tables import TRANSLATION_DENOMINATOR, load_space_group
from wyckflow.relax.quotient.cells import Cells, stack_lattices, stack_parameters
from wyckflow.relax.quotient.neighborhood import Neighborhood
from wyckflow.relax.quotient.orbits import load_position_action, load_quotient_table
from wyckflow.relax.quotient.search import find_topology

torch = pytest.importorskip("torch", reason="install wyckflow[ml]")

GROUPS = (1, 2, 5, 15, 43, 62, 70, 88, 122, 146, 167, 186, 194, 205, 214, 227, 230)

GENES = (
    "1 Si:a2 O:a",
    "2 Ti:a,i O:i2",
    "14 Zr:e O:e2",
    "43 Si:a O:b",
    "62 Ca:c Ti:b O:c,d",
    "136 Ti:a O:f",
    "141 Ti:a O:e",
    "152 Si:a O:c",
    "166 Bi:c Te:a,c",
    "194 Mo:c S:f",
    "205 Fe:a S:c",
    "221 Sr:a Ti:b O:c",
    "227 Mg:a Al:d O:e",
    "229 Fe:a",
)


def draw(text):
    gene = WyckoffGene.from_text(text)
    (trial,) = build_trials(gene, 1, seed=1, engine=BuildEngine.SAMPLER)
    return trial.structure


@pytest.fixture(scope="module")
def structures():
    return [draw(text) for text in GENES]


def search_alone(structure, edge_cutoff=6.0, angle_cutoff=3.0):
    cells = Cells.from_genes([structure.gene], "cpu")
    topology = find_topology(
        cells,
        stack_parameters([structure], "cpu"),
        stack_lattices([structure], "cpu"),
        edge_cutoff=edge_cutoff,
        angle_cutoff=angle_cutoff,
    )
    return cells, topology


# --- orbits ---------------------------------------------------------------------------


@pytest.mark.parametrize("number", GROUPS)
def test_operations_move_points_as_the_tables_say(number):
    group, rng = load_space_group(number), np.random.default_rng(number)
    for position in group.positions:
        action = load_position_action(number, position.letter)
        points = position.rotations @ rng.random(3)
        points = points + position.translations / TRANSLATION_DENOMINATOR
        moved = np.einsum("gij,mj->gmi", group.rotations, points)
        moved += group.translations[:, None] / TRANSLATION_DENOMINATOR
        assert np.allclose(moved, points[action.images] + action.shifts)


@pytest.mark.parametrize("number", GROUPS)
def test_every_orbit_has_as_many_atoms_as_its_stabiliser_has_cosets(number):
    group = load_space_group(number)
    table = load_quotient_table(number, tuple(group.letters))
    assert (table.stabilizer_sizes * table.multiplicities == len(group.rotations)).all()
    free = [position.degrees_of_freedom for position in group.positions]
    assert table.is_free.sum(1).tolist() == free


def test_tables_are_shared_and_cannot_be_changed():
    table = load_quotient_table(62, ("c", "d"))
    assert load_quotient_table(62, ("c", "d")) is table
    with pytest.raises(ValueError, match="read-only"):
        table.images[0] = 0


# --- classes --------------------------------------------------------------------------


def count_neighbors(structure, cutoff):
    """Neighbours of the first atom of every orbit, by pymatgen."""
    crystal = structure.to_structure()
    firsts = structure.orbit_table.first_atoms
    return [len(crystal.get_neighbors(crystal[int(i)], cutoff)) for i in firsts]


def test_classes_hold_as_many_neighbours_as_pymatgen_finds(structures):
    for structure in structures:
        _, topology = search_alone(structure, edge_cutoff=5.3)
        rows = topology.neighbors
        found = torch.zeros(structure.gene.n_orbits, dtype=torch.float64)
        found.index_add_(0, rows.centers, rows.weights)
        assert found.tolist() == count_neighbors(structure, 5.3)


def test_angles_are_as_many_as_in_chgnets_graph(structures, potential):
    n_angles = 0
    for structure in structures:
        graph = potential.model.graph_converter(structure.to_structure())
        cells, topology = search_alone(structure)
        neighbors, angles = topology.neighbors, topology.angles
        ends = cells.orbits.multiplicities[neighbors.centers] * neighbors.weights
        bonds = torch.zeros(len(topology.bonds), dtype=torch.float64)
        bonds.index_add_(0, neighbors.bonds, ends / 2)
        assert bonds.sum() == len(graph.atom_graph) / 2
        counted = (bonds[angles.first_bonds] * angles.weights).sum()
        assert counted == len(graph.bond_graph)
        n_angles += len(graph.bond_graph)
    assert n_angles > 1000


def test_a_cubic_crystal_has_few_classes():
    rocksalt = ReducedStructure(
        WyckoffGene.from_text("225 Na:a Cl:b"), np.eye(3) * 5.6, np.zeros((2, 3))
    )
    _, topology = search_alone(rocksalt)
    # Shells around an ion of rock salt at sqrt(1, 2, 3, 4) times a/2 are within 6 A.
    assert sorted(topology.neighbors.weights.tolist()) == sorted([6, 12, 8, 6] * 2)
    angles = topology.angles
    assert sorted(angles.weights.tolist()) == [1, 1, 4, 4]  # 180 and 90 degrees


def test_free_coordinates_in_another_cell_change_nothing(structures):
    for structure in structures[:6]:
        cells, topology = search_alone(structure)
        parameters = stack_parameters([structure], "cpu")
        moved = find_topology(
            cells,
            parameters + 3 * cells.orbits.is_free,
            stack_lattices([structure], "cpu"),
            edge_cutoff=6.0,
            angle_cutoff=3.0,
        )
        for name in ("neighbors", "angles"):
            ours, theirs = getattr(topology, name), getattr(moved, name)
            assert sorted(ours.weights.tolist()) == sorted(theirs.weights.tolist())


def test_a_batch_is_its_structures_side_by_side(structures):
    cells = Cells.from_genes([s.gene for s in structures], "cpu")
    topology = find_topology(
        cells,
        stack_parameters(structures, "cpu"),
        stack_lattices(structures, "cpu"),
        edge_cutoff=6.0,
        angle_cutoff=3.0,
    )
    for place, structure in enumerate(structures):
        _, alone = search_alone(structure)
        keep = torch.arange(len(structures)) == place
        part = topology.select(keep, torch.zeros(len(structures), dtype=torch.long))
        for name in ("edges", "bonds", "neighbors", "angles"):
            ours, theirs = getattr(part, name), getattr(alone, name)
            for field in vars(ours):
                assert torch.equal(getattr(ours, field), getattr(theirs, field))


def test_thin_cells_are_searched_far_enough():
    gene = WyckoffGene.from_text("1 Si:a")
    lattice = [[2.6, 0, 0], [6.1, 2.4, 0], [5.0, 6.0, 3.0]]
    thin = ReducedStructure(gene, np.array(lattice), [[0.9, 0.1, 0.4]])
    _, topology = search_alone(thin)
    assert [float(topology.neighbors.weights.sum())] == count_neighbors(thin, 6.0)


# --- the neighbourhood ----------------------------------------------------------------


def test_neighbours_are_looked_up_again_before_one_is_missed(structures):
    cells = Cells.from_genes([s.gene for s in structures], "cpu")
    parameters = stack_parameters(structures, "cpu")
    lattices = stack_lattices(structures, "cpu")
    around = Neighborhood(6.0, 3.0, skin=0.7, angle_skin=0.4)
    rng = np.random.default_rng(0)
    for _ in range(12):
        noise = torch.from_numpy(rng.normal(0, 0.01, parameters.shape))
        parameters = parameters + noise * cells.orbits.is_free
        lattices = lattices * rng.uniform(0.97, 1.025)
        kept = around.look_around(cells, parameters, lattices)
        fresh = find_topology(
            cells, parameters, lattices, edge_cutoff=6.0, angle_cutoff=3.0
        )
        assert count_seen(cells, kept, parameters, lattices) == count_seen(
            cells, fresh, parameters, lattices
        )
    assert len(structures) < around.n_searches < 12 * len(structures)


def count_seen(cells, topology, parameters, lattices):
    from wyckflow.relax.quotient.graph import look

    graph = look(
        cells, topology, parameters, lattices, edge_cutoff=6.0, angle_cutoff=3.0
    )
    return (
        len(graph.lengths),
        float(graph.neighbor_weights.sum()),
        float(graph.angle_weights.sum()),
    )


def test_structures_may_leave_and_enter_a_neighbourhood(structures):
    around = Neighborhood(6.0, 3.0)
    first, later = structures[:4], structures[4:7]
    cells = Cells.from_genes([s.gene for s in first], "cpu")
    around.look_around(
        cells, stack_parameters(first, "cpu"), stack_lattices(first, "cpu")
    )
    around.select(cells, [1, 3])
    mixed = [first[1], first[3], *later]
    cells = cells.select([1, 3]).join(Cells.from_genes([s.gene for s in later], "cpu"))
    parameters, lattices = stack_parameters(mixed, "cpu"), stack_lattices(mixed, "cpu")
    kept = around.look_around(cells, parameters, lattices)
    fresh = find_topology(
        cells, parameters, lattices, edge_cutoff=6.0, angle_cutoff=3.0
    )
    assert around.n_searches == 4 + 3
    assert count_seen(cells, kept, parameters, lattices) == count_seen(
        cells, fresh, parameters, lattices
    )
