"""The race: every trial is told, the best is kept, nothing depends on company."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from pymatgen.core import Element

from wyckflow.crystal.build.trials import BuildEngine, BuildOutcome, Trial, build_trials
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.relax import race
from wyckflow.relax.backends import AseBackend, QuotientBackend
from wyckflow.relax.contract import Relaxed, RelaxOptions
from wyckflow.relax.halving import HalvingOptions
from wyckflow.relax.potential import SUPPORTED_ATOMIC_NUMBERS
from wyckflow.relax.race import RaceOptions, choose_best, relax_gene, relax_genes
from wyckflow.schemas.relaxation import Outcome, RelaxedState

ROCKSALT = WyckoffGene.from_text("225 Na:a Cl:b")
RUTILE = WyckoffGene.from_text("136 Ti:a O:f")
RADON = WyckoffGene.from_text("225 Rn:a")
OPTIONS = RelaxOptions()
NO_HALVING = HalvingOptions(n_coarse_stages=0)
ALL_OUT = RaceOptions(
    n_trials=12, seed=3, engine=BuildEngine.SAMPLER, halving=NO_HALVING
)
RACE = RaceOptions(n_trials=12, seed=3, engine=BuildEngine.SAMPLER)

WELLS = {0.1: -1.0, 0.2: -3.0, 0.3: -2.0, 0.4: -2.5}


class Wells:
    """A backend with known minima: half the way to the nearest one in every step.

    The one free parameter of rutile is all that counts; its cell is the same for all.
    """

    name, energy_scale, identity, device = "wells", "wells", "wells", "cpu"
    n_at_once = 8
    supported_atomic_numbers = SUPPORTED_ATOMIC_NUMBERS

    def __init__(self, trap=math.nan, *, fails=False):
        self.trap = trap
        self.fails = fails
        self.relaxed = []
        self.n_evaluations = 0

    def relax(self, starts, options, progress=None):
        ends = [self.relax_one(start, options) for start in starts]
        for place, end in enumerate(ends):
            if progress is not None:
                progress(place, end)
        return ends

    def magnetic_moments(self, structures):
        if self.fails and any(item.gene == RUTILE for item in structures):
            raise ZeroDivisionError("no moments")
        return [[float(orbit.Z) for orbit in elements_of(s)] for s in structures]

    def relax_one(self, start, options):
        self.relaxed.append(start.gene.to_text())
        if start.gene != RUTILE:
            return self.end(start, Outcome.CONVERGED, start.volume / start.n_atoms, 0)
        u = start.free_parameters[0] % 0.5
        well = min(WELLS, key=lambda place: abs(u - place))
        for n_steps in range(options.max_steps + 1):
            if abs(u - well) < 1e-4:
                outcome = Outcome.CONVERGED
                break
            if n_steps < options.max_steps:
                u += (well - u) / 2
        else:
            outcome = Outcome.STEP_LIMIT
        if well == self.trap and abs(u - well) < 1e-3:
            state = RelaxedState(outcome="guarded", n_steps=n_steps, n_evaluations=1)
            self.n_evaluations += 1
            return Relaxed(state)
        lattice = np.diag([4.6, 4.6, 3.0])
        structure = start.with_values(lattice=lattice, free_parameters=[u])
        energy = WELLS[well] + 10 * (u - well) ** 2
        return self.end(structure, outcome, energy, n_steps)

    def end(self, structure, outcome, energy, n_steps):
        self.n_evaluations += n_steps + 1
        state = RelaxedState(
            outcome=outcome,
            energy_per_atom=energy,
            n_steps=n_steps,
            n_evaluations=n_steps + 1,
            space_group_number_after=structure.gene.space_group_number,
        )
        return Relaxed(state, structure)


def elements_of(structure):
    return [Element(site.element) for site in structure.gene.sites]


@pytest.fixture(scope="module")
def emt():
    calculators = pytest.importorskip("ase.calculators.emt", reason="wyckflow[ml]")
    return AseBackend(calculators.EMT, energy_scale="emt", identity="EMT of ase")


def make_state(outcome, energy=None):
    return RelaxedState(outcome=outcome, energy_per_atom=energy)


@pytest.mark.parametrize(
    ("states", "best"),
    [
        ([make_state("converged", -1.0), make_state("converged", -2.0)], 1),
        ([make_state("step_limit", -9.0), make_state("converged", -1.0)], 1),
        ([make_state("dropped", -9.0), make_state("converged", -1.0)], 1),
        ([make_state("guarded"), make_state("dropped", -1.0)], 1),
        ([make_state("build_failed"), make_state("guarded")], 1),
        ([make_state("converged", -1.0), make_state("converged", -1.0)], 0),
        ([make_state("non_finite"), make_state("step_limit", 5.0)], 1),
    ],
    ids=["lower", "converged", "not dropped", "dropped", "furthest", "tie", "any"],
)
def test_best_is_lowest_energy_of_best_outcome(states, best):
    assert choose_best(states) == best


def test_every_trial_is_told_and_the_lowest_is_kept():
    found = relax_gene(RUTILE, Wells(), OPTIONS, ALL_OUT)
    document = found.document
    starts = build_trials(RUTILE, 12, seed=3, engine=BuildEngine.SAMPLER)
    assert [trial.trial for trial in document.trials] == list(range(12))
    assert [trial.seed for trial in document.trials] == [item.seed for item in starts]
    assert {trial.outcome for trial in document.trials} == {Outcome.CONVERGED}
    energies = [trial.energy_per_atom for trial in document.trials]
    assert document.energy_per_atom == min(energies) == pytest.approx(-3.0)
    assert document.energy_per_atom == energies[document.best_trial]
    assert found.structure.free_parameters[0] % 0.5 == pytest.approx(0.2, abs=1e-3)
    assert document.is_symmetry_kept
    assert (document.gene, document.formula_pretty) == ("136 Ti:a O:f", "TiO2")
    assert document.gene_id == RUTILE.gene_id


def test_the_race_finds_the_best_and_says_what_it_spent():
    backend = Wells()
    document = relax_gene(RUTILE, backend, OPTIONS, RACE).document
    all_out = relax_gene(RUTILE, Wells(), OPTIONS, ALL_OUT).document
    assert document.outcome is Outcome.CONVERGED
    assert document.energy_per_atom == pytest.approx(all_out.energy_per_atom, abs=1e-5)
    assert document.n_evaluations_of_gene == backend.n_evaluations
    assert document.n_evaluations_of_gene == sum(
        trial.n_evaluations for trial in document.trials
    )
    assert backend.n_evaluations < all_out.n_evaluations_of_gene


def test_a_dropped_trial_says_when_and_why():
    narrow = replace(RACE, halving=HalvingOptions(energy_window=0.01))
    document = relax_gene(RUTILE, Wells(), OPTIONS, narrow).document
    dropped = [item for item in document.trials if item.outcome is Outcome.DROPPED]
    assert 0 < len(dropped) < 12
    for trial in dropped:
        assert trial.reason.startswith(f"stage {trial.stage}: ")
        assert trial.energy_per_atom is not None
    reasons = " ".join(trial.reason for trial in dropped)
    assert "on the way to where trial" in reasons
    assert "above the best, the window is" in reasons
    # Nothing in another well is a twin, whatever its energy.
    best = document.trials[document.best_trial]
    for trial in dropped:
        if f"where trial {best.trial} is" in trial.reason:
            assert trial.energy_per_atom < -2.9


def test_what_is_lost_late_is_replaced_by_what_was_dropped():
    document = relax_gene(RUTILE, Wells(trap=0.2), OPTIONS, RACE).document
    assert document.outcome is Outcome.CONVERGED
    assert document.energy_per_atom == pytest.approx(-2.5, abs=1e-4)
    assert Outcome.GUARDED in {trial.outcome for trial in document.trials}


@pytest.mark.parametrize("n_stages", [0, 2])
@pytest.mark.parametrize("budget", [1, 2, 7, 30, 64, 10_000])
def test_the_budget_is_kept(budget, n_stages):
    halving = HalvingOptions(max_evaluations=budget, n_coarse_stages=n_stages)
    options = RaceOptions(n_trials=12, seed=3, engine="sampler", halving=halving)
    backend = Wells()
    document = relax_gene(RUTILE, backend, OPTIONS, options).document
    assert document.n_evaluations_of_gene == backend.n_evaluations <= budget
    if budget == 1:
        assert document.outcome is Outcome.DROPPED
    elif budget == 10_000:
        assert document.outcome is Outcome.CONVERGED
    else:
        assert document.outcome in {Outcome.CONVERGED, Outcome.STEP_LIMIT}
        assert document.energy_per_atom is not None
        reasons = {trial.reason for trial in document.trials}
        assert f"the gene's {budget} evaluations are spent" in reasons


@pytest.mark.parametrize("max_steps", [1, 3, 8])
def test_the_step_limit_holds_for_all_stages_together(max_steps):
    options = RelaxOptions(max_steps=max_steps)
    document = relax_gene(RUTILE, Wells(), options, RACE).document
    assert all(trial.n_steps <= max_steps for trial in document.trials)
    assert document.outcome in {Outcome.STEP_LIMIT, Outcome.CONVERGED}


def test_a_gene_relaxes_alike_alone_and_in_company():
    alone, _ = relax_genes([RUTILE], Wells(), OPTIONS, RACE)
    beside, _ = relax_genes([ROCKSALT, RUTILE], Wells(), OPTIONS, RACE)
    beside[1].structure_index = 0
    assert alone == beside[1:]


def test_another_seed_gives_other_starts():
    first = relax_gene(ROCKSALT, Wells(), OPTIONS, RACE).document
    options = RaceOptions(n_trials=12, seed=4, engine=BuildEngine.SAMPLER)
    second = relax_gene(ROCKSALT, Wells(), OPTIONS, options).document
    assert first.energy_per_atom != second.energy_per_atom


def test_documents_keep_the_order_and_point_to_their_structure():
    genes = [RADON, RUTILE, ROCKSALT, RUTILE]
    backend = Wells()
    documents, structures = relax_genes(genes, backend, OPTIONS, RACE)
    assert [item.gene for item in documents] == [str(gene) for gene in genes]
    assert [item.structure_index for item in documents] == [None, 0, 1, 2]
    assert [item.gene for item in structures] == [RUTILE, ROCKSALT, RUTILE]
    assert structures[0] == structures[2]
    assert backend.relaxed.count(ROCKSALT.to_text()) == 12


def test_what_is_finished_is_not_redone():
    heats = []
    first, _ = relax_genes(
        [ROCKSALT, RUTILE], Wells(), OPTIONS, RACE, on_heat=heats.append
    )
    finished = {name: item for heat in heats for name, item in heat.items()}
    assert set(finished) == {ROCKSALT.to_text(), RUTILE.to_text()}
    del finished[RUTILE.to_text()]
    backend = Wells()
    again, _ = relax_genes(
        [ROCKSALT, RUTILE], backend, OPTIONS, RACE, finished=finished
    )
    assert set(backend.relaxed) == {RUTILE.to_text()}
    assert again == first


def test_heats_are_as_large_as_the_batches_of_the_backend_want():
    genes = [WyckoffGene.from_text(f"225 {x}:a Cl:b") for x in ("Li", "Na", "K", "Rb")]
    heats = []
    options = RaceOptions(n_trials=16, engine="sampler")
    relax_genes(genes, Wells(), OPTIONS, options, on_heat=heats.append)
    assert [len(heat) for heat in heats] == [2, 2]  # 32 trials each, 8 at once


def test_progress_is_in_the_log(caplog, capfd):
    caplog.set_level("INFO", logger="wyckflow.relax")
    relax_genes([RUTILE, RADON], Wells(), OPTIONS, RACE)
    assert "12 trials took up to 5 steps" in caplog.text
    assert "2 of 2 genes done, 1 converged" in caplog.text
    assert capfd.readouterr().out == ""


def test_moments_come_with_what_is_kept():
    documents, _ = relax_genes([RADON, RUTILE, ROCKSALT], Wells(), OPTIONS, RACE)
    moments = [item.magnetic_moments_mu_b for item in documents]
    assert moments == [None, [22.0, 8.0], [11.0, 17.0]]


def test_a_structure_is_not_lost_for_its_moments(caplog):
    backend = Wells(fails=True)
    documents, structures = relax_genes([RUTILE, ROCKSALT], backend, OPTIONS, RACE)
    moments = [item.magnetic_moments_mu_b for item in documents]
    assert moments == [None, [11.0, 17.0]]
    assert len(structures) == 2
    assert "No magnetic moments of 136" in caplog.text


def test_no_gene_is_no_work():
    assert relax_genes([], Wells(), OPTIONS, RACE) == ([], [])


def test_an_unsupported_element_is_an_outcome_before_any_work():
    backend = Wells()
    found = relax_gene(RADON, backend, OPTIONS, RACE)
    document = found.document
    assert document.outcome is Outcome.UNSUPPORTED_ELEMENT
    assert "Rn" in document.reason
    assert (document.trials, document.best_trial, found.structure) == ([], None, None)
    assert document.is_symmetry_kept is None
    assert backend.relaxed == []


def test_a_start_that_cannot_be_built_is_an_outcome(monkeypatch):
    def fail(gene, n_trials, *, seed, engine):
        return [
            Trial(
                gene=gene,
                number=number,
                seed=number,
                engine=engine,
                outcome=BuildOutcome.TOO_CLOSE,
                reason="no room",
            )
            for number in range(n_trials)
        ]

    monkeypatch.setattr(race, "build_trials", fail)
    found = relax_gene(RUTILE, Wells(), OPTIONS, RACE)
    assert found.document.outcome is Outcome.BUILD_FAILED
    assert found.document.reason == "too_close: no room"
    assert len(found.document.trials) == 12
    assert found.structure is None


def test_a_gene_that_breaks_the_builder_leaves_the_others_alone(monkeypatch, caplog):
    def break_on_rutile(gene, *args, **kwargs):
        if gene == RUTILE:
            raise ZeroDivisionError("no such cell")
        return build_trials(gene, *args, **kwargs)

    monkeypatch.setattr(race, "build_trials", break_on_rutile)
    documents, _ = relax_genes([RUTILE, ROCKSALT], Wells(), OPTIONS, RACE)
    assert [item.outcome for item in documents] == [Outcome.ERROR, Outcome.CONVERGED]
    assert documents[0].reason == "ZeroDivisionError: no such cell"
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("text", "n_trials"),
    [
        ("225 Na:a Cl:b", 2),
        ("136 Ti:a O:f", 8),
        ("62 Fe:c2 C:c", 12),
        ("14 Zr:e O:e2", 20),
    ],
)
def test_trials_grow_with_the_free_coordinates(text, n_trials):
    gene = WyckoffGene.from_text(text)
    assert RaceOptions().n_trials_of(gene) == n_trials
    assert RaceOptions(n_trials=3).n_trials_of(gene) == 3


# --- with real energies ---------------------------------------------------------------


def test_a_supergroup_reached_on_the_way_is_told(emt):
    """In EMT, as in nature, body-centred tetragonal copper is face-centred cubic."""
    gene = WyckoffGene.from_text("139 Cu:a")
    tight = RelaxOptions(fmax=1e-7, max_stress_gpa=1e-5)
    options = RaceOptions(n_trials=2)
    document = relax_gene(gene, emt, tight, options).document
    assert document.space_group_number_before == 139
    assert document.space_group_number_after == 225
    assert document.space_group_number_after_tight == 225
    assert document.is_symmetry_kept is False


def test_the_same_seed_gives_the_same_race(emt):
    genes = [WyckoffGene.from_text(text) for text in ("62 Cu:c Au:c", "139 Cu:e")]
    first, second = (
        relax_genes(genes, emt, RelaxOptions(max_steps=30), RaceOptions(n_trials=4))
        for _ in range(2)
    )
    assert first == second


def test_the_race_is_as_good_as_exhaustive_search_for_less(potential):
    """Real arrangements with 1 to 7 free coordinates, 20 starts each."""
    texts = (
        "136 Ti:a O:f",
        "129 Fe:a Se:c",
        "205 Fe:a S:c",
        "152 Si:a O:c",
        "62 Ca:c Ti:b O:c,d",
    )
    genes = [WyckoffGene.from_text(text) for text in texts]
    backend = QuotientBackend(potential)
    raced, everything = (
        relax_genes(genes, backend, OPTIONS, RaceOptions(n_trials=20, halving=halving))[
            0
        ]
        for halving in (HalvingOptions(), NO_HALVING)
    )
    pairs = list(zip(raced, everything, strict=True))
    for mine, best in pairs:
        assert mine.outcome is best.outcome is Outcome.CONVERGED
        assert mine.max_force <= OPTIONS.fmax
    excess = sorted(mine.energy_per_atom - best.energy_per_atom for mine, best in pairs)
    assert excess[-2] < 0.005  # one may be missed: starts are random
    spent, most = (
        sum(item.n_evaluations_of_gene for item in documents)
        for documents in (raced, everything)
    )
    assert spent < 0.65 * most


# --- options --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [{"n_trials": 0}, {"seed": -1}, {"engine": "magic"}], ids=str
)
def test_races_without_a_start_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must|magic"):
        RaceOptions(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_coarse_stages": -1},
        {"coarse_steps": 0},
        {"energy_window": 0.0},
        {"energy_window": math.nan},
        {"keep_fraction": 0.0},
        {"keep_fraction": 1.1},
        {"max_evaluations": 0},
    ],
    ids=str,
)
def test_numbers_without_a_meaning_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        HalvingOptions(**wrong)


def test_stages_double_their_steps_and_narrow_their_window():
    options = HalvingOptions(
        n_coarse_stages=3, coarse_steps=5, energy_window=0.05, keep_fraction=0.6
    )
    assert [options.steps_until(stage) for stage in range(3)] == [5, 10, 20]
    windows = [options.window_after(stage) for stage in range(3)]
    assert windows == pytest.approx([0.8, 0.2, 0.05])
    assert [options.n_survivors(20, stage) for stage in range(3)] == [12, 8, 5]
    assert [options.n_survivors(1, stage) for stage in range(3)] == [2, 2, 2]
