"""The job of masses, run by jobflow, and what it adds to candidates."""

from __future__ import annotations

import numpy as np
import pytest
from jobflow import run_locally
from pymatgen.core import Lattice, Structure
from pymatgen.electronic_structure.bandstructure import (
    BandStructure,
    BandStructureSymmLine,
)
from pymatgen.electronic_structure.core import Spin

from wyckflow.makers.electronic import ElectronicMaker, take_bands
from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.schemas.electronic import BandKind, ElectronicDoc, FitQuality
from wyckflow.store.candidates.joins import JOINS

GENE = "221 Sr:a Ti:b O:c"
MASS = 7.619964 / 2  # a band of E = MASS k^2 has the mass of the free electron
EDGE = 3.9


def cube():
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Structure(Lattice.cubic(EDGE), ["Sr", "Ti", "O", "O", "O"], places)


def band_structure(fermi=0.5, gap=1.8):
    """Γ-X-M of a cube, with an electron of mass 0.5 at Γ and a hole of 1.0 there."""
    x = np.linspace(0, 0.5, 40)
    first = np.stack([0 * x, x, 0 * x], axis=1)
    second = np.stack([x, 0 * x + 0.5, 0 * x], axis=1)
    kpoints = np.concatenate([first, second])
    square = np.sum((kpoints * 2 * np.pi / EDGE) ** 2, axis=1)
    levels = np.stack([-MASS * square, gap + MASS / 0.5 * square])
    return BandStructureSymmLine(
        kpoints=kpoints,
        eigenvals={Spin.up: levels},
        lattice=cube().lattice.reciprocal_lattice,
        efermi=fermi,
        labels_dict={"\\Gamma": [0, 0, 0], "X": [0, 0.5, 0], "M": [0.5, 0.5, 0]},
        structure=cube(),
    )


def run(job, store, folder):
    run_locally(job, store=store, root_dir=folder, ensure_success=True, log=False)
    stored = store.get_output(job.uuid, load=True)
    fields = {name: value for name, value in stored.items() if name[0] != "@"}
    return ElectronicDoc.model_validate(fields)


def test_a_job_reads_gap_masses_and_valleys(job_store, tmp_path):
    job = ElectronicMaker().make(band_structure(), GENE)
    document = run(job, job_store, tmp_path)
    assert document.kind is BandKind.SEMICONDUCTOR
    assert document.gene == GENE
    assert document.formula_pretty == "SrTiO3"
    assert document.space_group_number == 221
    assert document.band_gap == pytest.approx(1.8)
    assert document.is_gap_direct
    assert document.electrons.conductivity_mass == pytest.approx(0.5, rel=1e-3)
    assert document.holes.conductivity_mass == pytest.approx(1.0, rel=1e-3)
    assert document.electrons.complexity == pytest.approx(1.0)
    assert document.electrons.label == "Γ"
    assert document.max_temperature == pytest.approx(1.8 / 8.617333e-4, rel=1e-4)
    assert not document.is_simulated


def test_a_dictionary_says_the_same_as_the_object(job_store, tmp_path):
    whole = take_bands(band_structure())
    again = take_bands(band_structure().as_dict())
    np.testing.assert_allclose(again.energies, whole.energies)
    np.testing.assert_allclose(again.lattice, whole.lattice)
    assert again.labels == whole.labels


def test_atoms_that_pymatgen_does_not_store_are_given_apart():
    maker = ElectronicMaker()
    stored = band_structure().as_dict()
    stored.pop("structure", None)
    bare = maker.make.original(maker, stored)
    assert "not multiplied" in " ".join(bare.notes)
    whole = maker.make.original(maker, stored, GENE, structure=cube())
    assert whole.space_group_number == 221
    assert maker.make.original(maker, stored, structure=cube().as_dict()).notes == []
    other = cube()
    other.scale_lattice(80.0)
    refused = maker.make.original(maker, stored, structure=other)
    assert refused.kind is BandKind.CANNOT_JUDGE
    assert "cell" in refused.reason


def test_a_plain_band_structure_has_no_labels_and_is_read():
    lines = band_structure()
    plain = BandStructure(
        kpoints=np.array([one.frac_coords for one in lines.kpoints]),
        eigenvals=lines.bands,
        lattice=lines.lattice_rec,
        efermi=0.5,
        structure=cube(),
    )
    document = ElectronicMaker().make.original(ElectronicMaker(), plain)
    assert document.holes.label == "Γ"
    assert document.gene is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (None, "NoneType"),
        ("nowhere/vasprun.xml", "does not exist"),
        ({"no": "bands"}, "no band structure"),
        (3, "int came"),
    ],
)
def test_what_is_no_band_structure_gives_a_document_with_the_reason(wrong, words):
    maker = ElectronicMaker()
    document = maker.make.original(maker, wrong, GENE)
    assert document.kind is BandKind.CANNOT_JUDGE
    assert words in document.reason
    assert document.band_gap is None
    assert document.gene == GENE
    assert document.holes.quality is FitQuality.CANNOT_FIT


def test_a_metal_is_a_value(job_store, tmp_path):
    job = ElectronicMaker().make(band_structure(fermi=-0.5))
    document = run(job, job_store, tmp_path)
    assert document.kind is BandKind.METAL
    assert document.band_gap == 0.0
    assert document.max_temperature is None


def test_the_number_of_electrons_outweighs_a_misplaced_level():
    maker = ElectronicMaker()
    bands = band_structure(fermi=-0.5)
    document = maker.make.original(maker, bands, n_electrons=2.0)
    assert document.band_gap == pytest.approx(1.8)
    assert "counting" in document.reason


def test_simulated_bands_stay_marked():
    maker = ElectronicMaker()
    made = maker.make.original(maker, band_structure(), GENE, is_simulated=True)
    assert made.is_simulated
    refused = maker.make.original(maker, None, GENE, is_simulated=True)
    assert refused.is_simulated


def parts(document):
    (join,) = [join for join in JOINS if join.job_name == ElectronicMaker().name]
    return list(join.parts(document))


def test_candidates_learn_gap_edges_masses_and_valleys():
    maker = ElectronicMaker()
    document = maker.make.original(maker, band_structure(), GENE)
    (part,) = parts(document)
    assert set(part.fields) <= set(CandidateDoc.model_fields)
    assert part.fields["electron_mass"] == pytest.approx(0.5, rel=1e-3)
    assert part.fields["hole_band_mass"] == pytest.approx(1.0, rel=1e-3)
    assert part.fields["n_hole_valleys"] == 1
    assert part.fields["is_gap_direct"] is True
    assert "is_simulated" not in part.fields
    assert part.outcome.outcome == "semiconductor"
    simulated = maker.make.original(maker, band_structure(), GENE, is_simulated=True)
    assert parts(simulated)[0].fields["is_simulated"] is True
    assert parts(maker.make.original(maker, band_structure())) == []


@pytest.mark.parametrize("field", ["fit_window", "degeneracy", "temperature"])
def test_options_that_would_fail_on_the_worker_are_refused(field):
    with pytest.raises(Exception, match=field):
        ElectronicMaker(**{field: -1.0})
