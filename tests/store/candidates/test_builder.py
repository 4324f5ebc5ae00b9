"""Candidates are joined from outputs: incremental, harmless to repeat."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Structure

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import key_genes, pack_genes
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import DatabaseError, DocumentError
from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.schemas.generation import GeneChunk, GenerationDoc
from wyckflow.schemas.relaxation import (
    Outcome,
    RelaxationBatchDoc,
    RelaxationDoc,
    RelaxationSettings,
)
from wyckflow.schemas.screening import (
    NO_FILTER,
    VERDICTS,
    ScreeningDoc,
    Verdict,
    pack_verdicts,
)
from wyckflow.schemas.structures import pack_structures
from wyckflow.store.candidates.builder import build_candidates
from wyckflow.store.candidates.query import find_candidates
from wyckflow.store.connect import Database

pytestmark = pytest.mark.mongo

PEROVSKITE, ROCKSALT, BAD = "221 O:c Sr:a Ti:b", "225 Cl:b Na:a", "225 Na:a O:b"


def gene(text):
    return WyckoffGene.from_text(text)


@pytest.fixture
def put(database):
    """Store a document as the output of a job."""
    from monty.json import jsanitize

    store = database.job_store()
    store.connect()

    def call(document, *, uuid, name, at="2026-01-01T00:00:00", campaign="c"):
        output = jsanitize(document, strict=True, enum_values=True, allow_bson=True)
        entry = {"uuid": uuid, "index": 1, "output": output, "name": name}
        entry |= {"completed_at": at, "metadata": {"campaign": campaign}, "hosts": []}
        store.update(entry, key=["uuid", "index"], save={"blobs": "blob"})

    return call


def screening(*rows):
    genes = [gene(text) for text, _ in rows]
    numbers, codes = pack_genes(genes)
    nothing = np.full(len(rows), np.nan)
    arrays = {
        "space_groups": numbers,
        "codes": codes,
        "keys": key_genes(genes),
        "verdicts": np.array([VERDICTS.index(verdict) for _, verdict in rows]),
        "filters": np.full(len(rows), NO_FILTER),
        "values": nothing,
        "thresholds": nothing,
        "reasons": np.zeros(len(rows), int),
        "texts": np.array([""]),
    }
    return ScreeningDoc(
        n_genes=len(rows), n_accepted=0, funnel=[], blob=pack_verdicts(arrays)
    )


def relaxation(text, energy, a):
    item = gene(text)
    structure = ReducedStructure.from_structure(
        Structure.from_spacegroup(
            item.space_group_number,
            [[a, 0, 0], [0, a, 0], [0, 0, a]],
            ["Na", "Cl"],
            [[0, 0, 0], [0.5, 0.5, 0.5]],
        )
    )
    result = RelaxationDoc(
        gene=text,
        gene_id=item.gene_id,
        formula_pretty=item.formula,
        outcome=Outcome.CONVERGED,
        structure_index=0,
        energy_per_atom=energy,
        space_group_number_before=item.space_group_number,
        is_symmetry_kept=True,
    )
    settings = RelaxationSettings(
        relaxer="r",
        engine="e",
        n_trials=1,
        seed=0,
        fmax=0.01,
        max_stress_gpa=0.1,
        max_steps=9,
        symprec=0.01,
    )
    return RelaxationBatchDoc(
        energy_scale="chgnet-0.3.0",
        settings=settings,
        n_converged=1,
        results=[result],
        blob=pack_structures([structure]),
    )


def plain(candidates):
    """Candidates without what says when and where they were joined."""
    return [c.model_dump(exclude={"provenance", "updated_at"}) for c in candidates]


def find(database):
    return find_candidates(database, campaign="c", sort=[("gene_id", 1)])


def test_stages_meet_in_one_document_per_gene(database, put):
    rows = [(ROCKSALT, Verdict.PASS), (BAD, Verdict.FAIL)]
    put(screening(*rows), uuid="s", name="gene screen")
    put(relaxation(ROCKSALT, -3.4, 5.7), uuid="r", name="chgnet relax")
    report = build_candidates(database, campaign="c")
    assert (report.n_outputs, report.n_candidates) == (2, 3)
    found = {item.gene: item for item in find(database)}
    salt = found[gene(ROCKSALT).to_text()]
    assert (salt.formula_pretty, salt.chemsys, salt.nsites) == ("NaCl", "Cl-Na", 8)
    assert (salt.energy_per_atom, salt.energy_scale) == (-3.4, "chgnet-0.3.0")
    assert salt.verdict is Verdict.PASS
    assert [outcome.outcome for outcome in salt.outcomes] == ["converged"]
    assert salt.job_uuids == ["r", "s"]
    structure = Structure.from_dict(salt.structure)
    assert structure.lattice.a == pytest.approx(5.7)
    assert structure.get_space_group_info()[1] == 225
    assert found[gene(BAD).to_text()].verdict is Verdict.FAIL


def generation(number, texts, gap):
    genes = [gene(text) for text in texts]
    zeros = np.zeros(len(genes), np.float32)
    chunk = GeneChunk.pack(
        genes,
        log_probabilities=zeros,
        seeds=zeros.astype(np.int32),
        predictions={"band_gap": zeros + gap},
        deviations={"band_gap": zeros},
    )
    return GenerationDoc(
        model_id=f"model-{number}",
        model_name="m",
        method="prior",
        target={},
        seed=0,
        shard=number,
        level=0.5,
        temperature=1,
        n_asked=len(genes),
        n_decoded=len(genes),
        n_genes=len(genes),
        failures={},
        properties=["band_gap"],
        chunks=[chunk],
    )


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_candidate_knows_the_first_round_and_model_that_proposed_it(
    database, put, order
):
    """Whichever of the two is joined first."""
    rounds = [generation(0, [ROCKSALT], 5), generation(1, [ROCKSALT, PEROVSKITE], 6)]
    for number in order:
        put(rounds[number], uuid=f"g{number}", name="gene generate")
        build_candidates(database, campaign="c")
    found = {item.formula_pretty: item for item in find(database)}
    salt, perovskite = found["NaCl"], found["SrTiO3"]
    assert (salt.round, salt.model_id, salt.predicted_band_gap) == (0, "model-0", 5)
    assert (perovskite.round, perovskite.model_id) == (1, "model-1")
    assert salt.job_uuids == ["g0", "g1"]
    assert (salt.predicted_formation_energy_per_atom, salt.verdict) == (None, None)


def test_a_second_run_finds_nothing_new_and_a_changed_output_is_joined_again(
    database, put
):
    put(relaxation(ROCKSALT, -3.4, 5.7), uuid="r", name="chgnet relax")
    build_candidates(database, campaign="c")
    assert build_candidates(database, campaign="c").n_outputs == 0
    put(
        relaxation(ROCKSALT, -3.5, 5.6),
        uuid="r",
        name="chgnet relax",
        at="2026-01-02T00:00:00",
    )
    assert build_candidates(database, campaign="c").n_outputs == 1
    (salt,) = find(database)
    assert salt.energy_per_atom == -3.5
    assert len(salt.outcomes) == 1


def test_candidates_dropped_and_built_again_come_out_the_same(database, put):
    put(relaxation(ROCKSALT, -3.4, 5.7), uuid="r", name="chgnet relax")
    put(screening((ROCKSALT, Verdict.PASS)), uuid="s", name="gene screen")
    build_candidates(database, campaign="c")
    before = plain(find(database))
    build_candidates(database, campaign="c", from_scratch=True)
    assert plain(find(database)) == before


def test_genes_joined_some_at_a_time_come_out_the_same(database, put, monkeypatch):
    """An output may speak of 100,000 genes; a gene that comes again keeps one."""
    texts = [ROCKSALT, PEROVSKITE, BAD, "225 K:a Cl:b"]
    rows = [(text, Verdict.PASS) for text in [*texts, ROCKSALT]]
    put(generation(0, texts, 1.5), uuid="g", name="gene generate")
    put(screening(*rows), uuid="s", name="gene screen")
    whole = build_candidates(database, campaign="c")
    before = plain(find(database))
    monkeypatch.setattr("wyckflow.store.candidates.builder.GENES_AT_ONCE", 2)
    again = build_candidates(database, campaign="c", from_scratch=True)
    assert plain(find(database)) == before
    assert (whole.n_candidates, again.n_candidates) == (8, 8)
    assert len(before) == 4


def test_later_stages_leave_the_structure_and_what_others_have_written(database, put):
    put(relaxation(ROCKSALT, -3.4, 5.7), uuid="r", name="chgnet relax")
    build_candidates(database, campaign="c")
    with database.client() as client:
        candidates = client[database.name]["candidates"]
        candidates.update_one({"campaign": "c"}, {"$set": {"band_gap": 5.0}})
    put(screening((ROCKSALT, Verdict.PASS)), uuid="s", name="gene screen")
    build_candidates(database, campaign="c")
    (salt,) = find(database)
    assert salt.verdict is Verdict.PASS
    assert salt.band_gap == 5.0
    assert Structure.from_dict(salt.structure).lattice.a == pytest.approx(5.7)
    bare = relaxation(ROCKSALT, -3.4, 5.7)
    bare.results[0].structure_index = bare.blob = None
    put(bare, uuid="r", name="chgnet relax", at="2026-01-03T00:00:00")
    build_candidates(database, campaign="c")
    assert find(database)[0].structure is None


def test_the_order_in_which_outputs_arrive_does_not_matter(database, put):
    screen = screening((ROCKSALT, Verdict.PASS))
    put(relaxation(ROCKSALT, -3.4, 5.7), uuid="r", name="chgnet relax")
    build_candidates(database, campaign="c")
    put(screen, uuid="s", name="gene screen")
    build_candidates(database, campaign="c")
    late = plain(find(database))
    build_candidates(database, campaign="c", from_scratch=True)
    assert plain(find(database)) == late


def test_campaigns_do_not_mix(database, put):
    put(relaxation(ROCKSALT, -3.4, 5.7), uuid="r", name="chgnet relax", campaign="x")
    assert build_candidates(database, campaign="c").n_outputs == 0
    assert find(database) == []


def test_a_candidate_from_the_future_is_refused_by_version():
    salt = gene(ROCKSALT)
    fields = {"campaign": "c", "gene_id": salt.gene_id, "gene": salt.to_text()}
    fields |= {"formula_pretty": "NaCl", "chemsys": "Cl-Na", "elements": ["Cl", "Na"]}
    fields |= {"n_elements": 2, "nsites": 8, "space_group_number": 225}
    fields |= {"crystal_system": "cubic"}
    assert CandidateDoc(**fields).schema_version == CandidateDoc.SCHEMA_VERSION
    with pytest.raises(DocumentError, match="schema_version 99"):
        CandidateDoc(**fields, schema_version=99)


def test_a_query_without_a_database_says_what_to_do():
    with pytest.raises(DatabaseError, match="wyckflow db start"):
        find_candidates(Database.from_uri("mongodb://127.0.0.1:9/", "w"))
