"""New stable phases judge earlier candidates anew: those affected, and no other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from monty.json import jsanitize

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.makers.hull import HullMaker
from wyckflow.schemas.relaxation import (
    Outcome,
    RelaxationBatchDoc,
    RelaxationDoc,
    RelaxationSettings,
)
from wyckflow.schemas.screening import Verdict
from wyckflow.store import rerank as rerank_module
from wyckflow.store.candidates.builder import build_candidates
from wyckflow.store.candidates.query import find_candidates
from wyckflow.store.references import ReferenceLedger
from wyckflow.store.rerank import (
    find_stable_candidates,
    insert_phases,
    rank_again,
    refresh_campaign,
)
from wyckflow.thermo.entry import ReferenceEntry
from wyckflow.thermo.hull import Hull
from wyckflow.thermo.reference import ReferenceSet

pytestmark = pytest.mark.mongo

SCALE = "chgnet-0.3.0"
ELEMENTS = {"Na": -1.3, "Cl": -1.8, "K": -1.1, "Br": -1.6}
GENES = {  # energies per atom; the last is above its elements
    "225 Na:a Cl:b": -3.30,
    "221 Na:a Cl:b": -3.20,
    "225 K:a Cl:b": -3.30,
    "221 K:a Na:b Cl:c": -2.40,
    "225 K:a Br:b": -3.10,
    "216 Na:a Br:c": -1.30,
}
NEW = ReferenceEntry({"Na": 1, "Cl": 1}, -3.4, "elsewhere/1")


@pytest.fixture
def reference():
    entries = [
        ReferenceEntry({symbol: 1}, energy, symbol.lower())
        for symbol, energy in ELEMENTS.items()
    ]
    return ReferenceSet.from_entries("toy", entries, scale=SCALE, kind="total")


def relaxation(genes):
    results = []
    for text, energy in genes.items():
        gene = WyckoffGene.from_text(text)
        results.append(
            RelaxationDoc(
                gene=gene.to_text(),
                gene_id=gene.gene_id,
                formula_pretty=gene.formula,
                outcome=Outcome.CONVERGED,
                energy_per_atom=energy,
                space_group_number_before=gene.space_group_number,
            )
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
        energy_scale=SCALE, settings=settings, n_converged=len(genes), results=results
    )


@pytest.fixture
def put(database, reference, tmp_path):
    """Store the outputs of a relaxation and of the hull job behind it."""
    reference.save(tmp_path / "toy.npz")
    maker = HullMaker(reference=str(tmp_path / "toy.npz"), with_calibration=False)
    store = database.job_store()
    store.connect()

    def call(genes, name):
        relaxed = relaxation(genes)
        judged = maker.make.original(maker, relaxed)
        for job, document in (("chgnet relax", relaxed), ("hull distance", judged)):
            output = jsanitize(document, strict=True, enum_values=True, allow_bson=True)
            entry = {"uuid": f"{name} {job}", "index": 1, "output": output}
            entry |= {"name": job, "metadata": {"campaign": "c"}, "hosts": []}
            entry |= {"completed_at": "2026-01-01T00:00:00"}
            store.update(entry, key=["uuid", "index"], save={"blobs": "blob"})

    yield call
    store.close()


@pytest.fixture
def ledger(database):
    with ReferenceLedger(database) as one:
        yield one


@pytest.fixture
def campaign(put, database, ledger, reference):
    """Two shards, joined, and a layer on the set that judged them."""
    texts = list(GENES)
    put({text: GENES[text] for text in texts[:3]}, "first")
    put({text: GENES[text] for text in texts[3:]}, "second")
    build_candidates(database, campaign="c")
    ledger.start_layer("c", reference)
    return database


def candidates(database):
    found = find_candidates(database, campaign="c")
    return {item.gene: item for item in found}


def plain(database):
    hidden = {"provenance", "updated_at"}
    return {k: v.model_dump(exclude=hidden) for k, v in candidates(database).items()}


def of(found, text):
    return found[WyckoffGene.from_text(text).to_text()]


def expected(reference, found, *entries):
    """Distances by a fresh hull of all entries, candidates left out of their own."""
    hull = Hull(reference).with_layer(entries)
    return {
        gene: hull.energies_above_hull(
            [WyckoffGene.from_text(gene).composition],
            [item.energy_per_atom],
            scale=SCALE,
            own_ids=[item.gene_id],
        ).energies_above_hull[0]
        for gene, item in found.items()
    }


def test_the_join_brings_every_field_of_the_hull(campaign, reference):
    salt = of(candidates(campaign), "225 Na:a Cl:b")
    assert salt.energy_above_hull == pytest.approx(-1.75)
    assert salt.formation_energy_per_atom == pytest.approx(-1.75)
    assert (salt.hull_scale, salt.hull_version) == (SCALE, reference.version)
    assert {item.entry_id for item in salt.decomposition} == {"na", "cl"}
    assert salt.hull_completeness.n_empty_subsystems == 1
    assert salt.verdict is Verdict.PASS
    assert [item.stage for item in salt.verdicts] == ["hull distance"]
    bad = of(candidates(campaign), "216 Na:a Br:c")
    assert bad.verdict is Verdict.FAIL
    assert bad.energy_above_hull == pytest.approx(0.15)


def test_an_insert_ranks_what_it_affects_and_leaves_the_rest(
    campaign, ledger, reference
):
    before = candidates(campaign)
    report = insert_phases(ledger, "c", [NEW], scale=SCALE)
    after = candidates(campaign)
    affected = {gene for gene in after if {"Na", "Cl"} <= set(after[gene].elements)}
    assert len(affected) == report.n_ranked_again == 3
    assert (report.n_new, report.systems) == (1, ("Cl-Na",))
    distances = expected(reference, after, NEW)
    for gene, item in after.items():
        assert item.energy_above_hull == pytest.approx(distances[gene], abs=1e-12)
        if gene in affected:
            assert item.hull_version == report.hull_version
        else:
            assert item.model_dump() == before[gene].model_dump()
    salt = of(after, "221 Na:a Cl:b")
    assert salt.verdict is Verdict.FAIL
    assert salt.verdicts[-1].reason == "200 meV/atom above the hull"
    assert [item.entry_id for item in salt.decomposition] == ["elsewhere/1"]


def test_every_verdict_can_be_reproduced_from_its_version(campaign, ledger):
    insert_phases(ledger, "c", [NEW], scale=SCALE)
    insert_phases(
        ledger, "c", [ReferenceEntry({"K": 1, "Br": 1}, -3.2, "x")], scale=SCALE
    )
    found = candidates(campaign)
    assert len({item.hull_version for item in found.values()}) == 3
    with ReferenceLedger(campaign) as fresh:
        for gene, item in found.items():
            (distance,) = (
                fresh.hull(item.hull_version)
                .energies_above_hull(
                    [WyckoffGene.from_text(gene).composition],
                    [item.energy_per_atom],
                    scale=item.hull_scale,
                    own_ids=[item.gene_id],
                )
                .energies_above_hull
            )
            assert distance == item.energy_above_hull


def test_inserting_again_changes_nothing(campaign, ledger):
    insert_phases(ledger, "c", [NEW], scale=SCALE)
    before = candidates(campaign)
    report = insert_phases(ledger, "c", [NEW], scale=SCALE)
    assert (report.n_new, report.n_ranked_again) == (0, 0)
    assert candidates(campaign) == before


def test_candidates_of_the_layer_are_judged_without_themselves(
    campaign, ledger, reference
):
    stable = find_stable_candidates(ledger, "c", scale=SCALE)
    assert len(stable) == 5  # all but one are below their elements
    insert_phases(ledger, "c", stable, scale=SCALE)
    found = candidates(campaign)
    distances = expected(reference, found, *stable)
    for gene, item in found.items():
        assert item.energy_above_hull == pytest.approx(distances[gene], abs=1e-12)
    low, high = of(found, "225 Na:a Cl:b"), of(found, "221 Na:a Cl:b")
    assert low.energy_above_hull == pytest.approx(-0.1)  # against the other form
    assert high.energy_above_hull == pytest.approx(0.1)


def test_an_insert_that_broke_off_is_finished_by_the_next_run(
    campaign, ledger, reference, monkeypatch
):
    with monkeypatch.context() as broken:
        broken.setattr(rerank_module, "rank_again", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            insert_phases(ledger, "c", [NEW], scale=SCALE)
    stale = of(candidates(campaign), "221 Na:a Cl:b")
    assert stale.energy_above_hull == pytest.approx(-1.65)
    assert insert_phases(ledger, "c", [NEW], scale=SCALE).n_ranked_again == 3
    found = candidates(campaign)
    distances = expected(reference, found, NEW)
    assert {k: v.energy_above_hull for k, v in found.items()} == pytest.approx(
        distances
    )


def test_building_again_comes_out_the_same(campaign, ledger):
    insert_phases(ledger, "c", [NEW], scale=SCALE)
    insert_phases(
        ledger, "c", [ReferenceEntry({"K": 1, "Br": 1}, -3.2, "x")], scale=SCALE
    )
    before = plain(campaign)
    build_candidates(campaign, campaign="c", from_scratch=True)
    assert plain(campaign) == before
    assert refresh_campaign(campaign, "c") == 0


def test_a_shard_that_comes_late_is_judged_by_the_layer(campaign, ledger, put):
    insert_phases(ledger, "c", [NEW], scale=SCALE)
    put({"187 Na:a Cl:d": -3.35}, "third")
    build_candidates(campaign, campaign="c")
    late = of(candidates(campaign), "187 Na:a Cl:d")
    assert late.energy_above_hull == pytest.approx(0.05)


def test_two_inserts_at_once_end_as_one_after_the_other(campaign, reference):
    entries = [
        ReferenceEntry({"Na": 1, "Cl": 1}, -3.4, "x/1"),
        ReferenceEntry({"K": 1, "Cl": 1}, -3.5, "x/2"),
        ReferenceEntry({"Na": 2, "K": 1, "Cl": 3}, -3.6, "x/3"),
        ReferenceEntry({"Na": 1, "Br": 1}, -3.3, "x/4"),
    ]

    def write(entry):
        with ReferenceLedger(campaign) as own:
            insert_phases(own, "c", [entry], scale=SCALE)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, entries))
    found = candidates(campaign)
    distances = expected(reference, found, *entries)
    for gene, item in found.items():
        assert item.energy_above_hull == pytest.approx(distances[gene], abs=1e-12)
    with ReferenceLedger(campaign) as fresh:
        assert rank_again(fresh, "c", scale=SCALE) == 0


def test_a_new_base_judges_all_candidates(campaign, ledger, reference):
    insert_phases(ledger, "c", [NEW], scale=SCALE)
    known = ReferenceEntry({"K": 1, "Br": 1}, -3.3, "kbr")
    larger = reference.merge(
        ReferenceSet.from_entries("more", [known], scale=SCALE, kind="total")
    )
    state = ledger.start_layer("c", larger)
    assert refresh_campaign(campaign, "c") == len(GENES)
    found = candidates(campaign)
    assert {item.hull_version for item in found.values()} == {state.hull_version}
    distances = expected(reference, found, NEW, known)
    for gene, item in found.items():
        assert item.energy_above_hull == pytest.approx(distances[gene], abs=1e-12)


def test_a_campaign_without_a_layer_is_left_alone(put, database):
    put(GENES, "only")
    build_candidates(database, campaign="c")
    before = candidates(database)
    assert refresh_campaign(database, "c") == 0
    assert candidates(database) == before
