"""The batched relaxer against the reference relaxer, CHGNet and spglib."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.build import BuildEngine, build_trials
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.relax import reference
from wyckflow.relax.batched import BatchLimits, relax_structures
from wyckflow.relax.contract import RelaxOptions
from wyckflow.relax.flight import find_absurd_cells
from wyckflow.relax.guards import find_geometry_problem
from wyckflow.schemas.relaxation import Outcome

torch = pytest.importorskip("torch", reason="install wyckflow[ml]")
pytest.importorskip("chgnet", reason="install wyckflow[ml]")

OPTIONS = RelaxOptions()

STARTS = {
    "rocksalt": ("225 Na:a Cl:b", (5.9, 5.9, 5.9), [[0] * 3] * 2),
    "perovskite": ("221 Sr:a Ti:b O:c", (4.05, 4.05, 4.05), [[0] * 3] * 3),
    "rutile": ("136 Ti:a O:f", (4.75, 4.75, 3.05), [[0] * 3, [0.29, 0, 0]]),
    "anatase": ("141 Ti:a O:e", (3.9, 3.9, 9.3), [[0] * 3, [0, 0, 0.19]]),
    "fluorite": ("225 Ca:a F:c", (5.3, 5.3, 5.3), [[0] * 3] * 2),
}

ABSURD = {
    "collapsed": ("225 Na:a Cl:b", (2.0,) * 3, [[0] * 3] * 2, Outcome.GUARDED),
    "exploded": ("225 Na:a Cl:b", (30.0,) * 3, [[0] * 3] * 2, Outcome.GUARDED),
    "overlap": ("123 O:g", (4.0,) * 3, [[0, 0, 0.01]], Outcome.GUARDED),
    "on top": ("1 Na:a Cl:a", (4.0,) * 3, [[0.5] * 3] * 2, Outcome.GUARDED),
    "isolated": (
        "123 H:g K:d",
        (7.6,) * 3,
        [[0, 0, 0.05], [0] * 3],
        Outcome.ISOLATED,
    ),
    "radon": ("225 Rn:a", (6.0,) * 3, [[0] * 3], Outcome.UNSUPPORTED_ELEMENT),
    "curium": ("225 Cm:a", (6.0,) * 3, [[0] * 3], Outcome.UNSUPPORTED_ELEMENT),
}


def make(text, lengths, parameters, *_):
    gene = WyckoffGene.from_text(text)
    return ReducedStructure(gene, np.diag(lengths), np.array(parameters, dtype=float))


@pytest.fixture(scope="module")
def starts():
    return [make(*start) for start in STARTS.values()]


@pytest.fixture(scope="module")
def random_starts():
    """Structures far from their minima, from one variable to more than twenty."""
    texts = (
        "2 Ti:i O:i2",
        "14 Zr:e O:e2",
        "62 Ca:c Ti:b O:c,d",
        "152 Si:a O:c",
        "166 Bi:c Te:a,c",
        "194 Mo:c S:f",
        "205 Fe:a S:c",
        "227 Mg:a Al:d O:e",
    )
    genes = [WyckoffGene.from_text(text) for text in texts]
    return [
        build_trials(gene, 1, seed=3, engine=BuildEngine.SAMPLER)[0].structure
        for gene in genes
    ]


@pytest.fixture(scope="module")
def relaxed(starts, potential):
    return relax_structures(starts, potential, OPTIONS)


@pytest.fixture(scope="module")
def random_ends(random_starts, potential):
    return relax_structures(random_starts, potential, OPTIONS)


def test_agrees_with_the_reference_relaxer(starts, relaxed, potential):
    differences = []
    for start, ours in zip(starts, relaxed, strict=True):
        theirs = reference.relax_structure(start, potential, OPTIONS)
        assert ours.state.outcome is theirs.state.outcome is Outcome.CONVERGED
        differences.append(ours.state.energy_per_atom - theirs.state.energy_per_atom)
        assert ours.state.volume_per_atom == pytest.approx(
            theirs.state.volume_per_atom, rel=5e-3
        )
        after = ours.state.space_group_number_after
        assert after == theirs.state.space_group_number_after
    assert np.mean(np.abs(differences)) < 1e-4


def test_the_structure_has_the_numbers_that_are_reported(
    random_starts, random_ends, predict
):
    for start, end in zip(random_starts, random_ends, strict=True):
        state = end.state
        assert state.outcome is Outcome.CONVERGED, start.gene
        found = predict(end.structure.to_structure())
        forces, stress = np.linalg.norm(found["f"], axis=1), np.abs(found["s"])
        assert state.energy_per_atom == pytest.approx(float(found["e"]), abs=1e-5)
        assert state.max_force <= OPTIONS.fmax
        assert forces.max() < OPTIONS.fmax + 2e-3  # not averaged over the group
        assert state.max_stress_gpa <= OPTIONS.max_stress_gpa
        assert stress.max() < OPTIONS.max_stress_gpa + 0.02
        structure = end.structure
        volume = structure.volume / structure.n_atoms
        assert state.volume_per_atom == pytest.approx(volume)
        assert state.n_evaluations == state.n_steps + 1


def test_energies_fall(random_starts, random_ends, predict):
    for start, end in zip(random_starts, random_ends, strict=True):
        before = float(predict(start.to_structure(), task="e")["e"])
        assert end.state.energy_per_atom < before


def test_the_space_group_is_exact(random_starts, random_ends):
    import spglib

    for start, end in zip(random_starts, random_ends, strict=True):
        assert end.structure.gene == start.gene
        cell = (end.structure.lattice, *end.structure.expand())
        found = spglib.get_symmetry_dataset(cell, symprec=1e-5)
        group = start.gene.space_group
        # All operations of the gene's group are there, whatever came on top of them.
        operations = {
            (tuple(r.ravel()), tuple(np.rint(24 * t).astype(int) % 24))
            for r, t in zip(found.rotations, found.translations, strict=True)
        }
        ours = zip(group.rotations, group.translations, strict=True)
        assert {(tuple(r.ravel()), tuple(t % 24)) for r, t in ours} <= operations


def test_answers_come_in_the_order_of_the_starts(starts, relaxed, potential):
    places = []
    ends = relax_structures(
        starts[::-1],
        potential,
        OPTIONS,
        limits=BatchLimits(max_structures=2),
        progress=lambda place, _: places.append(place),
    )
    assert sorted(places) == list(range(len(starts)))
    for end, other in zip(ends, relaxed[::-1], strict=True):
        assert end.structure.gene == other.structure.gene
        assert end.state.energy_per_atom == pytest.approx(
            other.state.energy_per_atom, abs=1e-4
        )


def test_the_same_call_gives_the_same_answer(random_starts, random_ends, potential):
    again = relax_structures(random_starts, potential, OPTIONS)
    for end, other in zip(again, random_ends, strict=True):
        assert end.state == other.state
        assert end.structure == other.structure


@pytest.mark.parametrize(
    "limits",
    [BatchLimits(1), BatchLimits(3), BatchLimits(64, max_edges=1)],
    ids=["one by one", "three", "no room for two"],
)
def test_company_does_not_change_the_end(limits, random_starts, potential):
    # In float64 the paths stay the same, too, so that they can be compared.
    chosen, options = random_starts[3:], RelaxOptions(fmax=0.005)
    together = relax_structures(chosen, potential, options, dtype="float64")
    apart = relax_structures(chosen, potential, options, dtype="float64", limits=limits)
    for one, other in zip(together, apart, strict=True):
        assert one.state.n_evaluations == other.state.n_evaluations
        assert one.state.energy_per_atom == pytest.approx(
            other.state.energy_per_atom, abs=1e-8
        )


def test_a_pause_changes_nothing(random_starts, potential):
    """In float64, whatever the company; evaluations are counted once."""
    whole = relax_structures(random_starts, potential, OPTIONS, dtype="float64")
    ends = [None] * len(random_starts)
    n_steps, n_evaluations = np.zeros((2, len(random_starts)), dtype=int)
    running = list(range(len(random_starts)))
    for max_steps in (1, 6, 3, OPTIONS.max_steps):
        found = relax_structures(
            [ends[i].structure if ends[i] else random_starts[i] for i in running],
            potential,
            RelaxOptions(max_steps=max_steps),
            pauses=[ends[i].pause if ends[i] else None for i in running],
            dtype="float64",
        )
        for i, end in zip(running, found, strict=True):
            assert end.state.n_steps <= max_steps
            ends[i] = end
            n_steps[i] += end.state.n_steps
            n_evaluations[i] += end.state.n_evaluations
        running = [i for i in running if ends[i].state.outcome is Outcome.STEP_LIMIT]
        assert all(ends[i].pause for i in running)
    assert not running
    for i, (end, other) in enumerate(zip(ends, whole, strict=True)):
        assert end.pause is None
        assert n_steps[i] == other.state.n_steps
        assert n_evaluations[i] == other.state.n_evaluations
        assert end.state.energy_per_atom == pytest.approx(
            other.state.energy_per_atom, abs=1e-8
        )


@pytest.mark.parametrize("skin", [0.0, 0.3, 2.0])
def test_the_skin_changes_the_cost_and_not_the_end(skin, random_starts, potential):
    chosen = random_starts[3:]
    usual = relax_structures(chosen, potential, OPTIONS, dtype="float64")
    other = relax_structures(chosen, potential, OPTIONS, dtype="float64", skin=skin)
    for one, two in zip(usual, other, strict=True):
        assert one.state.n_evaluations == two.state.n_evaluations
        assert one.state.energy_per_atom == pytest.approx(
            two.state.energy_per_atom, abs=1e-8
        )


def test_layers_in_float32_lead_to_the_same_minima(starts, relaxed, potential):
    exact = relax_structures(starts, potential, OPTIONS, dtype="float64")
    for one, other in zip(relaxed, exact, strict=True):
        assert one.state.energy_per_atom == pytest.approx(
            other.state.energy_per_atom, abs=2e-5
        )


# --- what must not be relaxed ---------------------------------------------------------


def test_absurd_starts_end_as_values_and_disturb_no_one(starts, relaxed, potential):
    absurd = [make(*start) for start in ABSURD.values()]
    mixed = [
        structure for pair in zip(absurd, starts, strict=False) for structure in pair
    ]
    mixed += absurd[len(starts) :]
    ends = relax_structures(mixed, potential, OPTIONS)
    outcomes = [start[-1] for start in ABSURD.values()]
    bad = [*ends[0 : 2 * len(starts) : 2], *ends[2 * len(starts) :]]
    for end, outcome in zip(bad, outcomes, strict=True):
        assert end.state.outcome is outcome
        assert end.state.reason
        assert end.structure is None
        assert end.state.energy_per_atom is None
        assert end.state.n_evaluations == 0
    for end, other in zip(ends[1 : 2 * len(starts) : 2], relaxed, strict=True):
        assert end.state.energy_per_atom == pytest.approx(
            other.state.energy_per_atom, abs=1e-5
        )


def test_absurd_starts_have_the_outcome_that_the_reference_gives_them(potential):
    for start in ABSURD.values():
        structure = make(*start)
        (ours,) = relax_structures([structure], potential, OPTIONS)
        theirs = reference.relax_structure(structure, potential, OPTIONS)
        assert (ours.state.outcome, ours.state.reason) == (
            theirs.state.outcome,
            theirs.state.reason,
        )


def test_no_starts_give_no_ends(potential):
    assert relax_structures([], potential, OPTIONS) == []


def test_the_step_limit_keeps_the_best_so_far(random_starts, potential, predict):
    options = RelaxOptions(max_steps=3)
    for end in relax_structures(random_starts[:3], potential, options):
        assert end.state.outcome is Outcome.STEP_LIMIT
        assert end.state.n_steps == 3
        assert "after 3 steps" in end.state.reason
        energy = float(predict(end.structure.to_structure(), task="e")["e"])
        assert end.state.energy_per_atom == pytest.approx(energy, abs=1e-5)


def test_a_force_that_no_network_reaches_ends_stuck_or_at_the_limit(potential):
    options = RelaxOptions(fmax=1e-12, max_stress_gpa=1e-12, max_steps=60)
    (end,) = relax_structures([make(*STARTS["rutile"])], potential, options)
    assert end.state.outcome in {Outcome.STUCK, Outcome.STEP_LIMIT}
    assert end.structure is not None
    assert end.state.max_force < 1e-2


@pytest.mark.parametrize("wrong", [{"max_structures": 0}, {"max_edges": -1}], ids=str)
def test_limits_without_room_are_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        BatchLimits(**wrong)


def test_cells_are_judged_as_the_guards_judge_them():
    rng = np.random.default_rng(0)
    cells = rng.normal(0, 1, (200, 3, 3)) * 3 + np.eye(3) * rng.uniform(
        0, 8, (200, 1, 1)
    )
    absurd = find_absurd_cells(torch.from_numpy(cells), torch.ones(200))
    for cell, is_absurd in zip(cells, absurd.tolist(), strict=True):
        problem = find_geometry_problem(
            cell, np.zeros((1, 3)), np.array([0.1]), cutoff=20.0
        )
        assert is_absurd == (problem is not None)
    assert 20 < absurd.sum() < 180


class Runaway:
    """A network whose energy falls without end when the cell changes one way."""

    device, dtype, edge_cutoff, angle_cutoff = "cpu", "float64", 6.0, 3.0

    def __init__(self, sign, *, energy=None):
        self.sign, self.energy = sign, energy

    def evaluate(self, cells, topology, parameters, lattices):
        from wyckflow.relax.network import Evaluation
        from wyckflow.relax.quotient.graph import look

        graph = look(
            cells, topology, parameters, lattices, edge_cutoff=6.0, angle_cutoff=3.0
        )
        lattices = lattices.clone().requires_grad_()
        energies = self.sign * 5 * torch.linalg.det(lattices)
        (slopes,) = torch.autograd.grad(energies.sum(), lattices)
        if self.energy is not None:
            energies = energies * self.energy
        return Evaluation(
            energies=energies.detach(),
            parameter_gradients=torch.zeros_like(parameters),
            lattice_gradients=slopes,
            contact_ratios=graph.contact_ratios,
            n_isolated=graph.n_isolated,
        )


def fly(network):
    from wyckflow.relax.flight import Flight

    flight = Flight(network, OPTIONS)
    flight.admit([(7, make(*STARTS["perovskite"]))])
    for _ in range(OPTIONS.max_steps + 2):
        landings = flight.advance()
        if landings:
            return landings
    raise AssertionError("nothing landed")


@pytest.mark.parametrize("sign", [1, -1], ids=["collapses", "explodes"])
def test_what_runs_away_is_stopped_on_the_way(sign):
    (landing,) = fly(Runaway(sign))
    assert landing.key == 7
    assert landing.outcome in {Outcome.GUARDED, Outcome.ISOLATED}
    assert 0 < landing.n_evaluations < OPTIONS.max_steps


@pytest.mark.parametrize("energy", [np.nan, np.inf], ids=str)
def test_an_energy_that_is_no_number_is_an_outcome(energy):
    (landing,) = fly(Runaway(1, energy=energy))
    assert landing.outcome is Outcome.NON_FINITE
