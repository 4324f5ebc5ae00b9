"""The ledger: versions that never change, and layers with many writers."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from wyckflow.errors import DatabaseError, ReferenceDataError, ScaleMismatchError
from wyckflow.store import references as references_module
from wyckflow.store.connect import Database
from wyckflow.store.references import REFERENCES, ReferenceLedger
from wyckflow.thermo.entry import ReferenceEntry
from wyckflow.thermo.hull import Hull
from wyckflow.thermo.reference import ReferenceSet

pytestmark = pytest.mark.mongo

SCALE = "chgnet-0.3.0"
ELEMENTS = [
    ReferenceEntry({"Na": 1}, -1.3, "na"),
    ReferenceEntry({"Cl": 1}, -1.8, "cl"),
    ReferenceEntry({"K": 1}, -1.1, "k"),
]
SALT = ReferenceEntry({"Na": 1, "Cl": 1}, -3.4, "c/salt", "campaign c", "2026-02-03")
POTASH = ReferenceEntry({"K": 1, "Cl": 1}, -3.3, "c/potash")
BELOW_SALT = ReferenceEntry({"Na": 1, "Cl": 1}, -3.5, "c/below")


def make_set(entries=ELEMENTS, scale=SCALE, name="toy"):
    return ReferenceSet.from_entries(name, entries, scale=scale, kind="total")


@pytest.fixture
def ledger(database):
    with ReferenceLedger(database) as one:
        yield one


def count(database, **query):
    with database.client() as client:
        return client[database.name][REFERENCES].count_documents(query)


def test_a_set_is_stored_once_and_comes_back_the_same(ledger, database):
    reference = replace(make_set(), provenance={"how": "by hand"})
    stored = ledger.store(reference)
    assert ledger.store(reference) == ledger.store(make_set(name="other")) == stored
    assert (stored.name, stored.n_entries, stored.n_elements) == ("toy", 3, 3)
    assert count(database, record="set") == count(database, record="chunk") == 1
    found = ReferenceLedger(database).load(reference.version)
    assert [found[place] for place in range(3)] == ELEMENTS
    assert found.provenance == {"how": "by hand"}


def test_a_large_set_is_cut_into_chunks(ledger, database, monkeypatch):
    monkeypatch.setattr(references_module, "_CHUNK_BYTES", 200)
    source = random.Random(0)  # noqa: S311 - a fixed sample, no secret
    entries = [
        ReferenceEntry({"Na": n, "Cl": 1}, source.random(), f"id-{n}")
        for n in range(1, 120)
    ]
    reference = make_set(entries)
    stored = ledger.store(reference)
    assert stored.n_chunks == count(database, record="chunk") > 10
    assert ReferenceLedger(database).load(stored.version).version == reference.version


def test_a_version_that_is_not_there_is_refused(ledger):
    ledger.store(make_set())
    with pytest.raises(ReferenceDataError, match="wyckflow hull list"):
        ledger.load("0" * 16)
    with pytest.raises(ReferenceDataError, match="start_layer"):
        ledger.insert("c", SCALE, [SALT])


def test_every_state_of_a_layer_can_be_had_again(ledger, database):
    base = make_set()
    start = ledger.start_layer("c", base)
    assert (start.number, start.hull_version) == (0, base.version)
    first, n_first = ledger.insert("c", SCALE, [SALT])
    second, n_second = ledger.insert("c", SCALE, [POTASH, SALT, BELOW_SALT])
    assert (n_first, n_second) == (1, 2)
    assert first.systems == ["Cl-Na"]
    assert second.systems == ["Cl-K", "Cl-Na"]
    fresh = ReferenceLedger(database)
    for state, entries in (
        (start, ELEMENTS),
        (first, [*ELEMENTS, SALT]),
        (second, [*ELEMENTS, SALT, POTASH, BELOW_SALT]),
    ):
        hull = fresh.hull(state.hull_version)
        assert hull.version == make_set(entries).version == state.hull_version
        expected = Hull(make_set(entries))
        for counts in ({"Na": 1, "Cl": 1}, {"K": 2, "Cl": 1}, {"Na": 1, "K": 1}):
            ours, theirs = (
                item.energies_above_hull([counts], [-2.0], scale=SCALE)
                for item in (hull, expected)
            )
            assert ours.energies_above_hull == theirs.energies_above_hull
    assert fresh.load(second.hull_version)[3] == SALT


def test_what_is_in_the_layer_changes_nothing(ledger, database):
    ledger.start_layer("c", make_set())
    state, _ = ledger.insert("c", SCALE, [SALT])
    again, n_new = ledger.insert("c", SCALE, [SALT, SALT, ELEMENTS[0]])
    assert (again, n_new) == (state, 0)
    assert ledger.insert("c", SCALE, []) == (state, 0)
    assert ledger.start_layer("c", make_set()) == state
    assert count(database, record="layer") == 2


def test_campaigns_and_scales_have_layers_of_their_own(ledger):
    ledger.start_layer("c", make_set())
    ledger.start_layer("d", make_set())
    fine = make_set(scale="pbe-fine")
    ledger.start_layer("c", fine)
    ledger.insert("c", SCALE, [SALT])
    assert ledger.states("d", SCALE)[-1].hull_version == make_set().version
    assert ledger.states("c", "pbe-fine")[-1].hull_version == fine.version
    assert len(ledger.states()) == 4
    with pytest.raises(ReferenceDataError, match="only for chgnet"):
        ledger.insert("d", "pbe-fine", [SALT])
    with pytest.raises(ScaleMismatchError):
        ledger.hull(fine.version).energies_above_hull([{"Na": 1}], [0.0], scale=SCALE)


def test_a_layer_moves_to_another_base_with_its_phases(ledger, database):
    ledger.start_layer("c", make_set())
    ledger.insert("c", SCALE, [SALT])
    larger = make_set([*ELEMENTS, POTASH])
    moved = ledger.start_layer("c", larger)
    assert moved.has_new_base
    assert moved.hull_version == make_set([*ELEMENTS, POTASH, SALT]).version
    state, _ = ledger.insert("c", SCALE, [BELOW_SALT])
    assert not state.has_new_base
    whole = make_set([*ELEMENTS, POTASH, SALT, BELOW_SALT])
    assert ReferenceLedger(database).load(state.hull_version).version == whole.version


def test_writers_at_once_lose_nothing(ledger, database):
    """Each has its own ledger, as workers have, and some phases in common."""
    ledger.start_layer("c", make_set())
    source = random.Random(0)  # noqa: S311 - a fixed sample, no secret
    phases = [
        ReferenceEntry({"Na": n, "Cl": m}, -3.0 - source.random(), f"c/{n}-{m}")
        for n in range(1, 7)
        for m in range(1, 7)
    ]
    parts = [phases[start : start + 12] for start in (0, 8, 16, 24)]

    def write(part):
        with ReferenceLedger(database) as own:
            return sum(own.insert("c", SCALE, [phase])[1] for phase in part)

    with ThreadPoolExecutor(len(parts)) as pool:
        n_new = sum(pool.map(write, parts))
    states = ledger.states("c", SCALE)
    assert [item.number for item in states] == list(range(len(states)))
    assert n_new == len(phases) == sum(len(item.phases) for item in states)
    whole = make_set([*ELEMENTS, *phases])
    assert states[-1].hull_version == whole.version
    assert ReferenceLedger(database).load(whole.version).version == whole.version


def test_a_layer_with_a_state_removed_is_noticed(ledger, database):
    ledger.start_layer("c", make_set())
    ledger.insert("c", SCALE, [SALT])
    state, _ = ledger.insert("c", SCALE, [POTASH])
    with database.client() as client:
        client[database.name][REFERENCES].update_one(
            {"_id": f"layer:c:{SCALE}:1"}, {"$set": {"phases.0.energy_per_atom": -9.0}}
        )
    with pytest.raises(ReferenceDataError, match="changed or removed by hand"):
        ReferenceLedger(database).hull(state.hull_version)


def test_without_a_database_the_way_out_is_named():
    ledger = ReferenceLedger(Database.from_uri("mongodb://127.0.0.1:9/", "w"))
    with pytest.raises(DatabaseError, match="wyckflow db start"):
        ledger.list_sets()
