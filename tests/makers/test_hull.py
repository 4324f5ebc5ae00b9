"""The job of the hull, run by jobflow behind a relaxation."""

from __future__ import annotations

import pytest
from jobflow import Flow, run_locally

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import ReferenceDataError, ScaleMismatchError
from wyckflow.makers._job import wyckflow_job
from wyckflow.makers.hull import HullMaker
from wyckflow.schemas.relaxation import (
    Outcome,
    RelaxationBatchDoc,
    RelaxationDoc,
    RelaxationSettings,
)
from wyckflow.schemas.stability import StabilityBatchDoc
from wyckflow.thermo.entry import ReferenceEntry
from wyckflow.thermo.reference import ReferenceSet
from wyckflow.thermo.source import path_of_version

SCALE = "chgnet-0.3.0"
ROWS = [
    ("225 Na:a Cl:b", Outcome.CONVERGED, -3.4),
    ("225 Na:a Cl:b", Outcome.CONVERGED, -3.2),
    ("225 Na:a Cl:b", Outcome.STEP_LIMIT, -3.2),
    ("225 Tc:a Cl:b", Outcome.CONVERGED, -6.0),
    ("225 Na:a Rn:b", Outcome.UNSUPPORTED_ELEMENT, None),
]


def relaxations(scale=SCALE):
    results = []
    for text, outcome, energy in ROWS:
        gene = WyckoffGene.from_text(text)
        results.append(
            RelaxationDoc(
                gene=text,
                gene_id=gene.gene_id,
                formula_pretty=gene.formula,
                outcome=outcome,
                energy_per_atom=energy,
                space_group_number_before=gene.space_group_number,
            )
        )
    settings = RelaxationSettings(
        relaxer="toy",
        engine="sampler",
        n_trials=1,
        seed=0,
        fmax=0.01,
        max_stress_gpa=0.1,
        max_steps=9,
        symprec=0.01,
    )
    return RelaxationBatchDoc(
        energy_scale=scale, settings=settings, n_converged=3, results=results
    )


@wyckflow_job(RelaxationBatchDoc)
def relax():
    return relaxations()


@pytest.fixture
def reference(tmp_path, monkeypatch):
    """Na, Cl and NaCl, in the folder that the setting names."""
    entries = [
        ReferenceEntry({"Na": 1}, -1.3, "na"),
        ReferenceEntry({"Cl": 1}, -1.8, "cl"),
        ReferenceEntry({"Na": 1, "Cl": 1}, -3.41, "nacl"),
    ]
    found = ReferenceSet.from_entries("toy", entries, scale=SCALE, kind="total")
    found.save(path_of_version(tmp_path, found.version))
    monkeypatch.setenv("WYCKFLOW_REFERENCES", str(tmp_path))
    return found


def run(store, folder, *jobs):
    run_locally(
        Flow(jobs), store=store, root_dir=folder, ensure_success=True, log=False
    )


def read_document(store, job):
    stored = store.get_output(job.uuid, load=True)
    return StabilityBatchDoc.model_validate(
        {name: value for name, value in stored.items() if name[0] != "@"}
    )


def test_every_relaxed_gene_gets_a_verdict(reference, job_store, tmp_path):
    first = relax()
    maker = HullMaker(reference=reference.version, with_calibration=False)
    hull = maker.make(first.output)
    run(job_store, tmp_path, first, hull)
    document = read_document(job_store, hull)
    verdicts = [item.verdict.value for item in document.results]
    assert verdicts == ["pass", "fail", *3 * ["cannot_judge"]]
    assert (document.n_pass, document.n_fail, document.n_cannot_judge) == (1, 1, 3)
    salt, *_, technetium, radon = document.results
    assert salt.energy_above_hull == pytest.approx(0.01)
    assert salt.decomposition[0].entry_id == "nacl"
    assert technetium.reason == "the reference has no energy of Tc"
    assert "unsupported_element" in radon.reason
    assert document.hull_version == reference.version
    assert (document.energy_scale, document.threshold) == (SCALE, 0.1)
    assert document.calibration is None
    assert document.passed == [salt.gene_id]


def test_results_alone_need_their_scale(reference, job_store, tmp_path):
    first = relax()
    maker = HullMaker(reference=reference.version, with_calibration=False)
    whole = maker.make(first.output)
    parts = maker.make(first.output.results, first.output.energy_scale)
    run(job_store, tmp_path, first, whole, parts)
    assert (
        read_document(job_store, whole).results
        == read_document(job_store, parts).results
    )
    make = maker.make.original
    with pytest.raises(ScaleMismatchError, match="without the scale"):
        make(maker, relaxations().results)
    with pytest.raises(ScaleMismatchError, match="leave it out"):
        make(maker, relaxations(), "pbe-fine")


def test_energies_of_another_scale_are_refused(reference):
    maker = HullMaker(reference=reference.version, with_calibration=False)
    with pytest.raises(ScaleMismatchError, match=r"chgnet-r2scan.*chgnet-0\.3\.0"):
        maker.make.original(maker, relaxations("chgnet-r2scan"))


def test_a_reference_that_is_not_there_or_another_is_refused(reference, tmp_path):
    file = str(path_of_version(tmp_path, reference.version))
    for options in (
        {"reference": "0" * 16},
        {"reference": file, "version": "0" * 16},
        {"reference": str(tmp_path / "none.npz")},
    ):
        maker = HullMaker(**options, with_calibration=False)
        with pytest.raises(ReferenceDataError, match="wyckflow hull export"):
            maker.make.original(maker, relaxations())


def test_a_gene_is_not_compared_with_itself(reference, tmp_path):
    """A layer of its campaign, written to a file, may hold it already."""
    text, _, energy = ROWS[0]
    gene = WyckoffGene.from_text(text)
    own = ReferenceEntry(gene.composition, energy, gene.gene_id)
    lower = ReferenceEntry(gene.composition, energy - 0.3, gene.gene_id)
    layered = reference.merge(
        ReferenceSet.from_entries("layer", [own, lower], scale=SCALE, kind="total")
    )
    layered.save(tmp_path / "layered.npz")
    maker = HullMaker(reference=str(tmp_path / "layered.npz"), with_calibration=False)
    salt = maker.make.original(maker, relaxations()).results[0]
    assert salt.energy_above_hull == pytest.approx(0.01)


def test_a_threshold_in_mev_is_refused():
    with pytest.raises(ValueError, match=r"give eV, such as 0\.1"):
        HullMaker(threshold=100)


def test_the_bundled_reference_and_calibration_are_the_defaults():
    """Rock salt is stable in nature; 0.5 eV/atom higher nothing is."""
    maker = HullMaker()
    document = maker.make.original(maker, relaxations())
    salt, high = document.results[:2]
    assert document.energy_scale == SCALE
    assert document.n_reference_entries > 1000
    assert document.calibration is not None
    assert salt.completeness.missing_elements == []
    assert high.energy_above_hull == pytest.approx(salt.energy_above_hull + 0.2)
    for item in (salt, high):
        if item.probability_within_0_mev is not None:
            assert item.probability_within_0_mev <= item.probability_within_100_mev
