"""The race: every trial is told, the best is kept, nothing depends on company."""

from __future__ import annotations

import pytest

from wyckflow.crystal.build.trials import BuildEngine, BuildOutcome, Trial, build_trials
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.relax import race
from wyckflow.relax.contract import Relaxed
from wyckflow.relax.race import RaceOptions, choose_best, relax_gene, relax_genes
from wyckflow.schemas.relaxation import Outcome, RelaxedState

ROCKSALT = WyckoffGene.from_text("225 Na:a Cl:b")
RUTILE = WyckoffGene.from_text("136 Ti:a O:f")
RADON = WyckoffGene.from_text("225 Rn:a")
SAMPLER = RaceOptions(n_trials=4, seed=3, engine=BuildEngine.SAMPLER)


def relax_to_own_volume(start):
    """Stand in for a relaxer: the energy is the volume, and nothing moves."""
    state = RelaxedState(
        outcome=Outcome.CONVERGED,
        energy_per_atom=start.volume / start.n_atoms,
        space_group_number_after=start.gene.space_group_number,
    )
    return Relaxed(state, start)


def make_state(outcome, energy=None):
    return RelaxedState(outcome=outcome, energy_per_atom=energy)


@pytest.mark.parametrize(
    ("states", "best"),
    [
        ([make_state("converged", -1.0), make_state("converged", -2.0)], 1),
        ([make_state("step_limit", -9.0), make_state("converged", -1.0)], 1),
        ([make_state("build_failed"), make_state("guarded")], 1),
        ([make_state("converged", -1.0), make_state("converged", -1.0)], 0),
        ([make_state("non_finite"), make_state("step_limit", 5.0)], 1),
    ],
    ids=["lower", "converged first", "furthest", "tie", "any energy"],
)
def test_best_is_lowest_energy_of_best_outcome(states, best):
    assert choose_best(states) == best


def test_every_trial_is_told_and_the_lowest_is_kept():
    document, structure = relax_gene(RUTILE, relax_to_own_volume, SAMPLER)
    starts = build_trials(RUTILE, 4, seed=3, engine=BuildEngine.SAMPLER)
    energies = [trial.structure.volume / 6 for trial in starts]
    assert [trial.energy_per_atom for trial in document.trials] == energies
    assert [trial.trial for trial in document.trials] == [0, 1, 2, 3]
    assert [trial.seed for trial in document.trials] == [item.seed for item in starts]
    assert document.energy_per_atom == min(energies)
    assert structure == starts[document.best_trial].structure
    assert document.is_symmetry_kept
    assert (document.gene, document.formula_pretty) == ("136 Ti:a O:f", "TiO2")
    assert document.gene_id == RUTILE.gene_id


def test_a_gene_relaxes_alike_alone_and_in_company():
    alone, _ = relax_genes([RUTILE], relax_to_own_volume, SAMPLER)
    beside, _ = relax_genes([ROCKSALT, RUTILE], relax_to_own_volume, SAMPLER)
    beside[1].structure_index = 0
    assert alone == beside[1:]


def test_another_seed_gives_other_starts():
    first, _ = relax_gene(RUTILE, relax_to_own_volume, SAMPLER)
    options = RaceOptions(n_trials=4, seed=4, engine=BuildEngine.SAMPLER)
    second, _ = relax_gene(RUTILE, relax_to_own_volume, options)
    assert first.energy_per_atom != second.energy_per_atom


def test_documents_keep_the_order_and_point_to_their_structure():
    genes = [RADON, RUTILE, ROCKSALT]
    documents, structures = relax_genes(genes, relax_to_own_volume, SAMPLER)
    assert [item.gene for item in documents] == [str(gene) for gene in genes]
    assert [item.structure_index for item in documents] == [None, 0, 1]
    assert [item.gene for item in structures] == [RUTILE, ROCKSALT]


def test_an_unsupported_element_is_an_outcome_before_any_work():
    def refuse(start):
        pytest.fail("nothing should be relaxed")

    document, structure = relax_gene(RADON, refuse, SAMPLER)
    assert document.outcome is Outcome.UNSUPPORTED_ELEMENT
    assert "Rn" in document.reason
    assert (document.trials, document.best_trial, structure) == ([], None, None)
    assert document.is_symmetry_kept is None


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
    document, structure = relax_gene(RUTILE, relax_to_own_volume, SAMPLER)
    assert document.outcome is Outcome.BUILD_FAILED
    assert document.reason == "too_close: no room"
    assert len(document.trials) == 4
    assert structure is None


def test_a_risen_space_group_is_told():
    def rise(start):
        end = relax_to_own_volume(start)
        end.state.space_group_number_after = 225
        return end

    document, _ = relax_gene(RUTILE, rise, SAMPLER)
    assert (document.space_group_number_before, document.space_group_number_after) == (
        136,
        225,
    )
    assert document.is_symmetry_kept is False


@pytest.mark.parametrize(
    "wrong", [{"n_trials": 0}, {"seed": -1}, {"engine": "magic"}], ids=str
)
def test_races_without_a_start_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must|magic"):
        RaceOptions(**wrong)
