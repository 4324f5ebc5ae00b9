"""The quotient network against CHGNet itself, in every space group."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.build import BuildEngine, build_trials
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.crystal.tables import load_space_group
from wyckflow.relax.evaluate import evaluate_structures
from wyckflow.relax.network import QuotientNetwork
from wyckflow.relax.potential import load_potential
from wyckflow.relax.quotient.cells import stack_lattices, stack_parameters
from wyckflow.relax.quotient.search import find_topology
from wyckflow.relax.variables import Variables

torch = pytest.importorskip("torch", reason="install wyckflow[ml]")
pytest.importorskip("chgnet", reason="install wyckflow[ml]")

SPREAD = (1, 2, 3, 8, 15, 19, 36, 43, 62, 70, 88, 98, 122, 136, 141)
SPREAD += (146, 155, 161, 167, 176, 186, 194, 198, 205, 219, 225, 227, 230)
ELEMENTS = ("Sr", "Ti", "O", "Fe", "Si", "Na", "Cl", "Mn")


def draw_structure(number):
    """A random structure of a space group, of few orbits where large ones allow it."""
    group, rng = load_space_group(number), np.random.default_rng(number)
    for attempt in range(100):
        n_orbits = 1 + int(rng.integers(4)) if attempt < 60 else 1
        chosen = [
            group.positions[i]
            for i in rng.integers(len(group.positions), size=n_orbits)
        ]
        fixed = [p.letter for p in chosen if not p.degrees_of_freedom]
        n_atoms = sum(position.multiplicity for position in chosen)
        if len(set(fixed)) < len(fixed) or n_atoms > (40 if attempt < 80 else 200):
            continue
        elements = rng.choice(ELEMENTS, n_orbits, replace=False).tolist()
        letters = [position.letter for position in chosen]
        gene = WyckoffGene.from_pairs(number, zip(elements, letters, strict=True))
        (trial,) = build_trials(gene, 1, seed=1, engine=BuildEngine.SAMPLER)
        structure = trial.structure
        if structure is not None and structure.volume < 60 * structure.n_atoms:
            return structure
    raise AssertionError(f"no structure of space group {number}")


def check_against_chgnet(structures, potential, predict):
    """Hold the layers in float64 against CHGNet's float32, and ours in float32."""
    exact, fast = (
        evaluate_structures(
            structures, potential, with_magnetic_moments=True, dtype=dtype
        )
        for dtype in ("float64", "float32")
    )
    for structure, ours, rounded in zip(structures, exact, fast, strict=True):
        theirs = predict(structure.to_structure())
        expected = (float(theirs["e"]), theirs["f"], theirs["s"], theirs["m"])
        assert_close(ours, expected, stress_tolerance=2e-3)  # CHGNet's own rounding
        expected = (ours.energy_per_atom, ours.forces, ours.stress_gpa, theirs["m"])
        assert_close(rounded, expected, stress_tolerance=3e-3)


def assert_close(found, expected, *, stress_tolerance):
    energy, forces, stress, moments = expected
    # Rounding grows with what cancels: starts may have forces of many eV/A.
    largest = max(1.0, np.linalg.norm(forces, axis=1).max())
    pressure = max(1.0, np.abs(stress).max() / 20)
    assert found.energy_per_atom == pytest.approx(energy, abs=1e-5)
    assert np.abs(found.forces - forces).max() < 1e-3 * largest
    assert np.abs(found.stress_gpa - stress).max() < stress_tolerance * pressure
    assert np.abs(found.magnetic_moments - moments).max() < 1e-4


@pytest.fixture(scope="module")
def spread():
    return [draw_structure(number) for number in SPREAD]


def test_agrees_with_chgnet_in_a_spread_of_space_groups(spread, potential, predict):
    check_against_chgnet(spread, potential, predict)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, 231, 10))
def test_agrees_with_chgnet_in_every_space_group(first, potential, predict):
    structures = [draw_structure(number) for number in range(first, first + 10)]
    check_against_chgnet(structures, potential, predict)


CRYSTALS = {
    "rocksalt": ("225 Na:a Cl:b", (5.5,) * 3, [[0] * 3] * 2),
    "diamond": ("227 C:a", (3.6,) * 3, [[0] * 3]),
    "iron": ("229 Fe:a", (2.85,) * 3, [[0] * 3]),
    "copper": ("225 Cu:a", (3.6,) * 3, [[0] * 3]),
    "perovskite": ("221 Sr:a Ti:b O:c", (4.0,) * 3, [[0] * 3] * 3),
    "rutile": ("136 Ti:a O:f", (4.6, 4.6, 3.0), [[0] * 3, [0.3, 0, 0]]),
    "fluorite": ("225 Ca:a F:c", (5.5,) * 3, [[0] * 3] * 2),
}


def make_crystal(name):
    text, lengths, parameters = CRYSTALS[name]
    gene = WyckoffGene.from_text(text)
    return ReducedStructure(gene, np.diag(lengths), np.array(parameters, dtype=float))


@pytest.mark.parametrize("weights", ["0.3.0", "0.2.0", "r2scan"])
def test_agrees_with_chgnet_for_known_crystals_and_all_weights(weights):
    chosen = load_potential(weights, device="cpu")
    crystals = [make_crystal(name) for name in CRYSTALS]
    check_against_chgnet(crystals, chosen, chosen.model.predict_structure)


def test_a_crystal_without_angles_beside_one_with_them(potential, predict):
    wide = ReducedStructure(
        WyckoffGene.from_text("225 Cs:a"), np.eye(3) * 8.0, np.zeros((1, 3))
    )
    check_against_chgnet([make_crystal("diamond"), wide], potential, predict)
    check_against_chgnet([wide], potential, predict)


# --- gradients ------------------------------------------------------------------------


class Surface:
    """Energies of a batch as a function of its variables, in float64."""

    def __init__(self, structures, potential, dtype="float64"):
        self.network = QuotientNetwork(potential, dtype)
        self.variables = Variables.from_structures(structures, "cpu")
        self.topology = find_topology(
            self.variables.cells,
            stack_parameters(structures, "cpu"),
            stack_lattices(structures, "cpu"),
            edge_cutoff=6.5,
            angle_cutoff=3.5,
        )

    def evaluate(self, points):
        parameters, lattices = self.variables.place(points)
        cells = self.variables.cells
        return self.network.evaluate(cells, self.topology, parameters, lattices)

    def start(self):
        shape = len(self.variables), self.variables.width
        return torch.zeros(shape, dtype=torch.float64)


def test_gradients_are_those_of_finite_differences(spread, potential):
    chosen = [s for s in spread if s.gene.degrees_of_freedom < 16]
    assert {s.gene.space_group_number for s in chosen} > {2, 15, 136, 167, 227}
    surface = Surface(chosen, potential)
    zero, step = surface.start(), 1e-4
    slopes = surface.variables.gradient(surface.evaluate(zero), zero.shape[1])
    for column in range(zero.shape[1]):
        shift = torch.zeros_like(zero)
        shift[:, column] = step
        higher, lower = (surface.evaluate(sign * shift).energies for sign in (1, -1))
        difference = (higher - lower) / (2 * step)
        size = 1 + slopes.abs().amax(1)
        assert ((difference - slopes[:, column]).abs() < 2e-5 * size).all()


def test_steps_of_one_unit_are_paths_of_one_angstrom(spread):
    variables = Variables.from_structures(spread, "cpu")
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.normal(0, 0.1, (len(spread), variables.width)))
    points[:, :6] = 0.0
    for place, size in enumerate(variables.sizes.tolist()):
        points[place, size:] = 0.0
    parameters, lattices = variables.place(points)
    cells = variables.cells
    before = cells.place_atoms(stack_parameters(spread, "cpu"))
    moved = torch.einsum(
        "ai,aij->aj",
        cells.place_atoms(parameters) - before,
        lattices[cells.atoms.owner],
    )
    paths = moved.norm(dim=1)
    for place in range(len(spread)):
        of_atoms = paths[cells.atoms.owner == place]
        n_strains = spread[place].gene.lattice_degrees_of_freedom
        free = points[place, n_strains:]
        assert float((of_atoms**2).sum()) == pytest.approx(float((free**2).sum()))
        expected = float(variables.path_lengths(points)[place])
        if n_strains == 6:
            assert float(of_atoms.max()) == pytest.approx(expected)


def test_strains_keep_the_form_of_the_cell(spread):
    variables = Variables.from_structures(spread, "cpu")
    rng = np.random.default_rng(1)
    points = torch.from_numpy(rng.normal(0, 0.2, (len(spread), variables.width)))
    for place, size in enumerate(variables.sizes.tolist()):
        points[place, size:] = 0.0
    _, lattices = variables.place(points)
    for structure, lattice in zip(spread, lattices.numpy(), strict=True):
        kept = structure.with_values(lattice=lattice).lattice  # made symmetric there
        assert np.allclose(kept @ kept.T, lattice @ lattice.T, rtol=1e-12, atol=1e-10)


def test_there_are_as_many_variables_as_degrees_of_freedom(spread):
    sizes = Variables.from_structures(spread, "cpu").sizes
    assert sizes.tolist() == [s.gene.degrees_of_freedom for s in spread]


# --- what must not matter -------------------------------------------------------------


def test_the_skin_does_not_change_a_bit(spread, potential):
    network = QuotientNetwork(potential)
    variables = Variables.from_structures(spread, "cpu")
    parameters, lattices = (
        stack_parameters(spread, "cpu"),
        stack_lattices(spread, "cpu"),
    )
    answers = []
    for skin in (0.0, 0.5, 1.5):
        topology = find_topology(
            variables.cells,
            parameters,
            lattices,
            edge_cutoff=6 + skin,
            angle_cutoff=3 + skin / 2,
        )
        answers.append(
            network.evaluate(variables.cells, topology, parameters, lattices)
        )
    for other in answers[1:]:
        assert torch.equal(other.energies, answers[0].energies)
        assert torch.allclose(
            other.parameter_gradients, answers[0].parameter_gradients, atol=1e-4
        )


@pytest.mark.parametrize(("dtype", "noise"), [("float32", 2e-6), ("float64", 1e-12)])
def test_company_changes_an_energy_by_rounding_only(dtype, noise, spread, potential):
    together = evaluate_structures(spread, potential, dtype=dtype)
    alone = evaluate_structures(spread, potential, dtype=dtype, batch_size=1)
    for one, other in zip(together, alone, strict=True):
        assert one.energy_per_atom == pytest.approx(other.energy_per_atom, abs=noise)


def test_forces_of_equal_atoms_are_equal_by_symmetry(spread, potential):
    for structure, found in zip(
        spread, evaluate_structures(spread, potential), strict=True
    ):
        table = structure.orbit_table
        sizes = np.linalg.norm(found.forces, axis=1)
        for first, multiplicity in zip(
            table.first_atoms, table.multiplicities, strict=True
        ):
            orbit = sizes[first : first + multiplicity]
            assert np.allclose(orbit, orbit[0], rtol=1e-9, atol=1e-12)


def test_an_atom_on_top_of_another_spoils_no_other_structure(potential):
    gene = WyckoffGene.from_text("1 Na:a Cl:a")
    overlap = ReducedStructure(gene, np.eye(3) * 4.0, np.full((2, 3), 0.5))
    good = make_crystal("rutile")
    both = evaluate_structures([overlap, good], potential)
    (alone,) = evaluate_structures([good], potential)
    assert not np.isfinite(both[0].energy_per_atom)
    assert both[1].energy_per_atom == pytest.approx(alone.energy_per_atom, abs=1e-6)
    assert np.isfinite(both[1].forces).all()


def test_a_structure_without_neighbours_has_the_energies_of_its_atoms(potential):
    gene = WyckoffGene.from_text("221 Ar:a")
    alone = ReducedStructure(gene, np.eye(3) * 15.0, np.zeros((1, 3)))
    (found,) = evaluate_structures([alone], potential, with_magnetic_moments=True)
    assert np.isfinite(found.energy_per_atom)
    assert (found.forces == 0).all()
    assert (found.stress_gpa == 0).all()
