"""Blobs that no result refers to: what reruns and late workers leave behind.

Every run of a job writes its bulk anew, under an id of its own, and its document then
refers to the new one. The old one stays, and nothing would ever read it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from bson import ObjectId
from pymongo.errors import PyMongoError

from wyckflow.store.connect import BLOBS, OUTPUTS, explain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database as MongoDatabase

    from wyckflow.store.connect import Database

SAFE_AGE: Final = timedelta(days=1)
"""Younger blobs are left alone: their document may be about to be written. By the clock
of the worker that wrote them, so it is longer than clocks are apart."""

_AT_ONCE: Final = 500


@dataclass(frozen=True)
class Orphans:
    """Blobs that nothing refers to.

    Attributes
    ----------
    ids
        Their ids.
    n_bytes
        Size of all of them.
    """

    ids: tuple[str, ...]
    n_bytes: int


def find_orphaned_blobs(
    database: Database, *, safe_age: timedelta = SAFE_AGE
) -> Orphans:
    """Return the blobs that no output refers to.

    Parameters
    ----------
    database
        Where.
    safe_age
        Younger ones do not count.

    Raises
    ------
    DatabaseError
        If the database does not answer.
    """
    with database.client() as client:
        mongo = client[database.name]
        try:
            now = client.admin.command("hello")["localTime"]
            found = dict(_iter_orphans(mongo, ObjectId.from_datetime(now - safe_age)))
        except PyMongoError as error:
            raise explain(error, database) from error
    return Orphans(tuple(sorted(found)), sum(found.values()))


def delete_blobs(database: Database, orphans: Orphans) -> int:
    """Delete blobs that nothing refers to; return how many there were.

    Parameters
    ----------
    database
        Where.
    orphans
        From `find_orphaned_blobs`. A result that refers to one of them by now keeps it.
    """
    with database.client() as client:
        mongo = client[database.name]
        try:
            again = dict(_iter_orphans(mongo, None, list(orphans.ids)))
            query = {"blob_uuid": {"$in": sorted(again)}}
            return mongo[BLOBS].delete_many(query).deleted_count
        except PyMongoError as error:
            raise explain(error, database) from error


def _iter_orphans(
    mongo: MongoDatabase[Any],
    before: ObjectId | None,
    chosen: list[str] | None = None,
) -> Iterator[tuple[str, int]]:
    """Yield id and size of blobs that the outputs of their jobs do not name."""
    match: dict[str, Any] = {"job_uuid": {"$exists": True}}
    if before is not None:
        match["_id"] = {"$lt": before}
    if chosen is not None:
        match["blob_uuid"] = {"$in": chosen}
    fields = {"blob_uuid": 1, "job_uuid": 1, "size": {"$bsonSize": "$$ROOT"}}
    pipeline = [{"$match": match}, {"$sort": {"job_uuid": 1}}, {"$project": fields}]
    blobs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for blob in mongo[BLOBS].aggregate(pipeline, allowDiskUse=True):
        if len(blobs) >= _AT_ONCE and blob["job_uuid"] not in blobs:
            yield from _without_reference(mongo, blobs)
            blobs.clear()
        blobs[blob["job_uuid"]].append(blob)
    yield from _without_reference(mongo, blobs)


def _without_reference(
    mongo: MongoDatabase[Any], blobs: dict[str, list[dict[str, Any]]]
) -> Iterator[tuple[str, int]]:
    """Yield id and size of blobs of some jobs that their outputs do not name."""
    named: set[str] = set()
    for output in mongo[OUTPUTS].find({"uuid": {"$in": list(blobs)}}):
        named |= set(_iter_references(output))
    for items in blobs.values():
        for blob in items:
            if blob["blob_uuid"] not in named:
                yield blob["blob_uuid"], blob["size"]


def _iter_references(content: Any) -> Iterator[str]:
    """Yield the ids of the blobs that a document names, wherever in it."""
    if isinstance(content, dict):
        if isinstance(found := content.get("blob_uuid"), str):
            yield found
        for value in content.values():
            yield from _iter_references(value)
    elif isinstance(content, list):
        for value in content:
            yield from _iter_references(value)
