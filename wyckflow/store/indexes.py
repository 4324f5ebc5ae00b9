"""Every index the package relies on, declared once and created by ``wyckflow init``.

Neither jobflow nor maggma creates any: without the first one below, resolving
references slows down with every job ever run, and a rerun could store a result twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from wyckflow.errors import DatabaseError
from wyckflow.store.connect import BLOBS, OUTPUTS, Database, explain

if TYPE_CHECKING:
    from pymongo.database import Database as MongoDatabase

FIREWORK_FIELDS = ("spec.campaign",)
WORKFLOW_FIELDS = ("metadata.campaign",)


@dataclass(frozen=True)
class Index:
    """One index of one collection."""

    collection: str
    fields: tuple[str, ...]
    unique: bool = False

    @property
    def name(self) -> str:
        """The name MongoDB gives it."""
        return "_".join(f"{name}_1" for name in self.fields)


OUR_INDEXES = (
    Index(OUTPUTS, ("uuid", "index"), unique=True),
    Index(OUTPUTS, ("metadata.campaign", "name")),
    Index(BLOBS, ("blob_uuid",), unique=True),
    Index(BLOBS, ("job_uuid", "job_index")),
    Index("candidates", ("campaign", "gene_id"), unique=True),
    Index("candidates", ("chemsys", "band_gap", "energy_above_hull")),
    # The last field breaks ties: without it, the server sorts a whole campaign.
    Index("candidates", ("campaign", "energy_above_hull", "gene_id")),
    Index("candidates", ("energy_above_hull", "gene_id")),
    Index("candidates", ("formula_pretty",)),
    Index("candidates", ("space_group_number",)),
    Index("candidates", ("elements",)),
    Index("approvals", ("campaign", "gene_id"), unique=True),
    Index("campaigns", ("name",), unique=True),
    Index("models", ("model_id",), unique=True),
    Index("references", ("record", "campaign", "scale", "number")),
    Index("references", ("record", "hull_version")),
    Index("references", ("content", "number")),
    Index("workers", ("seen_at",)),
    Index("fireworks", FIREWORK_FIELDS),
    Index("workflows", WORKFLOW_FIELDS),
)


def create_indexes(database: Database) -> list[Index]:
    """Create what is missing of ours and of FireWorks', and return what is ours.

    The first call on an empty database also starts FireWorks' counters; no call ever
    deletes anything.

    Raises
    ------
    DatabaseError
        If the server refuses, or stored documents contradict a unique index.
    """
    launchpad = database.launchpad(timeout_ms=3_000)
    try:
        if launchpad.fw_id_assigner.find_one({}) is None:
            launchpad.fw_id_assigner.insert_one({"next_fw_id": 1, "next_launch_id": 1})
        launchpad.tuneup()
        for index in OUR_INDEXES:
            _create(launchpad.db, index)
    except PyMongoError as error:
        raise explain(error, database) from error
    finally:
        launchpad.connection.close()
    return list(OUR_INDEXES)


def missing_indexes(mongo: MongoDatabase[Any]) -> list[Index]:
    """Return the indexes of ours that the database lacks."""
    present = {
        name: set(mongo[name].index_information())
        for name in {index.collection for index in OUR_INDEXES}
    }
    return [
        index for index in OUR_INDEXES if index.name not in present[index.collection]
    ]


def _create(mongo: MongoDatabase[Any], index: Index) -> None:
    """Create one index, or say which documents stand against it."""
    keys = [(name, ASCENDING) for name in index.fields]
    try:
        mongo[index.collection].create_index(keys, unique=index.unique)
    except (DuplicateKeyError, OperationFailure) as error:
        if getattr(error, "code", None) != DuplicateKeyError("", code=11000).code:
            raise
        raise DatabaseError(
            f"Collection {index.collection!r} of {mongo.name!r} holds documents with "
            f"the same {index.fields}, so the unique index cannot be made. Nothing was "
            "changed. They come from a database used without wyckflow's indexes: use "
            "a fresh database name ('wyckflow init --uri URI --database NAME FOLDER'), "
            f"or remove the doubles. The server said: {str(error)[:200]}"
        ) from error
