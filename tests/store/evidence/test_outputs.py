"""Outputs of jobs become evidence: bands are found by crystal, lacks are noted."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from monty.json import jsanitize
from pymatgen.core import Lattice, Structure
from pymatgen.electronic_structure.bandstructure import BandStructureSymmLine
from pymatgen.electronic_structure.core import Spin

sys.path.insert(0, str(Path(__file__).parents[2] / "report"))

pytestmark = pytest.mark.mongo
CELL = Lattice.cubic(5.6)


def make_bands():
    """Two parabolas along one line through the zone's centre, of masses 1 and 0.5."""
    kpoints = [(x, 0, 0) for x in np.linspace(-0.5, 0.5, 61)]
    k = np.linalg.norm(np.array(kpoints) * 2 * np.pi / CELL.a, axis=1)
    levels = np.array([-3.81 * k**2, 1.2 + 3.81 * k**2 / 0.5])
    return BandStructureSymmLine(
        kpoints,
        {Spin.up: levels},
        CELL.reciprocal_lattice,
        efermi=0.1,
        labels_dict={"X": (-0.5, 0, 0), "\\Gamma": (0, 0, 0), "Z": (0.5, 0, 0)},
    )


@pytest.fixture
def store_output(database):
    """Put an output into the job store, as a job does."""

    def put(uuid, name, output):
        store = database.job_store()
        store.connect()
        found = {
            "uuid": uuid,
            "index": 1,
            "name": name,
            "output": jsanitize(output, strict=True, enum_values=True),
            "completed_at": datetime.now(UTC).isoformat(),
            "metadata": {"campaign": "salts"},
        }
        store.update(found)
        store.close()

    return put


def read(database, candidate):
    from wyckflow.store.evidence.outputs import read_evidence

    notes = []
    found = read_evidence(database, "salts", [candidate], notes)
    return found.get(candidate.gene_id), notes


def test_bands_of_a_crystal_are_found_and_drawn(database, store_output):
    from report_things import make_candidate

    from wyckflow.electronic.analyse import analyse_bands
    from wyckflow.makers._identity import job_uuid
    from wyckflow.makers.electronic import take_bands
    from wyckflow.report.page.band_lines import draw_electrons
    from wyckflow.store.gate.approvals import identity_of

    candidate = make_candidate(0)
    bands = make_bands()
    structure = Structure(CELL, ["Na"], [[0, 0, 0]])
    document = analyse_bands(
        take_bands(bands, structure), gene=candidate.gene, gene_id=candidate.gene_id
    )
    store_output("electronic", "electronic structure", document)
    evidence, notes = read(database, candidate)
    assert evidence.electrons.document.band_gap == pytest.approx(1.2)
    assert evidence.electrons.bands is None
    assert candidate.gene_id in notes[0]

    uuid = job_uuid(identity_of("salts", candidate.gene_id), "vasp bands")
    run = {"vasp_objects": {"bandstructure": bands}, "structure": structure}
    store_output(uuid, "vasp bands", run)
    evidence, notes = read(database, candidate)
    assert notes == []
    drawn = draw_electrons(evidence.electrons.bands, evidence.electrons.document)
    assert drawn.count("<circle") == 2  # one pocket of each carrier
    assert 'class="fit hole"' in drawn
    assert "Γ" in drawn


def test_time_of_a_shard_is_shared_by_evaluations(database, store_output):
    """By hand: 30 and 10 of 40 evaluations in 8 s."""
    from report_things import make_candidate

    from wyckflow.schemas.base import Provenance
    from wyckflow.schemas.relaxation import (
        Outcome,
        RelaxationBatchDoc,
        RelaxationDoc,
        RelaxationSettings,
    )

    candidates = [make_candidate(0), make_candidate(1)]
    settings = RelaxationSettings(
        relaxer="x",
        engine="y",
        n_trials=1,
        seed=0,
        fmax=0.1,
        max_stress_gpa=1,
        max_steps=5,
        symprec=0.01,
    )
    results = [
        RelaxationDoc(
            gene=item.gene,
            gene_id=item.gene_id,
            formula_pretty=item.formula_pretty,
            outcome=Outcome.CONVERGED,
            space_group_number_before=225,
            n_evaluations_of_gene=n,
        )
        for item, n in zip(candidates, (30, 10), strict=True)
    ]
    origin = Provenance.collect().model_copy(update={"cpu_s": 8.0})
    batch = RelaxationBatchDoc(
        provenance=origin,
        energy_scale="chgnet-0.3.0",
        settings=settings,
        n_converged=2,
        results=results,
    )
    store_output("relax", "chgnet relax", batch)
    seconds = [read(database, item)[0].relaxation_cpu_s for item in candidates]
    assert seconds == [pytest.approx(6.0), pytest.approx(2.0)]


def test_what_other_campaigns_and_crystals_did_is_no_evidence(database, store_output):
    from report_things import make_candidate

    from wyckflow.electronic.analyse import explain_refusal

    other = make_candidate(1)
    refused = explain_refusal("torn", gene=other.gene, gene_id=other.gene_id)
    store_output("electronic", "electronic structure", refused)
    evidence, notes = read(database, make_candidate(0))
    assert evidence is None
    assert notes == []
