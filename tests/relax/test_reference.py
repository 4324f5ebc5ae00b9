"""The reference relaxer against CHGNet's own optimiser, predictions and spglib."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.relax.contract import RelaxOptions
from wyckflow.relax.reference import relax_structure
from wyckflow.schemas.relaxation import Outcome

OPTIONS = RelaxOptions()
GPA = 1 / 160.21766208  # eV/A^3

STARTS = {
    "rocksalt": ("225 Na:a Cl:b", (5.9, 5.9, 5.9), [[0] * 3, [0] * 3]),
    "perovskite": ("221 Sr:a Ti:b O:c", (4.05, 4.05, 4.05), [[0] * 3] * 3),
    "rutile": ("136 Ti:a O:f", (4.75, 4.75, 3.05), [[0] * 3, [0.29, 0, 0]]),
}


def make_start(name):
    text, lengths, parameters = STARTS[name]
    gene = WyckoffGene.from_text(text)
    return ReducedStructure(gene, np.diag(lengths), np.array(parameters, dtype=float))


@pytest.fixture(scope="module")
def baddeleyite():
    """ZrO2, monoclinic, every atom in general position, as measured."""
    from pymatgen.core import Lattice, Structure

    crystal = Structure.from_spacegroup(
        14,
        Lattice.monoclinic(5.151, 5.212, 5.317, 99.23),
        ["Zr", "O", "O"],
        [[0.2754, 0.0395, 0.2083], [0.07, 0.3317, 0.3447], [0.4496, 0.7569, 0.4792]],
    )
    return ReducedStructure.from_structure(crystal, symprec=0.01)


@pytest.fixture(scope="module")
def relaxed(potential):
    return {
        name: relax_structure(make_start(name), potential, OPTIONS) for name in STARTS
    }


@pytest.mark.parametrize("name", STARTS)
def test_agrees_with_chgnets_own_optimiser(name, relaxed, potential):
    from chgnet.model import StructOptimizer

    optimiser = StructOptimizer(
        model=potential.model, optimizer_class="FIRE", use_device="cpu"
    )
    plain = optimiser.relax(
        make_start(name).to_structure(), fmax=0.01, steps=300, verbose=False
    )
    final, energies = plain["final_structure"], plain["trajectory"].energies
    state = relaxed[name].state
    assert state.outcome is Outcome.CONVERGED
    assert state.energy_per_atom == pytest.approx(energies[-1] / len(final), abs=1e-3)
    assert state.volume_per_atom == pytest.approx(final.volume / len(final), rel=0.01)


@pytest.mark.parametrize("name", STARTS)
def test_the_structure_has_the_numbers_that_are_reported(name, relaxed, predict):
    state, structure = relaxed[name].state, relaxed[name].structure
    found = predict(structure.to_structure())
    forces, stress = np.linalg.norm(found["f"], axis=1), np.abs(found["s"])
    assert state.energy_per_atom == pytest.approx(float(found["e"]), abs=1e-5)
    assert forces.max() < OPTIONS.fmax + 2e-3  # not averaged over the group
    assert state.max_force == pytest.approx(forces.max(), abs=2e-3)
    assert stress.max() < OPTIONS.max_stress_gpa + 0.02
    assert state.max_stress_gpa == pytest.approx(stress.max(), abs=0.02)


@pytest.mark.parametrize("name", STARTS)
def test_spglib_finds_the_group_of_the_gene_at_a_tight_tolerance(name, relaxed):
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    structure = relaxed[name].structure
    number = structure.gene.space_group_number
    analyzer = SpacegroupAnalyzer(structure.to_structure(), symprec=1e-3)
    assert analyzer.get_space_group_number() == number
    assert relaxed[name].state.space_group_number_after == number


def test_lattice_parameters_are_those_of_pbe(relaxed):
    # Materials Project (PBE): SrTiO3 3.94 A, NaCl 5.69 A.
    for name, expected in (("perovskite", 3.94), ("rocksalt", 5.69)):
        found = relaxed[name].structure.lattice[0, 0]
        assert found == pytest.approx(expected, rel=0.02)


def test_a_monoclinic_cell_keeps_its_numbers_on_the_way_back(
    baddeleyite, potential, predict
):
    end = relax_structure(baddeleyite, potential, RelaxOptions(max_steps=40))
    found = predict(end.structure.to_structure())
    assert end.state.space_group_number_after == 14
    assert end.state.outcome is Outcome.CONVERGED
    assert end.state.energy_per_atom == pytest.approx(float(found["e"]), abs=1e-5)
    angle = np.degrees(np.arccos(_cosine(end.structure.lattice[[0, 2]])))
    assert angle == pytest.approx(99.23, abs=1.0)
    moved = end.structure.parameters - baddeleyite.parameters
    assert np.abs(moved - np.rint(moved)).max() < 0.02


def _cosine(pair):
    return pair[0] @ pair[1] / np.prod(np.linalg.norm(pair, axis=1))


def test_stress_is_the_strain_derivative_of_the_energy(potential, predict):
    end = relax_structure(make_start("rocksalt"), potential, RelaxOptions(max_steps=1))
    assert end.state.outcome is Outcome.STEP_LIMIT
    structure, strain = end.structure, 0.003
    energies = [
        float(predict(_strained(structure, sign * strain))["e"]) for sign in (1, -1)
    ]
    slope = (energies[0] - energies[1]) / (2 * strain)  # eV/atom per linear strain
    pressure = slope / (3 * end.state.volume_per_atom) / GPA
    assert end.state.max_stress_gpa == pytest.approx(abs(pressure), rel=0.02)


def _strained(structure, strain):
    return structure.with_values(
        lattice=structure.lattice * (1 + strain)
    ).to_structure()


def test_force_is_the_derivative_of_the_energy(potential, predict):
    end = relax_structure(make_start("rutile"), potential, RelaxOptions(max_steps=1))
    structure, step = end.structure, 0.002
    u = structure.free_parameters
    energies = [
        float(predict(structure.with_values(free_parameters=u + d).to_structure())["e"])
        for d in (step, -step)
    ]
    # All four oxygen atoms move along (a, a, 0) with the one parameter.
    per_atom = structure.lattice[0, 0] * np.sqrt(2)
    slope = 6 * (energies[0] - energies[1]) / (2 * step) / (4 * per_atom)
    assert end.state.max_force == pytest.approx(abs(slope), rel=0.05)


def test_a_tighter_limit_gives_smaller_forces(potential):
    start = make_start("rutile")
    easy = RelaxOptions(fmax=0.1, max_stress_gpa=3.0)
    loose, tight = (
        relax_structure(start, potential, options).state
        for options in (easy, replace(easy, fmax=0.005))
    )
    assert tight.max_force <= 0.005 < loose.max_force <= 0.1
    assert tight.n_steps > loose.n_steps


def test_evaluations_are_counted(potential):
    counting = CountingPotential(potential)
    end = relax_structure(make_start("rutile"), counting, RelaxOptions(max_steps=5))
    assert end.state.n_steps == 5
    assert end.state.n_evaluations == counting.n_calls == 6


class CountingPotential:
    """A potential whose calculators count how often they compute."""

    def __init__(self, potential):
        self.cutoff = potential.cutoff
        self.n_calls = 0
        self._potential = potential

    def calculator(self):
        calculator = self._potential.calculator()
        compute = calculator.calculate

        def calculate(*args, **kwargs):
            self.n_calls += 1
            compute(*args, **kwargs)

        calculator.calculate = calculate
        return calculator


def test_the_same_start_gives_the_same_end(potential):
    start = make_start("perovskite")
    first, second = (relax_structure(start, potential, OPTIONS) for _ in range(2))
    assert first.state == second.state
    assert first.structure == second.structure


# --- what must not be relaxed ---------------------------------------------------------


def relax_text(text, lattice, parameters, potential):
    gene = WyckoffGene.from_text(text)
    start = ReducedStructure(gene, np.array(lattice), np.array(parameters, dtype=float))
    return relax_structure(start, potential, OPTIONS)


@pytest.mark.parametrize(
    ("text", "lattice", "parameters", "outcome"),
    [
        ("225 Na:a Cl:b", np.eye(3) * 2.0, [[0] * 3] * 2, Outcome.GUARDED),
        ("225 Na:a Cl:b", np.eye(3) * 30.0, [[0] * 3] * 2, Outcome.GUARDED),
        ("123 O:g", np.eye(3) * 4.0, [[0, 0, 0.01]], Outcome.GUARDED),
        (
            "123 H:g K:d",
            np.eye(3) * 7.6,
            [[0, 0, 0.05], [0] * 3],
            Outcome.ISOLATED,
        ),
        ("225 Rn:a", np.eye(3) * 6.0, [[0] * 3], Outcome.UNSUPPORTED_ELEMENT),
    ],
    ids=["collapsed", "exploded", "overlap", "isolated", "radon"],
)
def test_absurd_starts_end_as_values_without_asking_the_network(
    text, lattice, parameters, outcome, potential
):
    counting = CountingPotential(potential)
    end = relax_text(text, lattice, parameters, counting)
    assert end.state.outcome is outcome
    assert end.state.reason
    assert end.structure is None
    assert end.state.energy_per_atom is None
    assert counting.n_calls == end.state.n_evaluations == 0


class ConstantPotential:
    """A potential that answers every question alike."""

    cutoff = 6.0

    def __init__(self, *, energy, stress):
        self.energy, self.stress = energy, stress

    def calculator(self):
        from ase.calculators.calculator import Calculator, all_changes

        answer = {"energy": self.energy, "stress": np.array(self.stress)}

        class Constant(Calculator):
            implemented_properties = ("energy", "forces", "stress")

            def calculate(self, atoms=None, properties=None, changes=all_changes):
                super().calculate(atoms, properties, changes)
                self.results = {**answer, "forces": np.zeros((len(atoms), 3))}

        return Constant()


@pytest.mark.parametrize(
    ("sign", "outcomes"),
    [(1, {Outcome.GUARDED}), (-1, {Outcome.GUARDED, Outcome.ISOLATED})],
    ids=["collapses", "explodes"],
)
def test_what_runs_away_is_stopped_on_the_way(sign, outcomes):
    pressed = ConstantPotential(energy=0.0, stress=[sign * 1.0] * 3 + [0.0] * 3)
    end = relax_structure(make_start("perovskite"), pressed, OPTIONS)
    assert end.state.outcome in outcomes
    assert 0 < end.state.n_steps < OPTIONS.max_steps
    assert end.structure is None


@pytest.mark.parametrize("energy", [np.nan, np.inf])
def test_an_energy_that_is_no_number_is_an_outcome(energy):
    broken = ConstantPotential(energy=energy, stress=[0.0] * 6)
    end = relax_structure(make_start("perovskite"), broken, OPTIONS)
    assert end.state.outcome is Outcome.NON_FINITE
    assert end.state.n_evaluations == 1
    assert end.state.energy_per_atom is None


@pytest.mark.parametrize(
    "wrong",
    [{"fmax": 0}, {"fmax": -1}, {"symprec": float("nan")}, {"max_steps": 0}],
    ids=str,
)
def test_limits_that_cannot_be_met_are_refused(wrong):
    with pytest.raises(ValueError, match="positive"):
        RelaxOptions(**wrong)
