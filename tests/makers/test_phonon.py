"""The job of phonons, run by jobflow, and what it adds to candidates."""

from __future__ import annotations

import numpy as np
import pytest
from jobflow import run_locally
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import ScaleMismatchError
from wyckflow.makers.phonon import PhononMaker, list_crystals
from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.schemas.phonon import (
    LatticeStability,
    PhononBatchDoc,
    PhononDoc,
    PhononSettings,
)
from wyckflow.schemas.relaxation import (
    Outcome,
    RelaxationBatchDoc,
    RelaxationDoc,
    RelaxationSettings,
)
from wyckflow.schemas.screening import Verdict
from wyckflow.schemas.structures import pack_structures
from wyckflow.store.candidates.joins import JOINS

SMALL = PhononMaker(min_length=5.0)


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Keep what jobs leave behind out of the user's cache."""
    monkeypatch.setenv("WYCKFLOW_SCRATCH", str(tmp_path / "scratch"))


def reduced(text, edge):
    gene = WyckoffGene.from_text(text)
    return ReducedStructure(gene, np.eye(3) * edge, np.zeros((gene.n_orbits, 3)))


COPPER, IRON = reduced("225 Cu:a", 3.617), reduced("229 Fe:a", 2.85)


def relaxation(*items, scale="chgnet-0.3.0"):
    """A document as RelaxMaker makes it, of pairs of structure and outcome."""
    results = [
        RelaxationDoc(
            gene=one.gene.to_text(),
            gene_id=one.gene.gene_id,
            formula_pretty=one.gene.formula,
            space_group_number_before=one.gene.space_group_number,
            outcome=outcome,
            structure_index=place,
        )
        for place, (one, outcome) in enumerate(items)
    ]
    settings = RelaxationSettings(
        relaxer="x",
        engine="auto",
        n_trials=1,
        seed=0,
        fmax=0.01,
        max_stress_gpa=0.1,
        max_steps=100,
        symprec=0.01,
    )
    return RelaxationBatchDoc(
        energy_scale=scale,
        settings=settings,
        n_converged=1,
        results=results,
        blob=pack_structures([one for one, _ in items]),
    )


def test_a_job_judges_what_a_relaxation_left(job_store, tmp_path):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    relaxed = relaxation((COPPER, Outcome.CONVERGED), (IRON, Outcome.STEP_LIMIT))
    job = SMALL.make(relaxed)
    run_locally(job, store=job_store, root_dir=tmp_path, ensure_success=True, log=False)
    stored = job_store.get_output(job.uuid, load=True)
    fields = {name: value for name, value in stored.items() if name[0] != "@"}
    document = PhononBatchDoc.model_validate(fields)
    copper, iron = document.results
    assert copper.verdict is LatticeStability.STABLE
    assert copper.gene_id == COPPER.gene.gene_id
    assert document.spectrum(copper.name).bands.shape[1] == 3
    assert iron.verdict is LatticeStability.CANNOT_JUDGE
    assert "step_limit" in iron.reason
    assert (document.n_stable, document.n_cannot_judge) == (1, 1)
    assert document.settings.displacement == 0.05
    assert "sha256" in document.provenance.model


def test_a_job_that_was_killed_redoes_only_what_was_not_finished(monkeypatch, tmp_path):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    from wyckflow.relax.phonon import stability

    working, asked = stability.compute_phonons, []

    def stop_at_iron(crystals, *others):
        for one in crystals:
            asked.append(one.gene.formula)
            if one.gene.formula == "Fe" and asked.count("Fe") == 1:
                raise KeyboardInterrupt
            yield from working([one], *others)

    monkeypatch.setattr(stability, "compute_phonons", stop_at_iron)
    relaxed = relaxation((COPPER, Outcome.CONVERGED), (IRON, Outcome.STEP_LIMIT))
    with pytest.raises(KeyboardInterrupt):
        SMALL.make.original(SMALL, relaxed)
    (place,) = (tmp_path / "scratch").iterdir()
    (place / "torn.json").write_text('{"results": [')
    found = SMALL.make.original(SMALL, relaxed)
    assert asked == ["Cu", "Fe", "Fe"]
    assert [one.verdict for one in found.results] == ["stable", "cannot_judge"]
    assert found.spectrum(COPPER.gene.gene_id) is not None
    assert list((tmp_path / "scratch").iterdir()) == []


def test_minima_of_another_energy_are_refused():
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    relaxed = relaxation((COPPER, Outcome.CONVERGED), scale="chgnet-r2scan")
    with pytest.raises(ScaleMismatchError, match="chgnet-r2scan"):
        SMALL.make.original(SMALL, relaxed)


def test_only_those_asked_for_are_judged():
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    relaxed = relaxation((COPPER, Outcome.CONVERGED), (IRON, Outcome.CONVERGED))
    found = SMALL.make.original(SMALL, relaxed, only=[])
    assert found.results == []
    assert found.blob is None


def test_bare_structures_get_names_and_a_disordered_one_a_reason():
    points = [[0, 0, 0], [0.5, 0.5, 0.5]]
    salt = Structure(Lattice.cubic(4.1), ["Cs", "Cl"], points)
    mixed = Structure(Lattice.cubic(4.1), [{"Cs": 0.5, "K": 0.5}, "Cl"], points)
    crystals = list_crystals([salt, mixed, salt, COPPER], 0.01)
    assert len({one.name for one in crystals}) == 4
    assert crystals[0].gene.space_group_number == 221
    assert crystals[1].gene is None
    assert "site" in crystals[1].problem or "order" in crystals[1].problem
    assert crystals[3].structure is COPPER


@pytest.mark.parametrize(
    "wrong", [{"weights": "0.9"}, {"reject_thz": 0.0}, {"displacement": -1.0}]
)
def test_options_that_would_fail_on_the_worker_are_refused(wrong):
    with pytest.raises(Exception, match=r"0\.9|must"):
        PhononMaker(**wrong)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (LatticeStability.STABLE, Verdict.PASS),
        (LatticeStability.BORDERLINE, Verdict.PASS),
        (LatticeStability.UNSTABLE, Verdict.FAIL),
        (LatticeStability.CANNOT_JUDGE, Verdict.CANNOT_JUDGE),
    ],
)
def test_candidates_learn_the_verdict_and_only_unstable_ones_fail(found, verdict):
    settings = PhononSettings(
        **{name: getattr(SMALL, name) for name in PhononSettings.model_fields}
    )
    item = PhononDoc(
        name=COPPER.gene.gene_id,
        gene=COPPER.gene.to_text(),
        gene_id=COPPER.gene.gene_id,
        formula_pretty="Cu",
        verdict=found,
        reason="why",
        min_frequency_thz=-1.5,
    )
    nameless = PhononDoc(name="structure-1", formula_pretty="KCl", verdict=found)
    document = PhononBatchDoc(
        energy_scale="chgnet-0.3.0",
        settings=settings,
        n_stable=0,
        n_borderline=0,
        n_unstable=0,
        n_cannot_judge=0,
        results=[item, nameless],
    )
    (join,) = [join for join in JOINS if join.job_name == SMALL.name]
    (part,) = join.parts(document)
    assert set(part.fields) <= set(CandidateDoc.model_fields)
    assert part.fields["lattice_stability"] is found
    assert part.fields["min_phonon_frequency_thz"] == -1.5
    assert part.verdict.verdict is verdict
    assert part.verdict.threshold == -SMALL.reject_thz
    assert part.verdict.stage == SMALL.name
