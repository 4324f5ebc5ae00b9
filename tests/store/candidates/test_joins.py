"""What DFT adds to a candidate."""

from __future__ import annotations

import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.schemas.dft import (
    DftAuditDoc,
    DftStabilityDoc,
    DispersionDoc,
    GammaPhononDoc,
    RunMark,
)
from wyckflow.schemas.phonon import LatticeStability
from wyckflow.schemas.screening import Verdict
from wyckflow.store.candidates.joins import JOINS

GENE = "221 Sr:a Ti:b O:c"
PARTS = {join.job_name: join.parts for join in JOINS}


def stability(**changes):
    known = {
        "verdict": Verdict.PASS,
        "value": 0.02,
        "threshold": 0.1,
        "energy_above_hull": 0.02,
        "formation_energy_per_atom": -3.5,
        "formula_pretty": "SrTiO3",
        "gene": GENE,
        "gene_id": WyckoffGene.from_text(GENE).gene_id,
        "energy_scale": "mp2020-gga-u",
        "mark": RunMark.AS_PUBLISHED,
    }
    return DftStabilityDoc(**(known | changes))


def lattice(**changes):
    known = {
        "verdict": LatticeStability.UNSTABLE,
        "gene": GENE,
        "gene_id": WyckoffGene.from_text(GENE).gene_id,
        "mark": RunMark.AS_PUBLISHED,
        "tolerance_thz": 0.05,
        "min_frequency_thz": -2.0,
    }
    return GammaPhononDoc(**(known | changes))


def test_distance_and_verdict_by_dft_stand_beside_those_of_the_network():
    (part,) = PARTS["dft hull"](stability())
    assert part.fields == {
        "dft_energy_above_hull": 0.02,
        "dft_formation_energy_per_atom": -3.5,
    }
    assert (part.verdict.stage, part.verdict.verdict) == ("dft hull", Verdict.PASS)


@pytest.mark.parametrize("mark", list(RunMark))
def test_the_audit_of_all_runs_marks_the_candidate(mark):
    identity = {"gene": GENE, "gene_id": WyckoffGene.from_text(GENE).gene_id}
    audit = DftAuditDoc(
        mark=mark, n_corrections=0, n_deviations=0, steps=[], **identity
    )
    (part,) = PARTS["dft audit"](audit)
    assert part.fields["dft_mark"] is mark
    assert part.fields.get("is_simulated", False) is (mark is RunMark.SIMULATED)
    assert part.outcome.outcome == mark
    bare = audit.model_copy(update={"gene": None, "gene_id": None})
    assert list(PARTS["dft audit"](bare)) == []


def test_an_unstable_lattice_fails():
    (part,) = PARTS["gamma phonon"](lattice())
    assert part.fields == {"dft_lattice_stability": LatticeStability.UNSTABLE}
    assert part.verdict.verdict is Verdict.FAIL
    assert (part.verdict.value, part.verdict.threshold) == (-2.0, -0.05)


@pytest.mark.parametrize(
    ("stage", "document"),
    [
        ("dft hull", stability(mark=RunMark.SIMULATED, verdict=Verdict.CANNOT_JUDGE)),
        (
            "gamma phonon",
            lattice(mark=RunMark.SIMULATED, verdict=LatticeStability.CANNOT_JUDGE),
        ),
    ],
)
def test_what_was_simulated_marks_its_candidate(stage, document):
    (part,) = PARTS[stage](document)
    assert part.fields["is_simulated"] is True
    assert part.verdict.verdict is Verdict.CANNOT_JUDGE


@pytest.mark.parametrize("stage", ["dft dispersion", "dft displacements"])
def test_the_phonons_of_the_zone_stand_beside_those_at_its_centre(stage):
    document = DispersionDoc(
        verdict=LatticeStability.BORDERLINE,
        gene=GENE,
        gene_id=WyckoffGene.from_text(GENE).gene_id,
        mark=RunMark.AS_PUBLISHED,
        tolerance_thz=0.1,
        min_frequency_thz=0.3,
    )
    (part,) = PARTS[stage](document)
    assert part.fields == {"dft_dispersion_stability": LatticeStability.BORDERLINE}
    assert part.verdict.stage == stage
    assert part.verdict.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("stage", "document"),
    [("dft hull", stability()), ("gamma phonon", lattice())],
)
def test_a_crystal_without_a_gene_is_no_candidate(stage, document):
    bare = document.model_copy(update={"gene": None, "gene_id": None})
    assert list(PARTS[stage](bare)) == []
