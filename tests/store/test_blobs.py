"""Bulk that nothing refers to is found and deleted; everything else is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId

from wyckflow.schemas.blob import BLOB_FIELD, BLOB_STORE
from wyckflow.store.blobs import SAFE_AGE, delete_blobs, find_orphaned_blobs

pytestmark = pytest.mark.mongo

ANY_AGE = timedelta(days=-1)


@pytest.fixture
def store(database):
    found = database.job_store()
    found.connect()
    return found


@pytest.fixture
def blobs(database):
    with database.client() as client:
        yield client[database.name]["blobs"]


def write(store, uuid, blob):
    """As a job does; its output refers to the newest blob."""
    output = {"deep": [{BLOB_FIELD: blob}]}
    entry = {"uuid": uuid, "index": 1, "output": output}
    store.update(entry, key=["uuid", "index"], save={BLOB_STORE: BLOB_FIELD})


def test_what_a_rerun_left_behind_is_deleted_and_nothing_else(database, store, blobs):
    for run in range(3):
        write(store, "a", b"a" * 1000 * (run + 1))
    write(store, "b", b"b")
    orphans = find_orphaned_blobs(database, safe_age=ANY_AGE)
    assert len(orphans.ids) == 2
    assert 3000 < orphans.n_bytes < 4000
    assert delete_blobs(database, orphans) == 2
    assert blobs.count_documents({}) == 2
    loaded = [store.get_output(uuid, load=True)["deep"][0]["blob"] for uuid in "ab"]
    assert loaded == [b"a" * 3000, b"b"]
    assert find_orphaned_blobs(database, safe_age=ANY_AGE).ids == ()


def test_bulk_of_an_output_that_was_removed_is_deleted(database, store, blobs):
    write(store, "a", b"a")
    store.docs_store.remove_docs({"uuid": "a"})
    orphans = find_orphaned_blobs(database, safe_age=ANY_AGE)
    assert delete_blobs(database, orphans) == 1
    assert blobs.count_documents({}) == 0


def test_young_bulk_is_left_alone_since_its_output_may_follow(database, store, blobs):
    write(store, "a", b"old")
    write(store, "a", b"new")
    assert find_orphaned_blobs(database).ids == ()
    (orphan,) = find_orphaned_blobs(database, safe_age=ANY_AGE).ids
    stored = blobs.find_one_and_delete({"blob_uuid": orphan})
    past = datetime.now(UTC) - 2 * SAFE_AGE
    blobs.insert_one(stored | {"_id": ObjectId.from_datetime(past)})
    assert find_orphaned_blobs(database).ids == (orphan,)


def test_a_blob_that_is_referred_to_again_is_kept(database, store, blobs):
    write(store, "a", b"a")
    kept = store.docs_store.query_one({"uuid": "a"})
    write(store, "a", b"b")
    orphans = find_orphaned_blobs(database, safe_age=ANY_AGE)
    store.docs_store.update(kept, key=["uuid", "index"])
    assert delete_blobs(database, orphans) == 0


def test_blobs_are_found_over_more_jobs_than_fit_at_once(database, store, monkeypatch):
    monkeypatch.setattr("wyckflow.store.blobs._AT_ONCE", 2)
    for number in range(7):
        write(store, f"job {number}", b"1")
        write(store, f"job {number}", b"2")
    assert len(find_orphaned_blobs(database, safe_age=ANY_AGE).ids) == 7
